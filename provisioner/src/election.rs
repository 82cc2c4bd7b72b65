//! Which of several provisioners works, decided by the provisioners alone.
//!
//! Every candidate hears every other one on one subject of the provisioning network. A *claim* is a term, when its maker
//! started, and its id; the greater one is the one of the higher term, then of the earlier start, then of the higher id.
//!
//! ```text
//!                 nothing heard for LEASE                CLAIM_TIME passed, own claim came back
//!  Following ───────────────────────────▶ Claiming ─────────────────────────────────────────▶ Leading
//!      ▲                                     │ a greater claim                                  │ a greater claim,
//!      └─────────────────────────────────────┴──────────────────────────────────────────────────┘ own claims do not
//!                                                                                                 come back for LEASE
//! ```
//!
//! Whoever claims or leads says so every [`BEAT`]; a lesser claim is answered at once, so its maker gives way within one
//! message. A candidate that cannot hear itself leads nobody.
//!
//! **What it does not promise.** Candidates that do not hear each other may lead at the same time: in two halves of a
//! network, or for a moment when one is slow. That does no harm: a node hears one half only, and its lock refuses every
//! provisioner but the first that called it for two minutes.
//!
//! Pure: messages and `now` go in, claims come out.

use std::cmp::Reverse;
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// Where candidates hear each other.
pub const SUBJECT: &str = "provisioning.election.provisioner";
/// How often a claim is repeated.
pub const BEAT: Duration = Duration::from_secs(2);
/// How long one lasts that is not repeated.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long a claim stands before its maker leads.
pub const CLAIM_TIME: Duration = Duration::from_secs(4);
/// How far candidates that lost the same leader are spread.
const SPREAD: Duration = Duration::from_secs(2);
/// What claims call themselves.
const PROTOCOL: &str = "io.muster.provisioner.claim.v1";
/// The longest claim that is read.
const CLAIM_BYTES_MAX: usize = 1024;

/// A candidate's claim to lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    protocol: String,
    /// Which attempt to lead.
    pub term: u64,
    /// When the candidate started, unix nanoseconds.
    pub started: u64,
    /// The candidate.
    pub id: String,
    /// The candidate gives it up.
    #[serde(default)]
    pub resigned: bool,
}

impl Claim {
    /// Reads a claim; none where the bytes are something else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let claim: Self = (bytes.len() <= CLAIM_BYTES_MAX)
            .then(|| serde_json::from_slice(bytes).ok())
            .flatten()?;
        (claim.protocol == PROTOCOL).then_some(claim)
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn rank(&self) -> (u64, Reverse<u64>, &str) {
        (self.term, Reverse(self.started), &self.id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Somebody else leads, or may.
    Following { until: Duration },
    /// A claim was made.
    Claiming { since: Duration, heard: bool },
    /// It leads.
    Leading { heard: Duration },
}

/// One candidate.
#[derive(Debug)]
pub struct Lease {
    id: String,
    started: u64,
    term: u64,
    state: State,
    next_beat: Duration,
    rng: Rng,
    connected: bool,
}

impl Lease {
    /// A candidate that follows at first. `started` is the wall clock; the id is drawn from the seed.
    #[must_use]
    pub fn new(started: Duration, seed: u64, now: Duration) -> Self {
        let mut rng = Rng::with_seed(seed);
        let id = format!("{:016x}", rng.u64(..));
        Self {
            id,
            started: u64::try_from(started.as_nanos()).unwrap_or(u64::MAX),
            term: 0,
            state: State::Following { until: now + LEASE },
            next_beat: now,
            rng,
            connected: false,
        }
    }

    /// The candidate's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it leads.
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        matches!(self.state, State::Leading { .. })
    }

    /// The highest term it knows of.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// The connection stands.
    pub fn handle_connected(&mut self, now: Duration) {
        self.connected = true;
        self.follow(now);
    }

    /// The connection is gone: nobody hears us, so somebody else may lead.
    pub fn handle_disconnected(&mut self, now: Duration) {
        self.connected = false;
        self.follow(now);
    }

    /// A claim came, our own ones included.
    pub fn handle_claim(&mut self, claim: &Claim, now: Duration) {
        if claim.id == self.id {
            match &mut self.state {
                State::Claiming { heard, .. } if claim.term == self.term => *heard = true,
                State::Leading { heard } if claim.term == self.term => *heard = now,
                State::Following { .. } | State::Claiming { .. } | State::Leading { .. } => {}
            }
            return;
        }
        if claim.resigned {
            if let State::Following { until } = &mut self.state {
                *until = (*until).min(now + BEAT);
            }
            return;
        }
        if matches!(self.state, State::Following { .. }) {
            self.term = self.term.max(claim.term);
            return self.follow(now);
        }
        let own = self.claim(false);
        if claim.rank() > own.rank() {
            self.term = claim.term;
            self.follow(now);
        } else {
            // Its maker does not know of us.
            self.next_beat = now;
        }
    }

    /// What is to be said, if anything is due.
    pub fn poll(&mut self, now: Duration) -> Option<Claim> {
        if !self.connected {
            return None;
        }
        match self.state {
            State::Following { until } if now < until => return None,
            State::Following { .. } => {
                self.term = self.term.saturating_add(1);
                self.state = State::Claiming {
                    since: now,
                    heard: false,
                };
                self.next_beat = now;
            }
            State::Claiming { since, heard } if now >= since + CLAIM_TIME => {
                if heard {
                    self.state = State::Leading { heard: now };
                } else {
                    self.follow(now);
                    return None;
                }
            }
            State::Leading { heard } if now >= heard + LEASE => {
                self.follow(now);
                return None;
            }
            State::Claiming { .. } | State::Leading { .. } => {}
        }
        if now < self.next_beat {
            return None;
        }
        self.next_beat = now + BEAT;
        Some(self.claim(false))
    }

    /// Gives the lead up; what is to be said then.
    pub fn resign(&mut self, now: Duration) -> Option<Claim> {
        let was_leader = self.is_leader();
        self.follow(now);
        was_leader.then(|| self.claim(true))
    }

    /// When something is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if !self.connected {
            return None;
        }
        Some(match self.state {
            State::Following { until } => until,
            State::Claiming { since, .. } => self.next_beat.min(since + CLAIM_TIME),
            State::Leading { heard } => self.next_beat.min(heard + LEASE),
        })
    }

    fn follow(&mut self, now: Duration) {
        let spread = u64::try_from(SPREAD.as_millis()).unwrap_or(0);
        let spread = Duration::from_millis(self.rng.u64(0..=spread));
        self.state = State::Following {
            until: now + LEASE + spread,
        };
    }

    fn claim(&self, resigned: bool) -> Claim {
        Claim {
            protocol: PROTOCOL.to_owned(),
            term: self.term,
            started: self.started,
            id: self.id.clone(),
            resigned,
        }
    }
}

#[cfg(test)]
mod tests;
