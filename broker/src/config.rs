//! What the broker is told, checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use muster_broker_core::config::CoreConfig;

use crate::cluster::ClusterSetting;
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
    /// The cluster the broker is in, if any.
    pub cluster: Option<ClusterSetting>,
    /// Limits and delays. `info`, `tls` and `seed` are filled in at start.
    pub core: CoreConfig,
}

/// Connections the fleet's broker takes unless told otherwise. The environment variable `MUSTER_MAX_CONNECTIONS` of the build
/// says another number; what is no number stops the build.
pub const CONNECTIONS_MAX: u64 = connections_max(option_env!("MUSTER_MAX_CONNECTIONS"));

const fn connections_max(build: Option<&str>) -> u64 {
    let Some(text) = build else { return 100_000 };
    match u64::from_str_radix(text, 10) {
        Ok(connections @ 1..=10_000_000) => connections,
        _ => panic!("MUSTER_MAX_CONNECTIONS must be a number from 1 to 10,000,000"),
    }
}

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
            cluster: None,
            core: CoreConfig {
                connections_max: CONNECTIONS_MAX,
                ..CoreConfig::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_may_say_how_many_connections_there_are() {
        assert_eq!(connections_max(None), 100_000);
        assert_eq!(connections_max(Some("250000")), 250_000);
    }
}
