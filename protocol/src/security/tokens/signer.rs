//! A token with the key it names: what a client signs requests with, a node its replies, and both a broker's nonce.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::verifier::check_own_request;
use super::{Claims, SIGNATURE_BYTES, SigningKey, TokenError, UnverifiedToken};
use crate::security::VerifyError;

/// A token and its key. The token is not verified: who holds it need not know its issuer.
#[derive(Debug)]
pub struct TokenSigner {
    key: SigningKey,
    token: Box<str>,
    claims: Claims,
}

impl TokenSigner {
    /// Takes the texts of a token file and of a seed file; white space around them is cut off.
    ///
    /// # Errors
    /// Either cannot be read, or the token is for another key.
    pub fn new(token: &str, seed_hex: &str) -> Result<Self, TokenError> {
        let token = token.trim();
        let claims = UnverifiedToken::parse(token)?.claims;
        let key = SigningKey::from_seed_hex(seed_hex).map_err(TokenError::Seed)?;
        let named = claims.public_key()?;
        if named != key.public() {
            return Err(TokenError::KeyMismatch {
                token: named,
                seed: key.public(),
            });
        }
        Ok(Self {
            key,
            token: token.into(),
            claims,
        })
    }

    /// The token's text, as it travels.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the token says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether the token is in its time.
    ///
    /// # Errors
    /// It is not.
    pub fn check_time(&self, unix_now: u64) -> Result<(), TokenError> {
        self.claims.standard().check_time(unix_now)
    }

    /// Whether nodes would take a request of the holder's own under this caller id.
    ///
    /// A provisioner may always ask: the nodes it asks are those that check nothing yet.
    ///
    /// # Errors
    /// They would not.
    pub fn check_own_request(&self, caller_id: &str) -> Result<(), VerifyError> {
        if self.claims.client_permissions().provisioner {
            return Ok(());
        }
        check_own_request(&self.claims, caller_id)
    }

    /// The signature over `message`, raw.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign(message)
    }

    /// The signature over `message` as a secure request carries it.
    #[must_use]
    pub fn sign_base64(&self, message: &[u8]) -> String {
        STANDARD.encode(self.sign(message))
    }

    /// What answers the nonce of a broker's INFO.
    #[must_use]
    pub fn sign_nonce(&self, nonce: &str) -> String {
        self.key.sign_nonce(nonce)
    }
}
