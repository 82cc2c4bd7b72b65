//! What an agent is, and the adaptor that makes RPC agents of sets of actions.
//!
//! An [`Agent`] gets the body of a verified request that is meant for this node and answers at once: it runs on the
//! node's thread and waits for nothing. An [`RpcAgent`] gives actions described by a DDL; [`Rpc`] does what is the same
//! for all of them, in the order of the servers of today: body, action, authorisation, inputs, call.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use muster_protocol::ddl::{Ddl, InputError, Inputs, Metadata};
use muster_protocol::filter::FactsView;
use muster_protocol::rpc::{self, RpcReply, RpcRequest, STATUS_OK, StatusCode};

use crate::counters::Counters;
use crate::setup::{Authorisation, NodeSetup};

/// Something a node can be asked.
pub trait Agent: Send + Sync + fmt::Debug {
    /// Who it is.
    fn metadata(&self) -> &Metadata;
    /// Answers a request.
    fn handle<'r>(&self, request: &AgentRequest<'r>, host: &HostView<'_>) -> AgentReply<'r>;
}

/// A request as an agent sees it. All of it is verified, but for what the body says.
#[derive(Debug, Clone, Copy)]
pub struct AgentRequest<'r> {
    /// The decoded body.
    pub body: &'r [u8],
    /// Who calls.
    pub caller_id: &'r str,
    /// The sending host.
    pub sender_id: &'r str,
    /// The request's id.
    pub request_id: &'r str,
    /// The collective addressed.
    pub collective: &'r str,
    /// The agent addressed.
    pub agent: &'r str,
    /// Unix seconds at the sender.
    pub time: i64,
    /// Seconds the request may live.
    pub ttl: i64,
}

/// The node as its agents see it.
#[derive(Debug, Clone, Copy)]
pub struct HostView<'a> {
    /// What the node shares with others of its process.
    pub setup: &'a NodeSetup,
    /// The node's name.
    pub identity: &'a str,
    /// Its facts.
    pub facts: FactsView<'a>,
    /// Its classes.
    pub classes: &'a [String],
    /// What it has counted, this request included.
    pub counters: &'a Counters,
    /// The broker it is connected to, as a URL.
    pub broker: &'a str,
    /// The wall clock.
    pub unix: Duration,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentReply<'r> {
    /// A body of the agent's own kind.
    Body(Cow<'static, [u8]>),
    /// The body of an RPC agent.
    Rpc {
        /// The action called; empty where the body named none.
        action: Cow<'r, str>,
        /// What came of it.
        outcome: RpcOutcome,
    },
    /// No reply.
    None,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcOutcome {
    /// How it ended.
    pub status: StatusCode,
    /// That in words.
    pub message: Cow<'static, str>,
    /// JSON text of the outputs, an object.
    pub data: Cow<'static, str>,
}

/// A set of actions.
pub trait RpcAgent: Send + Sync + fmt::Debug {
    /// The actions, their inputs and outputs.
    fn ddl(&self) -> &Ddl;
    /// Runs an action of the DDL for a caller who may, with inputs that satisfy the DDL.
    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcOutcome;
}

/// One call of an action.
#[derive(Debug, Clone, Copy)]
pub struct RpcCall<'c> {
    /// The action.
    pub action: &'c str,
    /// The inputs.
    pub inputs: &'c Inputs,
    /// The request the call came in.
    pub request: &'c AgentRequest<'c>,
}

/// An [`RpcAgent`] as an [`Agent`].
#[derive(Debug)]
pub struct Rpc<A> {
    agent: A,
    metadata: Metadata,
}

impl AgentReply<'_> {
    /// Appends the body of the reply; false if there is none.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Body(body) => out.extend_from_slice(body),
            Self::Rpc {
                action,
                outcome:
                    RpcOutcome {
                        status,
                        message,
                        data,
                    },
            } => {
                RpcReply::encode_into(out, action, *status, message, data);
            }
            Self::None => return false,
        }
        true
    }
}

impl RpcOutcome {
    /// The action did what it was asked; `data` is JSON text of an object.
    #[must_use]
    pub fn ok(data: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: StatusCode::Ok,
            message: STATUS_OK.into(),
            data: data.into(),
        }
    }

    /// The action did not.
    #[must_use]
    pub fn failed(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            data: "{}".into(),
        }
    }
}

impl<'c> RpcCall<'c> {
    /// A text input, empty where it was left out.
    #[must_use]
    pub fn text(&self, name: &str) -> &'c str {
        self.inputs
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    }
}

impl<A: RpcAgent> Rpc<A> {
    /// Wraps an agent.
    #[must_use]
    pub fn new(agent: A) -> Self {
        // Nodes name the provider of external agents only.
        let metadata = Metadata {
            provider: String::new(),
            ..agent.ddl().metadata.clone()
        };
        Self { agent, metadata }
    }

    fn run(
        &self,
        body: &RpcRequest<'_>,
        request: &AgentRequest<'_>,
        host: &HostView<'_>,
    ) -> RpcOutcome {
        let Some(action) = self.agent.ddl().action(&body.action) else {
            let message = rpc::unknown_action(&body.action, &self.metadata.name);
            return RpcOutcome::failed(StatusCode::UnknownAction, message);
        };
        match host.setup.options().authorise {
            Authorisation::AllowAll => {}
            Authorisation::DenyAll => {
                return RpcOutcome::failed(StatusCode::Aborted, rpc::DENIED);
            }
        }
        let inputs = match serde_json::from_str::<Inputs>(body.data) {
            Ok(inputs) => inputs,
            Err(error) => {
                let message = rpc::could_not_process(&error);
                return RpcOutcome::failed(StatusCode::InvalidData, message);
            }
        };
        if let Err(errors) = action.validate(&inputs) {
            return refuse_inputs(&errors);
        }
        self.agent.call(
            &RpcCall {
                action: &body.action,
                inputs: &inputs,
                request,
            },
            host,
        )
    }
}

impl<A: RpcAgent> Agent for Rpc<A> {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn handle<'r>(&self, request: &AgentRequest<'r>, host: &HostView<'_>) -> AgentReply<'r> {
        match RpcRequest::parse(request.body) {
            Ok(body) => {
                let outcome = self.run(&body, request, host);
                AgentReply::Rpc {
                    action: body.action,
                    outcome,
                }
            }
            Err(error) => {
                let message = rpc::could_not_process(&error);
                let outcome = RpcOutcome::failed(StatusCode::InvalidData, message);
                AgentReply::Rpc {
                    action: Cow::Borrowed(""),
                    outcome,
                }
            }
        }
    }
}

/// Something invalid weighs more than something missing: the caller did not leave it out.
fn refuse_inputs(errors: &[InputError]) -> RpcOutcome {
    let all_missing = errors
        .iter()
        .all(|error| matches!(error, InputError::Missing(_)));
    let status = if all_missing {
        StatusCode::MissingData
    } else {
        StatusCode::InvalidData
    };
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    RpcOutcome::failed(status, texts.join("; "))
}
