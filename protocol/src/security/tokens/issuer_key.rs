//! Keys of issuers that may be RSA as well as ed25519: those of provisioning tokens.
//!
//! A file holds either 64 hex digits (an ed25519 seed or public key) or PEM (an RSA key, or a certificate with one).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::{KeyError, PublicKey, SigningKey, TokenError};
use crate::security::key::KeyAlgorithm;

/// Whose signature a token must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKey {
    /// Of ed25519.
    Ed25519(PublicKey),
    /// Of RSA, 2048 to 8192 bits.
    Rsa(RsaPublicKey),
}

/// An RSA public key: the key itself in DER, without its wrapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicKey(Vec<u8>);

/// What an issuer signs with.
pub enum IssuerSigningKey {
    /// Of ed25519.
    Ed25519(SigningKey),
    /// Of RSA.
    Rsa(Box<RsaKeyPair>),
}

/// How a token says it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    EdDsa,
    Rs256,
    Rs384,
    Rs512,
}

impl Algorithm {
    pub(super) fn of(name: &str) -> Result<Self, TokenError> {
        match name {
            "EdDSA" => Ok(Self::EdDsa),
            "RS256" => Ok(Self::Rs256),
            "RS384" => Ok(Self::Rs384),
            "RS512" => Ok(Self::Rs512),
            _ => Err(TokenError::Algorithm {
                name: name.chars().take(16).collect(),
            }),
        }
    }
}

impl IssuerKey {
    /// Reads the text of a file: hex, or PEM of a public key or certificate.
    ///
    /// # Errors
    /// The text is something else.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        if !text.contains("-----BEGIN") {
            return PublicKey::from_hex(text.trim()).map(Self::Ed25519);
        }
        if let Ok(der) = CertificateDer::from_pem_slice(text.as_bytes()) {
            let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| KeyError::NotPem)?;
            return rsa(certificate.public_key());
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
            .map_err(|_| KeyError::NotPem)?;
        let (_, spki) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| KeyError::NotPem)?;
        rsa(&spki)
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let rsa = match algorithm {
            Algorithm::EdDsa => {
                return matches!(self, Self::Ed25519(key) if key.verify(message, signature));
            }
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        };
        let Self::Rsa(key) = self else { return false };
        UnparsedPublicKey::new(rsa, &key.0)
            .verify(message, signature)
            .is_ok()
    }
}

fn rsa(spki: &SubjectPublicKeyInfo<'_>) -> Result<IssuerKey, KeyError> {
    match KeyAlgorithm::of(spki) {
        Ok(KeyAlgorithm::Rsa) => {
            let bytes = spki.subject_public_key.data.to_vec();
            Ok(IssuerKey::Rsa(RsaPublicKey(bytes)))
        }
        Ok(KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384) | Err(_) => Err(KeyError::Rejected),
    }
}

impl IssuerSigningKey {
    /// Reads the text of a file: the hex of a seed, or PEM of an RSA key in PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// The text is something else.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        if !text.contains("-----BEGIN") {
            return SigningKey::from_seed_hex(text).map(Self::Ed25519);
        }
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::NotPem)?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(KeyError::NotPem),
        };
        let pair = pair.map_err(|_| KeyError::Rejected)?;
        Ok(Self::Rsa(Box::new(pair)))
    }

    /// What tokens of this key are verified with.
    #[must_use]
    pub fn public(&self) -> IssuerKey {
        match self {
            Self::Ed25519(key) => IssuerKey::Ed25519(key.public()),
            Self::Rsa(pair) => {
                use aws_lc_rs::signature::KeyPair as _;
                IssuerKey::Rsa(RsaPublicKey(pair.public_key().as_ref().to_vec()))
            }
        }
    }

    /// The name of the algorithm in the header of a token.
    pub(super) const fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        match self {
            Self::Ed25519(key) => Ok(key.sign(message).to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                // PKCS#1 v1.5 draws nothing from the generator.
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map_err(|_| TokenError::Seed(KeyError::Rejected))?;
                Ok(signature)
            }
        }
    }
}

/// Leaves the key out.
impl fmt::Debug for IssuerSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IssuerSigningKey")
            .field(&self.algorithm())
            .finish_non_exhaustive()
    }
}
