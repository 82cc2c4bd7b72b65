//! What can be wrong with a token.

use std::fmt;

use super::{KeyError, PublicKey};

/// Why a token is not believed, or is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// The text is longer than any honest token.
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that is looked at.
        limit: usize,
    },
    /// The text is no token.
    Malformed {
        /// What is wrong with it.
        why: String,
    },
    /// The token is signed in another way than EdDSA.
    Algorithm {
        /// The algorithm it names, cut to 16 characters.
        name: String,
    },
    /// The token is for something else.
    Purpose {
        /// The purpose it states.
        purpose: String,
    },
    /// No issuer is configured for the token's organisation.
    Organization {
        /// The organisation it states.
        name: String,
    },
    /// No trusted issuer signed the token.
    Untrusted,
    /// The token claims a chain of trust that does not hold.
    Chain {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The token, or its issuer's, is past its last second.
    Expired {
        /// The first unix second in which it is no longer valid.
        expires_at: i64,
        /// The time of the check.
        now: u64,
    },
    /// The token is before its first second.
    NotYetValid {
        /// The first unix second in which it is valid.
        not_before: i64,
        /// The time of the check.
        now: u64,
    },
    /// The token names no public key, or one that is none.
    PublicKey(KeyError),
    /// The token names another key than that of the seed.
    KeyMismatch {
        /// The key in the token.
        token: PublicKey,
        /// The key of the seed.
        seed: PublicKey,
    },
    /// The seed is none.
    Seed(KeyError),
}

impl TokenError {
    /// A short constant name of the reason, for counters and log fields.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "token_too_large",
            Self::Malformed { .. } => "bad_token",
            Self::Algorithm { .. } => "token_algorithm",
            Self::Purpose { .. } => "token_purpose",
            Self::Organization { .. } => "token_organization",
            Self::Untrusted => "untrusted_token",
            Self::Chain { .. } => "bad_token_chain",
            Self::Expired { .. } => "token_expired",
            Self::NotYetValid { .. } => "token_not_yet_valid",
            Self::PublicKey(_) => "token_public_key",
            Self::KeyMismatch { .. } => "token_key_mismatch",
            Self::Seed(_) => "bad_seed",
        }
    }

    /// The same for the token of a service that signs for callers.
    pub(crate) const fn signer_reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "signer_token_too_large",
            Self::Malformed { .. } => "bad_signer_token",
            Self::Algorithm { .. } => "signer_token_algorithm",
            Self::Purpose { .. } => "signer_token_purpose",
            Self::Organization { .. } => "signer_token_organization",
            Self::Untrusted => "untrusted_signer_token",
            Self::Chain { .. } => "bad_signer_token_chain",
            Self::Expired { .. } => "signer_token_expired",
            Self::NotYetValid { .. } => "signer_token_not_yet_valid",
            Self::PublicKey(_) => "signer_token_public_key",
            Self::KeyMismatch { .. } => "signer_token_key_mismatch",
            Self::Seed(_) => "bad_signer_seed",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(f, "token of {bytes} bytes is above the limit of {limit}")
            }
            Self::Malformed { why } => write!(f, "token cannot be read: {why}"),
            Self::Algorithm { name } => {
                write!(f, "token is signed with {name:?}, only EdDSA is known")
            }
            Self::Purpose { purpose } => write!(f, "token has the wrong purpose {purpose:?}"),
            Self::Organization { name } => {
                write!(f, "no issuer is known for the organisation {name:?}")
            }
            Self::Untrusted => f.write_str("token is not signed by a trusted issuer"),
            Self::Chain { why } => write!(f, "token's chain of trust does not hold: {why}"),
            Self::Expired { expires_at, now } => {
                write!(f, "token expired at {expires_at}, it is {now}")
            }
            Self::NotYetValid { not_before, now } => {
                write!(f, "token is valid from {not_before}, it is {now}")
            }
            Self::PublicKey(error) => write!(f, "public key of the token cannot be used: {error}"),
            Self::KeyMismatch { token, seed } => {
                write!(f, "token is for the key {token}, the seed is of {seed}")
            }
            Self::Seed(error) => write!(f, "seed cannot be used: {error}"),
        }
    }
}

impl std::error::Error for TokenError {}
