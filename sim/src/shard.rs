//! The loop of one shard, cut into steps.
//!
//! It does what the loop in `broker` does, in the same order. But between two steps other shards and the network go on,
//! as they do between two instructions of a thread; how much is done in one step is drawn from the seed.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use muster_broker_core::broker::BrokerCore;
use muster_broker_core::close::CloseReason;
use muster_broker_core::cluster::Target;
use muster_broker_core::ids::{ConnRef, Key, ShardId};
use muster_broker_core::outbound::Segment;
use muster_broker_core::shard::{Accepted, ConnInfo, Flush, RouteSnapshot, ShardCore};
use muster_testkit::{Arrival, End, EventQueue};
use muster_wire::route_info::RouteInfo;

use crate::net::{LinkId, Net};

/// Bytes read from one connection in one turn.
const READ_AT_ONCE: usize = 64 * 1024;

/// Connections flushed in one turn.
const FLUSHES_A_TURN: usize = 256;

/// Where every route comes from; brokers tell their addresses by name.
const ROUTE_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)), 6222);

/// What the poll reports, and what the owner of the cluster wants done.
#[derive(Debug, Clone)]
pub(crate) enum Ready {
    Accept(LinkId),
    /// A route that another broker dialled.
    AcceptRoute(LinkId),
    /// A route that this broker dialled.
    Dialled(LinkId, Box<Target>),
    /// An `INFO` for a route, if it is of this shard.
    Tell(ConnRef, Box<RouteInfo>),
    /// A route that is to be closed, if it is of this shard.
    Close(ConnRef, CloseReason),
    Readable(LinkId, End),
    Writable(LinkId, End),
}

/// What a shard does after a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next step, soon.
    Step,
    /// It sleeps, until something happens or until this moment.
    Sleep(Option<Duration>),
}

/// Where in its turn a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Events { left: usize },
    Unread { left: usize },
    Flush { left: usize },
    Finish,
}

#[derive(Debug)]
struct Io {
    link: LinkId,
    end: End,
    backlog: VecDeque<Segment>,
    /// Bytes of the first segment that are written.
    offset: usize,
    unread: bool,
    writable: bool,
}

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) core: ShardCore,
    broker: Arc<BrokerCore>,
    id: ShardId,
    stage: Stage,
    ios: BTreeMap<Key, Io>,
    timers: EventQueue<Key>,
    events: VecDeque<Ready>,
    unread: VecDeque<Key>,
    /// When its next step is.
    pub(crate) next: Option<Duration>,
    pub(crate) asleep: bool,
    /// Shards it woke in its last step.
    pub(crate) wakes: Vec<usize>,
    pub(crate) ended: Vec<ConnInfo>,
    pub(crate) ended_routes: Vec<RouteSnapshot>,
}

impl Shard {
    pub(crate) fn new(broker: &Arc<BrokerCore>, id: u16) -> Self {
        let id = ShardId(id);
        Self {
            core: ShardCore::new(Arc::clone(broker), id),
            broker: Arc::clone(broker),
            id,
            stage: Stage::Begin,
            ios: BTreeMap::new(),
            timers: EventQueue::new(),
            events: VecDeque::new(),
            unread: VecDeque::new(),
            next: None,
            asleep: true,
            wakes: Vec::new(),
            ended: Vec::new(),
            ended_routes: Vec::new(),
        }
    }

    pub(crate) fn report(&mut self, event: Ready) {
        self.events.push_back(event);
    }

