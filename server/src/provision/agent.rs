//! The agent `choria_provision`: gives a node its keys, certificate and configuration, and restarts it.
//!
//! | action | in the mode | configured, with a token |
//! |---|---|---|
//! | `gencsr`, `gen25519`, `jwt`, `configure` | yes | no |
//! | `release_update` | where it is allowed | no |
//! | `reprovision` | no | yes |
//! | `restart`, `shutdown` | yes | yes |
//!
//! A call passes, in this order: whether the action makes sense for the node, the token, the lock. What is decided here
//! is decided at once; what touches disk is [`Work`], and one call at a time does it.
//!
//! An emulated node needs no daemon: [`provision_agent`] with [`ProvisionOptions`] that name a folder of the node's own
//! makes the agent, an [`AgentSet`](crate::AgentSet) takes it, and a [`Node`](crate::Node) in the collective
//! [`COLLECTIVE`](super::COLLECTIVE) runs it. Jobs of the node must be carried out by somebody
//! ([`WorkerPool`](crate::pool::WorkerPool)), and the calls in [`HostCalls`] heeded or dropped. Where thousands of nodes
//! make RSA keys on a few cores, those who emulate may rather register an agent of their own with the same name that
//! answers with keys made before.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_protocol::ddl::{Ddl, InputError, Inputs};
use muster_protocol::rfc3339::rfc3339_utc;
use muster_protocol::rpc::StatusCode;
use parking_lot::Mutex;
use tracing::warn;

use super::actions::Outcome;
use super::config::ConfigCheck;
use super::configure::Author;
use super::gate::{ProvisionLock, Refusal, Standing, is_locked, is_token};
use super::host::HostCalls;
use super::keys::Exchange;
use super::names::AGENT;
use crate::agent::{HostView, Rpc, RpcAgent, RpcAnswer, RpcCall, RpcOutcome, Work};

/// What the agent goes by.
#[derive(Debug)]
pub struct ProvisionOptions {
    /// Whether the node waits for a provisioner.
    pub in_mode: bool,
    /// The configuration file; keys, tokens and policies go beside it. Empty where there is none to write.
    pub config_file: PathBuf,
    /// The provisioning token.
    pub jwt_file: PathBuf,
    /// The program that a release takes the place of.
    pub program: PathBuf,
    /// Reads configurations as the node does.
    pub check: ConfigCheck,
    /// Settings of the running configuration, some of which outlive a return to provisioning.
    pub kept: BTreeMap<String, String>,
    /// Where the process around the node is asked to do something.
    pub calls: HostCalls,
    /// What random waits are drawn from.
    pub seed: u64,
}

/// What calls share.
pub(super) struct Shared {
    pub(super) options: ProvisionOptions,
    pub(super) exchange: Mutex<Option<Exchange>>,
    pub(super) rng: Mutex<Rng>,
    pub(super) is_leaving: Mutex<bool>,
    lock: Mutex<ProvisionLock>,
    /// Held by the call that is carried out.
    turn: Mutex<()>,
}

/// The actions of the agent.
pub struct ProvisionAgent {
    ddl: &'static Ddl,
    shared: Arc<Shared>,
}

/// The agent.
#[must_use]
pub fn provision_agent(options: ProvisionOptions) -> Rpc<ProvisionAgent> {
    Rpc::new(ProvisionAgent {
        ddl: Ddl::builtin(AGENT).expect("choria_provision has a builtin ddl"),
        shared: Arc::new(Shared::new(options)),
    })
}

impl Shared {
    pub(super) fn new(options: ProvisionOptions) -> Self {
        Self {
            rng: Mutex::new(Rng::with_seed(options.seed)),
            options,
            exchange: Mutex::default(),
            is_leaving: Mutex::default(),
            lock: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    fn standing(&self) -> Standing {
        let options = &self.options;
        Standing {
            in_mode: options.in_mode,
            has_token: !options.check.build.token.is_empty(),
            has_config_file: !options.config_file.as_os_str().is_empty(),
            may_update: options.check.build.allow_update,
        }
    }

    fn admit(&self, call: &RpcCall<'_>, now: Duration) -> Result<(), Refusal> {
        self.standing().admit(call.action)?;
        if !is_token(&self.options.check.build.token, call.text("token")) {
            return Err(Refusal::WrongToken);
        }
        let request = call.request;
        let is_free = !is_locked(call.action)
            || self
                .lock
                .lock()
                .take(request.sender_id, request.caller_id, now);
        is_free.then_some(()).ok_or(Refusal::Locked)
    }

    pub(super) fn run(&self, action: &str, inputs: &Inputs, author: &Author) -> Outcome {
        let _turn = self.turn.lock();
        match action {
            "gencsr" => self.gencsr(inputs),
            "gen25519" => self.gen25519(inputs),
            "jwt" => self.jwt(),
            "configure" => self.configure(inputs, author),
            "reprovision" => self.reprovision(author),
            "restart" => self.restart(inputs, author),
            "shutdown" => self.shutdown(author),
            "release_update" => self.release_update(inputs),
            // The DDL and this table are of one making; a test calls every action of the DDL.
            _ => Err("the action is not known".to_owned()),
        }
    }
}

fn outcome(result: Outcome) -> RpcOutcome {
    match result {
        Ok(data) => RpcOutcome::ok(data),
        Err(why) => RpcOutcome::failed(StatusCode::Aborted, why),
    }
}

impl RpcAgent for ProvisionAgent {
    fn ddl(&self) -> &Ddl {
        self.ddl
    }

    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer {
        let request = call.request;
        if let Err(refusal) = self.shared.admit(call, host.unix) {
            // Neither token nor inputs: this line is for the operator who wonders who tries.
            warn!(
                action = call.action, caller = request.caller_id, sender = request.sender_id,
                request = request.request_id, %refusal, "provisioning refused"
            );
            return outcome(Err(refusal.to_string())).into();
        }
        let author = Author {
            request_id: request.request_id.to_owned(),
            caller_id: request.caller_id.to_owned(),
            sender_id: request.sender_id.to_owned(),
            time: rfc3339_utc(Duration::from_secs(host.unix.as_secs())),
        };
        let shared = Arc::clone(&self.shared);
        let action = call.action.to_owned();
        let mut inputs = call.inputs.clone();
        inputs.remove("token");
        RpcAnswer::Later(Work::new(move || {
            outcome(shared.run(&action, &inputs, &author))
        }))
    }

    /// Names the inputs and not their values: a token may be among them.
    fn refuse_inputs(&self, errors: &[InputError]) -> RpcOutcome {
        let plain = crate::agent::refuse_inputs(errors);
        let names: Vec<_> = errors.iter().map(InputError::input).collect();
        RpcOutcome {
            message: format!(
                "inputs are missing or not as described: {}",
                names.join(", ")
            )
            .into(),
            ..plain
        }
    }
}

impl fmt::Debug for ProvisionAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisionAgent")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
