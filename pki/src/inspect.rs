//! What certificates and revocation lists say, for people and for the folder's book-keeping.
//!
//! Nothing is judged here: neither signatures nor dates.

use std::fmt::Write;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use crate::public_key::kind_of;
use crate::request::ip_of;
use crate::{PkiError, Role, Serial};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertInfo {
    /// The subject's common name; empty where it has none.
    pub name: String,
    /// The whole subject.
    pub subject: String,
    /// The whole issuer.
    pub issuer: String,
    /// Its number.
    pub serial: Serial,
    /// The first second, in unix seconds.
    pub not_before: u64,
    /// The last second, in unix seconds.
    pub not_after: u64,
    /// DNS alternative names.
    pub dns_names: Vec<String>,
    /// IP alternative names.
    pub ips: Vec<IpAddr>,
    /// The other alternative names, with their kinds.
    pub other_names: Vec<String>,
    /// The kind of key, or the reason why such a key is not certified here.
    pub key: String,
    /// Whether it is an authority's.
    pub is_authority: bool,
    /// Whether it may serve TLS.
    pub is_server: bool,
    /// SHA-256 of the whole certificate, in hexadecimal with colons.
    pub fingerprint: String,
}

impl CertInfo {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// [`PkiError::BadCertificate`].
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let der = cert_der(pem)?;
        Ok(Self::of(&parse_cert(&der)?, &der))
    }

    pub(crate) fn of(cert: &X509Certificate<'_>, der: &[u8]) -> Self {
        let (not_before, not_after) = dates(cert);
        let name = cert.subject().iter_common_name().last();
        let mut info = Self {
            name: name
                .and_then(|name| name.as_str().ok())
                .unwrap_or_default()
                .to_owned(),
            subject: cert.subject().to_string(),
            issuer: cert.issuer().to_string(),
            serial: Serial::of_bytes(cert.raw_serial()),
            not_before,
            not_after,
            dns_names: Vec::new(),
            ips: Vec::new(),
            other_names: Vec::new(),
            key: kind_of(cert.public_key()).map_or_else(|e| e.to_string(), |k| k.to_string()),
            is_authority: cert.is_ca(),
            is_server: cert
                .extended_key_usage()
                .is_ok_and(|uses| uses.is_none_or(|uses| uses.value.server_auth || uses.value.any)),
            fingerprint: fingerprint(der),
        };
        let names = cert.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => info.dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) if ip_of(bytes).is_some() => {
                    info.ips.extend(ip_of(bytes));
                }
                other => info.other_names.push(other.to_string()),
            }
        }
        info
    }

    /// What its owner seems to be: brokers and nodes have the same certificates.
    pub(crate) const fn role(&self) -> Role {
        if self.is_server {
            Role::Node
        } else {
            Role::Client
        }
    }
}

/// What a revocation list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlInfo {
    /// The issuer.
    pub issuer: String,
    /// The list's number; none where it has none, or one beyond 64 bits.
    pub number: Option<u64>,
    /// When it was made, in unix seconds.
    pub this_update: u64,
    /// When the next one is due, in unix seconds.
    pub next_update: Option<u64>,
    /// The numbers of the revoked certificates.
    pub revoked: Vec<Serial>,
}

impl CrlInfo {
    /// Reads the first revocation list of a PEM text.
    ///
    /// # Errors
    /// [`PkiError::BadRevocationList`].
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let bad = |why: String| PkiError::BadRevocationList(why);
        let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| bad(e.to_string()))?;
        let (_, list) =
            CertificateRevocationList::from_der(&der).map_err(|e| bad(e.to_string()))?;
        Ok(Self {
            issuer: list.issuer().to_string(),
            number: list
                .crl_number()
                .and_then(|number| u64::try_from(number).ok()),
            this_update: seconds(list.last_update().timestamp()),
            next_update: list.next_update().map(|time| seconds(time.timestamp())),
            revoked: list
                .iter_revoked_certificates()
                .map(|cert| Serial::of_bytes(cert.raw_serial()))
                .collect(),
        })
    }
}

pub(crate) fn cert_der(pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| PkiError::BadCertificate(e.to_string()))
}

pub(crate) fn parse_cert<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PkiError> {
    X509Certificate::from_der(der)
        .map(|(_, cert)| cert)
        .map_err(|e| PkiError::BadCertificate(e.to_string()))
}

/// First and last second, in unix seconds; dates before 1970 are as good as 1970.
pub(crate) fn dates(cert: &X509Certificate<'_>) -> (u64, u64) {
    let validity = cert.validity();
    (
        seconds(validity.not_before.timestamp()),
        seconds(validity.not_after.timestamp()),
    )
}

fn seconds(unix: i64) -> u64 {
    u64::try_from(unix).unwrap_or(0)
}

fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for (index, byte) in digest(&SHA256, der).as_ref().iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}
