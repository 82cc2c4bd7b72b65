//! Requests that a node makes itself: registrations, and what a program around the node wants told.
//!
//! They look like any caller's, name the node as their caller, want no reply and mean every node.
//! How they are signed follows the node's security; a node without a key sends registrations that say so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::base64;
use muster_protocol::caller::choria_caller;
use muster_protocol::filter::Filter;
use muster_protocol::ksuid::Ksuid;
use muster_protocol::request::{Request, RequestError, encode_signed_request};
use muster_protocol::request_id::RequestId;
use muster_protocol::secure_request::RequestProof;
use muster_protocol::security::tokens::TokenSigner;
use muster_protocol::security::{SecurityError, Signer};
use muster_protocol::subject::NO_REPLY;
use muster_protocol::transport::Headers;
use muster_protocol::version::ProtocolVersion;

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

/// Signs with the key of the node's token, as version 2 of the protocol has it.
#[derive(Debug)]
pub struct SignToken(pub Arc<TokenSigner>);

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
        let id = RequestId::from_random(request.random);
        let document = request.document(ProtocolVersion::V1, id.as_str())?;
        let signature = self.0.sign_base64(document.as_bytes())?;
        let proof = RequestProof::X509 {
            signature_b64: &signature,
            pubcert: self.0.pubcert(),
        };
        Ok(request.transport(&document, &proof))
    }
}

impl RequestSigner for SignToken {
    fn seal(&self, request: &OwnRequest<'_>) -> Result<Vec<u8>, SealError> {
        let seconds = request.unix.as_secs();
        self.0.check_time(seconds).map_err(SecurityError::Token)?;
        let id = Ksuid::from_parts(seconds, request.random);
        let document = request.document(ProtocolVersion::V2, id.as_str())?;
        let signature = self.0.sign_base64(document.as_bytes());
        let proof = RequestProof::Token {
            signature_b64: &signature,
            caller: self.0.token(),
            signer: None,
        };
        Ok(request.transport(&document, &proof))
    }
}

impl RequestSigner for Unsigned {
    fn seal(&self, request: &OwnRequest<'_>) -> Result<Vec<u8>, SealError> {
        let id = RequestId::from_random(request.random);
        let document = request.document(ProtocolVersion::V1, id.as_str())?;
        let signature;
        let (signature_b64, pubcert) = match self {
            Self::Insecure => (INSECURE, INSECURE),
            Self::NoKey => {
                signature = base64::encode_to_string(INSECURE_REGISTRATION.as_bytes());
                (signature.as_str(), INSECURE_REGISTRATION)
            }
        };
        let proof = RequestProof::X509 {
            signature_b64,
            pubcert,
        };
        Ok(request.transport(&document, &proof))
    }
}

impl OwnRequest<'_> {
    /// The request document.
    fn document(&self, version: ProtocolVersion, id: &str) -> Result<String, RequestError> {
        let request = Request {
            version,
            message: self.body.into(),
            request_id: id.into(),
            sender_id: self.identity.into(),
            caller_id: choria_caller(self.identity).into(),
            collective: self.collective.into(),
            agent: self.agent.into(),
            ttl: TTL,
            time: version.wire_time(self.unix),
            filter: Filter::default(),
        };
        request.validate()?;
        Ok(request.to_document())
    }

    /// The layers around a document.
    fn transport(&self, document: &str, proof: &RequestProof<'_>) -> Vec<u8> {
        let mut headers = Headers {
            reply_to: Some(NO_REPLY.into()),
            sender: Some(self.identity.into()),
            ..Headers::default()
        };
        headers.push_hop(self.broker, self.identity, self.broker);
        let mut payload = Vec::new();
        let scratch = &mut Scratch::new();
        encode_signed_request(&mut payload, scratch, document, proof, &headers);
        payload
    }
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
