//! The way of one node from nothing to its configuration.
//!
//! ```text
//!  [jwt] ─▶ [gen25519] ─▶ inventory ─▶ [gencsr] ─▶ helper ─┬─▶ [release_update] ─▶ over: upgraded
//!                                                          ├─▶ configure ─▶ restart ─▶ over: provisioned
//!                                                          ├─▶ shutdown ─▶ over: shut down
//!                                                          └─▶ over: deferred
//! ```
//!
//! Steps in brackets are those of features. Each call has its tries, with waits of the fleet's five-second table between
//! them; an error reply is a failed try. What the helper gives is only sent when everything before was good.
//!
//! It sends nothing and runs nothing: [`Host::poll`] says what is to be done next, the `handle_*` functions are told what
//! came of it. Randomness that must not be guessed comes from [`Entropy`], jitter from the seed.

mod error;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_client::Moment;
use muster_client::nats::Backoff;
use muster_protocol::ddl::Inputs;
use muster_protocol::rpc::RpcReply;
use muster_protocol::security::tokens::{IssuerKey, ProvisioningToken, PublicKey};
use serde_json::Value;

pub use self::error::{FlowError, Outcome};
use crate::call::{Action, CALL_TIME, Call, CallFailure};
use crate::config::{Features, Upgrades};
use crate::csr::{DenyList, check_csr};
use crate::helper::{Decision, HelperError, HelperInput, Setup};
use crate::key_delivery::{SealSeed, decode_hex, encode_hex, seal_key};
use crate::queue::Identity;
use crate::secret::Secret;
use crate::server_token::ServerIssuer;

/// Random bytes nobody can guess; in simulations, bytes of a seed.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills a buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// What all nodes go through alike.
#[derive(Debug)]
pub struct Flow {
    /// Which steps there are.
    pub features: Features,
    /// What nodes want to see.
    pub token: Option<Secret>,
    /// Names nobody gets a certificate for.
    pub deny: DenyList,
    /// Who signs provisioning tokens; needed with feature `jwt`.
    pub jwt_key: Option<IssuerKey>,
    /// Who signs server tokens; needed with feature `ed25519`.
    pub issuer: Option<ServerIssuer>,
    /// Where other versions are; needed with feature `upgrades`.
    pub upgrades: Option<Upgrades>,
    /// Keys and nonces are made of it.
    pub entropy: Arc<dyn Entropy>,
    /// The waits between tries.
    pub backoff: Backoff,
}

/// What is to be done next for a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Call it, then [`Host::handle_reply`] or [`Host::handle_failure`].
    Call(Call),
    /// Run the helper with this input, then [`Host::handle_helper`].
    Helper(Vec<u8>),
    /// Nothing before this moment.
    Wait(Duration),
    /// What was asked for is under way.
    Pending,
    /// It is over.
    Done(Outcome),
}

/// One node on its way.
#[derive(Debug)]
pub struct Host {
    identity: Identity,
    flow: Arc<Flow>,
    rng: Rng,
    state: State,
    found: Found,
    setup: Box<Setup>,
}

#[derive(Debug)]
enum State {
    /// Call this, for the time after so many failed ones.
    Call {
        action: Action,
        failed: u32,
    },
    /// Wait, then call again.
    Pause {
        action: Action,
        failed: u32,
        until: Duration,
    },
    Calling {
        action: Action,
        failed: u32,
    },
    Ask,
    Asking,
    Over(Outcome),
}

/// What is known of the node so far.
#[derive(Debug, Default)]
struct Found {
    nonce: String,
    claims: Option<Value>,
    ecdh_public: String,
    ed25519: Option<Value>,
    inventory: String,
    version: String,
    cannot_upgrade: bool,
    csr: Option<Value>,
}

