//! The gate: from a payload to a request that may be acted on.
//!
//! It opens the layers (transport, secure request, request), checks the signature over the bytes as they came, and
//! compiles the filter. What it lets through is verified, but not yet known to be for this node, in time or new: that
//! is the node's to decide, in the order of the servers of today.
//!
//! [`VerifyEach`] does the work for every payload. [`VerifyShared`] serves many nodes of one process, where the same
//! broadcast arrives once a node.

mod shared;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use muster_protocol::filter::CompiledFilter;
use muster_protocol::request::{Request, RequestError};
use muster_protocol::secure_request::{SecureRequest, SecureRequestError};
use muster_protocol::security::{RequestSecurity, SignedRequest, VerifyError};
use muster_protocol::transport::{Headers, Transport, TransportError};
use muster_protocol::version::{ProtocolVersion, detect_version};

pub use self::shared::{CACHED_BYTES_MAX, CACHED_REQUESTS_MAX, VerifyShared};

/// Bytes of a [`ReplayKey`].
const REPLAY_KEY_BYTES: usize = 12;

/// Who asked and under which request id, in short. Whoever is to be shut out by a forged equal would have to be hit by
/// a second preimage of 96 bits of SHA-256.
pub(crate) type ReplayKey = [u8; REPLAY_KEY_BYTES];

/// A verified request, borrowing nothing.
#[derive(Debug)]
pub struct OpenedRequest {
    /// Where the answer goes; a request without it is acted on and not answered.
    pub reply_to: Option<Box<str>>,
    /// What the reply's headers must repeat: the federation header and the hops of a federated request.
    pub reply_headers: Headers<'static>,
    /// The request's id, 32 characters.
    pub request_id: Box<str>,
    /// Who calls, such as `choria=rip.mcollective`.
    pub caller_id: Box<str>,
    /// The sending host.
    pub sender_id: Box<str>,
    /// The collective addressed.
    pub collective: Box<str>,
    /// The agent addressed.
    pub agent: Box<str>,
    /// Seconds the request may live.
    pub ttl: i64,
    /// Unix seconds at the sender.
    pub time: i64,
    /// Which nodes are meant.
    pub filter: CompiledFilter,
    /// The body as the agent sees it.
    pub body: Box<[u8]>,
    pub(crate) replay_key: ReplayKey,
}

/// Why a payload is no request that may be acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The outermost layer is of a protocol version that is not spoken here.
    Version(ProtocolVersion),
    /// The outermost layer is malformed.
    Transport(TransportError),
    /// The signed layer is malformed.
    SecureRequest(SecureRequestError),
    /// The request is malformed, or breaks a rule for requests.
    Request(RequestError),
    /// The signature, or the caller behind it, is not accepted.
    Security(VerifyError),
}

/// Decides which payloads become requests.
pub trait Gate: Send + Sync + fmt::Debug {
    /// Opens a payload. `unix` is the wall clock, for the validity of certificates.
    ///
    /// # Errors
    /// The first reason against the payload.
    fn open(&self, payload: &[u8], unix: Duration) -> Result<Arc<OpenedRequest>, Refusal>;
}

/// Verifies every payload: for a process with one node.
#[derive(Debug)]
pub struct VerifyEach {
    security: RequestSecurity,
}

impl VerifyEach {
    /// A gate with this security.
    #[must_use]
    pub const fn new(security: RequestSecurity) -> Self {
        Self { security }
    }
}

impl Gate for VerifyEach {
    fn open(&self, payload: &[u8], unix: Duration) -> Result<Arc<OpenedRequest>, Refusal> {
        open(&self.security, payload, unix).map(Arc::new)
    }
}

/// Takes the layers apart and verifies.
fn open(
    security: &RequestSecurity,
    payload: &[u8],
    unix: Duration,
) -> Result<OpenedRequest, Refusal> {
    let transport = Transport::parse(payload).map_err(|error| refuse_transport(payload, error))?;
    let mut document = Vec::new();
    transport.decode_data(&mut document)?;
    let secure = SecureRequest::parse(&document)?;
    // The caller id stands in the signed document, so that is read before its signature is checked.
    let request = Request::parse(secure.message.as_bytes())?;
    let signed = SignedRequest {
        message: secure.message.as_bytes(),
        signature_b64: &secure.signature,
        pubcert_pem: &secure.pubcert,
        caller_id: &request.caller_id,
    };
    security.verify(&signed, unix.as_secs())?;
    Ok(OpenedRequest::new(&transport, &request))
}

fn refuse_transport(payload: &[u8], error: TransportError) -> Refusal {
    match detect_version(payload) {
        None | Some(ProtocolVersion::V1) => Refusal::Transport(error),
        Some(version) => Refusal::Version(version),
    }
}

impl OpenedRequest {
    fn new(transport: &Transport<'_>, request: &Request<'_>) -> Self {
        Self {
            reply_to: transport.headers.reply_to.as_deref().map(Into::into),
            reply_headers: transport.headers.reply_from().into_owned(),
            request_id: (&*request.request_id).into(),
            caller_id: (&*request.caller_id).into(),
            sender_id: (&*request.sender_id).into(),
            collective: (&*request.collective).into(),
            agent: (&*request.agent).into(),
            ttl: request.ttl,
            time: request.time,
            filter: CompiledFilter::new(&request.filter),
            body: request.body().into(),
            replay_key: replay_key(&request.caller_id, &request.request_id),
        }
    }

    /// True while the request may be acted on: the sender's clock is less than a TTL away from ours, either way.
    /// A TTL above `ttl_max` counts as `ttl_max`.
    #[must_use]
    pub fn is_live(&self, unix_now: i64, ttl_max: i64) -> bool {
        let ttl = self.ttl.min(ttl_max);
        self.time > unix_now.saturating_sub(ttl) && self.time < unix_now.saturating_add(ttl)
    }
}

fn replay_key(caller_id: &str, request_id: &str) -> ReplayKey {
    let mut context = Context::new(&SHA256);
    // The request id has a fixed number of characters and stands first, so no two pairs give the same text.
    context.update(request_id.as_bytes());
    context.update(b" ");
    context.update(caller_id.as_bytes());
    let digest = context.finish();
    let mut key = [0; REPLAY_KEY_BYTES];
    key.copy_from_slice(&digest.as_ref()[..REPLAY_KEY_BYTES]);
    key
}

impl Refusal {
    /// A short constant name of the reason, for counters and log fields.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Version(_) => "unsupported_version",
            Self::Transport(_) => "bad_transport",
            Self::SecureRequest(_) => "bad_secure_request",
            Self::Request(_) => "bad_request",
            Self::Security(error) => error.reason(),
        }
    }
}

impl From<TransportError> for Refusal {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<SecureRequestError> for Refusal {
    fn from(error: SecureRequestError) -> Self {
        Self::SecureRequest(error)
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        Self::Security(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "protocol version {version:?} is not spoken here"),
            Self::Transport(error) => error.fmt(f),
            Self::SecureRequest(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Security(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}
