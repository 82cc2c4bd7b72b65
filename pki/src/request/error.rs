//! Why a request is not signed.

use std::fmt;

use super::{REQUEST_BYTES_MAX, REQUEST_NAMES_MAX};
use crate::PkiError;

/// Why a request is not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The text is longer than any honest request.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The text is no request.
    Unreadable(String),
    /// The request is not signed by the key it names.
    BadSignature(String),
    /// The request wants to be an authority.
    Authority {
        /// By which extension.
        wish: &'static str,
    },
    /// The request has no common name.
    NoName,
    /// The request has more than one common name.
    ManyNames {
        /// How many.
        count: usize,
    },
    /// A name, a key or the validity cannot be certified.
    Pki(PkiError),
    /// A name has a wildcard.
    Wildcard {
        /// The name.
        name: String,
    },
    /// An alternative name is neither a DNS name nor an IP address.
    NameKind {
        /// The name, with its kind.
        name: String,
    },
    /// The request has more alternative names than are signed.
    TooManyNames {
        /// How many.
        count: usize,
    },
    /// The request is for another name than expected.
    OtherName {
        /// The name in the request.
        name: String,
        /// The name expected.
        expected: String,
    },
    /// An alternative name is not covered by the common name.
    AlternativeName {
        /// The alternative name.
        name: String,
        /// The common name.
        common_name: String,
    },
    /// A broker or node wants a name that lets it call.
    CallersName {
        /// The name.
        name: String,
    },
    /// A caller's key cannot sign requests.
    CallersKey {
        /// The kind of key.
        kind: String,
    },
}

impl From<PkiError> for RequestError {
    fn from(error: PkiError) -> Self {
        Self::Pki(error)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(
                f,
                "request of {bytes} bytes is above the limit of {REQUEST_BYTES_MAX}"
            ),
            Self::Unreadable(why) => write!(f, "request cannot be read: {why}"),
            Self::BadSignature(why) => {
                write!(f, "request is not signed by the key it names: {why}")
            }
            Self::Authority { wish } => {
                write!(f, "request wants to be an authority, by its {wish}")
            }
            Self::NoName => f.write_str("request has no common name"),
            Self::ManyNames { count } => write!(f, "request has {count} common names, not one"),
            Self::Pki(error) => error.fmt(f),
            Self::Wildcard { name } => write!(f, "name {name:?} has a wildcard"),
            Self::NameKind { name } => write!(
                f,
                "alternative name {name} is neither a dns name nor an ip address"
            ),
            Self::TooManyNames { count } => write!(
                f,
                "request has {count} alternative names, above the limit of {REQUEST_NAMES_MAX}"
            ),
            Self::OtherName { name, expected } => {
                write!(f, "request is for {name:?}, not for {expected:?}")
            }
            Self::AlternativeName { name, common_name } => write!(
                f,
                "alternative name {name:?} is not covered by the common name {common_name:?}"
            ),
            Self::CallersName { name } => write!(
                f,
                "name {name:?} would let a broker or node call as nodes let callers do"
            ),
            Self::CallersKey { kind } => write!(
                f,
                "a caller's key of kind {kind} cannot sign requests, only rsa, p-256 and p-384 can"
            ),
        }
    }
}

impl std::error::Error for RequestError {}
