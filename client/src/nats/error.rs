//! What can go wrong: with a publish, and with what a server sends.

use std::fmt;

use muster_wire::error::ParseError;

/// Why a publish was refused. Nothing of the message was kept; each refusal is counted in [`Stats`](super::Stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// The core was closed.
    Closed,
    /// The subject or the reply subject is empty or holds a blank, tab, CR or LF.
    BadSubject,
    /// The headers are no header block: `NATS/1.0`, lines, and an empty line.
    BadHeaders,
    /// The server takes no headers.
    HeadersNotSupported,
    /// The message, headers included, is larger than the server or the configuration allows.
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// There is no connection and the buffer for publishes meanwhile is full.
    ReconnectBufferFull {
        /// Its size in bytes.
        max: usize,
    },
    /// Too many bytes wait for the socket already.
    PendingFull {
        /// The bound in bytes.
        max: usize,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the connection was closed"),
            Self::BadSubject => write!(f, "a subject is empty or holds white space"),
            Self::BadHeaders => write!(f, "the headers are no complete header block"),
            Self::HeadersNotSupported => write!(f, "the server takes no headers"),
            Self::TooLarge { size, max } => {
                write!(
                    f,
                    "a message of {size} bytes is larger than the limit of {max} bytes"
                )
            }
            Self::ReconnectBufferFull { max } => {
                write!(
                    f,
                    "not connected, and the reconnect buffer of {max} bytes is full"
                )
            }
            Self::PendingFull { max } => {
                write!(
                    f,
                    "more than the limit of {max} bytes would wait for the socket"
                )
            }
        }
    }
}

impl std::error::Error for PublishError {}

/// What a server did that the protocol does not allow; the link is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// The bytes are no operation.
    Parse(ParseError),
    /// Something else came before INFO.
    ExpectedInfo,
    /// INFO holds no JSON this client can read.
    BadInfo,
    /// Bytes in clear came behind the INFO that led to TLS. They might be anybody's and are not looked at.
    BytesBeforeTls,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => write!(f, "the server sent no valid operation: {error}"),
            Self::ExpectedInfo => write!(f, "the server sent something else before info"),
            Self::BadInfo => write!(f, "the server sent an info that cannot be read"),
            Self::BytesBeforeTls => write!(f, "the server sent bytes in clear before tls"),
        }
    }
}

impl std::error::Error for ProtocolError {}

impl From<ParseError> for ProtocolError {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}
