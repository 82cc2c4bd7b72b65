//! Who replied, who is missing, what else came: the books of one request.
//!
//! A [`Collector`] is handed every payload that arrives on the reply subject. It checks the hash and the request id, attributes the reply to a node,
//! and hands it on at a node's first. It keeps names and counts, never bodies.
//!
//! Replies prove no sender: a node that may publish to the reply subject can speak in another's name. The hash finds damage only, and the signatures
//! that version 2 replies may carry are not checked, as the clients of today do not either.
//!
//! Memory: some 40 bytes a name and its text; at most [`NAMES_MAX`] names, and [`STRANGERS_MAX`] of nodes that were not asked.

use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::request_id::RequestId;

use super::names::Names;

/// Nodes one request keeps apart; replies of further ones count as unexpected.
const NAMES_MAX: usize = 4_000_000;
/// Unexpected nodes whose names are kept; further ones are counted only.
const STRANGERS_MAX: usize = 10_000;

/// Whose replies are waited for.
#[derive(Debug, Clone)]
pub enum Expect {
    /// These nodes. Complete when each has replied; a reply of any other is unexpected.
    Nodes(Vec<String>),
    /// So many, whoever they are.
    Count(usize),
    /// Nobody knows. Over when this time passed since the latest reply, or at the deadline.
    Unknown {
        /// The time after the latest reply; none waits for the deadline.
        window: Option<Duration>,
    },
}

/// What became of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A node's first reply; it was handed on.
    Counted,
    /// The node has replied before.
    Duplicate,
    /// The node was not asked.
    Unexpected,
    /// The reply was damaged, or meddled with, on its way.
    BadHash,
    /// It is no reply.
    Malformed,
    /// It answers another request, or in another version of the protocol.
    WrongRequest,
}

/// What was dropped, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Further replies of nodes that had replied.
    pub duplicate: u64,
    /// Replies of nodes that were not asked.
    pub unexpected: u64,
    /// Replies whose hash is not theirs.
    pub bad_hash: u64,
    /// Payloads that are no reply.
    pub malformed: u64,
    /// Replies to another request, or in another version of the protocol.
    pub wrong_request: u64,
}

/// A reply that counts, borrowed from the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyView<'a> {
    /// Identity of the node.
    pub sender: &'a str,
    /// The agent's answer.
    pub body: &'a [u8],
    /// Unix seconds at the node.
    pub time: i64,
    /// Time since the request was sent.
    pub elapsed: Duration,
}

/// The books of one request.
#[derive(Debug)]
pub struct Collector {
    request_id: RequestId,
    mode: Mode,
    /// The nodes that were asked, or those that replied where nobody knows.
    names: Names,
    /// Numbers in `names`, in the order of their replies.
    arrivals: Vec<u32>,
    /// By number in `names`: whether the node has replied. As long as `names`.
    replied: Vec<bool>,
    strangers: Names,
    drops: Drops,
    sent: Duration,
    limit: Duration,
    latest: Option<Duration>,
    scratch: Scratch,
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Nodes,
    Count(usize),
    Unknown(Option<Duration>),
}

impl Collector {
    /// Books for a request that is sent now and over at `limit`, whatever is missing then. A name that comes twice is one node.
    ///
    /// # Panics
    /// With more than four million nodes.
    #[must_use]
    pub fn new(id: RequestId, expect: Expect, seed: u64, sent: Duration, limit: Duration) -> Self {
        let mut names = Names::new(seed);
        let mode = match expect {
            Expect::Nodes(nodes) => {
                assert!(
                    nodes.len() <= NAMES_MAX,
                    "{} nodes, more than {NAMES_MAX}",
                    nodes.len()
                );
                for node in &nodes {
                    names.insert(node);
                }
                Mode::Nodes
            }
            Expect::Count(count) => Mode::Count(count),
            Expect::Unknown { window } => Mode::Unknown(window),
        };
        Self {
            request_id: id,
            mode,
            replied: vec![false; names.len()],
            names,
            arrivals: Vec::new(),
            strangers: Names::new(seed.wrapping_add(1)),
            drops: Drops::default(),
            sent,
            limit,
            latest: None,
            scratch: Scratch::new(),
        }
    }

