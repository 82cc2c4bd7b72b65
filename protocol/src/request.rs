//! What a caller asks of an agent, and the checks real servers make before they look at it.
//!
//! Servers validate every request against a schema on receipt and drop what fails, so the same rules hold here for what
//! we receive and for what we send: a request id of exactly 32 characters, a TTL of at least 30 seconds, the four filter
//! keys present, names not empty. Time and TTL are compared by [`Request::is_live`], after signature and filter.
//!
//! The envelope gets no keys of our own: older peers refuse an envelope with a key they don't know.

use std::borrow::Cow;
use std::fmt;

use crate::filter::Filter;
use crate::json::{self, JsonError, LayerError, Reader, Text};
use crate::rpc;
use crate::scratch::Scratch;
use crate::secure_request::SecureRequest;
use crate::transport::{Headers, encode_transport};
use crate::version::REQUEST_V1;

mod filter_rules;

/// Characters of a request id, no more and no fewer.
pub const REQUEST_ID_CHARS: usize = 32;
/// Seconds a request must be allowed to live, at least.
pub const TTL_MIN: i64 = 30;

/// A request document.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// The agent's body as sent; [`Request::body`] is what the agent sees.
    pub message: Cow<'a, str>,
    /// 32 characters, by custom lower-case hex.
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
    /// Unix seconds at the sender.
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
    /// The TTL is below [`TTL_MIN`].
    TtlTooSmall {
        /// Seconds found.
        ttl: i64,
    },
    /// A fact filter has an operator that does not exist.
    UnknownOperator {
        /// The operator, cut to 16 characters.
        operator: Box<str>,
    },
}

impl<'a> Request<'a> {
    /// Parses and checks a request document.
    pub fn parse(document: &'a [u8]) -> Result<Self, RequestError> {
        let mut reader = Reader::new(document)?;
        let mut protocol = Text::new("protocol");
        let mut message = Text::new("message");
        let mut envelope = None;
        reader.object("request")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                "message" => message.read(&mut reader)?,
                "envelope" => envelope = Some(Envelope::read(&mut reader)?),
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        protocol.constant(REQUEST_V1)?;
        let message = message.non_empty()?.to_cow();
        envelope
            .ok_or(LayerError::Missing("envelope"))?
            .check(message)
    }

