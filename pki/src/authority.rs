//! A certificate authority: one root certificate and its key.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::profile::check_name;
use crate::{KeyKind, LeafKey, PkiError, Profile, Role, Validity};

/// A root certificate with its key, which signs other certificates. Shared by reference among threads.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    key_pem: String,
}

/// A certificate and the key that belongs to it, both PEM texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// The private key (PKCS#8).
    pub key_pem: String,
}

impl Authority {
    /// Makes a new root.
    ///
    /// # Errors
    /// When the name is empty or the validity cannot be expressed.
    pub fn new(common_name: &str, kind: KeyKind, validity: Validity) -> Result<Self, PkiError> {
        if common_name.is_empty() {
            return Err(PkiError::BadName {
                name: String::new(),
                why: "it is empty",
            });
        }
        let key = LeafKey::generate(kind)?;
        let mut params = params(common_name, validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let cert = params.self_signed(&key.pair).map_err(failed)?;
        Ok(Self {
            cert_pem: cert.pem(),
            key_pem: key.pem,
            issuer: Issuer::new(params, key.pair),
        })
    }

    /// Loads an existing root, of whatever key kind.
    ///
    /// # Errors
    /// When either text cannot be read, the certificate is not an authority's, or the key is not its key.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let bad = |why: String| PkiError::BadAuthority(why);
        let der =
            CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let (_, cert) = X509Certificate::from_der(&der).map_err(|e| bad(e.to_string()))?;
        if !cert.is_ca() {
            return Err(bad("it is not marked as one".to_owned()));
        }
        let key = KeyPair::from_pem(key_pem).map_err(|e| PkiError::BadKey(e.to_string()))?;
        if key.der_bytes() != cert.public_key().subject_public_key.data.as_ref() {
            return Err(PkiError::KeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|e| bad(e.to_string()))?;
        Ok(Self {
            issuer,
            cert_pem: cert_pem.to_owned(),
            key_pem: key_pem.to_owned(),
        })
    }

    /// The root certificate, PEM: what peers trust.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The root's private key, PEM.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Makes a key of the profile's kind and a certificate for it.
    ///
    /// # Errors
    /// When a name or the validity cannot stand in a certificate.
    pub fn issue(&self, profile: &Profile) -> Result<Issued, PkiError> {
        self.issue_with_key(profile, &LeafKey::generate(profile.key_kind)?)
    }

    /// Makes a certificate for a given key, which may serve any number of certificates: a load generator
    /// needs fifty thousand names, not fifty thousand keys. The profile's kind of key plays no part.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_with_key(&self, profile: &Profile, key: &LeafKey) -> Result<Issued, PkiError> {
        check_name(&profile.name)?;
        let mut params = params(&profile.name, profile.validity)?;
        params.subject_alt_names = alternative_names(profile)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = match key.kind {
            KeyKind::EcdsaP256 => vec![KeyUsagePurpose::DigitalSignature],
            KeyKind::Rsa2048 => {
                vec![
                    KeyUsagePurpose::DigitalSignature,
                    KeyUsagePurpose::KeyEncipherment,
                ]
            }
        };
        params.extended_key_usages = match profile.role {
            Role::Broker | Role::Node => {
                vec![
                    ExtendedKeyUsagePurpose::ServerAuth,
                    ExtendedKeyUsagePurpose::ClientAuth,
                ]
            }
            Role::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let cert = params.signed_by(&key.pair, &self.issuer).map_err(failed)?;
        Ok(Issued {
            cert_pem: cert.pem(),
            key_pem: key.pem.clone(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key stays out of logs.
        f.debug_struct("Issued")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

/// What every certificate has: subject, dates and a serial number of its own. The library's default number
/// is a hash of the key, which certificates that share a key would share too.
fn params(common_name: &str, validity: Validity) -> Result<CertificateParams, PkiError> {
    let (first, last) = validity.bounds()?;
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(first);
    params.not_after = epoch + Duration::from_secs(last);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.serial_number = Some(random_serial()?);
    Ok(params)
}

fn random_serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| PkiError::Failed("no randomness for a serial number".to_owned()))?;
    // Positive, and of one length.
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// The owner's name first, then what was asked for, nothing twice.
fn alternative_names(profile: &Profile) -> Result<Vec<SanType>, PkiError> {
    let mut names = Vec::with_capacity(1 + profile.dns_names.len() + profile.ips.len());
    for name in std::iter::once(&profile.name).chain(&profile.dns_names) {
        // A wildcard is a matter of brokers' further names only.
        check_name(
            name.strip_prefix("*.")
                .filter(|_| *name != profile.name)
                .unwrap_or(name),
        )?;
        let name = SanType::DnsName(name.as_str().try_into().map_err(failed)?);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for ip in &profile.ips {
        let name = SanType::IpAddress(*ip);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as the argument of map_err"
)]
fn failed(error: rcgen::Error) -> PkiError {
    PkiError::Failed(error.to_string())
}
