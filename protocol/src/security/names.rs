//! The names a certificate carries.
//!
//! Common name, DNS names and e-mail addresses, as text. Comparison is exact: no wildcard, no case folding.
//! IP addresses are not names of callers and are left out.

use std::fmt;

use x509_parser::prelude::{GeneralName, X509Certificate};

/// The names of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertNames {
    common_name: Option<String>,
    dns: Vec<String>,
    emails: Vec<String>,
}

impl CertNames {
    /// Reads the names out of a parsed certificate. A malformed extension is an error, not an empty list:
    /// a certificate is understood whole or refused.
    pub(super) fn of(cert: &X509Certificate<'_>) -> Result<Self, String> {
        // With several common names peers take the last one.
        let common_name = match cert.subject().iter_common_name().last() {
            Some(attribute) => Some(
                attribute
                    .as_str()
                    .map_err(|e| format!("common name: {e}"))?
                    .to_owned(),
            ),
            None => None,
        };
        let mut names = Self {
            common_name,
            ..Self::default()
        };
        let alternatives = cert
            .subject_alternative_name()
            .map_err(|e| format!("subject alternative names: {e}"))?;
        for name in alternatives.iter().flat_map(|san| &san.value.general_names) {
            match name {
                GeneralName::DNSName(dns) => names.dns.push((*dns).to_owned()),
                GeneralName::RFC822Name(email) => names.emails.push((*email).to_owned()),
                _ => {}
            }
        }
        Ok(names)
    }

    /// The subject's common name.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The DNS alternative names, in the certificate's order.
    #[must_use]
    pub fn dns(&self) -> &[String] {
        &self.dns
    }

    /// The e-mail alternative names, in the certificate's order.
    #[must_use]
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// Common name, then DNS names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.common_name
            .as_deref()
            .into_iter()
            .chain(self.dns.iter().map(String::as_str))
    }

    /// Whether the certificate carries `name`: as common name or DNS name, or, for `email:<address>`, as
    /// e-mail address.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match name.strip_prefix("email:") {
            Some(address) => self.emails.iter().any(|email| email == address),
            None => self.iter().any(|own| own == name),
        }
    }
}

impl fmt::Display for CertNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let emails = self.emails.iter().map(String::as_str);
        for (index, name) in self.iter().chain(emails).enumerate() {
            write!(f, "{}{name:?}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}
