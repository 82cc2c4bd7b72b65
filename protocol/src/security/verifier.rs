//! The decision about one signed request.
//!
//! In this order, so that a refusal names the first thing wrong: form of the caller id; certificate and
//! chain; name of the caller in the certificate; allow list; signature. A certificate with a privileged name
//! may claim any caller and needs no place on the allow list.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::RegexSet;

use super::cache::VerdictCache;
use super::revocation::Revocation;
use super::trust::{CheckedCert, Roots};
use super::{SecurityError, TrustPolicy, VerifyError, caller, policy};

/// Peers' decoders ignore stray bits behind the last byte.
const SIGNATURE_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The parts of a secure request that the decision is about.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The request's bytes, as received.
    pub message: &'a [u8],
    /// The signature in base64, line breaks allowed.
    pub signature_b64: &'a str,
    /// What the caller shows of itself: a certificate text, the signer first and intermediates behind it; or its token.
    pub pubcert_pem: &'a str,
    /// The token of the service that signed in the caller's place, where one did.
    pub signer_token: Option<&'a str>,
    /// The caller id inside the request.
    pub caller_id: &'a str,
}

/// A request that may be acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The name of the caller, out of the caller id.
    pub certname: String,
    /// Whether a privileged certificate vouched for that name, instead of one that carries it.
    pub privileged: bool,
}

/// Decides about signed requests; shared by reference among threads.
pub struct Verifier {
    roots: Roots,
    allow: RegexSet,
    privileged: RegexSet,
    cache: VerdictCache<CheckedCert>,
    revocation: Revocation,
}

impl Verifier {
    /// Checks and compiles a policy.
    ///
    /// # Errors
    /// When the bundle holds no usable root, or a pattern is not a regular expression.
    pub fn new(policy: TrustPolicy) -> Result<Self, SecurityError> {
        Ok(Self {
            roots: Roots::from_pem(&policy.roots_pem)?,
            revocation: Revocation::of_roots(&policy.roots_pem),
            allow: policy::compile(&policy.allow)?,
            privileged: policy::compile(&policy.privileged)?,
            cache: VerdictCache::default(),
        })
    }

    /// The handle that sets the revocation lists, at the start and whenever they change; there are none at first.
    #[must_use]
    pub fn revocation(&self) -> Revocation {
        self.revocation.clone()
    }

    /// Decides about one request. `unix_now` is the wall clock in seconds; the age of the request itself is
    /// not judged here.
    ///
    /// # Errors
    /// The first reason against the request, in the order given at the top of this module.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        unix_now: u64,
    ) -> Result<Verified, VerifyError> {
        let certname = caller::certname_of_caller_id(request.caller_id).ok_or_else(|| {
            VerifyError::BadCallerId {
                caller_id: request.caller_id.to_owned(),
            }
        })?;
        let cert = self.checked_cert(request.pubcert_pem, unix_now)?;
        let privileged = cert.names.iter().any(|name| self.privileged.is_match(name));
        if !privileged {
            self.check_name(certname, &cert)?;
        }
        let signature = decode_signature(request.signature_b64)?;
        if !cert.key.accepts(request.message, &signature) {
            return Err(VerifyError::BadSignature);
        }
        Ok(Verified {
            certname: certname.to_owned(),
            privileged,
        })
    }

    fn checked_cert(&self, pubcert: &str, now: u64) -> Result<Arc<CheckedCert>, VerifyError> {
        let lists = self.revocation.lists();
        // A verdict made under other lists is made again, and takes the place of the remembered one.
        let known = self.cache.find(pubcert, now);
        if let Some(cert) = known.filter(|cert| cert.lists == lists.number()) {
            return Ok(cert);
        }
        let cert = Arc::new(self.roots.check(pubcert, &lists, now)?);
        self.cache.insert(pubcert, Arc::clone(&cert));
        Ok(cert)
    }

    fn check_name(&self, certname: &str, cert: &CheckedCert) -> Result<(), VerifyError> {
        if !cert.names.contains(certname) {
            return Err(VerifyError::CallerNotInCertificate {
                certname: certname.to_owned(),
                names: cert.names.to_string(),
            });
        }
        if !self.allow.is_match(certname) {
            return Err(VerifyError::NotAllowed {
                certname: certname.to_owned(),
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("roots", &self.roots.len())
            .field("allow", &self.allow.patterns())
            .field("privileged", &self.privileged.patterns())
            .field("cached", &self.cache.len())
            .finish()
    }
}

/// Old clients wrap the signature into lines.
pub(super) fn decode_signature(text: &str) -> Result<Vec<u8>, VerifyError> {
    let decoded = if text.bytes().any(|b| matches!(b, b'\r' | b'\n')) {
        SIGNATURE_BASE64.decode(text.replace(['\r', '\n'], ""))
    } else {
        SIGNATURE_BASE64.decode(text)
    };
    decoded.map_err(|_| VerifyError::BadSignatureEncoding)
}
