//! Signing of requests with a client's key.
//!
//! RSA signs with PKCS#1 v1.5 padding over SHA-256: deterministic, and the only signature real nodes of
//! protocol version 1 accept. ECDSA signs with a DER signature, P-256 over SHA-256 and P-384 over SHA-384
//! (the library offers no P-384 signer over SHA-256); such requests are understood by muster nodes only.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key::KeyAlgorithm;
use super::{CertNames, SecurityError};

/// A client's key and certificate.
pub struct Signer {
    key: PrivateKey,
    pubcert: String,
    names: CertNames,
}

enum PrivateKey {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl Signer {
    /// Takes the texts of a certificate file (the signer first, intermediates behind it) and of a key file
    /// (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// When either cannot be read, or the key is not the certificate's.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, SecurityError> {
        let der = CertificateDer::pem_slice_iter(cert_pem.as_bytes())
            .next()
            .ok_or(SecurityError::NoCertificate)?
            .map_err(|e| SecurityError::BadCertificate(e.to_string()))?;
        let (_, cert) = X509Certificate::from_der(&der)
            .map_err(|e| SecurityError::BadCertificate(e.to_string()))?;
        let names = CertNames::of(&cert).map_err(SecurityError::BadCertificate)?;
        let algorithm =
            KeyAlgorithm::of(cert.public_key()).map_err(SecurityError::UnsupportedKey)?;
        let key = PrivateKey::from_pem(key_pem, algorithm)?;
        if key.public_bytes() != cert.public_key().subject_public_key.data.as_ref() {
            return Err(SecurityError::KeyMismatch);
        }
        Ok(Self {
            key,
            pubcert: cert_pem.to_owned(),
            names,
        })
    }

    /// The signature over `message`, raw.
    ///
    /// # Errors
    /// When the key refuses to sign, which a key accepted by [`Self::from_pem`] has no reason to do.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SecurityError> {
        let rng = SystemRandom::new();
        match &self.key {
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)
                    .map_err(|_| SecurityError::SigningFailed)?;
                Ok(signature)
            }
            PrivateKey::Ecdsa(key) => key
                .sign(&rng, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SecurityError::SigningFailed),
        }
    }

    /// The signature over `message` as a secure request carries it: base64 on one line.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_base64(&self, message: &[u8]) -> Result<String, SecurityError> {
        self.sign(message)
            .map(|signature| STANDARD.encode(signature))
    }

    /// The certificate text as given, which is what goes into a secure request.
    #[must_use]
    pub fn pubcert(&self) -> &str {
        &self.pubcert
    }

    /// The names of the certificate.
    #[must_use]
    pub fn names(&self) -> &CertNames {
        &self.names
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out of logs.
        f.debug_struct("Signer")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    fn from_pem(text: &str, algorithm: KeyAlgorithm) -> Result<Self, SecurityError> {
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|e| match e {
            rustls_pki_types::pem::Error::NoItemsFound => SecurityError::NoKey,
            other => SecurityError::BadKey(other.to_string()),
        })?;
        match algorithm {
            KeyAlgorithm::Rsa => rsa(&der),
            KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, &der),
            KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, &der),
        }
    }

    fn public_bytes(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ecdsa(key) => key.public_key().as_ref(),
        }
    }
}

fn rsa(der: &PrivateKeyDer<'_>) -> Result<PrivateKey, SecurityError> {
    let key = match der {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err(SecurityError::KeyMismatch),
    };
    key.map(PrivateKey::Rsa)
        .map_err(|e| SecurityError::BadKey(e.to_string()))
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    der: &PrivateKeyDer<'_>,
) -> Result<PrivateKey, SecurityError> {
    let key = match der {
        PrivateKeyDer::Sec1(key) => {
            EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der())
        }
        PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der()),
        _ => return Err(SecurityError::KeyMismatch),
    };
    key.map(PrivateKey::Ecdsa)
        .map_err(|e| SecurityError::BadKey(e.to_string()))
}
