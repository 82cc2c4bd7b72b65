//! The discovery agent: a sign of life from every node that is meant. No RPC agent; authorisation does not apply.

use std::borrow::Cow;

use muster_protocol::ddl::{Ddl, Metadata};
use muster_protocol::rpc;

use crate::agent::{Agent, AgentReply, AgentRequest, HostView};

/// Answers `pong` to a body with `ping` in it, and nothing to anything else.
#[derive(Debug)]
pub struct Discovery {
    metadata: Metadata,
}

impl Discovery {
    /// The agent.
    #[must_use]
    pub fn new() -> Self {
        let ddl = Ddl::builtin(rpc::DISCOVERY_AGENT).expect("discovery has a builtin ddl");
        Self {
            metadata: Metadata {
                provider: String::new(),
                ..ddl.metadata.clone()
            },
        }
    }
}

impl Default for Discovery {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent for Discovery {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn handle<'r>(&self, request: &AgentRequest<'r>, _host: &HostView<'_>) -> AgentReply<'r> {
        if rpc::is_discovery_ping(request.body) {
            AgentReply::Body(Cow::Borrowed(rpc::DISCOVERY_PONG))
        } else {
            AgentReply::None
        }
    }
}
