//! What the cluster counts, and what monitoring sees of it.

use std::time::Duration;

use crate::ids::ConnRef;

/// Why a dial came to nothing before a byte was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DialFailure {
    /// The name has no address, or only this broker's own.
    Unresolved,
    /// Nobody listens there.
    Refused,
    /// No answer within the time for a dial.
    Timeout,
    /// The network says that the place can not be reached.
    Unreachable,
    /// This broker is out of descriptors or connections.
    Resources,
    /// TLS failed.
    Tls,
    /// The connection ended before the peer had said who it is.
    Handshake,
}

impl DialFailure {
    /// All of them, in the order of [`ClusterFigures::dial_failures`].
    pub const ALL: [Self; 7] = [
        Self::Unresolved,
        Self::Refused,
        Self::Timeout,
        Self::Unreachable,
        Self::Resources,
        Self::Tls,
        Self::Handshake,
    ];

    /// The label in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Resources => "resources",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
        }
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterFigures {
    /// Dials begun.
    pub dials: u64,
    /// Dials that failed, by [`DialFailure`].
    pub dial_failures: [u64; 7],
    /// Peers that came, once for each time they came.
    pub peers_joined: u64,
    /// Peers that were lost.
    pub peers_lost: u64,
    /// Connections refused for the wrong cluster name.
    pub refused_name: u64,
    /// Connections refused for a server name that is taken.
    pub refused_duplicate: u64,
    /// Connections refused for missing or wrong credentials.
    pub refused_credentials: u64,
    /// Connections refused because their INFO or CONNECT is unusable.
    pub refused_other: u64,
    /// Connections too many that were closed here.
    pub surplus_closed: u64,
    /// News of servers sent to peers.
    pub gossip_sent: u64,
    /// News of servers that led to a dial.
    pub gossip_taken: u64,
    /// News of servers that were known, or too many.
    pub gossip_ignored: u64,
}

/// A peer as monitoring shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its id.
    pub server_id: Box<str>,
    /// Its name.
    pub server_name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// The connection that carries messages.
    pub primary: ConnRef,
    /// Connections that stand by.
    pub standbys: usize,
    /// Whether this broker dialled.
    pub solicited: bool,
    /// Whether its address is in the configuration.
    pub explicit: bool,
    /// Whether it is going down.
    pub lame_duck: bool,
    /// Whether it is one of ours, rather than another server of the dialect.
    pub ours: bool,
    /// Since when it is connected.
    pub since: Duration,
}
