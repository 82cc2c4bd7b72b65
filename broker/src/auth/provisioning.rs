//! Tokens of nodes that are to be provisioned.
//!
//! They are alike on all nodes of a site and prove no identity: whoever has one may enter the provisioning account and no other.
//! They are signed with RSA (RS256, RS384, RS512) or ed25519, by the configured signer, or by the issuer of their organisation.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_protocol::security::tokens::{DEFAULT_ORGANIZATION, PublicKey, TOKEN_BYTES_MAX};
use serde::Deserialize;
use x509_parser::oid_registry::{OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo, X509Certificate};

use super::Refusal;

/// What a provisioning token is for.
const PURPOSE: &str = "choria_provisioning";

/// Who signs the tokens of nodes.
#[derive(Clone, PartialEq, Eq)]
pub enum ProvisioningSigner {
    /// An RSA key, in PKCS#1 DER.
    Rsa(Box<[u8]>),
    /// An ed25519 key.
    Ed25519(PublicKey),
}

/// Why a text names no signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerError {
    /// Neither 64 hex digits nor PEM.
    Form,
    /// PEM of something else than a certificate or a public key.
    Content,
    /// A key that is neither RSA of 2048 to 8192 bits nor ed25519.
    Kind,
}

impl ProvisioningSigner {
    /// Reads 64 hex digits of an ed25519 key, or PEM of a certificate or public key.
    ///
    /// # Errors
    /// The text is something else, or a key of another kind.
    pub fn parse(text: &str) -> Result<Self, SignerError> {
        if let Ok(key) = PublicKey::from_hex(text.trim()) {
            return Ok(Self::Ed25519(key));
        }
        let (_, pem) = parse_x509_pem(text.as_bytes()).map_err(|_| SignerError::Form)?;
        let signer = match &*pem.label {
            "CERTIFICATE" => {
                let (_, certificate) =
                    X509Certificate::from_der(&pem.contents).map_err(|_| SignerError::Content)?;
                Self::of(certificate.public_key())
            }
            "PUBLIC KEY" => {
                let (_, key) = SubjectPublicKeyInfo::from_der(&pem.contents)
                    .map_err(|_| SignerError::Content)?;
                Self::of(&key)
            }
            "RSA PUBLIC KEY" => Ok(Self::Rsa(pem.contents.into())),
            _ => Err(SignerError::Content),
        }?;
        if let Self::Rsa(key) = &signer {
            ParsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, &**key)
                .map_err(|_| SignerError::Kind)?;
        }
        Ok(signer)
    }

    fn of(key: &SubjectPublicKeyInfo<'_>) -> Result<Self, SignerError> {
        let bytes = key.subject_public_key.data.as_ref();
        if key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
            return Ok(Self::Rsa(bytes.into()));
        }
        if key.algorithm.algorithm != OID_SIG_ED25519 {
            return Err(SignerError::Kind);
        }
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = PublicKey::from_hex(&hex).map_err(|_| SignerError::Kind)?;
        Ok(Self::Ed25519(key))
    }
}

/// Whether a token says that it is for provisioning. Nothing else of it is checked.
pub(super) fn is_provisioning(token: &str) -> bool {
    Parts::of(token).is_some_and(|parts| parts.claims().is_some_and(|claims| claims.is_for_nodes()))
}

/// Checks a provisioning token; returns the unix second it ends in, if it does.
pub(super) fn verify(
    token: &str,
    signer: Option<&ProvisioningSigner>,
    issuers: &BTreeMap<String, PublicKey>,
    now: u64,
) -> Result<Option<u64>, Refusal> {
    let refuse = Refusal::ProvisioningToken;
    let parts = Parts::of(token).ok_or(refuse("it cannot be read"))?;
    let claims = parts.claims().ok_or(refuse("it cannot be read"))?;
    if !claims.is_for_nodes() {
        return Err(refuse("it is for something else"));
    }
    if !is_signed(&parts, &claims, signer, issuers)? {
        return Err(refuse("it is not signed by who should have"));
    }
    let end = claims.end()?;
    if end.is_some_and(|end| end <= now) {
        return Err(refuse("it has ended"));
    }
    if claims.nbf.is_some_and(|begin| begin > seconds(now)) {
        return Err(refuse("it is not valid yet"));
    }
    Ok(end)
}

