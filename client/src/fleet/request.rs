//! Requests: from what is asked to the bytes that are published.
//!
//! One request is one document and one signature, whether it is broadcast or published to each of fifty thousand nodes.

use std::fmt;
use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::filter::Filter;
use muster_protocol::request::{Request, encode_signed_request};
use muster_protocol::request_id::RequestId;
use muster_protocol::secure_request::RequestProof;
use muster_protocol::security::SecurityError;
use muster_protocol::subject;
use muster_protocol::transport::Headers;

use super::error::BuildError;
use super::identity::{Caller, CallerSecurity};
use super::remote;

/// What stands for signature and certificate in a request that has none.
const INSECURE: &str = "insecure";

/// What is asked, and of whom.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// The agent addressed.
    pub agent: &'a str,
    /// The agent's body as it stands in the request: [`DISCOVERY_PING`](muster_protocol::rpc::DISCOVERY_PING), or an RPC body's JSON.
    pub body: &'a str,
    /// Which nodes are meant, the agent included where it must be there.
    pub filter: &'a Filter,
}

/// A signed request in its transport. `unix` is the wall clock, `broker` the address of the broker it leaves by.
///
/// # Errors
/// A node would not accept the request or the caller's token, or the key or the service does not sign.
pub fn encode_request(
    caller: &Caller,
    parts: &RequestParts<'_>,
    id: RequestId,
    unix: Duration,
    broker: &str,
) -> Result<Vec<u8>, BuildError> {
    Ok(sign_request(caller, parts, id, unix)?.into_transport(caller, id, broker))
}

/// A request document with what proves its caller.
#[derive(Debug)]
pub(super) struct SignedDocument {
    document: String,
    proof: OwnedProof,
}

/// A [`RequestProof`] that outlives what made it.
pub(super) enum OwnedProof {
    /// Version 1.
    X509 {
        signature_b64: String,
        pubcert: String,
    },
    /// Version 2.
    Token {
        signature_b64: String,
        caller: String,
        signer: Option<String>,
    },
}

/// Makes a request and has it signed, which takes as long as a signing service does where there is one.
pub(super) fn sign_request(
    caller: &Caller,
    parts: &RequestParts<'_>,
    id: RequestId,
    unix: Duration,
) -> Result<SignedDocument, BuildError> {
    let request = request(caller, parts, &id, unix);
    request.validate()?;
    let document = request.to_document();
    let proof = match &caller.security {
        CallerSecurity::X509(signer) => OwnedProof::X509 {
            signature_b64: signer.sign_base64(document.as_bytes())?,
            pubcert: signer.pubcert().to_owned(),
        },
        CallerSecurity::Token(signer) => {
            signer
                .check_time(unix.as_secs())
                .map_err(SecurityError::Token)?;
            signer
                .check_own_request(&caller.caller_id)
                .map_err(|error| BuildError::Signature(error.to_string()))?;
            OwnedProof::Token {
                signature_b64: signer.sign_base64(document.as_bytes()),
                caller: signer.token().to_owned(),
                signer: None,
            }
        }
        CallerSecurity::Remote { service, own } => {
            remote::sign(&**service, own.as_ref(), &document, unix)?
        }
        CallerSecurity::Insecure => OwnedProof::X509 {
            signature_b64: INSECURE.to_owned(),
            pubcert: INSECURE.to_owned(),
        },
    };
    Ok(SignedDocument { document, proof })
}

impl SignedDocument {
    /// The bytes that are published, by way of this broker.
    pub(super) fn into_transport(self, caller: &Caller, id: RequestId, broker: &str) -> Vec<u8> {
        let mut headers = Headers {
            reply_to: Some(reply_subject(caller, id).into()),
            sender: Some(caller.sender.as_str().into()),
            ..Headers::default()
        };
        headers.push_hop(broker, caller.sender.as_str(), broker);
        let mut payload = Vec::new();
        let scratch = &mut Scratch::new();
        let proof = self.proof.as_proof();
        encode_signed_request(&mut payload, scratch, &self.document, &proof, &headers);
        payload
    }
}

impl OwnedProof {
    fn as_proof(&self) -> RequestProof<'_> {
        match self {
            Self::X509 {
                signature_b64,
                pubcert,
            } => RequestProof::X509 {
                signature_b64,
                pubcert,
            },
            Self::Token {
                signature_b64,
                caller,
                signer,
            } => RequestProof::Token {
                signature_b64,
                caller,
                signer: signer.as_deref(),
            },
        }
    }
}

/// Leaves the token out.
impl fmt::Debug for OwnedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X509 { .. } => "X509",
            Self::Token { .. } => "Token",
        })
    }
}

/// Where the replies to a request go.
pub(super) fn reply_subject(caller: &Caller, id: RequestId) -> String {
    subject::reply_subject(&caller.main_collective, &caller.caller_id, id.as_str())
}

/// Whether a node would accept the request, before anything is sent.
pub(super) fn check(
    caller: &Caller,
    parts: &RequestParts<'_>,
    id: RequestId,
) -> Result<(), BuildError> {
    // Any moment will do, but 1970 itself is none that a request could be made at.
    Ok(request(caller, parts, &id, Duration::from_secs(1)).validate()?)
}

fn request<'a>(
    caller: &'a Caller,
    parts: &RequestParts<'a>,
    id: &'a RequestId,
    unix: Duration,
) -> Request<'a> {
    let version = caller.security.version();
    Request {
        version,
        message: parts.body.into(),
        request_id: id.as_str().into(),
        sender_id: caller.sender.as_str().into(),
        caller_id: caller.caller_id.as_str().into(),
        collective: caller.collective.as_str().into(),
        agent: parts.agent.into(),
        ttl: seconds(caller.ttl),
        time: version.wire_time(unix),
        filter: parts.filter.clone(),
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
