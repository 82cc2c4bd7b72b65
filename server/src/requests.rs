//! Requests that a node makes itself: registrations, and what a program around the node wants told.
//!
//! They look like any caller's, name the node as their caller, want no reply and mean every node.
//! How they are signed follows the node's security; a node without a key sends registrations that say so.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::base64;
use muster_protocol::filter::Filter;
use muster_protocol::request::{Request, RequestError, encode_request_transport};
use muster_protocol::request_id::RequestId;
use muster_protocol::security::{SecurityError, Signer};
use muster_protocol::subject::NO_REPLY;
use muster_protocol::transport::Headers;

/// Stands for signature and certificate where nothing is signed at all.
const INSECURE: &str = "insecure";
/// The same for registrations of a node without a key.
const INSECURE_REGISTRATION: &str = "insecure registration";
/// How long such a request stays good, in seconds.
const TTL: i64 = 60;

/// A request a node makes.
#[derive(Debug, Clone, Copy)]
pub struct OwnRequest<'r> {
    /// The node.
    pub identity: &'r str,
    /// The collective addressed.
    pub collective: &'r str,
    /// The agent addressed.
    pub agent: &'r str,
    /// The body as it stands in the request.
    pub body: &'r str,
    /// The wall clock.
    pub unix: Duration,
    /// What the request's id is made of.
    pub random: [u8; 16],
    /// The broker the request leaves by, as a URL.
    pub broker: &'r str,
}

/// Makes payloads of a node's own requests.
pub trait RequestSigner: Send + Sync + fmt::Debug {
    /// The request, signed and in its transport.
    ///
    /// # Errors
    /// A peer would not accept the request, or the key does not sign.
    fn seal(&self, request: &OwnRequest<'_>) -> Result<Vec<u8>, SealError>;
}

/// Signs with the key of the node's certificate, as version 1 of the protocol has it.
#[derive(Debug)]
pub struct SignX509(pub Signer);

/// Signs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// The node has no key; collectors take such registrations where they are told to.
    NoKey,
    /// Signatures are switched off in the whole fleet.
    Insecure,
}

/// Why a request of a node cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealError {
    /// It breaks a rule for requests.
    Request(RequestError),
    /// The key does not sign.
    Security(SecurityError),
}

impl RequestSigner for SignX509 {
    fn seal(&self, request: &OwnRequest<'_>) -> Result<Vec<u8>, SealError> {
        seal_v1(request, |document| {
            let signature = self.0.sign_base64(document.as_bytes())?;
            Ok((signature.into(), self.0.pubcert()))
        })
    }
}

impl RequestSigner for Unsigned {
    fn seal(&self, request: &OwnRequest<'_>) -> Result<Vec<u8>, SealError> {
        seal_v1(request, |_| {
            Ok(match self {
                Self::Insecure => (INSECURE.into(), INSECURE),
                Self::NoKey => {
                    let signature = base64::encode_to_string(INSECURE_REGISTRATION.as_bytes());
                    (signature.into(), INSECURE_REGISTRATION)
                }
            })
        })
    }
}

/// The layers of version 1 around a request; `sign` gives signature and certificate for a document.
fn seal_v1<'s>(
    own: &OwnRequest<'_>,
    sign: impl FnOnce(&str) -> Result<(Cow<'s, str>, &'s str), SecurityError>,
) -> Result<Vec<u8>, SealError> {
    let id = RequestId::from_random(own.random);
    let request = Request {
        message: own.body.into(),
        request_id: id.as_str().into(),
        sender_id: own.identity.into(),
        caller_id: format!("choria={}", own.identity).into(),
        collective: own.collective.into(),
        agent: own.agent.into(),
        ttl: TTL,
        time: i64::try_from(own.unix.as_secs()).unwrap_or(i64::MAX),
        filter: Filter::default(),
    };
    request.validate()?;
    let document = request.to_document();
    let (signature, pubcert) = sign(&document)?;
    let mut headers = Headers {
        reply_to: Some(NO_REPLY.into()),
        sender: Some(own.identity.into()),
        ..Headers::default()
    };
    headers.push_hop(own.broker, own.identity, own.broker);
    let mut payload = Vec::new();
    encode_request_transport(
        &mut payload,
        &mut Scratch::new(),
        &document,
        &signature,
        pubcert,
        &headers,
    );
    Ok(payload)
}

impl From<RequestError> for SealError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<SecurityError> for SealError {
    fn from(error: SecurityError) -> Self {
        Self::Security(error)
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Security(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SealError {}
