//! The cluster as a broker is told of it, checked.

use std::net::SocketAddr;

use muster_broker_core::cluster::{ClusterConfig, RouteUrl};

/// The cluster a broker is to be in.
#[derive(Debug, Clone)]
pub struct ClusterSetting {
    /// Where peers dial; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether routes speak TLS, with the broker's own certificate on both ends. Needs TLS with a CA.
    pub tls: bool,
    /// Where clients reach this broker, `host:port`, if not at the address it listens on.
    pub client_advertise: Option<RouteUrl>,
    /// Where SRV records of the peers are looked for; those go before the configured ones.
    pub srv_domain: Option<String>,
    /// Listen for peers even where none is known.
    pub listens: bool,
    /// The rest. `listen`, `tls` and `connect_urls` are filled in at start.
    pub core: ClusterConfig,
}

impl ClusterSetting {
    /// The port of routes.
    pub const PORT: u16 = 5222;

    /// A cluster of this name whose brokers listen here, with routes in clear and no peers yet.
    #[must_use]
    pub fn new(name: &str, listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: false,
            client_advertise: None,
            srv_domain: None,
            listens: true,
            core: ClusterConfig {
                name: name.into(),
                ..ClusterConfig::default()
            },
        }
    }

    /// The same with these peers to dial for ever.
    #[must_use]
    pub fn with_routes(mut self, routes: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.core.routes = routes.into_iter().map(RouteUrl::from).collect();
        self
    }

    /// The SRV name of the peers, where one is to be asked for.
    #[must_use]
    pub fn srv_name(&self) -> Option<String> {
        let domain = self.srv_domain.as_ref()?;
        Some(format!("_mcollective-broker._tcp.{domain}"))
    }

    /// The same with the peers that DNS knows, if it knows any. None where that leaves nobody to be in a cluster with.
    #[must_use]
    pub fn with_found(mut self, found: Vec<RouteUrl>) -> Option<Self> {
        if !found.is_empty() {
            self.core.routes = found;
        }
        (self.listens || !self.core.routes.is_empty()).then_some(self)
    }

    /// As the core is told once both listeners stand.
    pub(crate) fn core_config(
        &self,
        peers: SocketAddr,
        clients: SocketAddr,
        identity: Option<&str>,
    ) -> ClusterConfig {
        let own = self.client_advertise.clone().or_else(|| {
            if !clients.ip().is_unspecified() {
                return Some(RouteUrl::from(clients));
            }
            // An address of all interfaces tells nobody where to connect; the broker's name does.
            identity.map(|identity| RouteUrl::new(identity, clients.port()))
        });
        ClusterConfig {
            listen: RouteUrl::from(peers),
            tls: self.tls,
            connect_urls: own.iter().map(ToString::to_string).collect(),
            ..self.core.clone()
        }
    }
}
