//! Why a connection ends: the text the peer is told, and the text monitoring shows.

use muster_wire::client_op::ParseError;

/// Why the broker ended a connection, or found it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer closed its side.
    ClientClosed,
    /// Bytes that are no operation; the peer is told.
    UnknownOperation,
    /// An operation with unusable arguments; as nats-server does, the peer is told nothing.
    BadArguments,
    /// An operation line over the limit.
    ControlLineTooLong,
    /// A message over the limit.
    PayloadTooLarge,
    /// Credentials missing or wrong, or an operation before them.
    AuthenticationFailure,
    /// No `CONNECT` in time where one is required.
    AuthenticationTimeout,
    /// What the connection was let in for has come to its end.
    AuthenticationExpired,
    /// The broker holds as many connections as it may.
    ConnectionsExceeded,
    /// A `CONNECT` that names a protocol other than 0 and 1.
    BadClientProtocol,
    /// A `CONNECT` that wants no-responders messages but no headers.
    NoRespondersNeedsHeaders,
    /// Too many of our `PING`s went unanswered.
    StaleConnection,
    /// More bytes waited for the peer than the limit allows.
    SlowConsumerPendingBytes,
    /// The peer took no bytes for the whole write deadline.
    SlowConsumerWriteDeadline,
    /// The TLS handshake failed or was not done in time.
    TlsHandshake,
    /// The socket failed on writing.
    WriteError,
    /// The socket failed on reading.
    ReadError,
    /// A route to a broker of another cluster.
    ClusterNameConflict,
    /// A route to a broker whose name is taken by this one or by another peer.
    DuplicateServerName,
    /// One route too many to the same peer.
    DuplicateRoute,
    /// A route that leads back to this broker.
    SelfRoute,
    /// A client, or a gateway, on the port of routes.
    WrongPort,
    /// The broker stops.
    ServerShutdown,
    /// A defect of ours was caught while the connection was served.
    InternalError,
}

impl CloseReason {
    /// The text between the quotes of the `-ERR` that precedes the close; `None` where the peer is told nothing.
    #[must_use]
    pub fn err_text(self) -> Option<&'static str> {
        Some(match self {
            Self::UnknownOperation => "Unknown Protocol Operation",
            Self::ControlLineTooLong => "maximum control line exceeded",
            Self::PayloadTooLarge => "Maximum Payload Violation",
            Self::AuthenticationFailure => "Authorization Violation",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationExpired => "User Authentication Expired",
            Self::ConnectionsExceeded => "maximum connections exceeded",
            Self::BadClientProtocol => "invalid client protocol",
            Self::NoRespondersNeedsHeaders => "no responders requires headers support",
            Self::StaleConnection => "Stale Connection",
            Self::ClusterNameConflict => "Rejecting connection, cluster name does not match",
            Self::WrongPort => "attempted to connect to route port",
            Self::DuplicateServerName
            | Self::DuplicateRoute
            | Self::SelfRoute
            | Self::ClientClosed
            | Self::BadArguments
            | Self::SlowConsumerPendingBytes
            | Self::SlowConsumerWriteDeadline
            | Self::TlsHandshake
            | Self::WriteError
            | Self::ReadError
            | Self::ServerShutdown
            | Self::InternalError => return None,
        })
    }

    /// The reason as `/connz` and logs show it, in nats-server's words where it has the case.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::UnknownOperation | Self::BadArguments => "Protocol Violation",
            Self::ControlLineTooLong => "Maximum Control Line Exceeded",
            Self::PayloadTooLarge => "Maximum Message Payload Exceeded",
            Self::AuthenticationFailure => "Authentication Failure",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationExpired => "Authentication Expired",
            Self::ConnectionsExceeded => "Maximum Connections Exceeded",
            Self::BadClientProtocol => "Bad Client Protocol Version",
            Self::NoRespondersNeedsHeaders => "No Responders Requires Headers",
            Self::StaleConnection => "Stale Connection",
            Self::SlowConsumerPendingBytes => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerWriteDeadline => "Slow Consumer (Write Deadline)",
            Self::TlsHandshake => "TLS Handshake Failure",
            Self::WriteError => "Write Error",
            Self::ReadError => "Read Error",
            Self::ClusterNameConflict => "Cluster Name Conflict",
            Self::DuplicateServerName => "Duplicate Server Name",
            Self::DuplicateRoute => "Duplicate Route",
            Self::SelfRoute => "Route To Self",
            Self::WrongPort => "Incorrect Port",
            Self::ServerShutdown => "Server Shutdown",
            Self::InternalError => "Internal Error",
        }
    }

    /// Whether what waits for the peer is still sent before the socket closes.
    #[must_use]
    pub(crate) fn flushes(self) -> bool {
        self.err_text().is_some() || matches!(self, Self::BadArguments)
    }
}

impl From<ParseError> for CloseReason {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::ControlLineTooLong => Self::ControlLineTooLong,
            ParseError::PayloadTooLarge => Self::PayloadTooLarge,
            ParseError::BadArguments(_) | ParseError::HeadersNotSupported => Self::BadArguments,
            ParseError::UnknownOperation | ParseError::BadTerminator => Self::UnknownOperation,
        }
    }
}