    /// The next step of the turn.
    pub(crate) fn step(&mut self, net: &mut Net) -> After {
        let now = net.now();
        let grain = net.rng.within(1..=6);
        match self.stage {
            Stage::Begin => {
                self.broker.inbox(self.id).woke();
                self.core.begin_turn();
                while let Some((_, key)) = self.timers.pop_until(now) {
                    self.core.handle_timeout(key, now);
                }
                self.core.handle_notices(now);
                self.stage = Stage::Events {
                    left: self.events.len(),
                };
            }
            Stage::Events { left: 0 } => {
                self.core.resume(now);
                self.stage = Stage::Unread {
                    left: self.unread.len(),
                };
            }
            Stage::Events { left } => {
                let count = left.min(grain);
                for _ in 0..count {
                    self.handle_event(net);
                }
                self.stage = Stage::Events { left: left - count };
            }
            Stage::Unread { left: 0 } => {
                self.take_readable();
                self.stage = Stage::Flush {
                    left: FLUSHES_A_TURN,
                };
            }
            Stage::Unread { left } => {
                let count = left.min(grain);
                for _ in 0..count {
                    if let Some(key) = self.unread.pop_front() {
                        self.read(key, net);
                    }
                }
                self.stage = Stage::Unread { left: left - count };
            }
            Stage::Flush { left } => self.flush_some(left, grain, net),
            Stage::Finish => return self.finish(),
        }
        After::Step
    }

    fn flush_some(&mut self, left: usize, grain: usize, net: &mut Net) {
        for _ in 0..left.min(grain) {
            let Some(key) = self.core.poll_dirty() else {
                self.stage = Stage::Finish;
                return;
            };
            self.flush(key, net);
        }
        let left = left.saturating_sub(grain);
        self.stage = if left == 0 {
            Stage::Finish
        } else {
            Stage::Flush { left }
        };
    }

    /// Tells other shards, sets timers, and sleeps if it may.
    fn finish(&mut self) -> After {
        self.stage = Stage::Begin;
        let core = &mut self.core;
        self.ended.extend(std::iter::from_fn(|| core.poll_ended()));
        let routes = std::iter::from_fn(|| core.poll_ended_route());
        self.ended_routes.extend(routes);
        let wakes = &mut self.wakes;
        core.post(|shard| wakes.push(usize::from(shard.0)));
        while let Some((key, at)) = core.poll_timer() {
            self.timers.push(at, key);
        }
        let busy = core.has_work() || !self.events.is_empty() || !self.unread.is_empty();
        if busy || !self.broker.inbox(self.id).prepare_sleep() {
            return After::Step;
        }
        After::Sleep(self.timers.next_at())
    }

    fn handle_event(&mut self, net: &mut Net) {
        let Some(event) = self.events.pop_front() else {
            return;
        };
        match event {
            Ready::Accept(link) => self.accept(link, net),
            Ready::AcceptRoute(link) => {
                let accepted = self.core.accept_route(ROUTE_PEER, net.now());
                if let Accepted::Open { key, greeting } = accepted {
                    self.open(key, link, End::Far, &greeting, net);
                }
            }
            Ready::Dialled(link, target) => {
                let taken = self.core.dialled_route(*target, ROUTE_PEER, net.now());
                if let Some((key, greeting)) = taken {
                    self.open(key, link, End::Near, &greeting, net);
                }
            }
            Ready::Tell(conn, info) => self.core.send_route_info(conn, &info),
            Ready::Close(conn, reason) => {
                let found = self.core.open_routes().find(|route| route.conn == conn);
                if let Some(route) = found {
                    self.core.close(route.key, reason, net.now());
                }
            }
            Ready::Readable(link, end) => {
                let Some(key) = net.wire(link).and_then(|wire| wire.keys[end.index()]) else {
                    return;
                };
                let Some(io) = self.ios.get_mut(&key) else {
                    return;
                };
                io.unread = true;
                self.read(key, net);
            }
            Ready::Writable(link, end) => {
                let Some(key) = net.wire(link).and_then(|wire| wire.keys[end.index()]) else {
                    return;
                };
                let Some(io) = self.ios.get_mut(&key).filter(|io| !io.writable) else {
                    return;
                };
                io.writable = true;
                self.flush(key, net);
            }
        }
    }

    fn accept(&mut self, link: LinkId, net: &mut Net) {
        let Some(wire) = net.wire(link) else { return };
        let host = wire.station().map_or(0, |station| station % 250);
        let host = u8::try_from(host).unwrap_or_default();
        let peer = SocketAddr::from(([10, 0, 0, host], 4000));
        match self.core.accept(peer, net.now()) {
            Accepted::Refused { farewell } => {
                net.send(link, End::Far, &farewell);
                net.shut(link, End::Far);
            }
            Accepted::Open { key, greeting } => self.open(key, link, End::Far, &greeting, net),
        }
    }

