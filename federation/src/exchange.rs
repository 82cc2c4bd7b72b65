//! What waits between the two sides of a federation broker. Pure.
//!
//! Requests go one way, replies the other, each in a [`Lane`] with a bound of its own. A lane holds what its receiving side
//! could not take yet. While that side is connected and slow, the sending side is not read (see [`Lane::is_high`]), so the
//! pressure reaches the brokers. While it is not connected, reading goes on, or the connection would count as dead:
//! the lane fills to [`LANE_MAX`], what is older than a minute or does not fit is dropped, and every drop is counted.

use std::collections::VecDeque;
use std::time::Duration;

use muster_client::nats::{ClientCore, PublishError, State};

use crate::bridge::Refusal;

/// Payload bytes that wait in one lane at most.
pub const LANE_MAX: usize = 16 << 20;
/// Above this the sending side is not read, as long as the receiving side is connected.
const LANE_HIGH: usize = 1 << 20;
/// Bytes handed to a connection's output before its socket has to take some.
const OUTPUT_HIGH: usize = 4 << 20;
/// Nodes act on nothing older, and clients wait no longer.
const AGE_MAX: Duration = Duration::from_secs(60);

/// Which side of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Where clients are.
    Federation,
    /// Where nodes are.
    Collective,
}

/// What one lane has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that arrived.
    pub received: u64,
    /// Messages that were refused, by [`Refusal`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Messages that were transformed.
    pub transformed: u64,
    /// Messages that were published, one for each target.
    pub published: u64,
    /// Publishes that did not come about because the lane was full.
    pub full: u64,
    /// Publishes that did not come about because the message had become too old.
    pub late: u64,
    /// Publishes the connection refused.
    pub unpublishable: u64,
    /// Time all published messages spent here, in microseconds.
    pub micros: u64,
}

impl Counts {
    /// All refusals.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// All losses.
    #[must_use]
    pub const fn losses(&self) -> u64 {
        self.full + self.late + self.unpublishable
    }

    /// Adds another lane's.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        for (sum, count) in self.refused.iter_mut().zip(other.refused) {
            *sum += count;
        }
        self.transformed += other.transformed;
        self.published += other.published;
        self.full += other.full;
        self.late += other.late;
        self.unpublishable += other.unpublishable;
        self.micros += other.micros;
    }
}

/// A transformed message and where it goes.
#[derive(Debug)]
struct Outgoing {
    subjects: Vec<Box<str>>,
    /// The next subject to publish to.
    next: usize,
    payload: Vec<u8>,
    taken: Duration,
}

/// Messages on their way to one side.
#[derive(Debug, Default)]
pub struct Lane {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    counts: Counts,
}

impl Lane {
    /// What it has done.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether so much waits that no more should be read for it.
    #[must_use]
    pub const fn is_high(&self) -> bool {
        self.bytes > LANE_HIGH
    }

    pub(crate) const fn receive(&mut self) {
        self.counts.received += 1;
    }

    pub(crate) const fn refuse(&mut self, refusal: Refusal) {
        self.counts.refused[refusal as usize] += 1;
    }

    pub(crate) fn push(&mut self, subjects: Vec<Box<str>>, payload: Vec<u8>, now: Duration) {
        self.counts.transformed += 1;
        if self.bytes + payload.len() > LANE_MAX {
            self.counts.full += subjects.len() as u64;
            return;
        }
        self.bytes += payload.len();
        self.waiting.push_back(Outgoing {
            subjects,
            next: 0,
            payload,
            taken: now,
        });
    }

    /// Publishes what waits, as far as the connection takes it.
    pub(crate) fn pump(&mut self, client: &mut ClientCore, now: Duration) {
        while let Some(outgoing) = self.waiting.front_mut() {
            let age = now.saturating_sub(outgoing.taken);
            if age > AGE_MAX {
                self.counts.late += (outgoing.subjects.len() - outgoing.next) as u64;
                self.pop();
                continue;
            }
            if client.state() != State::Ready || client.output().len() >= OUTPUT_HIGH {
                return;
            }
            let Some(subject) = outgoing.subjects.get(outgoing.next) else {
                self.pop();
                continue;
            };
            match client.publish(subject.as_bytes(), None, &outgoing.payload) {
                Ok(()) => {
                    self.counts.published += 1;
                    self.counts.micros += u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
                }
                // It has to drain first; a single message larger than all of it is the next case.
                Err(PublishError::PendingFull { .. }) if !client.output().is_empty() => return,
                Err(_) => self.counts.unpublishable += 1,
            }
            outgoing.next += 1;
        }
    }

    fn pop(&mut self) {
        if let Some(outgoing) = self.waiting.pop_front() {
            self.bytes -= outgoing.payload.len();
        }
    }

    /// When the oldest message becomes too old.
    fn deadline(&self) -> Option<Duration> {
        let oldest = self.waiting.front()?;
        Some(oldest.taken + AGE_MAX + Duration::from_millis(1))
    }
}

/// Both lanes between two sides, and what each side has to know of the other.
#[derive(Debug, Default)]
pub struct Exchange {
    /// To the nodes.
    pub requests: Lane,
    /// To the clients.
    pub replies: Lane,
    /// The servers the two sides are connected to.
    servers: [Option<Box<str>>; 2],
}

impl Exchange {
    /// The lane that leads to a side.
    #[must_use]
    pub const fn to(&self, role: Role) -> &Lane {
        match role {
            Role::Federation => &self.replies,
            Role::Collective => &self.requests,
        }
    }

    pub(crate) const fn to_mut(&mut self, role: Role) -> &mut Lane {
        match role {
            Role::Federation => &mut self.replies,
            Role::Collective => &mut self.requests,
        }
    }

    /// The server a side is connected to.
    #[must_use]
    pub fn server(&self, role: Role) -> Option<&str> {
        self.servers[role as usize].as_deref()
    }

    pub(crate) fn set_server(&mut self, role: Role, server: Option<Box<str>>) {
        self.servers[role as usize] = server;
    }

    /// Whether a side should be read: not while the other one is connected and behind.
    #[must_use]
    pub fn takes_from(&self, role: Role) -> bool {
        let other = role.other();
        !(self.to(other).is_high() && self.server(other).is_some())
    }

    /// When something in a lane becomes too old.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let deadlines = [self.requests.deadline(), self.replies.deadline()];
        deadlines.into_iter().flatten().min()
    }
}

impl Role {
    /// The side across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Federation => Self::Collective,
            Self::Collective => Self::Federation,
        }
    }

    /// The side as metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Federation => "federation",
            Self::Collective => "collective",
        }
    }
}
