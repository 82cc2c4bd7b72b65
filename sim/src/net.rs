//! The links between stations and shards, the clock, and what happens next.

use std::time::Duration;

use muster_broker_core::ids::Key;
use muster_testkit::{Arrival, End, EventQueue, Link, LinkModel, Rng, Trace, VirtualClock};

/// Number of a link; never used again.
pub(crate) type LinkId = usize;

/// Something that happens at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A shard takes its next step.
    Shard(usize),
    /// Something arrives at an end.
    Arrive(LinkId, End),
    /// An end that was left with bytes may go on.
    Writable(LinkId, End),
    /// A station's attempt to connect reaches the broker.
    Connect { station: usize, attempt: u32 },
    /// A station's timer.
    Timer(usize),
    /// A broker's dial reaches the other side, or fails.
    Dial(usize),
    /// The cluster of a broker may have something to do.
    Cluster(usize),
}

/// Who is at the near end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    Station(usize),
    /// The shard of a broker that dialled.
    Shard(usize),
}

/// A link and who is at its ends.
#[derive(Debug)]
pub(crate) struct Wire {
    link: Link,
    pub(crate) near: Near,
    pub(crate) shard: usize,
    /// By end: the connection, once a shard has it.
    pub(crate) keys: [Option<Key>; 2],
    /// By end: the arrival that is in the queue.
    armed: [Option<Duration>; 2],
}

impl Wire {
    /// The station at the near end, if there is one.
    pub(crate) fn station(&self) -> Option<usize> {
        match self.near {
            Near::Station(station) => Some(station),
            Near::Shard(_) => None,
        }
    }

    /// The shard at an end, if there is one.
    pub(crate) fn shard_at(&self, end: End) -> Option<usize> {
        match (end, self.near) {
            (End::Far, _) => Some(self.shard),
            (End::Near, Near::Shard(shard)) => Some(shard),
            (End::Near, Near::Station(_)) => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) clock: VirtualClock,
    pub(crate) queue: EventQueue<Event>,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    wires: Vec<Option<Wire>>,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            clock: VirtualClock::default(),
            queue: EventQueue::new(),
            rng: Rng::new(seed),
            trace: Trace::default(),
            wires: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.queue.push(self.clock.now() + wait, event);
    }

    pub(crate) fn connect(&mut self, model: LinkModel, near: Near, shard: usize) -> LinkId {
        let link = Link::new(model, self.rng.fork());
        self.wires.push(Some(Wire {
            link,
            near,
            shard,
            keys: [None; 2],
            armed: [None; 2],
        }));
        self.wires.len() - 1
    }

    pub(crate) fn wire(&mut self, id: LinkId) -> Option<&mut Wire> {
        self.wires.get_mut(id)?.as_mut()
    }

    /// How many links there ever were.
    pub(crate) fn all_links(&self) -> LinkId {
        self.wires.len()
    }

    /// How many links there are.
    pub(crate) fn links(&self) -> usize {
        self.wires.iter().flatten().count()
    }

    /// How many bytes were taken.
    pub(crate) fn send(&mut self, id: LinkId, from: End, bytes: &[u8]) -> usize {
        let now = self.now();
        let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) else {
            return bytes.len();
        };
        let taken = wire.link.send(from, bytes, now);
        self.trace.note(("send", now, id, from, &bytes[..taken]));
        self.arm(id, from.other());
        taken
    }

    pub(crate) fn receive(
        &mut self,
        id: LinkId,
        end: End,
        max: usize,
        into: &mut Vec<u8>,
    ) -> Arrival {
        let now = self.now();
        let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) else {
            return Arrival::Broken;
        };
        let arrival = wire.link.receive(end, now, max, into);
        if wire.link.take_writable(end.other()) {
            self.queue.push(now, Event::Writable(id, end.other()));
        }
        self.arm(id, end);
        arrival
    }

    pub(crate) fn is_readable(&self, id: LinkId, end: End) -> bool {
        let wire = self.wires.get(id).and_then(Option::as_ref);
        wire.is_none_or(|wire| wire.link.is_readable(end, self.now()))
    }

    /// An end closes its socket.
    pub(crate) fn shut(&mut self, id: LinkId, end: End) {
        let now = self.now();
        let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        self.trace.note(("shut", now, id, end));
        wire.link.shut(end, now);
        if wire.link.is_gone() {
            self.wires[id] = None;
            return;
        }
        if wire.link.take_writable(end.other()) {
            self.queue.push(now, Event::Writable(id, end.other()));
        }
        self.arm(id, end.other());
    }

    pub(crate) fn sever(&mut self, id: LinkId) {
        let now = self.now();
        if let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) {
            wire.link.sever(now);
        }
        self.arm(id, End::Near);
        self.arm(id, End::Far);
    }

    pub(crate) fn part(&mut self, id: LinkId) {
        let now = self.now();
        if let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) {
            wire.link.part(now);
        }
    }

    pub(crate) fn heal(&mut self, id: LinkId) {
        let now = self.now();
        if let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) {
            wire.link.heal(now);
        }
        self.arm(id, End::Near);
        self.arm(id, End::Far);
    }

    pub(crate) fn is_severed(&self, id: LinkId) -> bool {
        self.wires
            .get(id)
            .and_then(Option::as_ref)
            .is_none_or(|wire| wire.link.is_severed())
    }

    /// The arrival of this moment, if it still is the one that was waited for.
    pub(crate) fn take_arrival(&mut self, id: LinkId, end: End) -> bool {
        let now = self.now();
        let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) else {
            return false;
        };
        let due = wire.armed[end.index()] == Some(now);
        if due {
            wire.armed[end.index()] = None;
            self.arm(id, end);
        }
        due
    }

    /// Puts the next arrival into the queue: as with edge-triggered readiness, one for what comes, none for what lies there already.
    fn arm(&mut self, id: LinkId, end: End) {
        let now = self.clock.now();
        let Some(wire) = self.wires.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        let Some(at) = wire.link.next_arrival(end, now) else {
            return;
        };
        let armed = &mut wire.armed[end.index()];
        if armed.is_none_or(|armed| at < armed) {
            *armed = Some(at);
            self.queue.push(at, Event::Arrive(id, end));
        }
    }
}
