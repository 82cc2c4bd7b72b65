//! What an agent is, and the adaptor that makes RPC agents of sets of actions.
//!
//! An [`Agent`] gets the body of a verified request that is meant for this node. It runs on the node's thread and waits
//! for nothing: it answers at once, or gives the node [`Work`] that its owner carries out elsewhere.
//! An [`RpcAgent`] gives actions described by a DDL; [`Rpc`] does what is the same for all of them, in the order of the
//! servers of today: body, action, authorisation, audit, inputs, call.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use muster_client::nats::ClientCore;
use muster_protocol::ddl::{Ddl, InputError, Inputs, Metadata};
use muster_protocol::filter::FactsView;
use muster_protocol::rpc::{self, RpcReply, RpcRequest, STATUS_OK, StatusCode};

use tracing::warn;

use crate::counters::Counters;
use crate::setup::NodeSetup;

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
    /// The connection.
    pub connection: &'a ClientCore,
    /// The wall clock.
    pub unix: Duration,
}

/// What an agent answers.
#[derive(Debug)]
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
    /// The body of an RPC agent, once the work is done.
    Later {
        /// The action called.
        action: Cow<'r, str>,
        /// What is to be done.
        work: Work,
    },
    /// No reply.
    None,
}

/// What an action gives: its outcome, or work that will.
#[derive(Debug)]
pub enum RpcAnswer {
    /// It is over.
    Now(RpcOutcome),
    /// It takes time or waits for something, so it must not hold up the node's thread.
    Later(Work),
}

/// Something that takes time, to be carried out off the node's thread. It may block; it must end by itself.
pub struct Work(Box<dyn FnOnce() -> RpcOutcome + Send>);

/// Decides who may call what.
pub trait Authorise: Send + Sync + fmt::Debug {
    /// Decides about one call of a known action.
    fn decide(&self, call: &CallId<'_>, host: &HostView<'_>) -> Verdict;
}

/// Which call is decided about.
#[derive(Debug, Clone, Copy)]
pub struct CallId<'c> {
    /// The agent.
    pub agent: &'c str,
    /// Its action.
    pub action: &'c str,
    /// Who calls.
    pub caller_id: &'c str,
}

/// Whether a call may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not. The reason is for the node's log; callers are told nothing of it.
    Deny(Cow<'static, str>),
}

/// Keeps a record of the calls that were allowed.
pub trait Audit: Send + Sync + fmt::Debug {
    /// Records a call before it is carried out. `unix` is the wall clock.
    fn record(&self, call: &RpcCall<'_>, unix: Duration);
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
    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer;
    /// What a caller gets whose inputs do not satisfy the DDL.
    fn refuse_inputs(&self, errors: &[InputError]) -> RpcOutcome {
        refuse_inputs(errors)
    }
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
    /// Appends the body of the reply; false if there is none, or none yet.
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
            Self::Later { .. } | Self::None => return false,
        }
        true
    }
}

impl Work {
    /// Work that `run` does.
    #[must_use]
    pub fn new(run: impl FnOnce() -> RpcOutcome + Send + 'static) -> Self {
        Self(Box::new(run))
    }

    /// Does it.
    #[must_use]
    pub fn run(self) -> RpcOutcome {
        (self.0)()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

impl From<RpcOutcome> for RpcAnswer {
    fn from(outcome: RpcOutcome) -> Self {
        Self::Now(outcome)
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
        let mut metadata = agent.ddl().metadata.clone();
        // Nodes name the provider of agents that are programs only.
        if !matches!(&*metadata.provider, "external" | "ruby") {
            metadata.provider.clear();
        }
        Self { agent, metadata }
    }

    /// The same agent, said to take at most so many seconds.
    #[must_use]
    pub fn with_timeout(mut self, secs: u32) -> Self {
        self.metadata.timeout = secs;
        self
    }

    fn run(
        &self,
        body: &RpcRequest<'_>,
        request: &AgentRequest<'_>,
        host: &HostView<'_>,
    ) -> RpcAnswer {
        let Some(action) = self.agent.ddl().action(&body.action) else {
            let message = rpc::unknown_action(&body.action, &self.metadata.name);
            return RpcOutcome::failed(StatusCode::UnknownAction, message).into();
        };
        let id = CallId {
            agent: &self.metadata.name,
            action: &body.action,
            caller_id: request.caller_id,
        };
        let options = host.setup.options();
        if let Verdict::Deny(why) = options.authorise.decide(&id, host) {
            warn!(
                identity = host.identity, agent = id.agent, action = id.action, caller = id.caller_id, %why,
                "call denied"
            );
            return RpcOutcome::failed(StatusCode::Aborted, rpc::DENIED).into();
        }
        let inputs = match serde_json::from_str::<Inputs>(body.data) {
            Ok(inputs) => inputs,
            Err(error) => {
                let message = rpc::could_not_process(&error);
                return RpcOutcome::failed(StatusCode::InvalidData, message).into();
            }
        };
        let call = RpcCall {
            action: &body.action,
            inputs: &inputs,
            request,
        };
        if let Some(audit) = &options.audit {
            audit.record(&call, host.unix);
        }
        if let Err(errors) = action.validate(&inputs) {
            return self.agent.refuse_inputs(&errors).into();
        }
        self.agent.call(&call, host)
    }
}

impl<A: RpcAgent> Agent for Rpc<A> {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn handle<'r>(&self, request: &AgentRequest<'r>, host: &HostView<'_>) -> AgentReply<'r> {
        match RpcRequest::parse(request.body) {
            Ok(body) => {
                let answer = self.run(&body, request, host);
                let action = body.action;
                match answer {
                    RpcAnswer::Now(outcome) => AgentReply::Rpc { action, outcome },
                    RpcAnswer::Later(work) => AgentReply::Later { action, work },
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
pub(crate) fn refuse_inputs(errors: &[InputError]) -> RpcOutcome {
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
