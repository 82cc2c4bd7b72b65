//! Who asks, and how the requests are signed.

use std::sync::Arc;
use std::time::Duration;

use muster_protocol::security::Signer;

/// Who asks. One serves all sessions of a process.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Identity of the sending host.
    pub sender: String,
    /// Who calls, such as `choria=rip.mcollective`.
    pub caller_id: String,
    /// How requests are signed.
    pub security: CallerSecurity,
    /// The collective that reply subjects lie in.
    pub main_collective: String,
    /// The collective that is asked; the main one, unless a sub-collective is meant.
    pub collective: String,
    /// How long a request may be acted on; whole seconds, at least 30.
    pub ttl: Duration,
}

/// How requests are signed.
#[derive(Debug, Clone)]
pub enum CallerSecurity {
    /// With the caller's key; the certificate travels along.
    X509(Arc<Signer>),
    /// **Dangerous**: not at all. Only nodes that believe everybody answer. For laboratories and load tests.
    Insecure,
}