fn is_signed(
    parts: &Parts<'_>,
    claims: &NodeClaims,
    signer: Option<&ProvisioningSigner>,
    issuers: &BTreeMap<String, PublicKey>,
) -> Result<bool, Refusal> {
    let algorithm = parts.algorithm();
    let rsa = algorithm.as_deref().and_then(rsa);
    match (signer, rsa) {
        (Some(ProvisioningSigner::Rsa(key)), Some(rsa)) => {
            let key = UnparsedPublicKey::new(rsa, &**key);
            Ok(key
                .verify(parts.signed.as_bytes(), &parts.signature)
                .is_ok())
        }
        (_, Some(_)) => Err(Refusal::ProvisioningToken(
            "no RSA key is configured for it",
        )),
        (Some(ProvisioningSigner::Ed25519(key)), None) if is_eddsa(algorithm.as_deref()) => {
            Ok(key.verify(parts.signed.as_bytes(), &parts.signature))
        }
        (_, None) if is_eddsa(algorithm.as_deref()) => {
            let organization = claims.ou.as_deref().unwrap_or(DEFAULT_ORGANIZATION);
            let issuer = issuers.get(organization);
            let issuer = issuer.ok_or(Refusal::ProvisioningToken("no issuer is known for it"))?;
            Ok(issuer.verify(parts.signed.as_bytes(), &parts.signature))
        }
        (_, None) => Err(Refusal::ProvisioningToken("it is signed in an unknown way")),
    }
}

fn is_eddsa(algorithm: Option<&str>) -> bool {
    algorithm == Some("EdDSA")
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    match algorithm {
        "RS256" => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

fn seconds(now: u64) -> f64 {
    std::time::Duration::from_secs(now).as_secs_f64()
}

/// A token taken apart.
struct Parts<'a> {
    signed: &'a str,
    header: Vec<u8>,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// What of the claims decides here.
#[derive(Deserialize)]
struct NodeClaims {
    #[serde(default)]
    purpose: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    ou: Option<String>,
    #[serde(default)]
    exp: Option<f64>,
    #[serde(default)]
    issexp: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        Some(Self {
            signed,
            header: decode(header)?,
            claims: decode(claims)?,
            signature: decode(signature)?,
        })
    }

    fn algorithm(&self) -> Option<String> {
        let header: Header = serde_json::from_slice(&self.header).ok()?;
        Some(header.alg)
    }

    fn claims(&self) -> Option<NodeClaims> {
        serde_json::from_slice(&self.claims).ok()
    }
}

impl NodeClaims {
    /// Tokens of old name their purpose as the subject.
    fn is_for_nodes(&self) -> bool {
        match self.purpose.as_deref() {
            Some(purpose) if !purpose.is_empty() => purpose == PURPOSE,
            _ => self.sub.as_deref() == Some(PURPOSE),
        }
    }

    /// The unix second in which it is no longer valid: its own end, or that of its issuer.
    fn end(&self) -> Result<Option<u64>, Refusal> {
        let end = match (self.exp, self.issexp) {
            (Some(own), Some(issuer)) => Some(own.min(issuer)),
            (own, issuer) => own.or(issuer),
        };
        let Some(end) = end else { return Ok(None) };
        let end = std::time::Duration::try_from_secs_f64(end)
            .map_err(|_| Refusal::ProvisioningToken("its end is no time"))?;
        Ok(Some(end.as_secs()))
    }
}

/// A public key is no secret, but long.
impl fmt::Debug for ProvisioningSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(_) => f.write_str("Rsa(..)"),
            Self::Ed25519(key) => key.fmt(f),
        }
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "is neither 64 hex digits nor PEM",
            Self::Content => "holds neither a certificate nor a public key",
            Self::Kind => "is neither an RSA key of 2048 to 8192 bits nor an ed25519 key",
        })
    }
}

impl std::error::Error for SignerError {}
