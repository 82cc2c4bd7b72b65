//! What can go wrong while certificates are made.

use std::fmt;

use crate::moment::rfc3339;
use crate::public_key::{RSA_BITS_MAX, RSA_BITS_MIN};

/// Why a certificate, a key or a revocation list could not be made.
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
    /// The authority is not valid at the moment it is to sign.
    AuthorityDates {
        /// Its first second, in unix seconds.
        not_before: u64,
        /// Its last second, in unix seconds.
        not_after: u64,
        /// The moment, in unix seconds.
        now: u64,
    },
    /// The authority's key does not belong to its certificate.
    KeyMismatch,
    /// A private key cannot be read.
    BadKey(String),
    /// An RSA key is shorter or longer than what is certified.
    RsaLength {
        /// Its length in bits.
        bits: usize,
    },
    /// A key is of a kind that peers do not take.
    UnsupportedKey(String),
    /// A certificate cannot be read.
    BadCertificate(String),
    /// A revocation list cannot be read.
    BadRevocationList(String),
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
            Self::AuthorityDates {
                not_before,
                not_after,
                now,
            } => write!(
                f,
                "authority is valid from {} to {}, it is {}",
                rfc3339(*not_before),
                rfc3339(*not_after),
                rfc3339(*now)
            ),
            Self::KeyMismatch => f.write_str("authority key does not belong to its certificate"),
            Self::BadKey(why) => write!(f, "private key cannot be read: {why}"),
            Self::RsaLength { bits } => write!(
                f,
                "rsa key of {bits} bits is outside of {RSA_BITS_MIN} to {RSA_BITS_MAX}"
            ),
            Self::UnsupportedKey(kind) => write!(
                f,
                "key kind {kind} is not taken, only rsa, ecdsa on p-256 and p-384, and ed25519 are"
            ),
            Self::BadCertificate(why) => write!(f, "certificate cannot be read: {why}"),
            Self::BadRevocationList(why) => write!(f, "revocation list cannot be read: {why}"),
            Self::Failed(why) => write!(f, "certificate could not be made: {why}"),
        }
    }
}

impl std::error::Error for PkiError {}
