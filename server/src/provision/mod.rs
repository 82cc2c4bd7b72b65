//! Provisioning mode: what a node does that has no configuration yet, and how it gets one.
//!
//! ```text
//! no configuration ──▶ mode on ──gencsr, configure──▶ files written ──restart──▶ configured node
//!        ▲                                                                             │
//!        └───────────────── reprovision, file removed, token expired ──────────────────┘
//! ```
//!
//! * [`BuildSettings`]: what was compiled in, and what a provisioning token puts in its place.
//! * [`decide`]: whether the mode is on. There is no switch while a node runs; the mode ends by a restart.
//! * [`TargetResolver`]: where the provisioning brokers are.
//! * [`node_config`]: the configuration of a node in the mode.
//! * [`ProvisionAgent`]: the agent `choria_provision`, with which a provisioner does its work.
//!
//! The private keys made here never leave the node, and the secret that guards the agent is in no log and no reply.
//! Facts: section 5 of the systems' fact sheet.

mod actions;
mod agent;
mod build;
mod config;
mod configure;
mod files;
mod gate;
mod host;
mod keys;
mod mode;
mod names;
mod resolver;
mod update;

pub use self::agent::{ProvisionAgent, ProvisionOptions, provision_agent};
pub use self::build::{BuildError, BuildSettings};
pub use self::config::{ConfigCheck, ModeSources, node_config, server_token};
pub use self::configure::Configure;
pub use self::gate::{ProvisionLock, Refusal, Standing};
pub use self::host::{HostCall, HostCalls, Leaving};
pub use self::mode::{ConfigFile, Mode, ModeFacts, Reason, ServerToken, decide};
pub use self::names::{AGENT, COLLECTIVE, COMPONENT, REGISTRATION_SUBJECT};
pub use self::resolver::{BuildResolver, ResolverError, TargetResolver};
pub use self::update::Manifest;

#[cfg(test)]
mod tests;