impl Host {
    /// A node at the beginning of its way.
    #[must_use]
    pub fn new(identity: Identity, flow: Arc<Flow>, seed: u64) -> Self {
        let action = if flow.features.jwt {
            Action::Jwt
        } else {
            Action::Inventory
        };
        Self {
            identity,
            flow,
            rng: Rng::with_seed(seed),
            state: State::Call { action, failed: 0 },
            found: Found::default(),
            setup: Box::default(),
        }
    }

    /// The node's name.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What is to be done next.
    pub fn poll(&mut self, at: Moment) -> Step {
        match &self.state {
            State::Call { action, failed } => {
                let (action, failed) = (*action, *failed);
                match self.call(action, at) {
                    Ok(call) => {
                        self.state = State::Calling { action, failed };
                        Step::Call(call)
                    }
                    Err(error) => self.end(Outcome::Failed(error)),
                }
            }
            State::Pause {
                action,
                failed,
                until,
            } => {
                if at.now < *until {
                    return Step::Wait(*until);
                }
                self.state = State::Call {
                    action: *action,
                    failed: *failed,
                };
                self.poll(at)
            }
            State::Ask => {
                self.state = State::Asking;
                Step::Helper(self.helper_input())
            }
            State::Calling { .. } | State::Asking => Step::Pending,
            State::Over(outcome) => Step::Done(outcome.clone()),
        }
    }

    /// Gives the node up.
    pub fn abort(&mut self, error: FlowError) {
        self.state = State::Over(Outcome::Failed(error));
    }

    /// The reply to the call that is under way. A reply that tells of a failure is one.
    pub fn handle_reply(&mut self, reply: &RpcReply<'_>, at: Moment) {
        let State::Calling { action, .. } = self.state else {
            return;
        };
        if let Some(failure) = CallFailure::of_reply(reply) {
            return self.handle_failure(failure, at);
        }
        let data = serde_json::from_str(reply.data);
        let Ok(Value::Object(data)) = data else {
            let why = "its data is no object".to_owned();
            return self.handle_failure(CallFailure::Malformed(why), at);
        };
        match self.take(action, data, at) {
            Ok(state) => self.state = state,
            Err(FlowError::Call { failure, .. }) => self.handle_failure(failure, at),
            Err(error) => self.state = State::Over(Outcome::Failed(error)),
        }
    }

    /// The call that is under way came to nothing.
    pub fn handle_failure(&mut self, failure: CallFailure, at: Moment) {
        let State::Calling { action, failed } = self.state else {
            return;
        };
        let failed = failed + 1;
        if failed < action.tries() {
            // As in the field, the first wait is the table's second.
            let wait = self.flow.backoff.delay(failed, &mut self.rng);
            self.state = State::Pause {
                action,
                failed,
                until: at.now + wait,
            };
            return;
        }
        if action == Action::ReleaseUpdate && self.upgrade_is_optional() {
            self.state = Self::next(Action::Configure);
            return;
        }
        self.state = State::Over(Outcome::Failed(FlowError::Call {
            action,
            tries: failed,
            failure,
        }));
    }

    /// What the helper decided.
    pub fn handle_helper(&mut self, decision: Result<Decision, HelperError>) {
        if !matches!(self.state, State::Asking) {
            return;
        }
        self.state = match decision {
            Err(error) => State::Over(Outcome::Failed(FlowError::Helper(error))),
            Ok(Decision::Defer(message)) => {
                State::Over(Outcome::Failed(FlowError::Deferred(message)))
            }
            Ok(Decision::Shutdown) => Self::next(Action::Shutdown),
            Ok(Decision::Configure(setup)) => {
                self.setup = setup;
                self.after_helper()
            }
        };
    }

    fn after_helper(&self) -> State {
        let wanted = &self.setup.upgrade;
        if self.flow.upgrades.is_none() || wanted.is_empty() || *wanted == self.found.version {
            return Self::next(Action::Configure);
        }
        if !self.found.cannot_upgrade {
            return Self::next(Action::ReleaseUpdate);
        }
        if self.upgrade_is_optional() {
            return Self::next(Action::Configure);
        }
        State::Over(Outcome::Failed(FlowError::NotUpgradable {
            version: self.found.version.clone(),
        }))
    }

