//! Why a key, a policy or a request was refused.
//!
//! Two operations, two types: [`SecurityError`] is a fault of our own configuration and stops a start;
//! [`VerifyError`] is a fault of a peer's request and becomes one counter, one log line and a dropped message.

use std::fmt;

use super::tokens::TokenError;

/// What is wrong with the keys, certificates or patterns this process was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityError {
    /// The text holds no PEM certificate.
    NoCertificate,
    /// A certificate cannot be read.
    BadCertificate(String),
    /// The text holds no PEM private key.
    NoKey,
    /// The private key cannot be read, or is too weak.
    BadKey(String),
    /// The key is of a kind that cannot sign requests.
    UnsupportedKey(String),
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// The trusted bundle holds no certificate.
    NoRoots,
    /// A trusted certificate cannot serve as a root.
    BadRoot {
        /// Its place in the bundle, from 1.
        position: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A revocation list cannot do its work.
    BadRevocationList {
        /// Its place in the text, from 1; 0 for the text as a whole.
        position: usize,
        /// What is wrong with it.
        why: String,
    },
    /// An allow or privileged pattern is not a regular expression.
    BadPattern {
        /// The pattern as configured.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// The signing operation itself failed.
    SigningFailed,
    /// The token and seed cannot be used.
    Token(TokenError),
}

impl fmt::Display for SecurityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("no pem certificate found"),
            Self::BadCertificate(why) => write!(f, "certificate cannot be read: {why}"),
            Self::NoKey => f.write_str("no pem private key found"),
            Self::BadKey(why) => write!(f, "private key cannot be used: {why}"),
            Self::UnsupportedKey(kind) => {
                write!(
                    f,
                    "key kind {kind} cannot sign requests, only rsa, p-256 and p-384 can"
                )
            }
            Self::KeyMismatch => f.write_str("private key does not belong to the certificate"),
            Self::NoRoots => f.write_str("no trusted certificate in the ca bundle"),
            Self::BadRoot { position, why } => {
                write!(
                    f,
                    "certificate {position} of the ca bundle cannot be a root: {why}"
                )
            }
            Self::BadRevocationList { position: 0, why } => {
                write!(f, "revocation lists cannot be read: {why}")
            }
            Self::BadRevocationList { position, why } => {
                write!(f, "revocation list {position} cannot be used: {why}")
            }
            Self::BadPattern { pattern, why } => {
                write!(f, "pattern {pattern:?} is not a regular expression: {why}")
            }
            Self::SigningFailed => f.write_str("signing failed"),
            Self::Token(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SecurityError {}

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHolder {
    /// The one who asks.
    Caller,
    /// The service that signed in the caller's place.
    Signer,
}

/// Why a request is refused. Every reason has its own variant and its own counter name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The caller id does not have the form `provider=name`.
    BadCallerId {
        /// The caller id as received.
        caller_id: String,
    },
    /// The request carries no PEM certificate, as unsigned requests do.
    NoCertificate,
    /// The certificate text is longer than any honest one.
    CertificateTooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that is looked at.
        limit: usize,
    },
    /// The certificate text holds more certificates than any honest chain.
    ChainTooLong {
        /// The most that is looked at.
        limit: usize,
    },
    /// A certificate cannot be read.
    BadCertificate {
        /// What is wrong with it.
        why: String,
    },
    /// No trusted authority stands behind the certificate.
    UntrustedChain {
        /// What the chain check said.
        why: String,
    },
    /// A certificate of the chain is past its last second.
    Expired {
        /// Its last second, in unix seconds.
        not_after: u64,
        /// The time of the check.
        now: u64,
    },
    /// A certificate of the chain is before its first second.
    NotYetValid {
        /// Its first second, in unix seconds.
        not_before: u64,
        /// The time of the check.
        now: u64,
    },
    /// The certificate, or an authority in its chain, was revoked.
    Revoked {
        /// The certificate's serial number, in hexadecimal.
        serial: String,
    },
    /// The certificate lists its uses, and authenticating a client is not among them.
    NoClientAuth,
    /// The key is of a kind no request may be signed with.
    UnsupportedKey {
        /// The kind, or its object identifier.
        algorithm: String,
    },
    /// The caller claims a name its certificate does not carry.
    CallerNotInCertificate {
        /// The name claimed.
        certname: String,
        /// The names the certificate carries.
        names: String,
    },
    /// The name is proven but no allow pattern matches it.
    NotAllowed {
        /// The name.
        certname: String,
    },
    /// The signature is not base64.
    BadSignatureEncoding,
    /// The signature is not one over this message by the key of this certificate or token.
    BadSignature,
    /// A token is not believed.
    Token(TokenHolder, TokenError),
    /// The token is a server's, and servers may not ask.
    NotAClient {
        /// The server.
        identity: String,
    },
    /// The token does not allow asking nodes.
    NoFleetManagement,
    /// The token allows asking nodes only where a signing service signed.
    DelegationRequired,
    /// The token does not allow signing for others.
    NotADelegator {
        /// Who holds the token.
        holder: String,
    },
    /// The caller claims to be another than its token says.
    CallerNotInToken {
        /// The caller id claimed.
        caller_id: String,
        /// The caller id in the token.
        holder: String,
    },
}

