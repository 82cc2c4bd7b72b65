//! Why a login is refused.

use std::fmt;

use muster_protocol::security::tokens::TokenError;

/// Why a login is refused. No variant holds what was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// TLS without a verified certificate, and no token.
    Unverified,
    /// The connection is in clear, and what was asked for needs TLS.
    Clear,
    /// A token is needed.
    NoToken,
    /// A token is not believed.
    Token(TokenError),
    /// No key is configured for tokens of this kind.
    Untrusted,
    /// The challenge was not signed.
    NoSignature,
    /// The challenge was signed with another key than the token's, or another challenge was.
    Signature,
    /// A provisioning token is not believed.
    ProvisioningToken(TokenError),
    /// There is no provisioning account.
    NoProvisioning,
    /// The password is wrong or missing.
    Password,
    /// The token lacks a permission.
    Permission(&'static str),
    /// Clients may not come from this address.
    Host,
    /// The token names nobody, or an identity or collective that cannot stand in a subject.
    Identity,
}

impl Refusal {
    /// A short constant name, for counters.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Clear => "needs_tls",
            Self::NoToken => "no_token",
            Self::Token(error) => error.reason(),
            Self::Untrusted => "untrusted_token",
            Self::NoSignature => "challenge_not_signed",
            Self::Signature => "bad_challenge_signature",
            Self::ProvisioningToken(_) => "bad_provisioning_token",
            Self::NoProvisioning => "no_provisioning",
            Self::Password => "bad_password",
            Self::Permission(_) => "missing_permission",
            Self::Host => "host_not_listed",
            Self::Identity => "bad_identity",
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified => f.write_str("no verified certificate and no token"),
            Self::Clear => f.write_str("the connection is not encrypted"),
            Self::NoToken => f.write_str("no token"),
            Self::Token(error) => error.fmt(f),
            Self::Untrusted => f.write_str("no signer is configured for tokens of this kind"),
            Self::NoSignature => f.write_str("the challenge is not signed"),
            Self::Signature => {
                f.write_str("the signature is not one of the token's key over this challenge")
            }
            Self::ProvisioningToken(error) => write!(f, "provisioning token: {error}"),
            Self::NoProvisioning => f.write_str("provisioning is not configured"),
            Self::Password => f.write_str("the password is wrong or missing"),
            Self::Permission(name) => write!(f, "the token has not the permission {name}"),
            Self::Host => f.write_str("clients may not come from this address"),
            Self::Identity => {
                f.write_str("the token names nobody, or what cannot stand in a subject")
            }
        }
    }
}

impl std::error::Error for Refusal {}
