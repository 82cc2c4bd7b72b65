//! A certificate authority: one root certificate and its key.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::inspect::dates;
use crate::profile::check_name;
use crate::{KeyKind, LeafKey, PkiError, Profile, PublicKey, RevokedCert, Role, Validity};

/// A root certificate with its key, which signs other certificates. Shared by reference among threads.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
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
            der: cert.der().clone(),
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
            der,
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
        let cert_pem = self.certify(profile, &key.pair, key.kind.of_public().usages())?;
        Ok(Issued {
            cert_pem,
            key_pem: key.pem.clone(),
        })
    }

    /// Makes a certificate for a key whose private half is somewhere else. Whether the owner may have what the profile
    /// says is the caller's to know; see [`crate::SigningRequest::check`].
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn sign(&self, profile: &Profile, key: &PublicKey) -> Result<String, PkiError> {
        self.certify(profile, &key.info, key.kind().usages())
    }

    fn certify(
        &self,
        profile: &Profile,
        key: &impl PublicKeyData,
        usages: Vec<KeyUsagePurpose>,
    ) -> Result<String, PkiError> {
        check_name(&profile.name)?;
        let mut params = params(&profile.name, profile.validity)?;
        params.subject_alt_names = alternative_names(profile)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = usages;
        params.extended_key_usages = match profile.role {
            Role::Broker | Role::Node => {
                vec![
                    ExtendedKeyUsagePurpose::ServerAuth,
                    ExtendedKeyUsagePurpose::ClientAuth,
                ]
            }
            Role::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let cert = params.signed_by(key, &self.issuer).map_err(failed)?;
        Ok(cert.pem())
    }

    /// The first and the last second of the root's validity, in unix seconds.
    ///
    /// # Errors
    /// [`PkiError::BadAuthority`]; a certificate that was made or loaded here gives none.
    pub fn dates(&self) -> Result<(u64, u64), PkiError> {
        Ok(dates(&self.parsed()?))
    }

    /// Whether the root is valid at a moment: what an expired one signs, nobody accepts.
    ///
    /// # Errors
    /// [`PkiError::AuthorityDates`] if it is not.
    pub fn check_dates(&self, now: u64) -> Result<(), PkiError> {
        let (not_before, not_after) = self.dates()?;
        if (not_before..=not_after).contains(&now) {
            Ok(())
        } else {
            Err(PkiError::AuthorityDates {
                not_before,
                not_after,
                now,
            })
        }
    }

    /// Whether this root signed a certificate.
    #[must_use]
    pub fn has_signed(&self, cert: &X509Certificate<'_>) -> bool {
        self.parsed().is_ok_and(|own| {
            own.subject().as_raw() == cert.issuer().as_raw()
                && cert.verify_signature(Some(own.public_key())).is_ok()
        })
    }

    /// Makes a revocation list, PEM. `number` must grow from list to list; `this_update` and `next_update` are unix
    /// seconds.
    ///
    /// # Errors
    /// [`PkiError::Failed`], when the root may not sign lists.
    pub fn revocation_list(
        &self,
        revoked: &[RevokedCert],
        number: u64,
        this_update: u64,
        next_update: u64,
    ) -> Result<String, PkiError> {
        let epoch = date_time_ymd(1970, 1, 1);
        let at = |unix| epoch + Duration::from_secs(unix);
        let params = CertificateRevocationListParams {
            this_update: at(this_update),
            next_update: at(next_update),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|cert| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(cert.serial.bytes()),
                    revocation_time: at(cert.since),
                    reason_code: Some(cert.reason.into()),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: self.key_identifier()?,
        };
        let list = params.signed_by(&self.issuer).map_err(failed)?;
        list.pem().map_err(failed)
    }

    /// As the root's certificate has it: authorities of other makers derive it in their own way.
    fn key_identifier(&self) -> Result<KeyIdMethod, PkiError> {
        let own = self.parsed()?;
        let identifier =
            own.extensions()
                .iter()
                .find_map(|extension| match extension.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(identifier) => {
                        Some(identifier.0.to_vec())
                    }
                    _ => None,
                });
        Ok(identifier.map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified))
    }

    fn parsed(&self) -> Result<X509Certificate<'_>, PkiError> {
        X509Certificate::from_der(&self.der)
            .map(|(_, cert)| cert)
            .map_err(|e| PkiError::BadAuthority(e.to_string()))
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
