//! The public key of a certificate, made ready to check signatures with.
//!
//! RSA of 2048 to 8192 bits with PKCS#1 v1.5 padding over SHA-256, the only form peers of old know, and
//! ECDSA with a DER signature: P-256 over SHA-256, P-384 over SHA-384 or SHA-256.

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::SubjectPublicKeyInfo;

/// What kinds of key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyAlgorithm {
    Rsa,
    EcdsaP256,
    EcdsaP384,
}

impl KeyAlgorithm {
    /// The kind a certificate's key is of, or how the unsupported one is called.
    pub(super) fn of(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, String> {
        let oid = &spki.algorithm.algorithm;
        if *oid == OID_PKCS1_RSAENCRYPTION {
            return Ok(Self::Rsa);
        }
        if *oid != OID_KEY_TYPE_EC_PUBLIC_KEY {
            return Err(oid.to_id_string());
        }
        let curve = spki
            .algorithm
            .parameters
            .as_ref()
            .and_then(|p| p.as_oid().ok());
        match curve {
            Some(curve) if curve == OID_EC_P256 => Ok(Self::EcdsaP256),
            Some(curve) if curve == OID_NIST_EC_P384 => Ok(Self::EcdsaP384),
            Some(curve) => Err(format!("ec curve {}", curve.to_id_string())),
            None => Err("ec without a named curve".to_owned()),
        }
    }
}

/// A public key ready for use; one entry for each digest the key may be used with.
#[derive(Debug)]
pub(super) struct VerifyingKey(Vec<ParsedPublicKey>);

impl VerifyingKey {
    /// Parses the key of a certificate once, since a node checks many requests of few callers.
    pub(super) fn new(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, String> {
        let bytes = spki.subject_public_key.data.as_ref();
        let keys = match KeyAlgorithm::of(spki)? {
            KeyAlgorithm::Rsa => vec![parse(&signature::RSA_PKCS1_2048_8192_SHA256, bytes)],
            KeyAlgorithm::EcdsaP256 => vec![parse(&signature::ECDSA_P256_SHA256_ASN1, bytes)],
            KeyAlgorithm::EcdsaP384 => vec![
                parse(&signature::ECDSA_P384_SHA384_ASN1, bytes),
                parse(&signature::ECDSA_P384_SHA256_ASN1, bytes),
            ],
        };
        keys.into_iter().collect::<Result<_, _>>().map(Self)
    }

    /// Whether `signature` is one over `message` by this key.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0
            .iter()
            .any(|key| key.verify_sig(message, signature).is_ok())
    }
}

fn parse(
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: &[u8],
) -> Result<ParsedPublicKey, String> {
    ParsedPublicKey::new(algorithm, bytes).map_err(|e| format!("malformed key: {e}"))
}
