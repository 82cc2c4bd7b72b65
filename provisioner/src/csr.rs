//! Signing requests of nodes: what is checked before the helper, and so the authority, sees one.
//!
//! A node without configuration is a stranger. It gets a certificate for its own name and for no other, and never for one
//! that lets its owner call: the *deny list*. What the certificate then says is for the authority behind the helper.

use std::fmt;

use regex::{Regex, RegexBuilder};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

/// The longest request that is looked at, in bytes.
pub const CSR_BYTES_MAX: usize = 64 * 1024;
/// Names nobody is asked to certify, unless configured otherwise: those of callers.
pub const DENY_LIST: [&str; 4] = [
    r"\.privileged.mcollective$",
    r"\.privileged.choria$",
    r"\.mcollective$",
    r"\.choria$",
];
/// Bytes a compiled expression may take: a configuration is not trusted to know what it costs.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Names no certificate is asked for, as regular expressions.
#[derive(Debug, Clone)]
pub struct DenyList {
    patterns: Vec<Regex>,
}

/// Why a signing request is refused. Names of strangers are cut to 128 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CsrError {
    /// It is longer than is looked at.
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// It is no request.
    Unreadable(String),
    /// Whoever made it does not hold the key.
    BadSignature,
    /// It has no common name, or more than one.
    Names {
        /// How many.
        count: usize,
    },
    /// It is for somebody else.
    OtherName {
        /// The common name.
        name: String,
        /// The node's name.
        identity: String,
    },
    /// It asks for another name beside the node's own.
    AlternativeName {
        /// That name.
        name: String,
    },
    /// It asks to be an authority.
    Authority,
    /// A name is on the deny list.
    Denied {
        /// The name.
        name: String,
        /// The expression.
        pattern: String,
    },
}

impl DenyList {
    /// Compiles the expressions; those that are none come back with the reason.
    #[must_use]
    pub fn new(patterns: &[String]) -> (Self, Vec<(String, String)>) {
        let mut list = Self {
            patterns: Vec::new(),
        };
        let mut bad = Vec::new();
        for pattern in patterns {
            match RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
            {
                Ok(regex) => list.patterns.push(regex),
                Err(error) => {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default().trim();
                    bad.push((pattern.clone(), why.to_owned()));
                }
            }
        }
        (list, bad)
    }

    /// The first expression that matches a name. Case counts for nothing in names, so it counts for nothing here.
    #[must_use]
    pub fn matching(&self, name: &str) -> Option<&str> {
        let lower = name.to_ascii_lowercase();
        let matches = |regex: &&Regex| regex.is_match(name) || regex.is_match(&lower);
        self.patterns.iter().find(matches).map(Regex::as_str)
    }
}

impl Default for DenyList {
    fn default() -> Self {
        Self::new(&DENY_LIST.map(str::to_owned)).0
    }
}

/// Whether a node of this name may have this request signed.
///
/// # Errors
/// It may not, for the reason told.
pub fn check_csr(pem: &str, identity: &str, deny: &DenyList) -> Result<(), CsrError> {
    if pem.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLong { bytes: pem.len() });
    }
    let unreadable = |why: String| CsrError::Unreadable(why);
    let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|e| unreadable(e.to_string()))?;
    if !matches!(
        &*block.label,
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"
    ) {
        return Err(unreadable(format!("it is a {:?}", short(&block.label))));
    }
    let (rest, request) = X509CertificationRequest::from_der(&block.contents)
        .map_err(|e| unreadable(e.to_string()))?;
    if !rest.is_empty() {
        return Err(unreadable(format!("{} bytes follow it", rest.len())));
    }
    request
        .verify_signature()
        .map_err(|_| CsrError::BadSignature)?;
    let name = common_name(&request)?;
    if name != identity {
        return Err(CsrError::OtherName {
            name: short(name),
            identity: identity.to_owned(),
        });
    }
    check_denied(name, deny)?;
    for attribute in request.certification_request_info.iter_attributes() {
        if let ParsedCriAttribute::ExtensionRequest(wishes) = attribute.parsed_attribute() {
            for extension in &wishes.extensions {
                check_extension(extension, identity, deny)?;
            }
        }
    }
    Ok(())
}

fn common_name<'r>(request: &'r X509CertificationRequest<'_>) -> Result<&'r str, CsrError> {
    let subject = &request.certification_request_info.subject;
    let names: Vec<_> = subject.iter_common_name().collect();
    let [name] = names.as_slice() else {
        return Err(CsrError::Names { count: names.len() });
    };
    let unreadable = |error: x509_parser::error::X509Error| CsrError::Unreadable(error.to_string());
    name.as_str().map_err(unreadable)
}

fn check_extension(
    extension: &X509Extension<'_>,
    identity: &str,
    deny: &DenyList,
) -> Result<(), CsrError> {
    match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => {
            for name in &names.general_names {
                match name {
                    GeneralName::DNSName(name) => {
                        check_denied(name, deny)?;
                        if *name != identity {
                            return Err(CsrError::AlternativeName { name: short(name) });
                        }
                    }
                    other => {
                        let name = short(&other.to_string());
                        return Err(CsrError::AlternativeName { name });
                    }
                }
            }
            Ok(())
        }
        ParsedExtension::BasicConstraints(constraints) if constraints.ca => {
            Err(CsrError::Authority)
        }
        ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
            Err(CsrError::Authority)
        }
        ParsedExtension::ParseError { .. } => Err(CsrError::Unreadable(format!(
            "extension {} is malformed",
            extension.oid.to_id_string()
        ))),
        _ => Ok(()),
    }
}

fn check_denied(name: &str, deny: &DenyList) -> Result<(), CsrError> {
    match deny.matching(name) {
        None => Ok(()),
        Some(pattern) => Err(CsrError::Denied {
            name: short(name),
            pattern: pattern.to_owned(),
        }),
    }
}

fn short(name: &str) -> String {
    name.chars().take(128).collect()
}

impl fmt::Display for CsrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(
                    f,
                    "signing request has {bytes} bytes, more than {CSR_BYTES_MAX}"
                )
            }
            Self::Unreadable(why) => write!(f, "signing request cannot be read: {why}"),
            Self::BadSignature => {
                f.write_str("signing request is not signed with the key it is for")
            }
            Self::Names { count } => {
                write!(f, "signing request has {count} common names, not 1")
            }
            Self::OtherName { name, identity } => {
                write!(f, "signing request is for {name:?}, not for {identity:?}")
            }
            Self::AlternativeName { name } => {
                write!(f, "signing request asks for the further name {name:?}")
            }
            Self::Authority => f.write_str("signing request asks to be an authority"),
            Self::Denied { name, pattern } => {
                write!(
                    f,
                    "signing request is for {name:?}, which {pattern:?} denies"
                )
            }
        }
    }
}

impl std::error::Error for CsrError {}

#[cfg(test)]
mod tests;
