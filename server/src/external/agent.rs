//! The agents that are programs.
//!
//! A call is prepared on the node's thread, from verified and validated inputs, and carried out as [`Work`] on another.
//! The limit of a run is the DDL's timeout and [`START_UP`] on top, the time a program may need to get going.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::ddl::{Action, Ddl, InputError};
use muster_protocol::rpc::{self, StatusCode};
use tracing::error;

use super::call::{CallError, Run, run_external, run_shim};
use super::contract::{self, CALL_PROTOCOL};
use super::{ExternalOptions, Shim};
use crate::agent::{HostView, RpcAgent, RpcAnswer, RpcCall, RpcOutcome, Work, refuse_inputs};

/// What a run gets on top of the DDL's timeout.
pub const START_UP: Duration = Duration::from_millis(1500);
/// The timeout of a DDL that names none, as clients have it.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// An agent whose actions a program carries out.
#[derive(Debug)]
pub struct ProgramAgent {
    ddl: Arc<Ddl>,
    kind: Kind,
    options: Arc<ExternalOptions>,
}

/// How the program is spoken to.
#[derive(Debug, Clone)]
pub enum Kind {
    /// By files; the program is the agent.
    External(PathBuf),
    /// By its standard streams; the program runs the agent.
    Ruby(Shim),
}

impl ProgramAgent {
    /// An agent.
    #[must_use]
    pub fn new(ddl: Ddl, kind: Kind, options: Arc<ExternalOptions>) -> Self {
        Self {
            ddl: Arc::new(ddl),
            kind,
            options,
        }
    }

    fn time_max(&self) -> Duration {
        let timeout = match self.ddl.metadata.timeout {
            0 => TIMEOUT_DEFAULT,
            seconds => Duration::from_secs(seconds.into()),
        };
        timeout + START_UP
    }
}

impl RpcAgent for ProgramAgent {
    fn ddl(&self) -> &Ddl {
        &self.ddl
    }

    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer {
        let name = &self.ddl.metadata.name;
        if self.ddl.action(call.action).is_none() {
            let message = rpc::unknown_action(call.action, name);
            return RpcOutcome::failed(StatusCode::UnknownAction, message).into();
        }
        let request = match &self.kind {
            Kind::External(_) => contract::call_request(call),
            Kind::Ruby(_) => contract::shim_request(call),
        };
        let job = ProgramCall {
            ddl: Arc::clone(&self.ddl),
            action: call.action.to_owned(),
            kind: self.kind.clone(),
            request,
            facts: host.facts.json().to_owned(),
            time_max: self.time_max(),
            options: Arc::clone(&self.options),
        };
        RpcAnswer::Later(Work::new(move || job.carry_out()))
    }

    fn refuse_inputs(&self, errors: &[InputError]) -> RpcOutcome {
        match self.kind {
            // The servers of today check for external agents, and abort; `mcollectived` used the codes made for it.
            Kind::External(_) => {
                let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
                let message = format!("Validation failed: {}", texts.join("; "));
                RpcOutcome::failed(StatusCode::Aborted, message)
            }
            Kind::Ruby(_) => refuse_inputs(errors),
        }
    }
}

/// One call, with all it needs on another thread.
#[derive(Debug)]
struct ProgramCall {
    ddl: Arc<Ddl>,
    action: String,
    kind: Kind,
    request: Vec<u8>,
    facts: String,
    time_max: Duration,
    options: Arc<ExternalOptions>,
}

impl ProgramCall {
    fn carry_out(self) -> RpcOutcome {
        let agent = &self.ddl.metadata.name;
        let action = &self.action;
        self.run(agent).unwrap_or_else(|why| {
            let kind = match self.kind {
                Kind::External(_) => "external",
                Kind::Ruby(_) => "ruby",
            };
            error!(agent, action, %why, "call failed");
            let message = format!("Could not call {kind} agent {agent}#{action}: {why}");
            RpcOutcome::failed(StatusCode::Aborted, message)
        })
    }

    fn run(&self, agent: &str) -> Result<RpcOutcome, CallError> {
        let run = Run {
            agent,
            action: &self.action,
            request: &self.request,
            time_max: self.time_max,
        };
        let options = &self.options;
        let reply = match &self.kind {
            Kind::External(program) => {
                run_external(&run, program, CALL_PROTOCOL, &self.facts, options)?
            }
            Kind::Ruby(shim) => run_shim(&run, shim, options)?,
        };
        Ok(contract::parse_reply(&reply, self.action())?)
    }

    fn action(&self) -> &Action {
        let action = self.ddl.action(&self.action);
        action.expect("the call was made for an action of this ddl")
    }
}
