//! What a core tells its owner, and what it asks of its driver.

use std::fmt;

use super::addr::ServerAddr;
use super::error::ProtocolError;
use super::subscription::Sid;

/// A message for a subscription, borrowed from the bytes that were just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The subscription it came for.
    pub sid: Sid,
    /// The subject it was published to.
    pub subject: &'a [u8],
    /// Where an answer is expected.
    pub reply: Option<&'a [u8]>,
    /// The header block with its `NATS/1.0` line and its empty line; empty when there is none.
    pub headers: &'a [u8],
    /// The payload, without headers.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// Whether this is the server's word that nobody listens for a request.
    pub fn is_no_responders(&self) -> bool {
        self.payload.is_empty() && self.headers.starts_with(b"NATS/1.0 503")
    }
}

/// Who takes messages and events. The calls come while the core is borrowed: verbs wait until the `handle_*` call is over.
pub trait EventSink {
    /// A message arrived.
    fn message(&mut self, message: Message<'_>);
    /// Something happened to the connection.
    fn event(&mut self, event: Event);
}

/// What happened to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server took us, and all subscriptions and buffered publishes are in the output.
    Connected,
    /// A working connection is gone.
    Disconnected(LinkEnd),
    /// An attempt to connect ended before the server took us.
    ConnectFailed(LinkEnd),
    /// There will be another attempt.
    Reconnecting {
        /// Attempts since the last working connection, this one included.
        attempt: u32,
        /// The wait before it.
        in_ms: u64,
    },
    /// The server has dealt with everything before the flush of this number; see [`ClientCore::flush`](super::ClientCore::flush).
    Flushed(u64),
    /// A subscription got its maximum of messages and is gone.
    Unsubscribed(Sid),
    /// The server reported an error; a [`Disconnected`](Self::Disconnected) or [`ConnectFailed`](Self::ConnectFailed) follows where it ends the link.
    ServerError(Box<str>),
    /// The server will go away soon and has asked its clients to do so first.
    LameDuck,
    /// The server named this many servers not known before.
    ServersLearned(usize),
}

/// What the driver must do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a TCP connection; then `handle_connected` or `handle_connect_failed`.
    Connect(ServerAddr),
    /// Start TLS on the connection, with [`ClientCore::tls_name`](super::ClientCore::tls_name); then `handle_tls_ready` or `handle_disconnected`.
    StartTls,
    /// Close the socket, or give the attempt up. It is not reported: the core knows.
    /// For [`LinkEnd::Requested`] what is in the output should still be written; for other ends there is none.
    Close(LinkEnd),
}

/// Why a link, or an attempt to make one, came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEnd {
    /// The owner called `close`.
    Requested,
    /// The driver could not connect.
    ConnectFailed,
    /// The peer or the network ended the connection, or TLS failed.
    Lost,
    /// No TCP connection in time.
    ConnectTimeout,
    /// No INFO in time.
    InfoTimeout,
    /// No TLS in time.
    TlsTimeout,
    /// No answer to CONNECT in time.
    PongTimeout,
    /// The server requires TLS and the configuration forbids it.
    TlsForbidden,
    /// The configuration requires TLS and the server offers none.
    TlsNotOffered,
    /// Our pings stayed unanswered.
    Stale,
    /// The server missed our answers to its pings.
    StaleToServer,
    /// The server or the account has no room for more connections.
    ServerFull,
    /// The server does not accept our credentials, or no longer.
    Unauthorized,
    /// The server broke the protocol.
    Protocol(ProtocolError),
}

impl LinkEnd {
    /// The end that an `-ERR` text stands for, if it is one that ends the link. Spelling counts, case does not.
    pub(super) fn of_server_error(text: &[u8]) -> Option<Self> {
        const TEXTS: [(&str, LinkEnd); 9] = [
            ("stale connection", LinkEnd::StaleToServer),
            ("maximum connections exceeded", LinkEnd::ServerFull),
            (
                "maximum account active connections exceeded",
                LinkEnd::ServerFull,
            ),
            ("connection throttling is active", LinkEnd::ServerFull),
            ("authorization violation", LinkEnd::Unauthorized),
            ("authentication timeout", LinkEnd::Unauthorized),
            ("user authentication", LinkEnd::Unauthorized),
            ("account authentication", LinkEnd::Unauthorized),
            ("secure connection - tls required", LinkEnd::TlsForbidden),
        ];
        let begins = |known: &str| {
            let start = text.get(..known.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(known.as_bytes()))
        };
        TEXTS
            .iter()
            .find(|(known, _)| begins(known))
            .map(|(_, end)| *end)
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Requested => "closed on request",
            Self::ConnectFailed => "could not connect",
            Self::Lost => "the connection was lost",
            Self::ConnectTimeout => "no connection in time",
            Self::InfoTimeout => "the server sent no info in time",
            Self::TlsTimeout => "tls was not ready in time",
            Self::PongTimeout => "the server did not answer connect in time",
            Self::TlsForbidden => "the server requires tls and the configuration forbids it",
            Self::TlsNotOffered => "the configuration requires tls and the server offers none",
            Self::Stale => "the server did not answer pings",
            Self::StaleToServer => "the server got no answer to its pings",
            Self::ServerFull => "the server takes no more connections",
            Self::Unauthorized => "the server does not accept our credentials",
            Self::Protocol(error) => return error.fmt(f),
        };
        f.write_str(text)
    }
}
