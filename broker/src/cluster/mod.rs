//! The sockets of a cluster: what is configured, the threads that name and time its dials, and its part of a shard's loop.
//!
//! Who is a peer and whom to dial is decided by `broker_core::cluster`. One thread of the main descriptor table carries that out
//! (`director.rs`), a second one looks names up, and the shards dial, accept and serve the routes like any connection (`work.rs`).

mod director;
mod setting;
mod work;

pub use setting::ClusterSetting;

pub(crate) use director::Director;
pub(crate) use work::{DIAL_BASE, DIAL_MAX, Dials, RouteWork, WorkQueue};
