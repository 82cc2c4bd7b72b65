//! What can go wrong: with a request, with starting an operation, with carrying it out, with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use muster_protocol::request::RequestError;
use muster_protocol::security::SecurityError;
use muster_protocol::security::tokens::TokenError;
use muster_reactor::tls::TlsConfigError;
use muster_settings::SettingsErrors;

use super::remote::SignError;
use crate::nats::{LinkEnd, PublishError, ServerAddr};

/// Why a request could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildError {
    /// A node would not accept it.
    Request(RequestError),
    /// It could not be signed.
    Signature(String),
    /// The service that signs in the caller's place did not.
    Remote {
        /// What the user knows it by, such as its URL.
        service: Box<str>,
        /// Why not.
        error: SignError,
    },
}

impl From<RequestError> for BuildError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<SecurityError> for BuildError {
    fn from(error: SecurityError) -> Self {
        Self::Signature(error.to_string())
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Signature(error) => write!(f, "the request could not be signed: {error}"),
            Self::Remote { service, error } => {
                write!(
                    f,
                    "the request could not be signed: signer {service} {error}"
                )
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Why an operation was not begun. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// Another operation is under way.
    Busy,
    /// A direct request names no node.
    NoTargets,
    /// A batch needs nodes to divide, and the request names none.
    BatchWithoutNodes,
    /// The inputs of an action are no JSON object.
    BadData(String),
    /// The request is none a node would accept.
    Build(BuildError),
    /// A subject made of the collective, the agent, the caller or a federation can not be sent.
    BadSubject(Box<str>),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(f, "another operation is under way"),
            Self::NoTargets => write!(f, "a direct request names no node"),
            Self::BatchWithoutNodes => write!(f, "only a direct request can go out in batches"),
            Self::BadData(why) => write!(f, "the inputs are no json object: {why}"),
            Self::Build(error) => error.fmt(f),
            Self::BadSubject(subject) => {
                write!(f, "subject {subject:?} is empty or holds white space")
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Why an operation could not be carried out. No node was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Each broker of the list has refused us at least three times: there is no use in waiting.
    Refused {
        /// How long it was tried.
        waited: Duration,
        /// The brokers, and what the system said last of each.
        brokers: Vec<(ServerAddr, String)>,
    },
    /// There was no working connection in time.
    NotConnected {
        /// How long it was waited for.
        waited: Duration,
        /// How the last attempt, or the last connection, ended.
        last: Option<LinkEnd>,
    },
    /// The request could not be built.
    Build(BuildError),
    /// The connection did not take the request.
    Publish(PublishError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { waited, brokers } => {
                write!(f, "no broker takes connections, tried for {waited:.1?}")?;
                let mut between = ": ";
                for (broker, why) in brokers {
                    write!(f, "{between}{broker}: {why}")?;
                    between = "; ";
                }
                Ok(())
            }
            Self::NotConnected { waited, last } => {
                write!(f, "no connection to a broker within {waited:?}")?;
                match last {
                    Some(end) => write!(f, ": {end}"),
                    None => Ok(()),
                }
            }
            Self::Build(error) => error.fmt(f),
            Self::Publish(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// Why the blocking facade has no result.
#[derive(Debug)]
pub enum FleetError {
    /// The operation was not begun.
    Start(StartError),
    /// The operation could not be carried out.
    Failed(Failure),
    /// The operating system refused the poll.
    Io(io::Error),
}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Failed(error) => error.fmt(f),
            Self::Io(error) => write!(f, "the poll failed: {error}"),
        }
    }
}

impl std::error::Error for FleetError {}

/// Why there is no usable configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The settings have problems; one a line.
    Settings(SettingsErrors),
    /// A file could not be read.
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Certificate and key are of no use for signing.
    Signer {
        /// The certificate file.
        certificate: PathBuf,
        /// What is wrong.
        error: SecurityError,
    },
    /// Token and seed are of no use.
    Token {
        /// The token's file.
        token: PathBuf,
        /// What is wrong.
        error: TokenError,
    },
    /// The token is a server's, and servers may not ask.
    NotAClient {
        /// The token's file.
        token: PathBuf,
    },
    /// Certificate, key or authority are of no use for TLS.
    Tls(TlsConfigError),
}

impl From<TlsConfigError> for ConfigError {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(error)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(errors) => errors.fmt(f),
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Signer { certificate, error } => {
                write!(f, "cannot sign with {}: {error}", certificate.display())
            }
            Self::Token { token, error } => {
                write!(f, "cannot sign with {}: {error}", token.display())
            }
            Self::NotAClient { token } => {
                write!(f, "token {} is a server's, not a client's", token.display())
            }
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}