    /// The body as the agent sees it.
    #[must_use]
    pub fn body(&self) -> Cow<'_, [u8]> {
        rpc::decode_body(&self.message)
    }

    /// True while the request may be acted on: the sender's clock is less than a TTL away from ours, either way.
    #[must_use]
    pub const fn is_live(&self, unix_now: i64) -> bool {
        self.time > unix_now.saturating_sub(self.ttl)
            && self.time < unix_now.saturating_add(self.ttl)
    }

    /// Applies the rules for what is sent; [`Request::parse`] has applied them to what was received.
    pub fn validate(&self) -> Result<(), RequestError> {
        for (field, value) in [
            ("message", &self.message),
            ("envelope.callerid", &self.caller_id),
            ("envelope.collective", &self.collective),
            ("envelope.agent", &self.agent),
        ] {
            if value.is_empty() {
                return Err(LayerError::Empty(field).into());
            }
        }
        check_limits(&self.request_id, self.ttl)
    }

    /// Appends the request document.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.reserve(self.message.len() + self.message.len() / 4 + 512);
        out.extend_from_slice(br#"{"protocol":""#);
        out.extend_from_slice(REQUEST_V1.as_bytes());
        out.extend_from_slice(br#"","message":"#);
        json::write_string(out, &self.message);
        let mut lead: &[u8] = br#","envelope":{"#;
        for (key, value) in [
            ("requestid", &self.request_id),
            ("senderid", &self.sender_id),
            ("callerid", &self.caller_id),
            ("collective", &self.collective),
            ("agent", &self.agent),
        ] {
            out.extend_from_slice(lead);
            lead = b",";
            json::write_string(out, key);
            out.push(b':');
            json::write_string(out, value);
        }
        out.extend_from_slice(br#","ttl":"#);
        json::write_integer(out, self.ttl);
        out.extend_from_slice(br#","time":"#);
        json::write_integer(out, self.time);
        out.extend_from_slice(br#","filter":"#);
        self.filter.encode_into(out);
        out.extend_from_slice(b"}}");
    }

    /// The request document as text: what is signed and then handed to [`encode_request_transport`].
    #[must_use]
    pub fn to_document(&self) -> String {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        String::from_utf8(out).expect("the encoder writes strings and ASCII only")
    }
}

/// Appends the two outer layers around a signed request document.
pub fn encode_request_transport(
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    request_document: &str,
    signature_b64: &str,
    pubcert: &str,
    headers: &Headers<'_>,
) {
    scratch.secure.clear();
    SecureRequest::encode_into(
        &mut scratch.secure,
        request_document,
        signature_b64,
        pubcert,
    );
    encode_transport(out, &scratch.secure, headers);
}

/// The envelope while it is being read.
struct Envelope<'a> {
    request_id: Text<'a>,
    sender_id: Text<'a>,
    caller_id: Text<'a>,
    collective: Text<'a>,
    agent: Text<'a>,
    ttl: Option<i64>,
    time: Option<i64>,
    filter: Option<Filter>,
}

impl<'a> Envelope<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, RequestError> {
        let mut envelope = Self {
            request_id: Text::new("envelope.requestid"),
            sender_id: Text::new("envelope.senderid"),
            caller_id: Text::new("envelope.callerid"),
            collective: Text::new("envelope.collective"),
            agent: Text::new("envelope.agent"),
            ttl: None,
            time: None,
            filter: None,
        };
        reader.object("envelope")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "requestid" => envelope.request_id.read(reader)?,
                "senderid" => envelope.sender_id.read(reader)?,
                "callerid" => envelope.caller_id.read(reader)?,
                "collective" => envelope.collective.read(reader)?,
                "agent" => envelope.agent.read(reader)?,
                "ttl" => envelope.ttl = Some(reader.whole("envelope.ttl")?),
                "time" => envelope.time = Some(reader.whole("envelope.time")?),
                "filter" => envelope.filter = Some(filter_rules::read_filter(reader)?),
                _ => {
                    reader.value()?;
                }
            }
        }
        Ok(envelope)
    }

    fn check(self, message: Cow<'a, str>) -> Result<Request<'a>, RequestError> {
        let request = Request {
            message,
            request_id: self.request_id.required()?.to_cow(),
            sender_id: self.sender_id.required()?.to_cow(),
            caller_id: self.caller_id.non_empty()?.to_cow(),
            collective: self.collective.non_empty()?.to_cow(),
            agent: self.agent.non_empty()?.to_cow(),
            ttl: self.ttl.ok_or(LayerError::Missing("envelope.ttl"))?,
            time: self.time.ok_or(LayerError::Missing("envelope.time"))?,
            filter: self.filter.ok_or(LayerError::Missing("envelope.filter"))?,
        };
        check_limits(&request.request_id, request.ttl)?;
        Ok(request)
    }
}

fn check_limits(request_id: &str, ttl: i64) -> Result<(), RequestError> {
    let chars = request_id.chars().count();
    if chars != REQUEST_ID_CHARS {
        return Err(RequestError::RequestIdLength { chars });
    }
    if ttl < TTL_MIN {
        return Err(RequestError::TtlTooSmall { ttl });
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
            Self::TtlTooSmall { ttl } => {
                write!(f, "request: field envelope.ttl is {ttl}, below {TTL_MIN}")
            }
            Self::UnknownOperator { operator } => {
                write!(
                    f,
                    "request: field envelope.filter.fact has unknown operator {operator:?}"
                )
            }
        }
    }
}

impl std::error::Error for RequestError {}

#[cfg(test)]
mod tests;