impl VerifyError {
    /// A short constant name of the reason, for counters and log fields.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadCallerId { .. } => "bad_caller_id",
            Self::NoCertificate => "no_certificate",
            Self::CertificateTooLarge { .. } => "certificate_too_large",
            Self::ChainTooLong { .. } => "chain_too_long",
            Self::BadCertificate { .. } => "bad_certificate",
            Self::UntrustedChain { .. } => "untrusted_chain",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Revoked { .. } => "revoked",
            Self::NoClientAuth => "no_client_auth",
            Self::UnsupportedKey { .. } => "unsupported_key",
            Self::CallerNotInCertificate { .. } => "caller_not_in_certificate",
            Self::NotAllowed { .. } => "not_allowed",
            Self::BadSignatureEncoding => "bad_signature_encoding",
            Self::BadSignature => "bad_signature",
            Self::Token(TokenHolder::Caller, error) => error.reason(),
            Self::Token(TokenHolder::Signer, error) => error.signer_reason(),
            Self::NotAClient { .. } => "not_a_client",
            Self::NoFleetManagement => "no_fleet_management",
            Self::DelegationRequired => "delegation_required",
            Self::NotADelegator { .. } => "not_a_delegator",
            Self::CallerNotInToken { .. } => "caller_not_in_token",
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCallerId { caller_id } => {
                write!(
                    f,
                    "caller id {caller_id:?} does not have the form provider=name"
                )
            }
            Self::NoCertificate => f.write_str("request carries no certificate"),
            Self::CertificateTooLarge { bytes, limit } => {
                write!(
                    f,
                    "certificate text of {bytes} bytes is above the limit of {limit}"
                )
            }
            Self::ChainTooLong { limit } => {
                write!(f, "certificate text holds more than {limit} certificates")
            }
            Self::BadCertificate { why } => write!(f, "certificate cannot be read: {why}"),
            Self::UntrustedChain { why } => write!(f, "certificate is not trusted: {why}"),
            Self::Expired { not_after, now } => {
                write!(f, "certificate expired at {not_after}, it is {now}")
            }
            Self::NotYetValid { not_before, now } => {
                write!(f, "certificate is valid from {not_before}, it is {now}")
            }
            Self::Revoked { serial } => {
                write!(
                    f,
                    "certificate {serial} or an authority in its chain is revoked"
                )
            }
            Self::NoClientAuth => {
                f.write_str("certificate lists its uses without client authentication")
            }
            Self::UnsupportedKey { algorithm } => {
                write!(
                    f,
                    "key kind {algorithm} cannot sign requests, only rsa, p-256 and p-384 can"
                )
            }
            Self::CallerNotInCertificate { certname, names } => {
                write!(
                    f,
                    "caller {certname:?} is not among the certificate's names {names}"
                )
            }
            Self::NotAllowed { certname } => {
                write!(f, "certificate name {certname:?} matches no allow pattern")
            }
            Self::BadSignatureEncoding => f.write_str("signature is not base64"),
            Self::BadSignature => f.write_str("signature does not match the message"),
            Self::Token(TokenHolder::Caller, error) => write!(f, "caller's {error}"),
            Self::Token(TokenHolder::Signer, error) => write!(f, "signer's {error}"),
            Self::NotAClient { identity } => {
                write!(
                    f,
                    "token is that of the server {identity:?}, not a client's"
                )
            }
            Self::NoFleetManagement => f.write_str("token does not allow managing the fleet"),
            Self::DelegationRequired => {
                f.write_str("token allows managing the fleet only through a signing service")
            }
            Self::NotADelegator { holder } => {
                write!(f, "token of {holder:?} does not allow signing for others")
            }
            Self::CallerNotInToken { caller_id, holder } => {
                write!(f, "caller {caller_id:?} shows the token of {holder:?}")
            }
        }
    }
}

impl std::error::Error for VerifyError {}
