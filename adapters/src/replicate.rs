//! From stream to stream: a replicator copies what a durable consumer gives it, and holds back what has not changed.
//!
//! ```text
//!  source stream ─▶ pull consumer SR_<name> ─▶ limiter ─▶ publish, acknowledged ─▶ target stream
//!                        ▲                       │ held back      │ stored
//!                        └────── acknowledge ────┴────────────────┘
//! ```
//!
//! At least once: a message is acknowledged to the source after the target has it. Copies carry an id made of stream and
//! sequence, so that what is delivered again within the target's window of duplicates is not stored again.
//! The limiter works for fields, headers and subject tokens alike.

pub mod config;
mod copy;
mod figures;
mod run;

pub use self::config::{ReplicateConfig, StreamConfig};
pub use self::run::{ReplicatorError, Replicators};
