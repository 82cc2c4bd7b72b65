//! The loop of one shard.
//!
//! One turn: timers, notices of other shards, readiness (bounded bytes a connection), what was cut short in an earlier turn,
//! a bounded run of flushes, wake-ups for other shards, sleep.
//! `shard/route.rs` holds what a cluster adds, `shard/drain.rs` how clients are sent away.
//! The loop owns sockets and the poll; what a byte means is decided in `broker-core`.

mod drain;
mod route;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use muster_broker_core::auth::{Refused, TlsPeer};
use muster_broker_core::broker::BrokerCore;
use muster_broker_core::close::CloseReason;
use muster_broker_core::ids::{Key, ShardId};
use muster_broker_core::outbound::Segment;
use muster_broker_core::shard::{Accepted, ConnInfo, Flush, ShardCore};
use muster_reactor::channel::{Backlog, Channel, ChannelError, Incoming};
use muster_reactor::clock::{Clock, unix_now};
use muster_reactor::descriptors::{Spare, is_exhausted};
use muster_reactor::listen::Listener;
use muster_reactor::poll::{Key as PollKey, Poller, Ready};
use muster_reactor::stream::Stream;
use muster_reactor::timers::Timers;
use muster_reactor::tls::{TlsError, TlsSession};
use muster_reactor::wake::Wake;
use parking_lot::Mutex;

use self::drain::Drain;
use crate::cluster::{DIAL_BASE, Dials, WorkQueue};
use crate::tls::{TlsSetting, TlsSlot};

/// Bytes read at a time, and from one connection in one turn.
const READ_AT_ONCE: usize = 64 * 1024;

/// Connections accepted in one turn; a storm of them must not starve those that are there.
const ACCEPTS_A_TURN: usize = 128;

/// Connections flushed in one turn, at some 8 µs each.
const FLUSHES_A_TURN: usize = 256;

/// Connections whose unread input is looked at in one turn, beside those with new events.
const UNREAD_A_TURN: usize = 256;

/// Time in one turn for TLS handshakes; the others wait for the next.
const HANDSHAKES_A_TURN: Duration = Duration::from_millis(4);

/// Connections whose certificates are checked again in one turn after TLS was set anew, at some 200 µs each.
const RECHECKS_A_TURN: usize = 16;

/// A sleeping shard looks round this often all the same.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long a stopping shard may take to flush.
const STOP_MAX: Duration = Duration::from_millis(500);

/// The number of the clients' listener in the poll, and of that for routes.
const CLIENTS: u32 = 0;
const ROUTES: u32 = 1;

/// A question to a shard, answered on its own thread between two steps.
pub(crate) type Question = Box<dyn FnOnce(&ShardLoop, Duration) + Send>;

/// Something a shard has to say to the log.
#[derive(Debug)]
pub(crate) enum ShardEvent {
    /// A connection ended.
    Ended(Box<ConnInfo>),
    /// A login was refused.
    Refused(Box<Refused>),
    /// A connection's TLS failed, with the cause.
    Tls(SocketAddr, String),
    /// The TLS of a route failed, with the cause.
    RouteTls(SocketAddr, String),
    /// Accepting failed.
    Accept(io::Error),
    /// A defect was caught while a connection was served.
    Defect(String),
}

/// What a shard shares with the threads of the main descriptor table.
pub(crate) struct ShardLinks {
    pub(crate) core: Arc<BrokerCore>,
    pub(crate) wakes: Arc<[Wake]>,
    pub(crate) questions: Arc<Mutex<Vec<Question>>>,
    pub(crate) events: Sender<ShardEvent>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) tls: Arc<TlsSlot>,
    pub(crate) clock: Clock,
    pub(crate) work: WorkQueue,
    /// The sign for the director, where there is a cluster.
    pub(crate) cluster: Option<Sender<()>>,
    /// Whether routes speak TLS.
    pub(crate) route_tls: bool,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Client,
    /// A peer dialled.
    RouteIn,
    /// This broker dialled.
    RouteOut,
}

struct Io {
    key: Key,
    kind: Kind,
    channel: Channel,
    backlog: Backlog<Segment>,
    /// The socket may hold bytes, or its end, that no event will report again.
    unread: bool,
    writable: bool,
    /// The TLS setting its session began under.
    tls_version: u32,
}

impl Io {
    fn new(key: Key, channel: Channel, tls_version: u32) -> Self {
        Self {
            key,
            kind: Kind::Client,
            channel,
            backlog: Backlog::default(),
            unread: false,
            writable: true,
            tls_version,
        }
    }
}

