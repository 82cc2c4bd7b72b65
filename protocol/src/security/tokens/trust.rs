//! Whose tokens are believed.

use std::collections::BTreeMap;

use super::chain;
use super::{Claims, PublicKey, TokenError, UnverifiedToken};
use crate::security::cache::Verdict;

/// Whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenTrust {
    /// An issuer for each organisation; a token's organisation says which one must have signed it.
    Issuers(BTreeMap<String, PublicKey>),
    /// Any of these keys.
    Signers(Vec<PublicKey>),
}

/// A token that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedToken {
    /// What it says.
    pub claims: Claims,
    /// The holder's key.
    pub public_key: PublicKey,
    /// The configured key that stands behind it, directly or through a chain issuer.
    pub issuer: PublicKey,
}

impl TokenTrust {
    /// Checks a token: that a trusted issuer stands behind it, that it is in its time, that it names its holder's key.
    /// `unix_now` is the wall clock in seconds.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn verify(&self, text: &str, unix_now: u64) -> Result<VerifiedToken, TokenError> {
        let token = UnverifiedToken::parse(text)?;
        match self {
            Self::Issuers(issuers) => {
                let name = token.claims.organization();
                let issuer = issuers.get(name).ok_or_else(|| TokenError::Organization {
                    name: name.chars().take(64).collect(),
                })?;
                check(token, issuer, unix_now)
            }
            Self::Signers(signers) => {
                let mut refusal = TokenError::Untrusted;
                for signer in signers {
                    match find_key(&token, signer) {
                        Ok(()) => return check(token, signer, unix_now),
                        // A chain that does not hold with one key may hold with another.
                        Err(error) => refusal = error,
                    }
                }
                Err(refusal)
            }
        }
    }

    /// Whether [`Self::verify`] would go by the issuer that this token was checked with.
    pub(super) fn picks(&self, token: &VerifiedToken) -> bool {
        match self {
            Self::Issuers(issuers) => {
                issuers.get(token.claims.organization()) == Some(&token.issuer)
            }
            Self::Signers(signers) => signers.contains(&token.issuer),
        }
    }

    /// Checks a token as [`Self::verify`] does, where this one issuer must stand behind it.
    pub(super) fn verify_by(
        text: &str,
        issuer: &PublicKey,
        unix_now: u64,
    ) -> Result<VerifiedToken, TokenError> {
        check(UnverifiedToken::parse(text)?, issuer, unix_now)
    }
}

fn find_key(token: &UnverifiedToken<'_>, issuer: &PublicKey) -> Result<(), TokenError> {
    let key = chain::signing_key(token.claims.standard(), issuer)?;
    if token.is_signed_by(&key) {
        Ok(())
    } else {
        Err(TokenError::Untrusted)
    }
}

fn check(
    token: UnverifiedToken<'_>,
    issuer: &PublicKey,
    unix_now: u64,
) -> Result<VerifiedToken, TokenError> {
    find_key(&token, issuer)?;
    token.claims.standard().check_time(unix_now)?;
    Ok(VerifiedToken {
        public_key: token.claims.public_key()?,
        claims: token.claims,
        issuer: *issuer,
    })
}

impl Verdict for VerifiedToken {
    fn holds(&self, now: u64) -> bool {
        self.claims.standard().check_time(now).is_ok()
    }
}
