//! Tokens: JSON web tokens (JWT) that say who somebody is and what they may, signed with ed25519.
//!
//! A token names the public key of its holder, so a holder proves itself by signing with the key's seed: requests,
//! replies, and the nonce a broker greets with. Who vouches for a token is an *issuer*:
//!
//! ```text
//!  organisation's key ──signs──▶ token                                                  (iss: anything)
//!  organisation's key ──vouches for──▶ chain issuer ──signs──▶ token                    (iss: C-<id>.<key>, tcs)
//! ```
//!
//! * [`TokenVerifier`] decides about requests, [`TokenTrust::verify`] about tokens alone.
//! * [`TokenSigner`] is a holder: a token with its key.
//! * [`TokenIssuer`] makes tokens.
//!
//! Only EdDSA is spoken, but for provisioning tokens ([`ProvisioningClaims`]), whose issuers may have RSA keys. Other
//! implementations know RSA issuers of the others too, but no setting of a fleet can name one.
//! What the permissions of a token mean to a broker is the broker's affair.

mod chain;
mod claims;
mod error;
mod issuer;
mod issuer_key;
mod jwt;
mod key;
mod provisioning;
mod signer;
mod trust;
mod verifier;

pub use claims::{
    Claims, ClientClaims, ClientPermissions, DEFAULT_ORGANIZATION, ServerClaims, ServerPermissions,
    StandardClaims,
};
pub use error::TokenError;
pub use issuer::TokenIssuer;
pub use issuer_key::{IssuerKey, IssuerSigningKey, RsaPublicKey};
pub use jwt::{TOKEN_BYTES_MAX, UnverifiedToken};
pub use key::{KeyError, PublicKey, SIGNATURE_BYTES, SigningKey};
pub use provisioning::{PROVISIONING_PURPOSE, ProvisioningClaims, ProvisioningToken};
pub use signer::TokenSigner;
pub use trust::{TokenTrust, VerifiedToken};
pub use verifier::TokenVerifier;

#[cfg(test)]
mod tests;
