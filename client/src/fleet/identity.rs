//! Who asks, and how the requests are signed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::ksuid::Ksuid;
use muster_protocol::request_id::RequestId;
use muster_protocol::security::Signer;
use muster_protocol::security::tokens::TokenSigner;
use muster_protocol::version::ProtocolVersion;

use super::remote::RemoteSigner;
use crate::nats::NonceSigner;

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
    /// How long a request may be acted on; whole seconds, at least 30, with a token at least 1.
    pub ttl: Duration,
}

/// How requests are signed.
#[derive(Clone)]
pub enum CallerSecurity {
    /// With the caller's key; the certificate travels along.
    X509(Arc<Signer>),
    /// With the key of the caller's token, which travels along: version 2 of the protocol.
    Token(Arc<TokenSigner>),
    /// By a service in the caller's place; asking it may block.
    Remote {
        /// The service.
        service: Arc<dyn RemoteSigner>,
        /// The caller's own token, which travels along in version 2 of the protocol; version 1 has none.
        own: Option<Arc<TokenSigner>>,
    },
    /// **Dangerous**: not at all. Only nodes that believe everybody answer. For laboratories and load tests.
    Insecure,
}

impl CallerSecurity {
    /// The version of the protocol that is spoken with it.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        match self {
            Self::X509(_) | Self::Insecure | Self::Remote { own: None, .. } => ProtocolVersion::V1,
            Self::Token(_) | Self::Remote { own: Some(_), .. } => ProtocolVersion::V2,
        }
    }

    /// A request id of that version, for a request that is made at this moment (since 1970).
    #[must_use]
    pub fn request_id(&self, unix: Duration, random: [u8; 16]) -> RequestId {
        if self.version() == ProtocolVersion::V2 {
            Ksuid::from_parts(unix.as_secs(), random).into()
        } else {
            RequestId::from_random(random)
        }
    }
}

/// Leaves keys and tokens out.
impl fmt::Debug for CallerSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X509(_) => f.write_str("X509"),
            Self::Token(_) => f.write_str("Token"),
            Self::Remote { service, .. } => f.debug_tuple("Remote").field(&service.name()).finish(),
            Self::Insecure => f.write_str("Insecure"),
        }
    }
}

impl NonceSigner for TokenSigner {
    fn token(&self) -> &str {
        Self::token(self)
    }

    fn sign_nonce(&self, nonce: &str) -> String {
        Self::sign_nonce(self, nonce)
    }
}
