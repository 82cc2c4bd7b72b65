//! The federation broker: a stateless bridge between the network of clients and networks of nodes.
//!
//! ```text
//!   clients ─ federation network                          network of collective K ─ nodes
//!                 │ choria.federation.K.federation                │ C.broadcast.agent.A, C.node.I, …
//!                 └────▶ Side ── Bridge::request ──▶ Exchange ──▶ Side
//!                        Side ◀── Exchange ◀── Bridge::reply ── Side ◀── choria.federation.K.collective
//! ```
//!
//! Only headers of the transport are read and written; the secure document inside stays byte for byte, and no trust is
//! given to this process: requests and replies are signed end to end. Nothing is kept between messages, so any number
//! of instances share the work by queue groups, and one that is killed loses what it had in hand.
//!
//! [`bridge`] is the transform, [`exchange`] what waits between two sides, [`side`] a connection: all three pure.
//! [`config`] reads the fleet's files, [`daemon`] runs workers on threads, [`metrics`] shows what they did.

#![forbid(unsafe_code)]

pub mod bridge;
pub mod config;
pub mod daemon;
pub mod exchange;
pub mod metrics;
pub mod side;

pub use bridge::{Bridge, Refusal, Request};
pub use config::{FederationConfig, FederationSettings};
pub use daemon::Federation;
