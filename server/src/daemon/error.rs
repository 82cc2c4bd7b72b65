//! Why a daemon does not run.

use std::io;
use std::path::PathBuf;

use muster_protocol::security::SecurityError;
use muster_reactor::tls::TlsConfigError;

use crate::security::NodeTokenError;
use crate::setup::SetupError;

/// Why a daemon does not start, or does not go on.
#[derive(Debug)]
pub enum RunError {
    /// A file cannot be read.
    File(PathBuf, io::Error),
    /// The trusted authorities or the patterns of names cannot be used.
    Security(SecurityError),
    /// The certificate, key or authorities cannot be used for TLS.
    Tls(TlsConfigError),
    /// The token is none for this node.
    Token(PathBuf, NodeTokenError),
    /// The names in the configuration do not go together.
    Setup(SetupError),
    /// There is data to be signed, and no key to sign it with.
    NoKey,
    /// The operating system refuses something.
    System(io::Error),
}

impl From<SecurityError> for RunError {
    fn from(error: SecurityError) -> Self {
        Self::Security(error)
    }
}

impl From<TlsConfigError> for RunError {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(error)
    }
}

impl From<SetupError> for RunError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Security(error) => error.fmt(f),
            Self::Token(path, error) => write!(f, "cannot use {}: {error}", path.display()),
            Self::Tls(error) => error.fmt(f),
            Self::Setup(error) => error.fmt(f),
            Self::NoKey => f.write_str(
                "an outbox needs the node's certificate and key, and they are not configured",
            ),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}
