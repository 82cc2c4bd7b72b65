//! What the routing core is told once, at its construction.

use std::sync::Arc;
use std::time::Duration;

use muster_wire::info::Info;
use muster_wire::limits::Limits;
use muster_wire::route_op::RouteLimits;

use crate::account::AccountConfig;
use crate::auth::Authenticator;

/// Whether a connection must speak TLS, and what `INFO` says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsOffer {
    /// Plain connections.
    #[default]
    Off,
    /// TLS after `INFO`; no certificate is asked of the client.
    Server,
    /// TLS after `INFO`; a certificate is asked for and verified if there is one. Who comes without is judged at login.
    Optional,
    /// TLS after `INFO`; the client must show a certificate.
    Mutual,
}

/// The same credentials for every client: the simplest [`Authenticator`].
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// One token.
    Token(Box<str>),
    /// One user with a password.
    User {
        /// The user's name.
        user: Box<str>,
        /// The password in clear text.
        password: Box<str>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(_) => formatter.write_str("Token(..)"),
            Self::User { user, .. } => write!(formatter, "User {{ user: {user:?}, .. }}"),
        }
    }
}

/// Bounds and delays of the routes to other brokers of the cluster. The defaults are nats-server's where it has the setting.
#[derive(Debug, Clone, Copy)]
pub struct RouteConfig {
    /// Whether routes speak TLS from their first byte on.
    pub tls: bool,
    /// Time from the start of the connection to the end of the TLS handshake.
    pub tls_timeout: Duration,
    /// Time from the start, or from the end of the TLS handshake, to the peer's `INFO`.
    pub auth_timeout: Duration,
    /// Time between keep-alives, which are sent whatever else is.
    pub ping_interval: Duration,
    /// Keep-alives that may stand unanswered.
    pub pings_out_max: u8,
    /// Bytes that may wait for a peer before its route is cut; 0 is four times that of a client. Below it a peer that reads slowly holds
    /// publishers back as a client does.
    pub pending_max: u64,
    /// Limits of the parser.
    pub limits: RouteLimits,
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            tls: false,
            tls_timeout: Duration::from_secs(2),
            auth_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(30),
            pings_out_max: 2,
            pending_max: 0,
            limits: RouteLimits::default(),
        }
    }
}

/// Every bound and every delay of the core. The defaults are nats-server's where it has the setting.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// What `INFO` says of this broker; the fields of one connection are filled in for each.
    pub info: Info,
    /// Limits of the parser.
    pub limits: Limits,
    /// Connections of clients, over all shards.
    pub connections_max: u64,
    /// Subscriptions of one connection; 0 is no limit.
    pub subscriptions_max: usize,
    /// Bytes that may wait for one connection before it is cut.
    pub pending_max: u64,
    /// Time between keep-alives.
    pub ping_interval: Duration,
    /// Keep-alives that may stand unanswered.
    pub pings_out_max: u8,
    /// Who decides about logins; `None` lets everyone in.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Accounts beside the default one.
    pub accounts: Vec<AccountConfig>,
    /// Time from accept, or from the end of the TLS handshake, to a valid `CONNECT` where logins are judged.
    pub auth_timeout: Duration,
    /// Whether connections speak TLS.
    pub tls: TlsOffer,
    /// Time from accept to the end of the TLS handshake.
    pub tls_timeout: Duration,
    /// Time in which a peer must take at least one byte of what waits for it.
    pub write_deadline: Duration,
    /// Deliveries of one shard in one turn. At some 0.15 µs each the default is 1.2 ms, which is how long a broadcast can hold up other connections.
    pub deliveries_a_turn: u32,
    /// How long a publisher is held at most when one of several receivers is behind.
    pub stall: Duration,
    /// Closed connections that monitoring can still show, over all shards.
    pub closed_kept: usize,
    /// Seed of every random choice and of the keyed hashes.
    pub seed: u64,
    /// The routes of a cluster.
    pub route: RouteConfig,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            info: Info::default(),
            limits: Limits::default(),
            connections_max: 65_536,
            subscriptions_max: 0,
            pending_max: 64 << 20,
            ping_interval: Duration::from_secs(120),
            pings_out_max: 2,
            authenticator: None,
            accounts: Vec::new(),
            auth_timeout: Duration::from_secs(2),
            tls: TlsOffer::Off,
            tls_timeout: Duration::from_secs(2),
            write_deadline: Duration::from_secs(10),
            deliveries_a_turn: 8192,
            stall: Duration::from_millis(10),
            closed_kept: 10_000,
            seed: 0,
            route: RouteConfig::default(),
        }
    }
}

impl CoreConfig {
    /// Bytes that may wait for a peer of the cluster.
    pub(crate) fn route_pending_max(&self) -> u64 {
        match self.route.pending_max {
            0 => self.pending_max.saturating_mul(4),
            max => max,
        }
    }

    /// Above this, publishers are held back.
    pub(crate) fn hold_above(&self) -> u64 {
        self.pending_max / 4 * 3
    }

    /// Below this, held publishers go on.
    pub(crate) fn release_below(&self) -> u64 {
        self.pending_max / 2
    }
}
