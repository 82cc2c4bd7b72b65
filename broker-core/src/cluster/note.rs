//! What the cluster has to say to the log, and the silence about what was said a moment ago.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::config::RouteUrl;
use super::figures::DialFailure;
use crate::close::CloseReason;

/// The same trouble is told of again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Troubles that are remembered.
const TROUBLES_MAX: usize = 256;

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterNote {
    /// A peer came.
    Joined {
        /// Its name.
        name: Box<str>,
        /// Its id.
        server_id: Box<str>,
        /// Whether this broker dialled.
        solicited: bool,
    },
    /// A peer was lost.
    Lost {
        /// Its name.
        name: Box<str>,
        /// Its id.
        server_id: Box<str>,
    },
    /// A peer goes down.
    LameDuck {
        /// Its name.
        name: Box<str>,
    },
    /// A connection was refused.
    Refused {
        /// Its address.
        who: String,
        /// Why.
        reason: CloseReason,
    },
    /// A peer said what it does not like, and closes.
    PeerError {
        /// Its address.
        who: String,
        /// What it said, of limited length and in ASCII.
        text: String,
    },
    /// A dial failed. Repetitions are told of once a minute.
    DialFailed {
        /// Where to.
        url: RouteUrl,
        /// Why.
        failure: DialFailure,
    },
    /// A peer learnt of by gossip is not dialled any more.
    GaveUp {
        /// Where it would have been.
        url: RouteUrl,
    },
}

impl ClusterNote {
    /// Whether somebody should look.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Self::Joined { .. } | Self::LameDuck { .. })
    }
}

impl fmt::Display for ClusterNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined {
                name,
                server_id,
                solicited,
            } => {
                let how = if *solicited { "dialled" } else { "accepted" };
                write!(f, "peer {name} ({server_id}) joined, {how}")
            }
            Self::Lost { name, server_id } => write!(f, "peer {name} ({server_id}) is lost"),
            Self::LameDuck { name } => write!(f, "peer {name} is going down"),
            Self::Refused { who, reason } => {
                write!(f, "a route of {who} is refused: {}", reason.text())
            }
            Self::PeerError { who, text } => write!(f, "the peer at {who} says: {text}"),
            Self::DialFailed { url, failure } => {
                write!(f, "cannot dial the route {url}: {}", failure.label())
            }
            Self::GaveUp { url } => write!(f, "the peer at {url} is not dialled any more"),
        }
    }
}

/// When which trouble was last told of.
#[derive(Debug, Default)]
pub(super) struct Quiet(BTreeMap<String, Duration>);

impl Quiet {
    /// Whether a trouble is to be told of now.
    pub(super) fn is_news(&mut self, note: &ClusterNote, now: Duration) -> bool {
        let key = note.to_string();
        if let Some(told) = self.0.get(&key)
            && now < *told + AGAIN_AFTER
        {
            return false;
        }
        if self.0.len() >= TROUBLES_MAX {
            self.0.retain(|_, told| now < *told + AGAIN_AFTER);
            // More kinds of trouble in a minute than anybody reads.
            if self.0.len() >= TROUBLES_MAX {
                return false;
            }
        }
        self.0.insert(key, now);
        true
    }
}
