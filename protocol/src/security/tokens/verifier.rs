//! The decision about one request of version 2.
//!
//! A request with the caller's token only: the token must be trusted and a client's, allow managing the fleet without a
//! signing service, and name the caller that the request names; the request is signed with the token's key.
//!
//! A request with a signer's token too: that token must be trusted and allow signing for others; the caller's token must
//! come from the same issuer and allow managing the fleet; the request is signed with the *signer's* key, and names
//! whatever caller the signer says.

use std::fmt;
use std::sync::Arc;

use super::{Claims, TokenError, TokenTrust, VerifiedToken};
use crate::security::cache::VerdictCache;
use crate::security::verifier::decode_signature;
use crate::security::{SignedRequest, TokenHolder, Verified, VerifyError, certname_of_caller_id};

/// Decides about requests signed by holders of tokens; shared by reference among threads.
pub struct TokenVerifier {
    trust: TokenTrust,
    cache: VerdictCache<VerifiedToken>,
}

impl TokenVerifier {
    /// A verifier that goes by this trust.
    #[must_use]
    pub fn new(trust: TokenTrust) -> Self {
        Self {
            trust,
            cache: VerdictCache::default(),
        }
    }

    /// Whose tokens are believed.
    #[must_use]
    pub const fn trust(&self) -> &TokenTrust {
        &self.trust
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
        let holder = match request.signer_token {
            None => self.check_caller(request, unix_now)?,
            Some(signer) => self.check_delegation(request, signer, unix_now)?,
        };
        let signature = decode_signature(request.signature_b64)?;
        if !holder.public_key.verify(request.message, &signature) {
            return Err(VerifyError::BadSignature);
        }
        let certname = certname_of_caller_id(request.caller_id).unwrap_or(request.caller_id);
        Ok(Verified {
            certname: certname.to_owned(),
            privileged: request.signer_token.is_some(),
        })
    }

    /// The holder whose key must have signed: the caller.
    fn check_caller(
        &self,
        request: &SignedRequest<'_>,
        now: u64,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        let caller = self.caller_token(request.pubcert_pem, now)?;
        check_own_request(&caller.claims, request.caller_id)?;
        Ok(caller)
    }

    /// The holder whose key must have signed: the signing service.
    fn check_delegation(
        &self,
        request: &SignedRequest<'_>,
        signer: &str,
        now: u64,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        let signer = self
            .trusted(signer, now)
            .map_err(|error| VerifyError::Token(TokenHolder::Signer, error))?;
        if !signer.claims.client_permissions().authentication_delegator {
            return Err(VerifyError::NotADelegator {
                holder: signer.claims.holder().to_owned(),
            });
        }
        let issuer = signer.issuer;
        let caller = self
            .cached(
                request.pubcert_pem,
                now,
                |token| token.issuer == issuer,
                |text| TokenTrust::verify_by(text, &issuer, now),
            )
            .map_err(|error| VerifyError::Token(TokenHolder::Caller, error))?;
        let permissions = caller.claims.client_permissions();
        if !permissions.fleet_management && !permissions.signed_fleet_management {
            return Err(VerifyError::NoFleetManagement);
        }
        Ok(signer)
    }

    fn caller_token(&self, text: &str, now: u64) -> Result<Arc<VerifiedToken>, VerifyError> {
        self.trusted(text, now)
            .map_err(|error| VerifyError::Token(TokenHolder::Caller, error))
    }

    fn trusted(&self, text: &str, now: u64) -> Result<Arc<VerifiedToken>, TokenError> {
        // What a delegation has put into the cache may be by another issuer than the token's organisation has.
        let fits = |token: &VerifiedToken| self.trust.picks(token);
        self.cached(text, now, fits, |text| self.trust.verify(text, now))
    }

    fn cached(
        &self,
        text: &str,
        now: u64,
        fits: impl FnOnce(&VerifiedToken) -> bool,
        check: impl FnOnce(&str) -> Result<VerifiedToken, TokenError>,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        if let Some(token) = self.cache.find(text, now).filter(|token| fits(token)) {
            return Ok(token);
        }
        let token = Arc::new(check(text)?);
        self.cache.insert(text, Arc::clone(&token));
        Ok(token)
    }
}

/// Whether the holder of this token may ask in its own name, under this caller id.
pub(super) fn check_own_request(claims: &Claims, caller_id: &str) -> Result<(), VerifyError> {
    let Claims::Client(client) = claims else {
        return Err(VerifyError::NotAClient {
            identity: claims.holder().to_owned(),
        });
    };
    let permissions = claims.client_permissions();
    if permissions.signed_fleet_management {
        return Err(VerifyError::DelegationRequired);
    }
    if !permissions.fleet_management {
        return Err(VerifyError::NoFleetManagement);
    }
    if client.caller_id != caller_id {
        return Err(VerifyError::CallerNotInToken {
            caller_id: caller_id.to_owned(),
            holder: client.caller_id.clone(),
        });
    }
    Ok(())
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("trust", &self.trust)
            .field("cached", &self.cache.len())
            .finish()
    }
}
