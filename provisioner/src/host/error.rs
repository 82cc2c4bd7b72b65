//! How the way of a node ends.

use std::fmt;

use muster_protocol::security::tokens::TokenError;

use crate::call::{Action, CallFailure};
use crate::csr::CsrError;
use crate::helper::HelperError;
use crate::key_delivery::SealError;
use crate::server_token::ServerTokenError;

/// How the way of a node ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has its configuration and starts again.
    Provisioned,
    /// It has another version and starts again, without a configuration.
    Upgraded {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// It was told to end.
    ShutDown,
    /// It stays as it is, for the reason told.
    Failed(FlowError),
}

/// Why a node stays without configuration. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowError {
    /// A call failed as often as it is tried.
    Call {
        /// Which.
        action: Action,
        /// How often.
        tries: u32,
        /// How, the last time.
        failure: CallFailure,
    },
    /// The agent would not take the inputs.
    Inputs {
        /// Of which action.
        action: Action,
        /// What is wrong.
        problem: String,
    },
    /// The provisioning token is not to be believed.
    Jwt(TokenError),
    /// No key to check provisioning tokens with is configured.
    NoJwtKey,
    /// The node did not prove that the ed25519 key is its own.
    NotItsKey,
    /// The signing request is refused.
    Csr(CsrError),
    /// The helper gave no decision.
    Helper(HelperError),
    /// The helper does not want it now.
    Deferred(String),
    /// The helper's key cannot be sent.
    Key(SealError),
    /// There is no token for the node.
    ServerToken(ServerTokenError),
    /// It needs another version and cannot get it.
    NotUpgradable {
        /// The version it has.
        version: String,
    },
    /// The provisioner was paused.
    Paused,
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call {
                action,
                tries,
                failure,
            } => write!(f, "{action} failed after {tries} tries: {failure}"),
            Self::Inputs { action, problem } => write!(f, "{action} cannot be called: {problem}"),
            Self::Jwt(error) => write!(f, "provisioning token: {error}"),
            Self::NoJwtKey => f.write_str("provisioning token: no key to check it is configured"),
            Self::NotItsKey => f.write_str("the node did not prove that it holds its ed25519 key"),
            Self::Csr(error) => error.fmt(f),
            Self::Helper(error) => error.fmt(f),
            Self::Deferred(message) => write!(f, "configuration deferred: {message}"),
            Self::Key(error) => error.fmt(f),
            Self::ServerToken(error) => error.fmt(f),
            Self::NotUpgradable { version } => {
                write!(f, "the node of version {version:?} cannot upgrade itself")
            }
            Self::Paused => f.write_str("the provisioner is paused"),
        }
    }
}

impl std::error::Error for FlowError {}
