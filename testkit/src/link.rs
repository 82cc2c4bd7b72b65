//! A connection between two ends, with TCP's promises and TCP's troubles.
//!
//! Inside a living link no byte is lost, doubled or overtaken; bytes come late, and cut at any place.
//! Only so many bytes are under way at a time: what is not taken stays with the sender, as with a full socket buffer.
//! A link that is *parted* carries nothing until it is healed; then everything goes on, late.
//! A link that is *severed* loses what is under way on both sides, and each end hears of it some time later.
//! An end that shuts its side has its last bytes delivered first; what comes for it afterwards is taken and thrown away.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Rng;

/// How a link behaves.
#[derive(Debug, Clone)]
pub struct LinkModel {
    /// The shortest time a byte is under way.
    pub delay_min: Duration,
    /// The longest, but for bytes that wait behind earlier ones or for the link to heal.
    pub delay_max: Duration,
    /// Bytes that leave one end in a second; none is no bound.
    pub bytes_per_second: Option<u64>,
    /// Bytes under way in one direction, those included that arrived and were not read.
    pub in_flight_max: usize,
    /// The longest run of bytes that stays together.
    pub chunk_max: usize,
}

impl Default for LinkModel {
    fn default() -> Self {
        Self {
            delay_min: Duration::from_micros(50),
            delay_max: Duration::from_millis(5),
            bytes_per_second: None,
            in_flight_max: 256 * 1024,
            chunk_max: 1448,
        }
    }
}

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The end that connected.
    Near,
    /// The end that accepted.
    Far,
}

impl End {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }

    /// 0 or 1.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Near => 0,
            Self::Far => 1,
        }
    }
}

/// What a read finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Nothing yet.
    Nothing,
    /// So many bytes were appended.
    Bytes(usize),
    /// The other end shut its side, and all its bytes were read.
    Shut,
    /// The link is broken.
    Broken,
}

/// A link.
#[derive(Debug)]
pub struct Link {
    model: LinkModel,
    rng: Rng,
    /// By the index of the end that reads.
    pipes: [Pipe; 2],
    parted: Option<Duration>,
    severed: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe {
    chunks: VecDeque<Chunk>,
    in_flight: usize,
    /// No later byte arrives before this.
    latest: Duration,
    /// When the sender is done with what it sent.
    line_free: Duration,
    /// When the reader hears that the other end shut its side, or that the link is broken.
    ended: Option<Duration>,
    /// The reader shut its side: what is sent is thrown away.
    deaf: bool,
    /// The sender was left with bytes.
    sender_waits: bool,
}

#[derive(Debug)]
struct Chunk {
    at: Duration,
    bytes: Vec<u8>,
    read: usize,
}

impl Link {
    /// A link that carries nothing yet.
    ///
    /// # Panics
    /// When the model has an empty range or no room.
    #[must_use]
    pub fn new(model: LinkModel, rng: Rng) -> Self {
        assert!(model.delay_min <= model.delay_max, "{model:?}");
        assert!(model.in_flight_max > 0 && model.chunk_max > 0, "{model:?}");
        Self {
            model,
            rng,
            pipes: Default::default(),
            parted: None,
            severed: false,
        }
    }

    /// Takes as many of the bytes as there is room for, and says how many.
    pub fn send(&mut self, from: End, bytes: &[u8], now: Duration) -> usize {
        let at = from.other().index();
        if self.severed || self.pipes[at].deaf {
            return bytes.len();
        }
        let room = self
            .model
            .in_flight_max
            .saturating_sub(self.pipes[at].in_flight);
        let taken = room.min(bytes.len());
        self.pipes[at].sender_waits = taken < bytes.len();
        self.pipes[at].in_flight += taken;
        let mut rest = &bytes[..taken];
        while !rest.is_empty() {
            // Now and then a run of a few bytes, so that every place of an operation gets cut.
            let longest = if self.rng.percent(15) {
                8
            } else {
                self.model.chunk_max
            };
            let (chunk, behind) = rest.split_at(self.rng.within(1..=longest).min(rest.len()));
            let arrives = self.arrival(at, chunk.len(), now);
            self.pipes[at].chunks.push_back(Chunk {
                at: arrives,
                bytes: chunk.into(),
                read: 0,
            });
            rest = behind;
        }
        taken
    }

