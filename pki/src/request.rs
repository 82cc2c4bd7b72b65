//! Signing requests (PKCS#10): what their maker wants certified, and whether it may have that.
//!
//! Out of a request come its name, its alternative names and its key, nothing else: uses, dates and all the rest are
//! the authority's to say. What else was asked for is told, so that nobody waits for it in vain.
//!
//! A request is data of a stranger. [`SigningRequest::from_pem`] refuses what is never signed; [`SigningRequest::check`]
//! refuses what is not signed for this role without more words from the person at the authority.

mod error;

use std::net::IpAddr;

use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, GeneralName, X509Extension};

use crate::profile::check_name;
use crate::public_key::PublicKey;
use crate::{Profile, Role, Validity};

pub use self::error::RequestError;

/// The longest request that is looked at, in bytes. An honest one with an RSA key of 8192 bits takes 4 KiB.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The most alternative names of one request.
pub const REQUEST_NAMES_MAX: usize = 64;

/// Names with these endings may call unless nodes are told otherwise.
const CALLER_ENDINGS: [&str; 2] = [".mcollective", ".choria"];

/// Whether a name is one that nodes let call unless they are told otherwise.
#[must_use]
pub fn is_callers_name(name: &str) -> bool {
    CALLER_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// What a request may ask for.
#[derive(Clone, Debug)]
pub struct RequestRules<'a> {
    /// What the owner is to be.
    pub role: Role,
    /// The name it must have, if that is known.
    pub name: Option<&'a str>,
    /// Whether alternative names apart from the common name, and callers' names for brokers and nodes, are signed.
    pub allow_alternative_names: bool,
}

/// A request whose signature is good and that asks for nothing that is never signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest {
    name: String,
    dns: Vec<String>,
    ips: Vec<IpAddr>,
    key: PublicKey,
    ignored: Vec<String>,
}

