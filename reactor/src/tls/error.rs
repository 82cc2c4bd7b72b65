//! What can go wrong in a session, and in building a configuration.
//!
//! A session's error says who is to blame, because that decides who should look: a peer at fault is an event of that connection, a fault of ours is logged for the operator.

use std::fmt;

/// Why a session cannot go on.
///
/// Every error but [`TlsError::NotEstablished`] is final for its session: later calls fail with [`TlsError::Failed`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer broke the protocol, was not acceptable, or refused us with an alert.
    Peer(rustls::Error),
    /// The peer keeps a record or a handshake message incomplete beyond the limit.
    UnfinishedTooLong {
        /// Bytes held without a complete message among them.
        len: usize,
        /// The most a session holds.
        limit: usize,
    },
    /// This side failed: its configuration, its randomness, its clock, its keys' usage limit.
    Ours(rustls::Error),
    /// The server name a client was given is neither a DNS name nor an IP address.
    BadServerName(String),
    /// Plaintext was offered before the handshake ended or after either side closed.
    NotEstablished,
    /// The session failed earlier.
    Failed,
}

impl TlsError {
    /// Whether the other side caused this.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        matches!(self, Self::Peer(_) | Self::UnfinishedTooLong { .. })
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::InvalidMessage(_)
            | E::NoCertificatesPresented
            | E::UnsupportedNameType
            | E::DecryptError
            | E::PeerIncompatible(_)
            | E::PeerMisbehaved(_)
            | E::AlertReceived(_)
            | E::InvalidCertificate(_)
            | E::PeerSentOversizedRecord
            | E::NoApplicationProtocol => Self::Peer(error),
            _ => Self::Ours(error),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(error) => write!(f, "tls peer at fault: {error}"),
            Self::UnfinishedTooLong { len, limit } => write!(
                f,
                "tls peer at fault: {len} bytes without a complete message, limit {limit}"
            ),
            Self::Ours(error) => write!(f, "tls fault on this side: {error}"),
            Self::BadServerName(name) => {
                write!(
                    f,
                    "server name {name:?} is neither a dns name nor an ip address"
                )
            }
            Self::NotEstablished => f.write_str("tls session is not open for sending"),
            Self::Failed => f.write_str("tls session failed earlier"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Peer(error) | Self::Ours(error) => Some(error),
            _ => None,
        }
    }
}

/// Which PEM text a configuration could not be built from, and why.
///
/// The texts never contain key material.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The certificate chain.
    Cert(String),
    /// The private key, or its relation to the certificate.
    Key(String),
    /// The certificate authorities.
    Ca(String),
    /// The revocation lists.
    Crl(String),
    /// The cryptographic library itself.
    Provider(String),
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, why) = match self {
            Self::Cert(why) => ("certificate", why),
            Self::Key(why) => ("private key", why),
            Self::Ca(why) => ("certificate authority", why),
            Self::Crl(why) => ("revocation list", why),
            Self::Provider(why) => ("tls provider", why),
        };
        write!(f, "{what}: {why}")
    }
}

impl std::error::Error for TlsConfigError {}
