//! What all cores of a process share: servers, credentials, times and bounds.
//!
//! One [`ClientConfig`] in an `Arc` serves every core, so that fifty thousand of them hold one copy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::addr::ServerAddr;
use super::backoff::Backoff;

/// Whether the connection is upgraded to TLS after the server's INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never; a server that requires TLS is refused.
    Off,
    /// Always; a server that offers none is refused, and nothing but its INFO is read in clear.
    Required,
    /// When the server requires it. Whoever sits on the path can take TLS away: for trusted networks only.
    IfServerWants,
}

/// Proves to a server who we are: a token, and the signature of its holder over the server's nonce.
pub trait NonceSigner: fmt::Debug + Send + Sync {
    /// The token.
    fn token(&self) -> &str;

    /// The signature over the nonce, as CONNECT carries it.
    fn sign_nonce(&self, nonce: &str) -> String;
}

/// What CONNECT says; `verbose` and `pedantic` are always off, `protocol` is 1.
#[derive(Clone)]
pub struct ConnectOptions {
    /// User name for password authentication.
    pub user: Option<Box<str>>,
    /// Password for `user`.
    pub pass: Option<Box<str>>,
    /// Token authentication.
    pub token: Option<Box<str>>,
    /// Signed token authentication; goes before `token`.
    pub signer: Option<Arc<dyn NonceSigner>>,
    /// Whether this connection's messages come back to its own subscriptions.
    pub echo: bool,
    /// Whether messages with headers are understood.
    pub headers: bool,
    /// Whether a request nobody listens for is answered with a 503; needs `headers`.
    pub no_responders: bool,
    /// The client's language, shown in the broker's monitoring.
    pub lang: Box<str>,
    /// The client's version, shown in the broker's monitoring.
    pub version: Box<str>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            user: None,
            pass: None,
            token: None,
            signer: None,
            echo: true,
            headers: true,
            no_responders: true,
            lang: "rust".into(),
            version: concat!("muster-", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// Leaves the password and the token out.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("user", &self.user)
            .field("pass", &self.pass.as_ref().map(|_| "***"))
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("signer", &self.signer.as_ref().map(|_| "***"))
            .field("echo", &self.echo)
            .field("headers", &self.headers)
            .field("no_responders", &self.no_responders)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .finish()
    }
}

/// The settings of a client connection.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Where to connect; each core tries them in an order of its own, drawn from its seed.
    pub servers: Vec<ServerAddr>,
    /// Whether servers that a server names in its INFO join the pool.
    /// Each core then keeps its own list, at most 64 names; switch it off where one process holds very many cores.
    pub discover_servers: bool,
    /// The connection's name, unless a core has its own.
    pub name: Box<str>,
    /// Whether to use TLS.
    pub tls: TlsMode,
    /// What CONNECT says.
    pub connect: ConnectOptions,
    /// Bounds two waits: until the TCP connection stands, and from there to the first PONG.
    pub connect_timeout: Duration,
    /// Time between pings of our own.
    pub ping_interval: Duration,
    /// How many pings may stay unanswered; at the next one the link counts as dead.
    pub pings_out_max: u8,
    /// Waits after each full round of the pool.
    pub backoff: Backoff,
    /// Bytes of publishes kept while there is no connection.
    /// Small on purpose: a node must not replay stale registrations when it comes back.
    pub reconnect_buffer_max: usize,
    /// The largest message, headers included, that is published or accepted.
    /// On publishing the server's own limit counts too; on receiving this bounds what a lying server can make one core hold.
    pub payload_max: usize,
    /// Bytes of output that may wait for the socket; a publish beyond that is refused.
    pub pending_max: usize,
}

impl ClientConfig {
    /// The fleet's defaults for these servers.
    pub fn new(servers: Vec<ServerAddr>) -> Self {
        Self {
            servers,
            discover_servers: true,
            name: "muster".into(),
            tls: TlsMode::Off,
            connect: ConnectOptions::default(),
            connect_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(120),
            pings_out_max: 2,
            backoff: Backoff::twenty_sec(),
            reconnect_buffer_max: 10 * 1024,
            payload_max: 64 * 1024 * 1024,
            pending_max: 64 * 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_secret() {
        let options = ConnectOptions {
            user: Some("bob".into()),
            pass: Some("hunter2".into()),
            token: Some("t0ken".into()),
            ..ConnectOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("bob"));
        assert!(
            !shown.contains("hunter2") && !shown.contains("t0ken"),
            "{shown}"
        );
    }
}
