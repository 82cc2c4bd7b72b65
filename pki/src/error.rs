//! What can go wrong while certificates are made.

use std::fmt;

/// Why a certificate or key could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PkiError {
    /// The name cannot stand in a certificate.
    BadName {
        /// The name given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The validity is empty or ends after the year 9999.
    BadValidity {
        /// The start given, in unix seconds.
        from_unix: u64,
        /// The days given.
        days: u32,
    },
    /// The authority's certificate cannot be read or is none of an authority.
    BadAuthority(String),
    /// The authority's key does not belong to its certificate.
    KeyMismatch,
    /// A private key cannot be read.
    BadKey(String),
    /// The library refused; with checked arguments it has no reason to.
    Failed(String),
}

impl fmt::Display for PkiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName { name, why } => {
                write!(f, "name {name:?} cannot stand in a certificate: {why}")
            }
            Self::BadValidity { from_unix, days } => write!(
                f,
                "validity of {days} days from {from_unix} is empty or ends after the year 9999"
            ),
            Self::BadAuthority(why) => write!(f, "authority certificate cannot be used: {why}"),
            Self::KeyMismatch => f.write_str("authority key does not belong to its certificate"),
            Self::BadKey(why) => write!(f, "private key cannot be read: {why}"),
            Self::Failed(why) => write!(f, "certificate could not be made: {why}"),
        }
    }
}

impl std::error::Error for PkiError {}
