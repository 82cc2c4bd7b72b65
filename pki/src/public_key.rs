//! Public keys that others made: what kind they are, and whether peers take them.
//!
//! Accepted is what both TLS and the fleet's peers take: RSA of 2048 to 8192 bits, ECDSA on P-256 and P-384, and
//! Ed25519. Ed25519 serves TLS only: no request of protocol version 1 can be signed with it, so callers may not have it.

use std::fmt;

use rcgen::{KeyUsagePurpose, SubjectPublicKeyInfo};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo as ParsedInfo;

use crate::PkiError;

/// The shortest RSA key that is certified, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// The longest RSA key that TLS libraries verify with, in bits.
pub const RSA_BITS_MAX: usize = 8192;

/// What kind a public key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKeyKind {
    /// RSA, with its length in bits.
    Rsa(usize),
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
}

impl PublicKeyKind {
    /// Whether requests can be signed with the key; TLS takes all kinds.
    #[must_use]
    pub const fn signs_requests(self) -> bool {
        !matches!(self, Self::Ed25519)
    }

    /// What a certificate lets such a key do.
    pub(crate) fn usages(self) -> Vec<KeyUsagePurpose> {
        let mut usages = vec![KeyUsagePurpose::DigitalSignature];
        if let Self::Rsa(_) = self {
            usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        usages
    }
}

impl fmt::Display for PublicKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "rsa {bits}"),
            Self::EcdsaP256 => f.write_str("ecdsa p-256"),
            Self::EcdsaP384 => f.write_str("ecdsa p-384"),
            Self::Ed25519 => f.write_str("ed25519"),
        }
    }
}

/// A public key that can be certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub(crate) info: SubjectPublicKeyInfo,
    kind: PublicKeyKind,
}

impl PublicKey {
    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> PublicKeyKind {
        self.kind
    }

    /// Takes a key out of a request or a certificate.
    pub(crate) fn of(parsed: &ParsedInfo<'_>) -> Result<Self, PkiError> {
        let kind = kind_of(parsed)?;
        let info = SubjectPublicKeyInfo::from_der(parsed.raw)
            .map_err(|_| PkiError::UnsupportedKey(kind.to_string()))?;
        Ok(Self { info, kind })
    }
}

/// The kind, or why a key is not certified.
pub(crate) fn kind_of(parsed: &ParsedInfo<'_>) -> Result<PublicKeyKind, PkiError> {
    let algorithm = &parsed.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let Ok(ParsedKey::RSA(key)) = parsed.parsed() else {
            return Err(PkiError::UnsupportedKey("rsa, malformed".to_owned()));
        };
        let bits = key.key_size();
        return if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            Ok(PublicKeyKind::Rsa(bits))
        } else {
            Err(PkiError::RsaLength { bits })
        };
    }
    if *algorithm == OID_SIG_ED25519 {
        return Ok(PublicKeyKind::Ed25519);
    }
    if *algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return Err(PkiError::UnsupportedKey(algorithm.to_id_string()));
    }
    let curve = parsed
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.as_oid().ok());
    match curve {
        Some(curve) if curve == OID_EC_P256 => Ok(PublicKeyKind::EcdsaP256),
        Some(curve) if curve == OID_NIST_EC_P384 => Ok(PublicKeyKind::EcdsaP384),
        Some(curve) => Err(PkiError::UnsupportedKey(format!(
            "ecdsa on curve {}",
            curve.to_id_string()
        ))),
        None => Err(PkiError::UnsupportedKey("ecdsa, malformed".to_owned())),
    }
}
