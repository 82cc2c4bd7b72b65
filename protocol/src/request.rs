//! What a caller asks of an agent, and the checks real servers make before they look at it.
//!
//! Servers validate every request against a schema on receipt and drop what fails, so the same rules hold here for what
//! we receive and for what we send. Time and TTL are compared by [`Request::is_live`], after signature and filter.
//!
//! | | version 1 | version 2 |
//! |---|---|---|
//! | request id | exactly 32 characters | not empty |
//! | time | seconds | nanoseconds, at least 1 |
//! | TTL | at least 30 seconds | at least 1 second |
//! | filter | four keys present | the same, or no filter at all |
//! | body | a string | base64 |
//!
//! The envelope gets no keys of our own: older peers refuse an envelope with a key they don't know.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::filter::Filter;
use crate::json::{JsonError, LayerError};
use crate::rpc;
use crate::scratch::Scratch;
use crate::secure_request::{RequestProof, SecureRequest};
use crate::transport::{Headers, encode_transport_as};
use crate::version::{ProtocolVersion, detect_version};

mod filter_rules;
mod v1;
mod v2;

/// Characters of a version 1 request id, no more and no fewer.
pub const REQUEST_ID_CHARS: usize = 32;
/// Seconds a version 1 request must be allowed to live, at least; see [`ProtocolVersion::ttl_min`].
pub const TTL_MIN: i64 = ProtocolVersion::V1.ttl_min();

/// A request document.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// The version of this and of the layers around it.
    pub version: ProtocolVersion,
    /// The agent's body as sent; [`Request::body`] is what the agent sees. A version 2 body that is no UTF-8 stands here
    /// in base64, which `body` takes off.
    pub message: Cow<'a, str>,
    /// Version 1: 32 characters, by custom lower-case hex. Version 2: by custom a KSUID.
    pub request_id: Cow<'a, str>,
    /// Identity of the sending host.
    pub sender_id: Cow<'a, str>,
    /// Who calls.
    pub caller_id: Cow<'a, str>,
    /// The sub-collective addressed.
    pub collective: Cow<'a, str>,
    /// The agent addressed.
    pub agent: Cow<'a, str>,
    /// Seconds.
    pub ttl: i64,
    /// Since 1970 at the sender, in the unit of the version: seconds or nanoseconds.
    pub time: i64,
    /// Which nodes are meant.
    pub filter: Filter,
}

/// Why bytes are not a request a server accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// The document is malformed or a field missing, empty or of the wrong type.
    Layer(LayerError),
    /// The request id has another length than [`REQUEST_ID_CHARS`].
    RequestIdLength {
        /// Characters found.
        chars: usize,
    },
    /// The TTL is below that of [`ProtocolVersion::ttl_min`].
    TtlTooSmall {
        /// Seconds found.
        ttl: i64,
        /// The least that is allowed.
        min: i64,
    },
    /// The time is not after 1970; version 2 only.
    TimeTooSmall {
        /// Nanoseconds found.
        time: i64,
    },
    /// A fact filter has an operator that does not exist.
    UnknownOperator {
        /// The operator, cut to 16 characters.
        operator: Box<str>,
    },
}

impl<'a> Request<'a> {
    /// Parses and checks a request document of either version.
    pub fn parse(document: &'a [u8]) -> Result<Self, RequestError> {
        // A document of neither is refused with what version 1 demands.
        let version = detect_version(document).unwrap_or(ProtocolVersion::V1);
        Self::parse_as(version, document)
    }

    /// Parses and checks a document that must be of the version of the layer around it.
    pub fn parse_as(version: ProtocolVersion, document: &'a [u8]) -> Result<Self, RequestError> {
        match version {
            ProtocolVersion::V1 => v1::parse(document),
            ProtocolVersion::V2 => v2::parse(document),
        }
    }

    /// The body as the agent sees it.
    #[must_use]
    pub fn body(&self) -> Cow<'_, [u8]> {
        rpc::decode_body(&self.message)
    }

    /// True while the request may be acted on: the sender's clock is less than a TTL away from ours, either way.
    #[must_use]
    pub fn is_live(&self, unix_now: Duration) -> bool {
        self.version.is_live(self.time, self.ttl, unix_now)
    }

    /// Applies the rules for what is sent; [`Request::parse`] has applied them to what was received.
    pub fn validate(&self) -> Result<(), RequestError> {
        match self.version {
            ProtocolVersion::V1 => v1::validate(self),
            ProtocolVersion::V2 => v2::validate(self),
        }
    }

    /// Appends the request document.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self.version {
            ProtocolVersion::V1 => v1::encode(self, out),
            ProtocolVersion::V2 => v2::encode(self, out),
        }
    }

    /// The request document as text: what is signed and then handed to [`encode_request_transport`].
    #[must_use]
    pub fn to_document(&self) -> String {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        String::from_utf8(out).expect("the encoder writes strings and ASCII only")
    }
}

/// Appends the two outer layers around a request document, in the version of its proof, which must be the document's.
pub fn encode_signed_request(
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    request_document: &str,
    proof: &RequestProof<'_>,
    headers: &Headers<'_>,
) {
    scratch.secure.clear();
    SecureRequest::encode_with(&mut scratch.secure, request_document, proof);
    encode_transport_as(out, proof.version(), &scratch.secure, headers);
}

/// Appends the two outer layers around a signed version 1 request document; see [`encode_signed_request`].
pub fn encode_request_transport(
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    request_document: &str,
    signature_b64: &str,
    pubcert: &str,
    headers: &Headers<'_>,
) {
    let proof = RequestProof::X509 {
        signature_b64,
        pubcert,
    };
    encode_signed_request(out, scratch, request_document, &proof, headers);
}

/// The fields that must not be empty are not.
fn check_filled(fields: &[(&'static str, &str)]) -> Result<(), RequestError> {
    match fields.iter().find(|(_, value)| value.is_empty()) {
        Some((field, _)) => Err(LayerError::Empty(field).into()),
        None => Ok(()),
    }
}

fn check_ttl(version: ProtocolVersion, ttl: i64) -> Result<(), RequestError> {
    let min = version.ttl_min();
    if ttl < min {
        return Err(RequestError::TtlTooSmall { ttl, min });
    }
    Ok(())
}

impl From<LayerError> for RequestError {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

impl From<JsonError> for RequestError {
    fn from(error: JsonError) -> Self {
        Self::Layer(LayerError::Json(error))
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(error) => write!(f, "request: {error}"),
            Self::RequestIdLength { chars } => write!(
                f,
                "request: field envelope.requestid has {chars} characters, not {REQUEST_ID_CHARS}"
            ),
            Self::TtlTooSmall { ttl, min } => {
                let field = if *min == TTL_MIN {
                    "envelope.ttl"
                } else {
                    "ttl"
                };
                write!(f, "request: field {field} is {ttl}, below {min}")
            }
            Self::TimeTooSmall { time } => write!(f, "request: field time is {time}, below 1"),
            Self::UnknownOperator { operator } => {
                write!(
                    f,
                    "request: field filter.fact has unknown operator {operator:?}"
                )
            }
        }
    }
}

impl std::error::Error for RequestError {}

#[cfg(test)]
mod tests;
