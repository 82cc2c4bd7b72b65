//! Bodies of RPC agents and of the discovery agent.
//!
//! ```text
//! request  {"agent":"rpcutil","action":"get_fact","data":{"fact":"os.name"}}
//! reply    {"action":"get_fact","statuscode":0,"statusmsg":"OK","data":{"fact":"os.name","value":"Debian"}}
//! ```
//!
//! `data` stays JSON text here: what it means is the agent's business. Who calls, when and from where comes from the
//! request's envelope, never from the body.

use std::borrow::Cow;
use std::fmt;

use crate::base64;
use crate::json::{self, LayerError, Reader, Text};

/// Status message of a reply without complaint.
pub const STATUS_OK: &str = "OK";
/// Status message of a reply to a caller the policy denies, with [`StatusCode::Aborted`].
pub const DENIED: &str = "You are not authorized to call this agent or action";
/// Name of the discovery agent, which is no RPC agent.
pub const DISCOVERY_AGENT: &str = "discovery";
/// Body of a discovery request as sent: `ping` in base64.
pub const DISCOVERY_PING: &str = "cGluZw==";
/// Body of a discovery reply, bare text.
pub const DISCOVERY_PONG: &[u8] = b"pong";

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum StatusCode {
    /// Done.
    #[default]
    Ok = 0,
    /// The action ran and could not finish, or was denied.
    Aborted = 1,
    /// The agent has no such action.
    UnknownAction = 2,
    /// A required input is missing.
    MissingData = 3,
    /// The body can not be parsed or an input is invalid.
    InvalidData = 4,
    /// Anything else.
    UnknownError = 5,
}

impl StatusCode {
    /// The code of a number on the wire; numbers without a name are [`StatusCode::UnknownError`].
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Aborted,
            2 => Self::UnknownAction,
            3 => Self::MissingData,
            4 => Self::InvalidData,
            _ => Self::UnknownError,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name of the code.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Aborted => "Aborted",
            Self::UnknownAction => "UnknownAction",
            Self::MissingData => "MissingData",
            Self::InvalidData => "InvalidData",
            Self::UnknownError => "UnknownError",
        }
    }
}

/// A parsed RPC request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcRequest<'a> {
    /// The agent, as the body says; empty if it does not. The envelope decides.
    pub agent: Cow<'a, str>,
    /// The action.
    pub action: Cow<'a, str>,
    /// JSON text of the inputs, an object unless the caller erred; `{}` where it was missing or null.
    pub data: &'a str,
}

/// A parsed RPC reply body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcReply<'a> {
    /// The action; older servers leave it out.
    pub action: Option<Cow<'a, str>>,
    /// How the action ended.
    pub statuscode: StatusCode,
    /// The status in words.
    pub statusmsg: Cow<'a, str>,
    /// JSON text of the outputs; `{}` where it was missing or null.
    pub data: &'a str,
}

/// Why a body is not one of an RPC agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcBodyError(pub LayerError);

impl<'a> RpcRequest<'a> {
    /// Parses a body as [`decode_body`] returns it.
    pub fn parse(body: &'a [u8]) -> Result<Self, RpcBodyError> {
        Self::read(body).map_err(RpcBodyError)
    }

    fn read(body: &'a [u8]) -> Result<Self, LayerError> {
        let mut reader = Reader::new(body)?;
        let mut agent = Text::new("agent");
        let mut action = Text::new("action");
        let mut data = None;
        reader.object("body")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "agent" => agent.read(&mut reader)?,
                "action" => action.read(&mut reader)?,
                "data" => data = Some(reader.value()?),
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        Ok(Self {
            agent: agent.optional().unwrap_or_default(),
            action: action.non_empty()?.to_cow(),
            data: or_empty_object(data),
        })
    }