    /// Books one payload of the reply subject. `sink` gets the reply if it counts.
    pub fn handle_reply(
        &mut self,
        payload: &[u8],
        now: Duration,
        sink: &mut impl FnMut(ReplyView<'_>),
    ) -> Outcome {
        let Ok(reply) = parse_reply(payload, &mut self.scratch) else {
            self.drops.malformed += 1;
            return Outcome::Malformed;
        };
        if !reply.hash_ok {
            self.drops.bad_hash += 1;
            return Outcome::BadHash;
        }
        if reply.version != self.request_id.version()
            || reply.request_id != self.request_id.as_str()
        {
            self.drops.wrong_request += 1;
            return Outcome::WrongRequest;
        }
        let index = match self.mode {
            Mode::Nodes => self.names.find(&reply.sender),
            Mode::Count(_) | Mode::Unknown(_) if self.names.len() >= NAMES_MAX => {
                self.names.find(&reply.sender)
            }
            Mode::Count(_) | Mode::Unknown(_) => {
                let (index, is_new) = self.names.insert(&reply.sender);
                if is_new {
                    self.replied.push(false);
                }
                Some(index)
            }
        };
        let Some(index) = index else {
            self.drops.unexpected += 1;
            if self.strangers.len() < STRANGERS_MAX {
                self.strangers.insert(&reply.sender);
            }
            return Outcome::Unexpected;
        };
        if std::mem::replace(&mut self.replied[index], true) {
            self.drops.duplicate += 1;
            return Outcome::Duplicate;
        }
        self.arrivals
            .push(u32::try_from(index).expect("NAMES_MAX is below 2^32"));
        self.latest = Some(now);
        sink(ReplyView {
            sender: &reply.sender,
            body: reply.body,
            time: reply.version.split_time(reply.time).0,
            elapsed: now.saturating_sub(self.sent),
        });
        Outcome::Counted
    }

    /// Whether every reply that is waited for is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.mode {
            Mode::Nodes => self.received() == self.names.len(),
            Mode::Count(count) => self.received() >= count,
            Mode::Unknown(_) => false,
        }
    }

    /// When it is over, unless it is complete before. Moves with each reply where a window counts.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match (self.mode, self.latest) {
            (Mode::Unknown(Some(window)), Some(latest)) => self.limit.min(latest + window),
            _ => self.limit,
        }
    }

    /// Whether it is the window that ends it, and not the last moment.
    #[must_use]
    pub fn ends_by_window(&self) -> bool {
        self.deadline() < self.limit
    }

    /// Puts the last moment off, while the request is still being sent.
    pub fn extend(&mut self, limit: Duration) {
        self.limit = self.limit.max(limit);
    }

    /// How many nodes have replied.
    #[must_use]
    pub fn received(&self) -> usize {
        self.arrivals.len()
    }

    /// How many nodes should reply, where that is known.
    #[must_use]
    pub fn expected(&self) -> Option<usize> {
        match self.mode {
            Mode::Nodes => Some(self.names.len()),
            Mode::Count(count) => Some(count),
            Mode::Unknown(_) => None,
        }
    }

    /// The nodes that were asked and have not replied, sorted. Empty where it is not known who was asked.
    #[must_use]
    pub fn missing(&self) -> Vec<&str> {
        let replied = self.replied.iter();
        let mut missing: Vec<_> = self
            .names
            .iter()
            .zip(replied)
            .filter(|(_, replied)| !**replied)
            .map(|(n, _)| n)
            .collect();
        missing.sort_unstable();
        missing
    }

    /// The nodes that have replied, in the order of their replies.
    pub fn replied(&self) -> impl Iterator<Item = &str> {
        self.arrivals
            .iter()
            .filter_map(|index| self.names.get(*index as usize))
    }

    /// Nodes that replied without being asked, sorted; at most ten thousand are named.
    #[must_use]
    pub fn unexpected(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.strangers.iter().collect();
        names.sort_unstable();
        names
    }

    /// What was dropped.
    #[must_use]
    pub fn drops(&self) -> Drops {
        self.drops
    }

    /// The name of the node with this number, for those that were asked: numbers are given in the order of the list.
    pub(super) fn node(&self, index: usize) -> Option<&str> {
        self.names.get(index)
    }

    /// Whether each node with a number below `end` has replied. `from` is where to look from, and moves to the first that has not.
    pub(super) fn has_replied_up_to(&self, from: &mut usize, end: usize) -> bool {
        while *from < end && self.replied.get(*from).is_some_and(|replied| *replied) {
            *from += 1;
        }
        *from >= end
    }

    /// Time from sending to the latest reply that counts.
    pub(super) fn latest_elapsed(&self) -> Option<Duration> {
        self.latest.map(|latest| latest.saturating_sub(self.sent))
    }

    /// The request leaves at this moment, not at the one of construction.
    pub(super) fn mark_sent(&mut self, now: Duration) {
        self.sent = now;
    }
}
