//! Whole fleets on the pure cores, in virtual time, from a seed.
//!
//! A [`World`] is one broker of several shards, stepped one after another on one thread, and any number of stations connected to it through
//! [links](muster_testkit::Link) that delay, cut bytes anywhere, fill up, part and break. There are no sockets, no threads and no clocks;
//! With [`WorldConfig::members`] it is a cluster of brokers, with routes over links of the same kind.
//! The same seed gives the same run, which [`World::trace`] proves.
//!
//! What plays the loops here ([`World`] for the shards' loop, for the client's driver) takes no decision of the protocol: it does what
//! `broker` and `client::driver` do, in smaller steps and with more unlucky timing. TLS and signatures stay outside.
//!
//! The scenarios are in `tests/scenarios`. `MUSTER_SIM_SEEDS` sets how many seeds each runs, `MUSTER_SIM_SEED` repeats one.

#![forbid(unsafe_code)]

mod check;
mod cluster;
mod endpoint;
mod fleet;
mod net;
mod raw;
mod script;
mod shard;
mod station;
mod world;

pub use cluster::MemberConfig;
pub use endpoint::{Peer, StationId};
pub use fleet::{all_nodes, ask, discover, node_name};
pub use raw::{Heard, Raw, Word};
pub use world::{World, WorldConfig};
