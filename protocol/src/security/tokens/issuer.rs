//! Making tokens.

use super::chain::CHAIN_PREFIX;
use super::claims::{CLIENT_PURPOSE, SERVER_PURPOSE};
use super::key::encode_hex;
use super::{Claims, PublicKey, SigningKey, TokenError, jwt};

/// Starts `iss` of a chain issuer's own token.
const ORGANIZATION_PREFIX: &str = "I-";

/// An issuer: an organisation's key, or a chain issuer it vouches for.
#[derive(Debug)]
pub struct TokenIssuer {
    key: SigningKey,
    chain: Option<Link>,
}

/// What a chain issuer puts into its tokens.
#[derive(Debug)]
struct Link {
    id: String,
    vouched: String,
    expires_at: i64,
}

impl TokenIssuer {
    /// An organisation's issuer.
    #[must_use]
    pub const fn new(key: SigningKey) -> Self {
        Self { key, chain: None }
    }

    /// A chain issuer, by its own token (of [`Self::sign_chain_issuer`]) and key.
    ///
    /// # Errors
    /// The token is not one of a chain issuer, or for another key.
    pub fn chained(own: &Claims, key: SigningKey) -> Result<Self, TokenError> {
        let standard = own.standard();
        let named = own.public_key()?;
        if named != key.public() {
            return Err(TokenError::KeyMismatch {
                token: named,
                seed: key.public(),
            });
        }
        if !standard.issuer.starts_with(ORGANIZATION_PREFIX)
            || standard.trust_chain_signature.is_empty()
        {
            return Err(TokenError::Chain {
                why: "the issuer's token is not one of a chain issuer",
            });
        }
        let expires_at = standard.expires_at.ok_or(TokenError::Chain {
            why: "the issuer's token has no end",
        })?;
        Ok(Self {
            key,
            chain: Some(Link {
                id: standard.id.clone(),
                vouched: standard.trust_chain_signature.clone(),
                expires_at,
            }),
        })
    }

    /// The issuer's public key.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// A token with these claims. The purpose is set here; a chain issuer also sets `iss`, `tcs` and `issexp`, and ends
    /// the token no later than its own.
    ///
    /// # Errors
    /// A chain issuer is given claims without an id.
    pub fn sign(&self, mut claims: Claims) -> Result<String, TokenError> {
        if let Some(link) = &self.chain {
            self.add_link(link, &mut claims)?;
        }
        self.encode(claims)
    }

    /// The token of a chain issuer: the organisation vouches for the client's id and key. Both must be set.
    ///
    /// # Errors
    /// Id or key are missing.
    pub fn sign_chain_issuer(&self, mut claims: Claims) -> Result<String, TokenError> {
        let key = claims.public_key()?;
        let standard = standard_mut(&mut claims);
        let vouched = self
            .key
            .sign(format!("{}.{key}", id(&standard.id)?).as_bytes());
        standard.issuer = format!("{ORGANIZATION_PREFIX}{}", self.public());
        standard.trust_chain_signature = encode_hex(&vouched);
        self.encode(claims)
    }

    fn add_link(&self, link: &Link, claims: &mut Claims) -> Result<(), TokenError> {
        let standard = standard_mut(claims);
        let own = format!("{}.{}", id(&standard.id)?, link.vouched);
        let own = encode_hex(&self.key.sign(own.as_bytes()));
        standard.issuer = format!("{CHAIN_PREFIX}{}.{}", link.id, self.public());
        standard.trust_chain_signature = format!("{}.{own}", link.vouched);
        standard.issuer_expires_at = Some(link.expires_at);
        let end = standard.expires_at.unwrap_or(link.expires_at);
        standard.expires_at = Some(end.min(link.expires_at));
        Ok(())
    }

    fn encode(&self, mut claims: Claims) -> Result<String, TokenError> {
        let purpose = match &claims {
            Claims::Client(_) => CLIENT_PURPOSE,
            Claims::Server(_) => SERVER_PURPOSE,
        };
        purpose.clone_into(&mut standard_mut(&mut claims).purpose);
        match &claims {
            Claims::Client(claims) => jwt::encode(claims, &self.key),
            Claims::Server(claims) => jwt::encode(claims, &self.key),
        }
    }
}

fn id(id: &str) -> Result<&str, TokenError> {
    if id.is_empty() {
        return Err(TokenError::Chain {
            why: "the token has no id",
        });
    }
    Ok(id)
}

fn standard_mut(claims: &mut Claims) -> &mut super::StandardClaims {
    match claims {
        Claims::Client(claims) => &mut claims.standard,
        Claims::Server(claims) => &mut claims.standard,
    }
}
