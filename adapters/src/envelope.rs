//! From a message of the fleet to the document that goes into a stream.
//!
//! ```text
//! {"protocol":"choria:adapters:choria_streams:output:1","data":"<what was carried, as it was carried>",
//!  "sender":"n1.example.net","time":"2018-08-10T10:26:42Z","requestid":"0b5c…"}
//! ```
//!
//! Consumers of today read these documents, so order of keys, escapes and the form of the time are those of the adapters
//! of today, byte for byte. A body of version 1 is the string the node sent (in messages of before 2018-03 that is
//! base64); a body of version 2 is the bytes behind the base64, where a byte that is no UTF-8 is written `\ufffd`.
//!
//! Requests are **not** verified: an adapter knows no caller's certificate, and whoever may publish on the subject may
//! put anything into the stream, in anybody's name. The hash of a reply is checked, which finds damage and nothing else.
//!
//! Pure. Facts: section 3.3 of the systems' fact sheet.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::base64;
use muster_protocol::json::write_string;
use muster_protocol::reply::{ReplyError, parse_reply};
use muster_protocol::request::{Request, RequestError};
use muster_protocol::rfc3339::rfc3339_utc;
use muster_protocol::secure_request::{SecureRequest, SecureRequestError};
use muster_protocol::transport::{Transport, TransportError};
use muster_protocol::version::ProtocolVersion;
use serde::Deserialize;

/// The last second of the year 9999, after which a time can not be written.
const TIME_MAX: i64 = 253_402_300_799;

/// What the messages of a subject are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests, such as registrations.
    Request,
    /// Replies, such as those of asynchronous requests.
    Reply,
}

impl Kind {
    /// The word of the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "reply",
        }
    }
}

/// What an envelope is made of, borrowed from where the message was taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The body as it was carried.
    pub body: Cow<'a, [u8]>,
    /// Who sent it, in its own words.
    pub sender: Cow<'a, str>,
    /// The id of the request it is or answers.
    pub request_id: Cow<'a, str>,
    /// When, since the Unix epoch.
    pub time: Duration,
}

/// Why a message gets no envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The transport is malformed.
    Transport(TransportError),
    /// The signed layer of a request is malformed.
    Secure(SecureRequestError),
    /// The request is malformed.
    Request(RequestError),
    /// The reply is malformed, in whichever layer.
    Reply(ReplyError),
    /// The hash is not that of the reply.
    Hash,
    /// The time lies before 1970 or after 9999; in the unit of the message's version.
    Time(i64),
    /// The sender is empty.
    NoSender,
}

/// Buffers that are kept from message to message.
#[derive(Debug, Default)]
pub struct Workspace {
    secure: Vec<u8>,
    document: String,
    scratch: Scratch,
}

/// Takes a message of the given kind apart.
///
/// # Errors
/// It is no message of that kind.
pub fn open<'w>(
    kind: Kind,
    payload: &'w [u8],
    work: &'w mut Workspace,
) -> Result<Parts<'w>, EnvelopeError> {
    match kind {
        Kind::Request => open_request(payload, work),
        Kind::Reply => open_reply(payload, work),
    }
}

fn open_request<'w>(payload: &[u8], work: &'w mut Workspace) -> Result<Parts<'w>, EnvelopeError> {
    let transport = Transport::parse(payload).map_err(EnvelopeError::Transport)?;
    work.secure.clear();
    let decoded = transport.decode_data(&mut work.secure);
    decoded.map_err(EnvelopeError::Transport)?;
    let version = transport.version;
    let secure = SecureRequest::parse_as(version, &work.secure);
    work.document = secure.map_err(EnvelopeError::Secure)?.message.into_owned();
    let document = work.document.as_bytes();
    let request = Request::parse_as(version, document).map_err(EnvelopeError::Request)?;
    let body = match (version, request.message) {
        (ProtocolVersion::V2, message) => binary_body(document, message),
        (_, Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        (_, Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
    };
    parts(
        version,
        body,
        request.sender_id,
        request.request_id,
        request.time,
    )
}

/// A version 2 body. The parsed request has the text, or where the body is no text its base64; which of the two it is
/// only the document can say.
fn binary_body<'d>(document: &'d [u8], message: Cow<'d, str>) -> Cow<'d, [u8]> {
    #[derive(Deserialize)]
    struct Carried<'d> {
        #[serde(borrow)]
        message: Cow<'d, str>,
    }
    let text = |message: Cow<'d, str>| match message {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let mut decoded = Vec::new();
    if base64::decode(message.as_bytes(), &mut decoded).is_err()
        || std::str::from_utf8(&decoded).is_ok()
    {
        return text(message);
    }
    let carried = serde_json::from_slice::<Carried<'_>>(document);
    match carried {
        // A body that is itself base64 of binary was encoded once more.
        Ok(carried) if carried.message == message => Cow::Owned(decoded),
        _ => text(message),
    }
}

fn open_reply<'w>(payload: &'w [u8], work: &'w mut Workspace) -> Result<Parts<'w>, EnvelopeError> {
    let reply = parse_reply(payload, &mut work.scratch).map_err(EnvelopeError::Reply)?;
    if !reply.hash_ok {
        return Err(EnvelopeError::Hash);
    }
    let body = Cow::Borrowed(reply.body);
    parts(
        reply.version,
        body,
        reply.sender,
        reply.request_id,
        reply.time,
    )
}

fn parts<'a>(
    version: ProtocolVersion,
    body: Cow<'a, [u8]>,
    sender: Cow<'a, str>,
    request_id: Cow<'a, str>,
    time: i64,
) -> Result<Parts<'a>, EnvelopeError> {
    if sender.is_empty() {
        return Err(EnvelopeError::NoSender);
    }
    let (seconds, nanos) = version.split_time(time);
    let time = match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(whole), Ok(nanos)) if seconds <= TIME_MAX => Duration::new(whole, nanos),
        _ => return Err(EnvelopeError::Time(time)),
    };
    Ok(Parts {
        body,
        sender,
        request_id,
        time,
    })
}

impl Parts<'_> {
    /// Appends the envelope; `adapter` is the adapter's type as its documents name it, such as `choria_streams`.
    pub fn encode_into(&self, adapter: &str, out: &mut Vec<u8>) {
        out.reserve(self.body.len() + self.body.len() / 4 + self.sender.len() + 192);
        out.extend_from_slice(br#"{"protocol":"#);
        write_string(out, &format!("choria:adapters:{adapter}:output:1"));
        out.extend_from_slice(br#","data":"#);
        write_bytes(out, &self.body);
        out.extend_from_slice(br#","sender":"#);
        write_string(out, &self.sender);
        out.extend_from_slice(br#","time":""#);
        out.extend_from_slice(rfc3339_utc(self.time).as_bytes());
        out.extend_from_slice(br#"","requestid":"#);
        write_string(out, &self.request_id);
        out.push(b'}');
    }
}

/// A string of bytes that need not be UTF-8: a byte that belongs to no character is one escaped U+FFFD, as Go writes it,
/// while a U+FFFD that was sent stays as it is.
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return write_string(out, text);
    }
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        let start = out.len();
        write_string(out, chunk.valid());
        out.pop();
        out.remove(start);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Secure(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Reply(error) => error.fmt(f),
            Self::Hash => f.write_str("reply: the hash is not that of the message"),
            Self::Time(time) => write!(f, "time is {time}, not from 1970 to 9999"),
            Self::NoSender => f.write_str("the sender is empty"),
        }
    }
}

impl std::error::Error for EnvelopeError {}

#[cfg(test)]
mod tests;
