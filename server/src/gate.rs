//! The gate: from a payload to a request that may be acted on.
//!
//! It opens the layers (transport, secure request, request), checks the signature over the bytes as they came, and
//! compiles the filter. A gate lets through requests of the version that its security speaks, and refuses those of the
//! other by name; one that believes everybody takes both. What it lets through is verified, but not yet known to be for this node, in time or new: that
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
use muster_protocol::version::ProtocolVersion;

pub use self::shared::{CACHED_BYTES_MAX, CACHED_REQUESTS_MAX, VerifyShared};

/// Bytes of a [`ReplayKey`].
const REPLAY_KEY_BYTES: usize = 12;

/// Who asked and under which request id, in short. Whoever is to be shut out by a forged equal would have to be hit by
/// a second preimage of 96 bits of SHA-256.
pub(crate) type ReplayKey = [u8; REPLAY_KEY_BYTES];

/// A verified request, borrowing nothing.
#[derive(Debug)]
pub struct OpenedRequest {
    /// The version of the protocol it came in, and must be answered in.
    pub version: ProtocolVersion,
    /// Where the answer goes; a request without it is acted on and not answered.
    pub reply_to: Option<Box<str>>,
    /// What the reply's headers must repeat: the federation header and the hops of a federated request.
    pub reply_headers: Headers<'static>,
    /// The request's id.
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
    /// Unix seconds at the sender; in version 2 the fraction is left out here and heeded by [`Self::is_live`].
    pub time: i64,
    /// The time as it came, in the unit of the version.
    wire_time: i64,
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
    let transport = Transport::parse(payload)?;
    let version = transport.version;
    if security.version().is_some_and(|spoken| spoken != version) {
        return Err(Refusal::Version(version));
    }
    let mut document = Vec::new();
    transport.decode_data(&mut document)?;
    let secure = SecureRequest::parse_as(version, &document)?;
    // The caller id stands in the signed document, so that is read before its signature is checked.
    let request = Request::parse_as(version, secure.message.as_bytes())?;
    let signed = SignedRequest {
        message: secure.message.as_bytes(),
        signature_b64: &secure.signature,
        pubcert_pem: &secure.pubcert,
        signer_token: secure.signer.as_deref(),
        caller_id: &request.caller_id,
    };
    security.verify(&signed, unix.as_secs())?;
    Ok(OpenedRequest::new(&transport, &request))
}

impl OpenedRequest {
    fn new(transport: &Transport<'_>, request: &Request<'_>) -> Self {
        let (time, _) = request.version.split_time(request.time);
        Self {
            version: request.version,
            reply_to: transport.headers.reply_to.as_deref().map(Into::into),
            reply_headers: transport.headers.reply_from().into_owned(),
            request_id: (&*request.request_id).into(),
            caller_id: (&*request.caller_id).into(),
            sender_id: (&*request.sender_id).into(),
            collective: (&*request.collective).into(),
            agent: (&*request.agent).into(),
            ttl: request.ttl,
            time,
            wire_time: request.time,
            filter: CompiledFilter::new(&request.filter),
            body: request.body().into(),
            replay_key: replay_key(&request.caller_id, &request.request_id),
        }
    }

    /// True while the request may be acted on: the sender's clock is less than a TTL away from ours, either way.
    /// A TTL above `ttl_max` seconds counts as `ttl_max`. `unix_now` is the time since 1970.
    #[must_use]
    pub fn is_live(&self, unix_now: Duration, ttl_max: i64) -> bool {
        let ttl = self.ttl.min(ttl_max);
        self.version.is_live(self.wire_time, ttl, unix_now)
    }

    /// A unix second by which the request is no longer live.
    #[must_use]
    pub(crate) fn dead_by(&self, ttl_max: i64) -> i64 {
        let (seconds, nanos) = self.version.split_time(self.wire_time);
        seconds
            .saturating_add(i64::from(nanos > 0))
            .saturating_add(self.ttl.min(ttl_max))
    }
}

fn replay_key(caller_id: &str, request_id: &str) -> ReplayKey {
    let mut context = Context::new(&SHA256);
    // The length of the first part goes before it, so no two pairs give the same text.
    context.update(&request_id.len().to_le_bytes());
    context.update(request_id.as_bytes());
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
