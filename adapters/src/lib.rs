//! The stream adapters: fleet messages are taken in, put into an envelope and handed to a durable sink.
//!
//! [`envelope`] makes the document, [`core`](mod@crate::core) decides on a message, both pure. [`daemon`] starts and stops what [`config`]
//! says: threads that ingest, a [`spill`] on disk where one is wanted, and workers with a [`sink`] each.
//! [`limiter`] holds back what has not changed; [`replicate`] copies from stream to stream.
//!
//! What an adapter promises: reading never stops, so a broker never cuts it; every message that came in is stored, waits,
//! or is counted with the reason it was dropped for; with a spill and a sink that answers, nothing that was taken is lost.
//! What it does not: order across workers, and any check of who sent a message.

#![forbid(unsafe_code)]

pub mod config;
pub mod core;
pub mod counters;
pub mod daemon;
pub mod envelope;
pub mod filter;
mod ingest;
pub mod item;
pub mod limiter;
mod link;
mod metrics;
pub mod replicate;
pub mod sink;
pub mod spill;
mod worker;

pub use config::{AdapterConfig, AdaptersConfig};
pub use daemon::{Accesses, Adapters, StartError};
pub use link::Access;
