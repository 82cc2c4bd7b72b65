//! The calls the provisioner makes of a node.

use std::fmt;
use std::time::Duration;

use muster_protocol::ddl::{Ddl, Inputs};
use muster_protocol::rpc::{RpcReply, StatusCode};
use serde_json::Value;

use crate::helper::cut;

/// The agent of nodes without configuration.
pub const AGENT: &str = "choria_provision";
/// How long a reply may take: the agent's own limit and some time for the way.
pub const CALL_TIME: Duration = Duration::from_secs(22);

/// What a node is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Action {
    /// Tell the provisioning token.
    Jwt,
    /// Make an ed25519 key.
    Gen25519,
    /// Tell what it is.
    Inventory,
    /// Make a key and a signing request.
    Gencsr,
    /// Replace its program.
    ReleaseUpdate,
    /// Take its configuration.
    Configure,
    /// Start again.
    Restart,
    /// End.
    Shutdown,
}

impl Action {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Jwt,
        Self::Gen25519,
        Self::Inventory,
        Self::Gencsr,
        Self::ReleaseUpdate,
        Self::Configure,
        Self::Restart,
        Self::Shutdown,
    ];

    /// The agent.
    #[must_use]
    pub const fn agent(self) -> &'static str {
        match self {
            Self::Inventory => "rpcutil",
            _ => AGENT,
        }
    }

    /// The action's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Gen25519 => "gen25519",
            Self::Inventory => "inventory",
            Self::Gencsr => "gencsr",
            Self::ReleaseUpdate => "release_update",
            Self::Configure => "configure",
            Self::Restart => "restart",
            Self::Shutdown => "shutdown",
        }
    }

    /// How often it is tried.
    #[must_use]
    pub const fn tries(self) -> u32 {
        match self {
            // A second request would be for another key, while the first may still arrive.
            Self::Gencsr => 1,
            Self::Jwt | Self::ReleaseUpdate | Self::Restart | Self::Shutdown => 3,
            Self::Gen25519 | Self::Inventory | Self::Configure => 5,
        }
    }

    /// Its place in [`Action::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.agent(), self.name())
    }
}

/// One call of an action on a node.
#[derive(Clone, PartialEq)]
pub struct Call {
    /// The action.
    pub action: Action,
    /// Its inputs; some are secret.
    pub inputs: Inputs,
    /// How long a reply may take.
    pub time: Duration,
}

impl Call {
    /// The input that the agent's description refuses, which nodes hold callers to. Values are secrets, so only it is named.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let action = Ddl::builtin(self.action.agent())?.action(self.action.name())?;
        let is_bad = |(name, value): &(&String, &Value)| {
            action
                .input
                .get(*name)
                .is_none_or(|input| input.check(name, value).is_err())
        };
        let bad = self
            .inputs
            .iter()
            .find(is_bad)
            .map(|(name, _)| name.as_str());
        let missing = || {
            let needed = action.input.iter().filter(|(_, input)| !input.optional);
            let mut missing = needed.filter(|(name, _)| !self.inputs.contains_key(name.as_str()));
            missing.next().map(|(name, _)| name.as_str())
        };
        let name = bad.or_else(missing)?;
        Some(format!("the agent does not take such a {name}"))
    }
}

/// Leaves the inputs out.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.action)
    }
}

/// Why a call came to nothing. Texts of nodes are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailure {
    /// No reply in time.
    Timeout,
    /// Nobody listens under the node's name.
    NoResponders,
    /// There is no connection, or it was lost meanwhile.
    NotConnected,
    /// The request could not be made, or its inputs are not what the agent takes.
    NotSent(String),
    /// What came is no reply of an agent, or lacks something.
    Malformed(String),
    /// The node says it did not do it.
    Refused {
        /// How it ended.
        code: StatusCode,
        /// That in the node's words.
        message: String,
    },
}

impl CallFailure {
    /// The failure that a reply tells of, if it does.
    #[must_use]
    pub fn of_reply(reply: &RpcReply<'_>) -> Option<Self> {
        (reply.statuscode != StatusCode::Ok).then(|| Self::Refused {
            code: reply.statuscode,
            message: cut(&reply.statusmsg),
        })
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no reply in time"),
            Self::NoResponders => f.write_str("nobody listens under that name"),
            Self::NotConnected => f.write_str("there is no connection"),
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Malformed(why) => write!(f, "unusable reply: {why}"),
            Self::Refused { code, message } => write!(f, "{code}: {message}"),
        }
    }
}