    /// Appends what has arrived for an end, at most `max` bytes.
    pub fn receive(&mut self, end: End, now: Duration, max: usize, into: &mut Vec<u8>) -> Arrival {
        let horizon = self.horizon(now);
        let pipe = &mut self.pipes[end.index()];
        let before = into.len();
        while let Some(chunk) = pipe.chunks.front_mut().filter(|chunk| chunk.at <= horizon) {
            let wanted = max - (into.len() - before);
            let piece = &chunk.bytes[chunk.read..];
            let piece = &piece[..wanted.min(piece.len())];
            into.extend_from_slice(piece);
            chunk.read += piece.len();
            if chunk.read < chunk.bytes.len() {
                break;
            }
            pipe.chunks.pop_front();
        }
        let count = into.len() - before;
        pipe.in_flight -= count;
        match pipe.ended {
            _ if count > 0 => Arrival::Bytes(count),
            Some(at) if pipe.chunks.is_empty() && at <= horizon => {
                if self.severed {
                    Arrival::Broken
                } else {
                    Arrival::Shut
                }
            }
            _ => Arrival::Nothing,
        }
    }

    /// Whether a read would find something.
    #[must_use]
    pub fn is_readable(&self, end: End, now: Duration) -> bool {
        self.first_arrival(end)
            .is_some_and(|at| at <= self.horizon(now))
    }

    /// When the next thing arrives for an end, after `now`.
    #[must_use]
    pub fn next_arrival(&self, end: End, now: Duration) -> Option<Duration> {
        let pipe = &self.pipes[end.index()];
        // What the parting holds up arrives at a moment that the healing decides.
        if self.parted.is_some() {
            return None;
        }
        let chunks = pipe.chunks.iter().map(|chunk| chunk.at);
        chunks.chain(pipe.ended).find(|at| *at > now)
    }

    /// Whether an end that was left with bytes may go on; says so once.
    pub fn take_writable(&mut self, from: End) -> bool {
        let pipe = &mut self.pipes[from.other().index()];
        let roomy = pipe.in_flight <= self.model.in_flight_max / 3 * 2;
        roomy && std::mem::take(&mut pipe.sender_waits)
    }

    /// Bytes under way from an end, and those that arrived and were not read.
    #[must_use]
    pub fn in_flight(&self, from: End) -> usize {
        self.pipes[from.other().index()].in_flight
    }

    /// An end closes its socket. The other one reads what was sent before, and then hears of it.
    pub fn shut(&mut self, end: End, now: Duration) {
        let other = end.other().index();
        if self.pipes[other].ended.is_none() {
            self.pipes[other].ended = Some(self.arrival(other, 0, now));
        }
        let own = &mut self.pipes[end.index()];
        own.deaf = true;
        own.chunks.clear();
        own.in_flight = 0;
    }

    /// Whether both ends are shut.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.pipes.iter().all(|pipe| pipe.deaf)
    }

    /// The connection breaks.
    pub fn sever(&mut self, now: Duration) {
        self.severed = true;
        for at in 0..2 {
            self.pipes[at].chunks.clear();
            self.pipes[at].in_flight = 0;
            self.pipes[at].ended = Some(self.arrival(at, 0, now));
        }
    }

    /// Nothing arrives any more.
    pub fn part(&mut self, now: Duration) {
        self.parted.get_or_insert(now);
    }

    /// Everything goes on.
    pub fn heal(&mut self, now: Duration) {
        let Some(since) = self.parted.take() else {
            return;
        };
        for at in 0..2 {
            let soon = now + self.delay();
            let pipe = &mut self.pipes[at];
            let moments = pipe
                .chunks
                .iter_mut()
                .map(|chunk| &mut chunk.at)
                .chain(&mut pipe.ended);
            for moment in moments.filter(|moment| **moment > since) {
                *moment = soon.max(*moment);
            }
            pipe.latest = pipe.latest.max(soon);
        }
    }

    /// Whether it is parted.
    #[must_use]
    pub fn is_parted(&self) -> bool {
        self.parted.is_some()
    }

    /// Whether the connection broke.
    #[must_use]
    pub fn is_severed(&self) -> bool {
        self.severed
    }

    fn delay(&mut self) -> Duration {
        self.rng.time(self.model.delay_min..=self.model.delay_max)
    }

    /// When bytes that are sent now arrive.
    fn arrival(&mut self, at: usize, size: usize, now: Duration) -> Duration {
        let delay = self.delay();
        let on_the_line = self.model.bytes_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos((size as u64).saturating_mul(1_000_000_000) / rate.max(1))
        });
        let pipe = &mut self.pipes[at];
        pipe.line_free = pipe.line_free.max(now) + on_the_line;
        pipe.latest = pipe.latest.max(pipe.line_free + delay);
        pipe.latest
    }

    /// What arrives up to this moment can be read now.
    fn horizon(&self, now: Duration) -> Duration {
        self.parted.map_or(now, |since| since.min(now))
    }

    fn first_arrival(&self, end: End) -> Option<Duration> {
        let pipe = &self.pipes[end.index()];
        pipe.chunks.front().map(|chunk| chunk.at).or(pipe.ended)
    }
}

#[cfg(test)]
mod tests;
