//! Key pairs and their kinds.

use std::fmt;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use crate::{PkiError, PublicKeyKind};

/// The kind of a new key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: quick to make and to use. Real nodes of protocol version 1 accept no requests signed
    /// with it.
    #[default]
    EcdsaP256,
    /// RSA of 2048 bits: what real peers sign and check requests with. Making one takes some 50 ms.
    Rsa2048,
}

impl KeyKind {
    pub(crate) const fn of_public(self) -> PublicKeyKind {
        match self {
            Self::EcdsaP256 => PublicKeyKind::EcdsaP256,
            Self::Rsa2048 => PublicKeyKind::Rsa(2048),
        }
    }
}

/// A key pair for one certificate, or shared by many.
pub struct LeafKey {
    pub(crate) pair: KeyPair,
    pub(crate) pem: String,
    pub(crate) kind: KeyKind,
}

impl LeafKey {
    /// Makes a new random key pair.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub fn generate(kind: KeyKind) -> Result<Self, PkiError> {
        let algorithm = match kind {
            KeyKind::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
            KeyKind::Rsa2048 => &PKCS_RSA_SHA256,
        };
        let pair = KeyPair::generate_for(algorithm).map_err(|e| PkiError::Failed(e.to_string()))?;
        Ok(Self {
            pem: pair.serialize_pem(),
            pair,
            kind,
        })
    }

    /// The private key as PEM text (PKCS#8).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl fmt::Debug for LeafKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