pub(crate) struct ShardLoop {
    id: ShardId,
    core: ShardCore,
    links: ShardLinks,
    poller: Poller,
    /// None once the broker is a lame duck.
    listener: Option<Listener>,
    /// On one shard of a broker in a cluster.
    route_listener: Option<Listener>,
    dials: Dials,
    accept_routes_again: bool,
    route_tls_told: Option<Duration>,
    drain: Option<Drain>,
    spare: Spare,
    ios: Vec<Option<Box<Io>>>,
    timers: Timers,
    unread: VecDeque<Key>,
    reflush: VecDeque<Key>,
    accept_again: bool,
    handshaken: Duration,
    /// A copy of the setting in force, and its number.
    tls: TlsSetting,
    tls_version: u32,
    /// Where the check of all connections against a new setting has come to.
    recheck_from: Option<usize>,
    scratch: Box<[u8]>,
    clear: Vec<u8>,
    events: Vec<Ready>,
}

impl ShardLoop {
    /// Opens the poll in the calling thread's descriptor table.
    pub(crate) fn new(
        id: ShardId,
        links: ShardLinks,
        mut listener: Listener,
        mut route_listener: Option<Listener>,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.register_wake(&links.wakes[usize::from(id.0)])?;
        poller.register_listener(&mut listener, CLIENTS)?;
        if let Some(routes) = &mut route_listener {
            poller.register_listener(routes, ROUTES)?;
        }
        let (tls, tls_version) = links.tls.newer(None).unwrap_or_default();
        Ok(Self {
            id,
            core: ShardCore::new(Arc::clone(&links.core), id),
            links,
            poller,
            listener: Some(listener),
            route_listener,
            dials: Dials::default(),
            accept_routes_again: false,
            route_tls_told: None,
            drain: None,
            spare: Spare::take(),
            ios: Vec::new(),
            timers: Timers::new(),
            unread: VecDeque::new(),
            reflush: VecDeque::new(),
            accept_again: false,
            handshaken: Duration::ZERO,
            tls,
            tls_version,
            recheck_from: None,
            scratch: vec![0; READ_AT_ONCE].into_boxed_slice(),
            clear: Vec::new(),
            events: Vec::new(),
        })
    }

    /// Runs until the broker stops.
    pub(crate) fn run(mut self) -> io::Result<()> {
        while !self.links.stop.load(Ordering::SeqCst) {
            self.turn()?;
            self.sleep()?;
        }
        self.stop()
    }

    pub(crate) const fn core(&self) -> &ShardCore {
        &self.core
    }

    /// The TLS of a connection, where it has any.
    pub(crate) fn session(&self, key: Key) -> Option<&TlsSession> {
        let io = self.ios.get(key.index as usize)?.as_deref()?;
        (io.key == key).then(|| io.channel.tls()).flatten()
    }

    fn turn(&mut self) -> io::Result<()> {
        self.core.begin_turn();
        self.take_tls();
        self.handshaken = Duration::ZERO;
        self.fire_timers();
        self.core.handle_notices(self.links.clock.now());
        self.do_work();
        self.handle_events();
        self.resume();
        self.recheck_some();
        self.drain_some();
        self.flush_dirty();
        self.log_ended();
        self.answer_questions();
        let wakes = &self.links.wakes;
        self.core.post(|shard| wakes[usize::from(shard.0)].wake());
        while let Some((key, at)) = self.core.poll_timer() {
            self.timers.schedule(timer_key(key), at);
        }
        self.report_to_director();
        Ok(())
    }

    fn sleep(&mut self) -> io::Result<()> {
        let busy = self.core.has_work()
            || self.accept_again
            || self.accept_routes_again
            || self.recheck_from.is_some()
            || !self.unread.is_empty()
            || !self.reflush.is_empty();
        let inbox = self.links.core.inbox(self.id);
        let timeout = if busy || !inbox.prepare_sleep() {
            Duration::ZERO
        } else {
            let now = self.links.clock.now();
            let next = self.timers.next().into_iter().chain(self.next_drain(now));
            next.min()
                .map_or(SLEEP_MAX, |at| at.saturating_sub(now).min(SLEEP_MAX))
        };
        self.poller.wait(Some(timeout))?;
        inbox.woke();
        self.events.clear();
        self.events.extend(self.poller.ready());
        Ok(())
    }

