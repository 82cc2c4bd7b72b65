//! The provisioner: nodes without configuration are found, given one by the site's helper, and restarted into service.
//!
//! What decides is pure: the queue of nodes, the flow of one node, the requests over one connection, the choice of a
//! leader. Around it stand one connection, a pool of threads that run helpers, and a page of metrics.
//!
//! The invariants: a node is in work once at a time and is not taken again while it restarts; its private key is never
//! asked for; tokens, passwords and keys are in no log and no error.
//!
//! Facts for operators: `docs/provisioning.md`.

#![forbid(unsafe_code)]

pub mod call;
pub mod config;
pub mod core;
pub mod csr;
pub mod daemon;
pub mod election;
pub mod helper;
pub mod host;
pub mod key_delivery;
pub mod metrics;
pub mod queue;
pub mod rpc;
mod secret;
pub mod server_token;

pub use secret::Secret;