    fn upgrade_is_optional(&self) -> bool {
        let upgrades = self.flow.upgrades.as_ref();
        upgrades.is_some_and(|upgrades| upgrades.is_optional)
    }

    fn end(&mut self, outcome: Outcome) -> Step {
        self.state = State::Over(outcome.clone());
        Step::Done(outcome)
    }

    const fn next(action: Action) -> State {
        State::Call { action, failed: 0 }
    }

    /// The state after a good reply.
    fn take(&mut self, action: Action, data: Inputs, at: Moment) -> Result<State, FlowError> {
        let features = self.flow.features;
        Ok(match action {
            Action::Jwt => {
                self.take_jwt(&data, at)?;
                Self::next(if features.ed25519 {
                    Action::Gen25519
                } else {
                    Action::Inventory
                })
            }
            Action::Gen25519 => {
                self.take_ed25519(data)?;
                Self::next(Action::Inventory)
            }
            Action::Inventory => {
                let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
                self.found.version = text("version").to_owned();
                self.found.cannot_upgrade = data.get("upgradable") == Some(&Value::Bool(false));
                self.found.inventory = Value::Object(data).to_string();
                if features.pki {
                    Self::next(Action::Gencsr)
                } else {
                    State::Ask
                }
            }
            Action::Gencsr => {
                let csr = needed(&data, "csr", action)?;
                check_csr(csr, &self.identity, &self.flow.deny).map_err(FlowError::Csr)?;
                needed(&data, "ssldir", action)?;
                self.found.csr = Some(Value::Object(data));
                State::Ask
            }
            Action::ReleaseUpdate => State::Over(Outcome::Upgraded {
                from: self.found.version.clone(),
                to: self.setup.upgrade.clone(),
            }),
            Action::Configure => Self::next(Action::Restart),
            Action::Restart => State::Over(Outcome::Provisioned),
            Action::Shutdown => State::Over(Outcome::ShutDown),
        })
    }

    fn take_jwt(&mut self, data: &Inputs, at: Moment) -> Result<(), FlowError> {
        let text = needed(data, "jwt", Action::Jwt)?;
        let token = ProvisioningToken::parse(text).map_err(FlowError::Jwt)?;
        let key = self.flow.jwt_key.as_ref().ok_or(FlowError::NoJwtKey)?;
        token
            .verify(key, at.unix.as_secs())
            .map_err(FlowError::Jwt)?;
        self.found.claims = serde_json::to_value(&token.claims).ok();
        let public = data.get("ecdh_public").and_then(Value::as_str);
        self.found.ecdh_public = public.unwrap_or_default().to_owned();
        Ok(())
    }

    fn take_ed25519(&mut self, data: Inputs) -> Result<(), FlowError> {
        let public = needed(&data, "public_key", Action::Gen25519)?;
        let signature = needed(&data, "signature", Action::Gen25519)?;
        let key = PublicKey::from_hex(public).ok();
        let signature = decode_hex::<64>(signature);
        let is_good = key
            .zip(signature)
            .is_some_and(|(key, signature)| key.verify(self.found.nonce.as_bytes(), &signature));
        if !is_good {
            return Err(FlowError::NotItsKey);
        }
        self.found.ed25519 = Some(Value::Object(data));
        Ok(())
    }

    fn helper_input(&self) -> Vec<u8> {
        HelperInput {
            identity: &self.identity,
            csr: self.found.csr.as_ref(),
            ed25519: self.found.ed25519.as_ref(),
            inventory: &self.found.inventory,
            jwt: self.found.claims.as_ref(),
        }
        .encode()
    }

