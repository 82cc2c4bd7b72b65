//! One connection as its own shard knows it. A route to another broker has its own steps within `AwaitConnect`, see [`crate::route`].
//!
//! ```text
//!            accept
//!              |
//!        +-----+------+  TLS offered    handshake done
//!        |            +---> AwaitTls -------+
//!        |  plain                           v
//!        +----------------------------> AwaitConnect --- valid CONNECT ---> Active
//!                                           |  (Active at once where no credentials are wanted)
//!        any state --- breach, deadline, end of the socket, shutdown ---> Closing --- flushed ---> gone
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::auth::Door;
use crate::close::CloseReason;
use crate::ids::{AccountId, Cid, ConnRef, Key};
use crate::permissions::Permissions;
use crate::route::RouteConn;
use crate::stamp::Stamp;
use crate::sublist::Matches;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The TLS handshake is not done; no byte has reached the parser.
    AwaitTls,
    /// Credentials are wanted and were not shown.
    AwaitConnect,
    /// Every operation is taken.
    Active,
    /// Nothing is taken any more; `abandon` gives up what could not be flushed.
    Closing {
        /// Why.
        reason: CloseReason,
        /// Close at once.
        abandon: bool,
    },
}

/// Why a connection's input is not looked at for now. Its unread operations wait in `Conn::partial` and in the socket.
#[derive(Debug)]
pub(crate) enum Parked {
    /// Before an operation, because the turn's bound is used up.
    Budget,
    /// In the middle of a publish; the operation is still the first in `partial`.
    Fanout(Fanout),
    /// Before the delivery of a publish whose one receiver is behind; the operation is still the first in `partial`.
    Held {
        /// Since when.
        since: Duration,
    },
    /// After a publish one of whose receivers is behind.
    Stalled {
        /// Until when.
        until: Duration,
    },
}

/// How far a publish has come.
#[derive(Debug)]
pub(crate) struct Fanout {
    pub(crate) matches: Arc<Matches>,
    /// The next plain member: chunk, and place in it.
    pub(crate) chunk: usize,
    pub(crate) place: usize,
    /// The next queue group.
    pub(crate) group: usize,
    /// The next peer.
    pub(crate) peer: usize,
    /// Queue groups that peers were chosen to serve: the route, and the group by its place in `matches`.
    pub(crate) assigned: Vec<(ConnRef, usize)>,
    /// Somebody has the message.
    pub(crate) heard: bool,
    /// Some receiver is behind.
    pub(crate) behind: bool,
    /// Payload and line end for delivery by reference, where that is the cheaper way.
    pub(crate) shared: Option<Bytes>,
}

impl Fanout {
    pub(crate) fn new(matches: Arc<Matches>, shared: Option<Bytes>) -> Self {
        Self {
            matches,
            chunk: 0,
            place: 0,
            group: 0,
            peer: 0,
            assigned: Vec::new(),
            heard: false,
            behind: false,
            shared,
        }
    }
}

impl Fanout {
    /// Whether somebody was looked at.
    pub(crate) fn has_begun(&self) -> bool {
        self.chunk + self.place + self.group + self.peer > 0
    }
}

/// What a client said of itself.
#[derive(Debug, Default)]
pub(crate) struct ClientMeta {
    pub(crate) name: Option<Box<str>>,
    pub(crate) lang: Option<Arc<str>>,
    pub(crate) version: Option<Arc<str>>,
    /// The user it was let in as.
    pub(crate) user: Option<Arc<str>>,
}

/// What a client asked for in `CONNECT`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnOptions {
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) echo: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
    /// The client takes `INFO` at any time.
    pub(crate) async_info: bool,
}

impl Default for ConnOptions {
    /// The state before `CONNECT`, in which a person at a terminal may publish.
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            async_info: false,
        }
    }
}

/// The keep-alive of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepAlive {
    /// When the next turn of the keep-alive comes.
    pub(crate) at: Stamp,
    pub(crate) unanswered: u8,
    pub(crate) sent: Option<Stamp>,
    /// The last round trip: when it ended, and how long it took.
    pub(crate) rtt: Option<(Stamp, u32)>,
}

/// A connection. The part that other shards touch is its slot in [`crate::table`].
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) me: ConnRef,
    pub(crate) cid: Cid,
    pub(crate) peer: SocketAddr,
    pub(crate) account: AccountId,
    pub(crate) phase: Phase,
    pub(crate) options: ConnOptions,
    /// The first `PONG` went out, so an `INFO` or `PING` of ours no longer confuses the client's connect.
    pub(crate) greeted: bool,
    /// Bytes of an operation that is not complete or not done.
    pub(crate) partial: Vec<u8>,
    pub(crate) parked: Option<Box<Parked>>,
    pub(crate) meta: Option<Box<ClientMeta>>,
    /// What its login will be judged by; gone once it was let in.
    pub(crate) door: Option<Box<Door>>,
    /// What it may publish and subscribe to; everything if there is none.
    pub(crate) permissions: Option<Arc<Permissions>>,
    /// What only a connection to another broker has.
    pub(crate) route: Option<Box<RouteConn>>,
    pub(crate) started: Stamp,
    pub(crate) last_activity: Stamp,
    pub(crate) in_msgs: u64,
    pub(crate) in_bytes: u64,
    pub(crate) stalls: u32,
    pub(crate) keep_alive: KeepAlive,
    /// End of the phase: TLS, authentication, what it was let in for, flush before close.
    pub(crate) deadline: Option<Stamp>,
    /// Since when the socket has taken nothing although bytes waited.
    pub(crate) blocked_since: Option<Stamp>,
    /// The earliest timer that was asked for and has not fired.
    pub(crate) timer: Option<Stamp>,
}

impl Conn {
    pub(crate) fn key(&self, index: u32) -> Key {
        Key {
            index,
            generation: self.me.generation,
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    /// Whether the socket may be read.
    pub(crate) fn wants_input(&self) -> bool {
        self.parked.is_none() && !self.is_closing()
    }

    /// The next moment at which something is due.
    pub(crate) fn next_due(&self, write_deadline: Duration) -> Duration {
        let stalled = match self.parked.as_deref() {
            Some(Parked::Stalled { until }) => Some(*until),
            _ => None,
        };
        let blocked = self
            .blocked_since
            .map(|since| since.time() + write_deadline);
        let deadline = self.deadline.map(Stamp::time);
        let keep_alive = self.keep_alive.at.time();
        [deadline, blocked, stalled]
            .into_iter()
            .flatten()
            .fold(keep_alive, Duration::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_memory_is_known() {
        let bytes = size_of::<Conn>();
        assert!(bytes <= 256, "{bytes} bytes a connection in its shard");
    }
}
