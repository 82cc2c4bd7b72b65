//! The fleet messages: transport, secure request and reply, request, reply, filters, RPC bodies, signing.
//!
//! Everything here turns bytes into values and back. Nothing opens, waits, reads a clock or draws randomness.
//! Bytes from the network never panic, and inner documents are verified over the exact bytes received: a parser keeps
//! them verbatim, nothing is re-serialised before a check.
//!
//! The layers, outside in: [`transport`] (routing, unsigned), [`secure_request`] or [`secure_reply`] (signature or hash),
//! [`request`] or [`reply`] (envelope), and the agent's own body ([`rpc`]).
//! Beside requests and replies there are [`registration`] bodies and [`lifecycle`] events.
//! Each layer is one type for both versions of the protocol; [`version`] says how they differ.
#![forbid(unsafe_code)]

pub mod base64;
pub mod caller;
pub mod ddl;
pub mod expr;
pub mod filter;
pub mod json;
pub mod ksuid;
pub mod lifecycle;
pub mod registration;
pub mod reply;
pub mod request;
pub mod request_id;
pub mod rfc3339;
pub mod rpc;
pub mod secure_reply;
pub mod secure_request;
pub mod security;
pub mod subject;
pub mod transport;
pub mod version;

mod scratch;

pub use crate::scratch::Scratch;
