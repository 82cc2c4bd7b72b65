//! Requests that a service signs in the caller's place: what is sent, what may come back, and what is refused before anybody is asked.
//!
//! A service gets the request document and returns a secure request around it. Whoever stands at the other end, only the very document
//! that was made here is ever published: an answer around other bytes is an error. Whether the signature is good is the nodes' to decide.
//!
//! How a service is reached is not here; see [`crate::signer`]. The facts: Choria's AAA service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::base64;
use muster_protocol::secure_request::SecureRequest;
use muster_protocol::security::tokens::TokenSigner;
use muster_protocol::version::ProtocolVersion;
use serde::Deserialize;

use super::error::BuildError;
use super::request::OwnedProof;

/// What a secure request of version 2 calls itself.
const SECURE_REQUEST_V2: &str = "io.choria.protocol.v2.secure_request";

/// A service that signs requests in the caller's place.
pub trait RemoteSigner: fmt::Debug + Send + Sync {
    /// What the user knows the service by, such as its URL. No secret is in it.
    fn name(&self) -> &str;

    /// Has the request document signed and returns a secure request around it, as the service sent it.
    ///
    /// This may block. A command line waits for it, once a request and once a group of a batch; a program that serves others meanwhile
    /// hands in a signer that does not take long.
    ///
    /// # Errors
    /// There is no such secure request, for the reason told.
    fn sign(&self, request_document: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Why a service did not sign a request. Texts of others are cut short and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignError {
    /// Its token is of no use any more, so the service was not asked.
    Token(String),
    /// There is no connection.
    Connect(String),
    /// The connection ended early.
    Broken(String),
    /// The answer was not complete in time.
    Timeout(Duration),
    /// The answer is longer than is read.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not what such a service sends.
    Malformed(String),
    /// The service answered with a status other than 200.
    Status {
        /// The status.
        code: u16,
        /// What the service said beside it; may be empty.
        said: String,
    },
    /// The service signs no such request, for the reason it told.
    Refused(String),
    /// The secure request is around another request than the one that was sent.
    OtherRequest,
    /// The secure request does not carry the token of the service, without which no node believes the signature.
    NoSignerToken,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(why) => write!(f, "was not asked: {why}"),
            Self::Connect(why) => write!(f, "cannot be reached: {why}"),
            Self::Broken(why) => write!(f, "broke off: {why}"),
            Self::Timeout(limit) => write!(f, "did not answer within {limit:?}"),
            Self::TooLong { limit } => write!(f, "answered with more than {limit} bytes"),
            Self::Malformed(why) => write!(f, "sent no answer of a signer: {why}"),
            Self::Status { code, said } if said.is_empty() => {
                write!(f, "answered with status {code}")
            }
            Self::Status { code, said } => write!(f, "answered with status {code}: {said}"),
            Self::Refused(said) => write!(f, "refused: {said}"),
            Self::OtherRequest => write!(f, "signed another request than the one that was sent"),
            Self::NoSignerToken => write!(f, "sent no token of its own with the signature"),
        }
    }
}

impl std::error::Error for SignError {}

/// Has a document signed, and makes sure that the answer is around it.
pub(super) fn sign(
    service: &dyn RemoteSigner,
    own: Option<&Arc<TokenSigner>>,
    document: &str,
    unix: Duration,
) -> Result<OwnedProof, BuildError> {
    let signed = || {
        if let Some(own) = own {
            own.check_time(unix.as_secs())
                .map_err(|error| SignError::Token(error.to_string()))?;
        }
        let answer = service.sign(document.as_bytes())?;
        match own {
            None => x509_proof(&answer, document),
            Some(own) => token_proof(&answer, document, own.token()),
        }
    };
    signed().map_err(|error| BuildError::Remote {
        service: service.name().into(),
        error,
    })
}

fn x509_proof(answer: &[u8], document: &str) -> Result<OwnedProof, SignError> {
    let secure = SecureRequest::parse_as(ProtocolVersion::V1, answer).map_err(malformed)?;
    if secure.message != document {
        return Err(SignError::OtherRequest);
    }
    Ok(OwnedProof::X509 {
        signature_b64: secure.signature.into_owned(),
        pubcert: secure.pubcert.into_owned(),
    })
}

/// A secure request of version 2 as services send it: who calls is for the caller to say, so it need not be there.
#[derive(Deserialize)]
struct Delegated {
    protocol: String,
    request: String,
    signature: String,
    #[serde(default)]
    signer: String,
}

fn token_proof(answer: &[u8], document: &str, caller: &str) -> Result<OwnedProof, SignError> {
    let answer: Delegated = serde_json::from_slice(answer)
        .map_err(|error| malformed(format!("secure request: {error}")))?;
    if answer.protocol != SECURE_REQUEST_V2 {
        let why = format!("the secure request is no {SECURE_REQUEST_V2}");
        return Err(malformed(why));
    }
    let mut request = Vec::new();
    base64::decode(answer.request.as_bytes(), &mut request)
        .map_err(|_| malformed("field request is not standard base64"))?;
    if request != document.as_bytes() {
        return Err(SignError::OtherRequest);
    }
    if answer.signature.is_empty() {
        return Err(malformed("field signature is empty"));
    }
    if answer.signer.is_empty() {
        return Err(SignError::NoSignerToken);
    }
    Ok(OwnedProof::Token {
        signature_b64: answer.signature,
        caller: caller.to_owned(),
        signer: Some(answer.signer),
    })
}

fn malformed(why: impl ToString) -> SignError {
    SignError::Malformed(why.to_string())
}