    fn call(&mut self, action: Action, at: Moment) -> Result<Call, FlowError> {
        let mut inputs = Inputs::new();
        if action.agent() == crate::call::AGENT {
            // A node without a secret takes any; the description wants one.
            let token = self.flow.token.as_ref().map_or("none", Secret::expose);
            inputs.insert("token".to_owned(), token.into());
        }
        match action {
            Action::Jwt | Action::Inventory | Action::Shutdown => {}
            Action::Gen25519 => {
                // A new one each time: a signature seen before proves nothing.
                self.found.nonce = encode_hex(&self.random::<16>());
                inputs.insert("nonce".to_owned(), self.found.nonce.as_str().into());
            }
            Action::Gencsr => {
                inputs.insert("cn".to_owned(), (*self.identity).into());
            }
            Action::ReleaseUpdate => {
                let repository = self.flow.upgrades.as_ref().map(|u| u.repository.as_str());
                inputs.insert("repository".to_owned(), repository.into());
                inputs.insert("version".to_owned(), self.setup.upgrade.as_str().into());
            }
            Action::Configure => self.add_configuration(&mut inputs, at)?,
            Action::Restart => {
                inputs.insert("splay".to_owned(), 1.into());
            }
        }
        let call = Call {
            action,
            inputs,
            time: CALL_TIME,
        };
        match call.problem() {
            None => Ok(call),
            Some(problem) => Err(FlowError::Inputs { action, problem }),
        }
    }

    fn add_configuration(&self, inputs: &mut Inputs, at: Moment) -> Result<(), FlowError> {
        let setup = &self.setup;
        let mut put = |key: &str, text: &str| {
            if !text.is_empty() {
                inputs.insert(key.to_owned(), text.into());
            }
        };
        put("config", &json_object(&setup.configuration));
        put("certificate", &setup.certificate);
        put("ca", &setup.ca);
        put("ssldir", self.ssldir());
        if let Some(key) = &setup.key {
            let seed = SealSeed {
                private: self.random(),
                iv: self.random(),
            };
            let sealed = seal_key(key, &self.found.ecdh_public, &seed).map_err(FlowError::Key)?;
            put("key", &sealed.key);
            put("ecdh_public", &sealed.ecdh_public);
        }
        if let (Some(issuer), Some(key)) = (&self.flow.issuer, &self.found.ed25519) {
            let public = key["public_key"].as_str().unwrap_or_default();
            let token = issuer
                .sign(&self.identity, public, setup, at.unix, self.random())
                .map_err(FlowError::ServerToken)?;
            put("server_jwt", &token);
        }
        for (key, policies) in [
            ("action_policies", &setup.action_policies),
            ("opa_policies", &setup.opa_policies),
        ] {
            if !policies.is_empty() {
                let policies = policies.iter().map(|(k, v)| (k.clone(), v.as_str().into()));
                inputs.insert(key.to_owned(), Value::Object(policies.collect()));
            }
        }
        Ok(())
    }

    /// Where the node's files go: where its request was made, else where the helper says, else beside its ed25519 key.
    fn ssldir(&self) -> &str {
        let csr_dir = self
            .found
            .csr
            .as_ref()
            .and_then(|csr| csr["ssldir"].as_str());
        let own_dir = self.found.ed25519.as_ref();
        let own_dir = own_dir.and_then(|key| key["directory"].as_str());
        let helpers = Some(&*self.setup.ssldir).filter(|dir| !dir.is_empty());
        csr_dir
            .filter(|dir| !dir.is_empty())
            .or(helpers)
            .or(own_dir)
            .unwrap_or_default()
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.flow.entropy.fill(&mut bytes);
        bytes
    }
}

/// An output that must be there and be a text.
fn needed<'d>(data: &'d Inputs, key: &str, action: Action) -> Result<&'d str, FlowError> {
    let text = data.get(key).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| FlowError::Call {
            action,
            tries: 0,
            failure: CallFailure::Malformed(format!("it has no {key}")),
        })
}

fn json_object(texts: &std::collections::BTreeMap<String, String>) -> String {
    serde_json::to_string(texts).unwrap_or_default()
}

#[cfg(test)]
mod tests;
