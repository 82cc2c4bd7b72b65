//! Signing and checking of requests: version 1 with X.509 certificates, version 2 with [`tokens`].
//!
//! A [`Signer`] holds a client's key and certificate and signs request bytes. A [`Verifier`] holds a node's
//! trust and decides about a signed request: whose it is, and whether that caller is privileged. For tokens
//! [`TokenSigner`](tokens::TokenSigner) and [`TokenVerifier`] do the same.
//! The module takes and gives strings and bytes; it knows nothing of the messages around them.
//!
//! It is no TLS policy (that belongs to the reactor), no authorisation of actions (that belongs to the
//! server), and it signs no replies: replies of version 1 are hashed only.
//!
//! Invariants: time is an argument of every check; nothing is accepted on the word of an earlier check
//! unless that check would come out the same now; a request is never accepted by default, only
//! [`RequestSecurity::InsecureAcceptAll`] does that and says so.

mod cache;
mod caller;
mod error;
mod expiry;
mod key;
mod names;
mod policy;
mod revocation;
mod signer;
pub mod tokens;
mod trust;
mod verifier;

pub use caller::certname_of_caller_id;
pub use error::{SecurityError, TokenHolder, VerifyError};
pub use expiry::certificate_expiry;
pub use names::CertNames;
pub use policy::{DEFAULT_ALLOW, DEFAULT_PRIVILEGED, TrustPolicy};
pub use revocation::Revocation;
pub use signer::Signer;
pub use verifier::{SignedRequest, Verified, Verifier};

use crate::version::ProtocolVersion;
use tokens::TokenVerifier;

/// How a node decides about requests.
#[derive(Debug)]
pub enum RequestSecurity {
    /// Signed requests only, checked against a trust policy. The normal case.
    X509(Box<Verifier>),
    /// Requests signed by holders of tokens only, checked against trusted issuers.
    Token(Box<TokenVerifier>),
    /// **Dangerous**: every request is believed, whoever sent it, signed or not. Anyone who can publish to
    /// the broker can act as any caller. For laboratories and load tests only.
    InsecureAcceptAll,
}

impl RequestSecurity {
    /// Decides about one request. `unix_now` is the wall clock in seconds.
    ///
    /// # Errors
    /// The reason of the refusal. [`Self::InsecureAcceptAll`] never refuses: it takes the name out of the
    /// caller id, or the whole caller id where it has no name in it.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        unix_now: u64,
    ) -> Result<Verified, VerifyError> {
        match self {
            Self::X509(verifier) => verifier.verify(request, unix_now),
            Self::Token(verifier) => verifier.verify(request, unix_now),
            Self::InsecureAcceptAll => {
                let name = certname_of_caller_id(request.caller_id).unwrap_or(request.caller_id);
                Ok(Verified {
                    certname: name.to_owned(),
                    privileged: false,
                })
            }
        }
    }

    /// The version of the requests it decides about; none where it believes those of every version.
    #[must_use]
    pub const fn version(&self) -> Option<ProtocolVersion> {
        match self {
            Self::X509(_) => Some(ProtocolVersion::V1),
            Self::Token(_) => Some(ProtocolVersion::V2),
            Self::InsecureAcceptAll => None,
        }
    }

    /// Whether requests are believed without any check.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        matches!(self, Self::InsecureAcceptAll)
    }
}

#[cfg(test)]
mod tests;