    fn take_tls(&mut self) {
        if let Some((tls, version)) = self.links.tls.newer(Some(self.tls_version)) {
            self.recheck_from = tls.resumed.is_some().then_some(0);
            self.tls = tls;
            self.tls_version = version;
        }
    }

    /// Checks certificates of clients that were connected before TLS was set anew. Handshakes under way are checked when they end.
    fn recheck_some(&mut self) {
        let Some(from) = self.recheck_from else {
            return;
        };
        let mut index = from;
        let mut checked = 0;
        while index < self.ios.len() && checked < RECHECKS_A_TURN {
            let io = self.ios[index].as_deref();
            index += 1;
            let Some(io) =
                io.filter(|io| io.tls_version != self.tls_version && !io.channel.is_handshaking())
            else {
                continue;
            };
            checked += 1;
            if let Err(error) = recheck(io, &self.tls, true) {
                let key = io.key;
                if let Ok(peer) = io.channel.stream().peer_address() {
                    self.tell(ShardEvent::Tls(peer, error.to_string()));
                }
                let now = self.links.clock.now();
                self.core
                    .close(key, CloseReason::AuthenticationFailure, now);
            }
        }
        self.recheck_from = (index < self.ios.len()).then_some(index);
    }

    fn fire_timers(&mut self) {
        let now = self.links.clock.now();
        while let Some(key) = self.timers.expire(now) {
            if self.expire_dial(key) {
                continue;
            }
            self.core.handle_timeout(key_of_timer(key), now);
        }
    }

    fn handle_events(&mut self) {
        let events = std::mem::take(&mut self.events);
        for event in &events {
            match *event {
                Ready::Woken => self.links.wakes[usize::from(self.id.0)].drain(),
                Ready::Accept(ROUTES) => self.accept_routes_again = true,
                Ready::Accept(_) => self.accept_again = true,
                Ready::Stream {
                    key,
                    readable,
                    writable,
                    ended,
                } => {
                    if key.index >= DIAL_BASE {
                        self.handle_dial(key, ended);
                        continue;
                    }
                    self.handle_stream(key, readable, writable, ended);
                }
            }
        }
        self.events = events;
        if std::mem::take(&mut self.accept_again) {
            self.accept();
        }
        if std::mem::take(&mut self.accept_routes_again) {
            self.accept_routes();
        }
    }

    fn handle_stream(&mut self, key: PollKey, readable: bool, writable: bool, ended: bool) {
        let Some(io) = self
            .ios
            .get_mut(key.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if !(PollKey {
            index: io.key.index,
            generation: io.key.generation,
        })
        .is(key)
        {
            return;
        }
        let key = io.key;
        if writable && !io.writable {
            io.writable = true;
            self.flush(key);
        }
        if readable {
            if let Some(io) = self.io(key) {
                io.unread = true;
            }
            self.read(key, ended);
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((stream, peer)) => self.open(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_exhausted(&error) => {
                    if !self.refuse_one() {
                        return;
                    }
                }
                // A connection that was gone before it could be accepted concerns nobody else.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.tell(ShardEvent::Accept(error));
                    return;
                }
            }
        }
        self.accept_again = true;
    }

    fn open(&mut self, stream: Stream, peer: SocketAddr) {
        let now = self.links.clock.now();
        match self.core.accept(peer, now) {
            Accepted::Refused { farewell } => send_off(stream, farewell),
            Accepted::Open { key, greeting } => {
                let mut channel = Channel::plain(stream);
                if self.prepare(key, &mut channel, greeting).is_err() {
                    self.core.close(key, CloseReason::WriteError, now);
                    self.core.finish_close(key);
                    return;
                }
                self.keep(Io::new(key, channel, self.tls_version));
            }
        }
    }

    fn keep(&mut self, io: Io) {
        let index = io.key.index as usize;
        if index >= self.ios.len() {
            self.ios.resize_with(index + 1, || None);
        }
        self.ios[index] = Some(Box::new(io));
    }

    /// Takes no more clients.
    fn stop_listening(&mut self) {
        if let Some(mut listener) = self.listener.take() {
            // The listener is dropped all the same.
            let _ = self.poller.deregister_listener(&mut listener);
        }
    }

    /// Writes the greeting in clear, sets TLS up and registers the socket.
    fn prepare(
        &self,
        key: Key,
        channel: &mut Channel,
        greeting: Vec<u8>,
    ) -> Result<(), ChannelError> {
        let mut backlog = Backlog::default();
        backlog.segments.push_back(greeting);
        // The send buffer of a fresh socket takes far more than a greeting.
        channel.write(&mut backlog)?;
        if let Some(config) = &self.tls.config {
            channel.start_tls(TlsSession::server(config)?)?;
        }
        let key = PollKey {
            index: key.index,
            generation: key.generation,
        };
        self.poller.register_stream(channel.stream_mut(), key)?;
        Ok(())
    }

