//! The running broker: shards of `broker-core` on `reactor`, one thread each, and what surrounds them.
//!
//! [`config`] checks what it is told, [`capacity`] decides how many shards this host needs, [`running`] starts and stops them,
//! `shard.rs` is the loop of one of them, [`monitor`] shows what goes on over HTTP. Protocol decisions are all in `broker-core`.

#![forbid(unsafe_code)]

pub mod auth;
pub mod capacity;
mod cluster;
pub mod config;
pub mod monitor;
pub mod running;
mod server_id;
mod settings;
mod shard;
mod tls;
mod watch;

pub use cluster::ClusterSetting;
pub use config::BrokerConfig;
pub use muster_broker_core::cluster::RouteUrl;
pub use running::{Broker, StartError};
pub use tls::{TlsPaths, TlsPathsError, TlsSetting};
pub use watch::TlsWatch;
