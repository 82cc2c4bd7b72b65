//! Requests: from what is asked to the bytes that are published.
//!
//! One request is one document and one signature, whether it is broadcast or published to each of fifty thousand nodes.

use std::borrow::Cow;
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
/// A node would not accept the request or the caller's token, or the key does not sign.
pub fn encode_request(
    caller: &Caller,
    parts: &RequestParts<'_>,
    id: RequestId,
    unix: Duration,
    broker: &str,
) -> Result<Vec<u8>, BuildError> {
    let request = request(caller, parts, &id, unix);
    request.validate()?;
    let document = request.to_document();
    let signature: Cow<'_, str>;
    let proof = match &caller.security {
        CallerSecurity::X509(signer) => {
            signature = signer.sign_base64(document.as_bytes())?.into();
            RequestProof::X509 {
                signature_b64: &signature,
                pubcert: signer.pubcert(),
            }
        }
        CallerSecurity::Token(signer) => {
            signer
                .check_time(unix.as_secs())
                .map_err(SecurityError::Token)?;
            signer
                .check_own_request(&caller.caller_id)
                .map_err(|error| BuildError::Signature(error.to_string()))?;
            signature = signer.sign_base64(document.as_bytes()).into();
            RequestProof::Token {
                signature_b64: &signature,
                caller: signer.token(),
                signer: None,
            }
        }
        CallerSecurity::Insecure => RequestProof::X509 {
            signature_b64: INSECURE,
            pubcert: INSECURE,
        },
    };
    let mut headers = Headers {
        reply_to: Some(reply_subject(caller, id).into()),
        sender: Some(caller.sender.as_str().into()),
        ..Headers::default()
    };
    headers.push_hop(broker, caller.sender.as_str(), broker);
    let mut payload = Vec::new();
    let scratch = &mut Scratch::new();
    encode_signed_request(&mut payload, scratch, &document, &proof, &headers);
    Ok(payload)
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
