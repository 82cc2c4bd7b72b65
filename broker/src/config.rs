//! What the broker is told, checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use muster_broker_core::config::CoreConfig;

use crate::tls::{TlsPaths, TlsSetting};

/// Everything a broker needs to start.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where monitoring is served over HTTP, if at all; port 0 takes a free one.
    pub monitor: Option<SocketAddr>,
    /// How many shards, if not as many as this host needs.
    pub shards: Option<u16>,
    /// TLS towards clients.
    pub tls: TlsSetting,
    /// The files `tls` was made of, for a [`crate::TlsWatch`].
    pub tls_paths: Option<TlsPaths>,
    /// The name in `INFO`; the id where none is given.
    pub server_name: Option<String>,
    /// What is in force of who may connect, a sentence each, for the log.
    pub rules: Vec<String>,
    /// Limits and delays. `info`, `tls` and `seed` are filled in at start.
    pub core: CoreConfig,
}

/// Connections the fleet's broker takes unless told otherwise.
pub const CONNECTIONS_MAX: u64 = 100_000;

/// The port of NATS clients.
pub const CLIENT_PORT: u16 = 4222;

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), CLIENT_PORT),
            monitor: None,
            shards: None,
            tls: TlsSetting::default(),
            tls_paths: None,
            server_name: None,
            rules: Vec::new(),
            core: CoreConfig {
                connections_max: CONNECTIONS_MAX,
                ..CoreConfig::default()
            },
        }
    }
}