    /// Takes a connection although the descriptor table is full, to tell it so. `false` if none waits.
    fn refuse_one(&mut self) -> bool {
        let (Some(listener), core) = (&self.listener, &mut self.core) else {
            return false;
        };
        self.spare.lend(|| match listener.accept() {
            Ok((stream, peer)) => {
                send_off(stream, core.refuse(peer));
                true
            }
            Err(_) => false,
        })
    }

    fn resume(&mut self) {
        self.core.resume(self.links.clock.now());
        for _ in 0..self.unread.len().min(UNREAD_A_TURN) {
            let Some(key) = self.unread.pop_front() else {
                break;
            };
            self.read(key, false);
        }
        while let Some(key) = self.core.poll_readable() {
            if self.io(key).is_some_and(|io| io.unread) {
                self.unread.push_back(key);
            }
        }
    }

    /// Reads once from a connection and hands over what came.
    fn read(&mut self, key: Key, ended: bool) {
        if !self.core.wants_input(key) {
            return;
        }
        let Some(io) = self
            .ios
            .get_mut(key.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if io.key != key {
            return;
        }
        let handshaking = io.channel.is_handshaking();
        if handshaking && self.handshaken >= HANDSHAKES_A_TURN {
            self.unread.push_back(key);
            return;
        }
        let begun = handshaking.then(Instant::now);
        let now = self.links.clock.now();
        let mut result = io.channel.read(&mut self.scratch, &mut self.clear);
        if let Some(begun) = begun {
            self.handshaken += begun.elapsed();
            if result.is_ok() && !io.channel.is_handshaking() {
                let is_stale = io.tls_version != self.tls_version;
                match recheck(io, &self.tls, is_stale) {
                    Ok(()) => {
                        if let Some(peer) = io.channel.tls().map(tls_peer) {
                            self.core.set_tls_peer(key, peer);
                        }
                        self.core.handle_tls_established(key, now);
                    }
                    Err(error) => result = Err(error.into()),
                }
            }
        }
        let has_ciphertext = io.channel.has_ciphertext();
        match result {
            Ok((Incoming::Blocked, _)) => io.unread = false,
            Ok((Incoming::End, _)) => {
                io.unread = false;
                self.core.close(key, CloseReason::ClientClosed, now);
            }
            Ok((Incoming::Bytes(bytes), more)) => {
                // After its end was reported no further event comes, so such a socket is read until the end shows.
                io.unread = more || ended;
                if io.unread {
                    self.unread.push_back(key);
                }
                let core = &mut self.core;
                let served = catch_unwind(AssertUnwindSafe(|| core.handle_bytes(key, bytes, now)));
                if served.is_err() {
                    self.core.close(key, CloseReason::InternalError, now);
                    self.tell(ShardEvent::Defect(format!("connection {key:?}")));
                }
            }
            Err(error) => self.fail(key, &error, now),
        }
        if has_ciphertext {
            self.flush(key);
        }
    }

    fn fail(&mut self, key: Key, error: &ChannelError, now: Duration) {
        let handshaking = self.io(key).is_some_and(|io| io.channel.is_handshaking());
        match error {
            ChannelError::Socket(_) => self.core.close(key, CloseReason::ReadError, now),
            ChannelError::Tls(error) => {
                let peer = self
                    .io(key)
                    .and_then(|io| io.channel.stream().peer_address().ok());
                let is_client = self.io(key).is_some_and(|io| io.kind == Kind::Client);
                if let Some(peer) = peer {
                    if is_client {
                        self.tell(ShardEvent::Tls(peer, error.to_string()));
                    } else {
                        self.tell_route_tls(peer, error.to_string());
                    }
                }
                let reason = if handshaking {
                    CloseReason::TlsHandshake
                } else {
                    CloseReason::ReadError
                };
                // The alert goes out now; the close that follows no longer flushes.
                self.flush(key);
                self.core.close(key, reason, now);
            }
        }
    }

    fn flush_dirty(&mut self) {
        for _ in 0..self.reflush.len().min(FLUSHES_A_TURN) {
            let Some(key) = self.reflush.pop_front() else {
                break;
            };
            self.flush(key);
        }
        for _ in 0..FLUSHES_A_TURN {
            let Some(key) = self.core.poll_dirty() else {
                return;
            };
            self.flush(key);
        }
    }

    fn flush(&mut self, key: Key) {
        let now = self.links.clock.now();
        let Some(io) = self
            .ios
            .get_mut(key.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if io.key != key {
            return;
        }
        let flush = self.core.take_output(key, &mut io.backlog.segments, now);
        match flush {
            Flush::Nothing => return,
            Flush::Close => return self.drop_io(key),
            Flush::Write | Flush::WriteThenClose => {}
        }
        if !io.writable {
            if !io.backlog.is_empty() {
                self.core.handle_blocked(key, now);
            }
            return;
        }
        match io.channel.write(&mut io.backlog) {
            Ok(written) => {
                io.writable = !written.blocked;
                if written.bytes > 0 {
                    self.core.handle_written(key, written.bytes);
                }
                if written.blocked {
                    self.core.handle_blocked(key, now);
                } else if written.yielded {
                    self.reflush.push_back(key);
                } else if flush == Flush::WriteThenClose {
                    self.drop_io(key);
                }
            }
            Err(_) if flush == Flush::WriteThenClose => self.drop_io(key),
            Err(_) => self.core.close(key, CloseReason::WriteError, now),
        }
    }

    fn drop_io(&mut self, key: Key) {
        let place = self.ios.get_mut(key.index as usize);
        if let Some(mut io) = place.and_then(|place| place.take_if(|io| io.key == key)) {
            io.channel.close();
        }
        self.core.finish_close(key);
    }

    fn io(&mut self, key: Key) -> Option<&mut Io> {
        let io = self.ios.get_mut(key.index as usize)?.as_deref_mut()?;
        (io.key == key).then_some(io)
    }

    fn log_ended(&mut self) {
        while let Some(info) = self.core.poll_ended() {
            self.tell(ShardEvent::Ended(Box::new(info)));
        }
        while let Some(refused) = self.core.poll_refused() {
            self.tell(ShardEvent::Refused(Box::new(refused)));
        }
    }

    /// The channel is bounded: a log that nobody empties loses lines, never time of the shard.
    fn tell(&self, event: ShardEvent) {
        let _ = self.links.events.try_send(event);
    }

    fn answer_questions(&self) {
        let questions = std::mem::take(&mut *self.links.questions.lock());
        for question in questions {
            question(self, self.links.clock.now());
        }
    }

    fn stop(mut self) -> io::Result<()> {
        self.core.close_all(self.links.clock.now());
        let give_up = self.links.clock.now() + STOP_MAX;
        while !self.core.is_empty() && self.links.clock.now() < give_up {
            self.turn()?;
            self.poller.wait(Some(Duration::ZERO))?;
        }
        Ok(())
    }
}

/// A session that was resumed from a ticket has not had its client's certificate verified; one that began under another setting
/// not by this one.
fn recheck(io: &Io, setting: &TlsSetting, is_stale: bool) -> Result<(), TlsError> {
    let verifier = match io.kind {
        Kind::Client => setting.resumed.as_ref(),
        Kind::RouteIn => setting.route.as_ref().map(|route| &route.resumed),
        // rustls checks a server's certificate in each handshake.
        Kind::RouteOut => None,
    };
    match (io.channel.tls(), verifier) {
        (Some(session), Some(verifier)) if is_stale || session.resumed() => {
            session.recheck_client(verifier.as_ref(), unix_now().as_secs())
        }
        _ => Ok(()),
    }
}

/// What a finished handshake says of the client. A certificate that is there was verified, or the handshake had failed.
fn tls_peer(session: &TlsSession) -> TlsPeer {
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    TlsPeer {
        certificate: certificate.map(|certificate| certificate.as_ref().into()),
        verified: certificate.is_some(),
    }
}

/// Says farewell to a connection that is not taken.
fn send_off(stream: Stream, farewell: Vec<u8>) {
    let mut backlog = Backlog::default();
    backlog.segments.push_back(farewell);
    let mut channel = Channel::plain(stream);
    // What cannot be said at once is not said.
    let _ = channel.write(&mut backlog);
    channel.close();
}

fn timer_key(key: Key) -> u64 {
    u64::from(key.index) << 32 | u64::from(key.generation)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are what is wanted"
)]
fn key_of_timer(key: u64) -> Key {
    Key {
        index: (key >> 32) as u32,
        generation: key as u32,
    }
}