    /// Appends a request body. `data` must be JSON text of an object.
    pub fn encode_into(out: &mut Vec<u8>, agent: &str, action: &str, data: &str) {
        out.extend_from_slice(br#"{"agent":"#);
        json::write_string(out, agent);
        out.extend_from_slice(br#","action":"#);
        json::write_string(out, action);
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(data.as_bytes());
        out.push(b'}');
    }

    /// A request body as text, for [`Request::message`](crate::request::Request::message).
    #[must_use]
    pub fn encode(agent: &str, action: &str, data: &str) -> String {
        let mut out = Vec::with_capacity(agent.len() + action.len() + data.len() + 40);
        Self::encode_into(&mut out, agent, action, data);
        String::from_utf8(out).expect("the encoder writes strings and ASCII only")
    }
}

impl<'a> RpcReply<'a> {
    /// Parses a reply body.
    pub fn parse(body: &'a [u8]) -> Result<Self, RpcBodyError> {
        Self::read(body).map_err(RpcBodyError)
    }

    fn read(body: &'a [u8]) -> Result<Self, LayerError> {
        let mut reader = Reader::new(body)?;
        let mut action = Text::new("action");
        let mut statuscode = None;
        let mut statusmsg = Text::new("statusmsg");
        let mut data = None;
        reader.object("body")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "action" => action.read(&mut reader)?,
                "statuscode" => statuscode = Some(reader.whole("statuscode")?),
                "statusmsg" => statusmsg.read(&mut reader)?,
                "data" => data = Some(reader.value()?),
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        let statuscode = statuscode.ok_or(LayerError::Missing("statuscode"))?;
        Ok(Self {
            action: action.optional(),
            statuscode: StatusCode::from_number(statuscode),
            statusmsg: statusmsg.optional().unwrap_or_default(),
            data: or_empty_object(data),
        })
    }

    /// Appends a reply body. `data` must be JSON text.
    pub fn encode_into(
        out: &mut Vec<u8>,
        action: &str,
        code: StatusCode,
        message: &str,
        data: &str,
    ) {
        out.extend_from_slice(br#"{"action":"#);
        json::write_string(out, action);
        out.extend_from_slice(br#","statuscode":"#);
        json::write_integer(out, i64::from(code.number()));
        out.extend_from_slice(br#","statusmsg":"#);
        json::write_string(out, message);
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(data.as_bytes());
        out.push(b'}');
    }
}

/// The body an agent sees: decoded where the whole text is base64, else the text itself.
///
/// Servers try this on every request. So `cGluZw==` is `ping` to the agent, and a bare `ping`, which happens to be
/// base64, is three strange bytes. Text that opens with a brace or a quote never is. Replies are never decoded.
#[must_use]
pub fn decode_body(message: &str) -> Cow<'_, [u8]> {
    let bytes = message.as_bytes();
    if matches!(bytes.first(), None | Some(b'{' | b'[' | b'"')) {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::new();
    match base64::decode(bytes, &mut decoded) {
        Ok(()) => Cow::Owned(decoded),
        Err(_) => Cow::Borrowed(bytes),
    }
}

/// True if a decoded body asks the discovery agent for a sign of life.
#[must_use]
pub fn is_discovery_ping(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"ping").is_some()
}

/// True if a reply body is the discovery agent's sign of life.
#[must_use]
pub fn is_discovery_pong(body: &[u8]) -> bool {
    body == DISCOVERY_PONG
}

/// Status message of a reply to an unknown action, with [`StatusCode::UnknownAction`].
#[must_use]
pub fn unknown_action(action: &str, agent: &str) -> String {
    format!("Unknown action {action} for agent {agent}")
}

/// Status message of a reply to a body that can not be parsed, with [`StatusCode::InvalidData`].
#[must_use]
pub fn could_not_process(error: &dyn fmt::Display) -> String {
    format!("Could not process request: {error}")
}

fn or_empty_object(data: Option<&str>) -> &str {
    data.filter(|&data| data != "null").unwrap_or("{}")
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for RpcBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc body: {}", self.0)
    }
}

impl std::error::Error for RpcBodyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_decoded_when_they_can_be() {
        for (message, body) in [
            ("cGluZw==", &b"ping"[..]),
            ("cGlu\nZw==\n", b"ping"),
            ("\"ping\"", b"\"ping\""),
            ("ping", b"\xa6\x29\xe0"),
            ("pings", b"pings"),
            ("{\"agent\":1}", b"{\"agent\":1}"),
            ("eyJhIjoxfQ==", b"{\"a\":1}"),
            ("", b""),
        ] {
            assert_eq!(&*decode_body(message), body, "{message:?}");
        }
        assert!(is_discovery_ping(&decode_body("cGluZw==")));
        assert!(is_discovery_ping(&decode_body("\"ping\"")));
        assert!(!is_discovery_ping(&decode_body("ping")));
    }

    #[test]
    fn requests_round_trip() {
        let body = RpcRequest::encode("rpcutil", "get_fact", r#"{"fact":"os.name"}"#);
        assert_eq!(
            body,
            r#"{"agent":"rpcutil","action":"get_fact","data":{"fact":"os.name"}}"#
        );
        let parsed = RpcRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(parsed.agent, "rpcutil");
        assert_eq!(parsed.action, "get_fact");
        assert_eq!(parsed.data, r#"{"fact":"os.name"}"#);
    }

    #[test]
    fn data_is_an_empty_object_where_it_is_missing() {
        for body in [
            r#"{"action":"a"}"#,
            r#"{"action":"a","data":null,"caller":"x=y"}"#,
        ] {
            assert_eq!(
                RpcRequest::parse(body.as_bytes()).unwrap().data,
                "{}",
                "{body}"
            );
        }
        assert_eq!(
            RpcRequest::parse(b"{}").unwrap_err().to_string(),
            "rpc body: field action is missing"
        );
    }

    #[test]
    fn replies_round_trip_with_every_code() {
        for number in 0..=5 {
            let code = StatusCode::from_number(number);
            assert_eq!(i64::from(code.number()), number);
            let mut out = Vec::new();
            RpcReply::encode_into(&mut out, "ping", code, code.name(), r#"{"pong":1}"#);
            let parsed = RpcReply::parse(&out).unwrap();
            assert_eq!(parsed.action.as_deref(), Some("ping"));
            assert_eq!(parsed.statuscode, code);
            assert_eq!(parsed.statusmsg, code.name());
            assert_eq!(parsed.data, r#"{"pong":1}"#);
        }
        assert_eq!(StatusCode::from_number(6), StatusCode::UnknownError);
        assert_eq!(StatusCode::from_number(-1), StatusCode::UnknownError);
    }

    #[test]
    fn replies_of_old_servers_have_no_action() {
        let parsed =
            RpcReply::parse(br#"{"statuscode":1,"statusmsg":"no","data":"{}","x":[]}"#).unwrap();
        assert_eq!(parsed.action, None);
        assert_eq!(parsed.statuscode, StatusCode::Aborted);
        assert_eq!(parsed.data, "\"{}\"");
        assert!(RpcReply::parse(b"pong").is_err());
        assert!(RpcReply::parse(br#"{"statuscode":"0"}"#).is_err());
    }

    #[test]
    fn fixed_texts() {
        assert_eq!(
            unknown_action("x", "rpcutil"),
            "Unknown action x for agent rpcutil"
        );
        assert_eq!(could_not_process(&"bad"), "Could not process request: bad");
    }
}
