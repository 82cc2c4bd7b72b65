//! The routing core of the broker: who wants what, and the way of every byte from one connection to the others.
//!
//! Pure: bytes, events and `now` come in; bytes to write, connections to close, timers and shards to wake come out.
//! It opens nothing, reads no clock and starts no thread; time is a [`std::time::Duration`] since any fixed start.
//! Some of its state is shared by the shards' threads and holds short locks.
//! The order is: a stripe of the routes, then a sublist's lock, then one slot's; never two slots', never the other way round.
//! The cluster's lock is held alone.
//!
//! Reading order: [`config`], [`broker`], [`sublist`], [`table`], [`shard`]; [`inbox`] is how shards speak to each other,
//! [`cluster`] how brokers find each other.

#![forbid(unsafe_code)]

pub mod account;
pub mod auth;
pub mod broker;
pub mod close;
pub mod cluster;
pub mod config;
mod conn;
pub mod counters;
pub mod ids;
pub mod inbox;
pub mod outbound;
pub mod pattern;
pub mod permissions;
mod route;
mod routes;
pub mod shard;
mod slab;
mod stamp;
pub mod sublist;
mod subs;
mod sync;
pub mod table;