    /// The socket of a connection the core has taken.
    fn open(&mut self, key: Key, link: LinkId, end: End, greeting: &[u8], net: &mut Net) {
        let taken = net.send(link, end, greeting);
        assert_eq!(taken, greeting.len(), "a fresh link takes a greeting");
        if let Some(wire) = net.wire(link) {
            wire.keys[end.index()] = Some(key);
        }
        let (backlog, offset) = (VecDeque::new(), 0);
        let before = self.ios.insert(
            key,
            Io {
                link,
                end,
                backlog,
                offset,
                unread: false,
                writable: true,
            },
        );
        assert!(before.is_none(), "{key:?} was given twice");
        // A socket that has bytes when the poll gets it is reported.
        if net.is_readable(link, end) {
            self.report(Ready::Readable(link, end));
        }
    }

    /// The process is killed: its sockets break, and nobody reads what comes for them.
    pub(crate) fn kill(&mut self, net: &mut Net) {
        for io in self.ios.values() {
            net.sever(io.link);
            if let Some(wire) = net.wire(io.link) {
                wire.keys[io.end.index()] = None;
            }
        }
        for event in self.events.drain(..) {
            if let Ready::Accept(link) | Ready::AcceptRoute(link) | Ready::Dialled(link, _) = event
            {
                net.sever(link);
            }
        }
    }

    fn take_readable(&mut self) {
        while let Some(key) = self.core.poll_readable() {
            if self.ios.get(&key).is_some_and(|io| io.unread) {
                self.unread.push_back(key);
            }
        }
    }

    /// Reads once from a connection and hands over what came.
    fn read(&mut self, key: Key, net: &mut Net) {
        if !self.core.wants_input(key) {
            return;
        }
        let Some(io) = self.ios.get_mut(&key) else {
            return;
        };
        let max = if net.rng.percent(20) {
            net.rng.within(1..=300)
        } else {
            READ_AT_ONCE
        };
        let mut bytes = Vec::new();
        let now = net.now();
        match net.receive(io.link, io.end, max, &mut bytes) {
            Arrival::Nothing => io.unread = false,
            Arrival::Shut => {
                io.unread = false;
                self.core.close(key, CloseReason::ClientClosed, now);
            }
            Arrival::Broken => self.core.close(key, CloseReason::ReadError, now),
            Arrival::Bytes(_) => {
                io.unread = net.is_readable(io.link, io.end);
                if io.unread {
                    self.unread.push_back(key);
                }
                self.core.handle_bytes(key, &bytes, now);
            }
        }
    }

    fn flush(&mut self, key: Key, net: &mut Net) {
        let now = net.now();
        let Some(io) = self.ios.get_mut(&key) else {
            return;
        };
        let flush = self.core.take_output(key, &mut io.backlog, now);
        match flush {
            Flush::Nothing => return,
            Flush::Close => return self.drop_io(key, net),
            Flush::Write | Flush::WriteThenClose => {}
        }
        if !io.writable {
            if !io.backlog.is_empty() {
                self.core.handle_blocked(key, now);
            }
            return;
        }
        let written = io.write(net);
        io.writable = io.backlog.is_empty();
        let blocked = !io.writable;
        if written > 0 {
            self.core.handle_written(key, written);
        }
        if blocked {
            self.core.handle_blocked(key, now);
        } else if flush == Flush::WriteThenClose {
            self.drop_io(key, net);
        }
    }

    fn drop_io(&mut self, key: Key, net: &mut Net) {
        if let Some(io) = self.ios.remove(&key) {
            net.shut(io.link, io.end);
        }
        self.core.finish_close(key);
    }
}

impl Io {
    /// Writes what the link takes; says how many bytes that were.
    fn write(&mut self, net: &mut Net) -> u64 {
        let mut written = 0;
        while let Some(segment) = self.backlog.front() {
            let rest = &segment.as_ref()[self.offset..];
            let taken = net.send(self.link, self.end, rest);
            written += taken as u64;
            if taken < rest.len() {
                self.offset += taken;
                break;
            }
            self.backlog.pop_front();
            self.offset = 0;
        }
        written
    }
}
