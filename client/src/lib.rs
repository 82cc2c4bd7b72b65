//! A lean NATS client core with a thin driver, and the fleet client on it.
//!
//! * [`nats`]: one client connection as a pure state machine.
//!   It does no I/O and reads no clock, so the same code runs on epoll, fifty thousand times in one process, and in a simulated network.
//!
//! * [`driver`]: the loop that gives sockets to such cores.
//! * [`resolve`]: where the brokers are, by configuration and DNS.
//! * [`provider`]: which files prove who a process is, for nodes and clients.
//! * [`signer`]: the service that signs a client's requests, over HTTP.
//! * [`download`]: one file over HTTP.
//! * [`fleet`]: discovery, requests, replies and summaries on one such connection.
//!
//! The crate keeps one rule between its modules: `nats` never imports the fleet client.

#![forbid(unsafe_code)]

pub mod download;
pub mod driver;
pub mod fleet;
mod moment;
pub mod nats;
pub mod provider;
pub mod resolve;
pub mod signer;

pub use moment::Moment;