impl SigningRequest {
    /// Reads a PEM text and checks the request's signature.
    ///
    /// # Errors
    /// Any of [`RequestError`] but those of [`Self::check`].
    pub fn from_pem(text: &str) -> Result<Self, RequestError> {
        if text.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLong { bytes: text.len() });
        }
        let unreadable = |why: String| RequestError::Unreadable(why);
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes())
            .map_err(|e| unreadable(e.to_string()))?;
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|e| unreadable(e.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable(format!("{} bytes follow it", rest.len())));
        }
        let info = &request.certification_request_info;
        // Before the signature: a weak key is the better reason, and its signature may not even be checkable.
        let key = PublicKey::of(&info.subject_pki)?;
        request
            .verify_signature()
            .map_err(|e| RequestError::BadSignature(e.to_string()))?;
        let mut read = Self {
            name: common_name(&request)?,
            dns: Vec::new(),
            ips: Vec::new(),
            key,
            ignored: Vec::new(),
        };
        for attribute in info.iter_attributes() {
            match attribute.parsed_attribute() {
                ParsedCriAttribute::ExtensionRequest(wishes) => {
                    for extension in &wishes.extensions {
                        read.take(extension)?;
                    }
                }
                _ => read.ignored.push(attribute.oid.to_id_string()),
            }
        }
        let count = read.dns.len() + read.ips.len();
        if count > REQUEST_NAMES_MAX {
            return Err(RequestError::TooManyNames { count });
        }
        Ok(read)
    }

    fn take(&mut self, extension: &X509Extension<'_>) -> Result<(), RequestError> {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => names
                .general_names
                .iter()
                .try_for_each(|name| self.take_name(name)),
            ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
                Err(RequestError::Authority {
                    wish: "basic constraints",
                })
            }
            ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
                Err(RequestError::Authority { wish: "key usage" })
            }
            // Our own say on these is what such a request expects anyway.
            ParsedExtension::BasicConstraints(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectKeyIdentifier(_) => Ok(()),
            ParsedExtension::ParseError { .. } => Err(RequestError::Unreadable(format!(
                "extension {} is malformed",
                extension.oid.to_id_string()
            ))),
            _ => {
                self.ignored.push(extension.oid.to_id_string());
                Ok(())
            }
        }
    }

    fn take_name(&mut self, name: &GeneralName<'_>) -> Result<(), RequestError> {
        match name {
            GeneralName::DNSName(name) => {
                check_plain(name)?;
                if !self.dns.iter().any(|own| own == name) {
                    self.dns.push((*name).to_owned());
                }
            }
            GeneralName::IPAddress(bytes) => {
                let ip = ip_of(bytes).ok_or_else(|| {
                    RequestError::Unreadable(format!("an ip address of {} bytes", bytes.len()))
                })?;
                if !self.ips.contains(&ip) {
                    self.ips.push(ip);
                }
            }
            other => {
                return Err(RequestError::NameKind {
                    name: other.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Whether all the request asks for may be signed under these rules.
    ///
    /// Without permission a caller has no name but its own, and brokers and nodes only names below theirs. A name that
    /// lets its owner call is refused to brokers and nodes: whoever signs a machine would not expect to admit a caller.
    ///
    /// # Errors
    /// The first thing that may not.
    pub fn check(&self, rules: &RequestRules<'_>) -> Result<(), RequestError> {
        if let Some(expected) = rules.name.filter(|expected| *expected != self.name) {
            return Err(RequestError::OtherName {
                name: self.name.clone(),
                expected: expected.to_owned(),
            });
        }
        if rules.role == Role::Client && !self.key.kind().signs_requests() {
            return Err(RequestError::CallersKey {
                kind: self.key.kind().to_string(),
            });
        }
        if rules.allow_alternative_names {
            return Ok(());
        }
        let refused = |name: String| RequestError::AlternativeName {
            name,
            common_name: self.name.clone(),
        };
        if let Some(name) = self.dns.iter().find(|name| !self.covers(name, rules.role)) {
            return Err(refused(name.clone()));
        }
        if let Some(ip) = self.ips.first() {
            return Err(refused(ip.to_string()));
        }
        let mut names = std::iter::once(&self.name).chain(&self.dns);
        match names.find(|name| is_callers_name(name)) {
            Some(name) if rules.role != Role::Client => {
                Err(RequestError::CallersName { name: name.clone() })
            }
            _ => Ok(()),
        }
    }

    fn covers(&self, name: &str, role: Role) -> bool {
        let below = || {
            name.strip_suffix(&self.name)
                .is_some_and(|front| front.ends_with('.'))
        };
        name == self.name || (role != Role::Client && below())
    }

    /// What the certificate shall say.
    #[must_use]
    pub fn profile(&self, role: Role, validity: Validity) -> Profile {
        let mut profile = Profile::new(role, &self.name, validity);
        profile.dns_names.clone_from(&self.dns);
        profile.ips.clone_from(&self.ips);
        profile
    }

    /// The common name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The DNS alternative names, as asked for.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.dns
    }

    /// The IP alternative names, as asked for.
    #[must_use]
    pub fn ips(&self) -> &[IpAddr] {
        &self.ips
    }

    /// The key to be certified.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Object identifiers of what else was asked for and is left out.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

fn common_name(request: &X509CertificationRequest<'_>) -> Result<String, RequestError> {
    let subject = &request.certification_request_info.subject;
    let names = subject
        .iter_common_name()
        .map(|name| {
            name.as_str()
                .map_err(|e| RequestError::Unreadable(format!("common name: {e}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    match names.as_slice() {
        [] | [""] => Err(RequestError::NoName),
        [name] => {
            check_plain(name)?;
            Ok((*name).to_owned())
        }
        names => Err(RequestError::ManyNames { count: names.len() }),
    }
}

fn check_plain(name: &str) -> Result<(), RequestError> {
    if name.contains('*') {
        let name = name.to_owned();
        return Err(RequestError::Wildcard { name });
    }
    Ok(check_name(name)?)
}

pub(crate) fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
