//! What is said to a program, and what it may answer.
//!
//! | | external: activation | external: call | Ruby shim |
//! |---|---|---|---|
//! | request | `$schema protocol agent` | and `action requestid senderid callerid collective ttl msgtime data` | the same, `data` within `body` |
//! | reply | `{"activate":true}` | `{"statuscode":0,"statusmsg":"OK","data":{}}` | as external |
//!
//! A reply may leave out what it has nothing to say about: the status is then 0, the message the status' own, the data
//! empty. Everything here is text to text: nothing is opened or run.

use std::borrow::Cow;
use std::fmt;

use muster_protocol::ddl::Action;
use muster_protocol::rpc::{STATUS_OK, StatusCode};
use serde_json::{Map, Value, json};

use crate::agent::{RpcCall, RpcOutcome};

/// Protocol of the question whether an agent wants to be loaded.
pub const ACTIVATION_PROTOCOL: &str = "io.choria.mcorpc.external.v1.activation_request";
/// Protocol of a call.
pub const CALL_PROTOCOL: &str = "io.choria.mcorpc.external.v1.rpc_request";
const ACTIVATION_SCHEMA: &str =
    "https://choria.io/schemas/mcorpc/external/v1/activation_request.json";
const CALL_SCHEMA: &str = "https://choria.io/schemas/mcorpc/external/v1/rpc_request.json";

/// Why a text is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyError {
    /// There is none.
    Empty,
    /// It is not JSON.
    Json(Box<str>),
    /// It is something other than an object.
    NotAnObject,
    /// A member is not of its type.
    WrongType {
        /// The member.
        member: &'static str,
        /// The type it should have.
        expected: &'static str,
    },
    /// It does not say whether the agent is to be activated.
    NoActivation,
}

/// The question whether an agent wants to be loaded.
#[must_use]
pub fn activation_request(agent: &str) -> Vec<u8> {
    let request = json!({
        "$schema": ACTIVATION_SCHEMA,
        "protocol": ACTIVATION_PROTOCOL,
        "agent": agent,
    });
    request.to_string().into_bytes()
}

/// A call of an external agent.
#[must_use]
pub fn call_request(call: &RpcCall<'_>) -> Vec<u8> {
    let mut request = envelope(call);
    request.insert("$schema".to_owned(), CALL_SCHEMA.into());
    request.insert("protocol".to_owned(), CALL_PROTOCOL.into());
    request.insert("data".to_owned(), Value::Object(call.inputs.clone()));
    Value::Object(request).to_string().into_bytes()
}

/// A call of a Ruby agent.
#[must_use]
pub fn shim_request(call: &RpcCall<'_>) -> Vec<u8> {
    let mut request = envelope(call);
    let body = json!({
        "agent": call.request.agent,
        "action": call.action,
        "data": call.inputs,
        "caller": call.request.caller_id,
    });
    request.insert("body".to_owned(), body);
    Value::Object(request).to_string().into_bytes()
}

fn envelope(call: &RpcCall<'_>) -> Map<String, Value> {
    let request = call.request;
    let members = [
        ("agent", Value::from(request.agent)),
        ("action", Value::from(call.action)),
        ("requestid", Value::from(request.request_id)),
        ("senderid", Value::from(request.sender_id)),
        ("callerid", Value::from(request.caller_id)),
        ("collective", Value::from(request.collective)),
        ("ttl", Value::from(request.ttl)),
        ("msgtime", Value::from(request.time)),
    ];
    members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// Whether an agent wants to be loaded.
///
/// # Errors
/// The text does not say so.
pub fn parse_activation(text: &[u8]) -> Result<bool, ReplyError> {
    match parse_object(text)?.get("activate") {
        Some(Value::Bool(activate)) => Ok(*activate),
        None => Err(ReplyError::NoActivation),
        Some(_) => Err(ReplyError::WrongType {
            member: "activate",
            expected: "true or false",
        }),
    }
}

/// What came of a call. Outputs the program left out get the defaults of the DDL.
///
/// # Errors
/// The text is no reply.
pub fn parse_reply(text: &[u8], action: &Action) -> Result<RpcOutcome, ReplyError> {
    let mut members = parse_object(text)?;
    let status = parse_status(members.get("statuscode"))?;
    let message = match members.remove("statusmsg") {
        None | Some(Value::Null) if status == StatusCode::Ok => Cow::Borrowed(STATUS_OK),
        None | Some(Value::Null) => Cow::Borrowed(status.name()),
        Some(Value::String(message)) => Cow::Owned(message),
        Some(_) => return Err(wrong("statusmsg", "a text")),
    };
    let mut data = match members.remove("data") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(data)) => data,
        Some(_) => return Err(wrong("data", "an object")),
    };
    action.fill_outputs(&mut data);
    Ok(RpcOutcome {
        status,
        message,
        data: Value::Object(data).to_string().into(),
    })
}

fn parse_object(text: &[u8]) -> Result<Map<String, Value>, ReplyError> {
    if text.trim_ascii().is_empty() {
        return Err(ReplyError::Empty);
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(ReplyError::NotAnObject),
        Err(error) => Err(ReplyError::Json(error.to_string().into())),
    }
}

/// Numbers above those with a name are errors that nobody has a name for.
fn parse_status(value: Option<&Value>) -> Result<StatusCode, ReplyError> {
    let number = match value {
        None | Some(Value::Null) => Some(0),
        Some(value) => value.as_u64(),
    };
    let number = number.ok_or(wrong("statuscode", "a whole number from 0"))?;
    Ok(StatusCode::from_number(
        i64::try_from(number).unwrap_or(i64::MAX),
    ))
}

const fn wrong(member: &'static str, expected: &'static str) -> ReplyError {
    ReplyError::WrongType { member, expected }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the reply is empty"),
            Self::Json(why) => write!(f, "the reply is not json: {why}"),
            Self::NotAnObject => f.write_str("the reply is not an object"),
            Self::WrongType { member, expected } => {
                write!(f, "{member} of the reply is not {expected}")
            }
            Self::NoActivation => f.write_str("the reply does not say whether to activate"),
        }
    }
}

impl std::error::Error for ReplyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentRequest;
    use muster_protocol::ddl::Inputs;

    fn action() -> Action {
        serde_json::from_value(json!({
            "action": "echo",
            "output": {
                "said": {"type": "string", "default": "nothing"},
                "none": {"type": "string", "default": null},
            },
        }))
        .unwrap()
    }

    fn check(text: &str, expected: Result<(StatusCode, &str, &str), &str>) {
        let found = parse_reply(text.as_bytes(), &action());
        let found = found.map_err(|error| error.to_string());
        let found = found
            .as_ref()
            .map(|outcome| (outcome.status, &*outcome.message, &*outcome.data));
        assert_eq!(found.map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn replies_are_read() {
        use StatusCode::{Aborted, MissingData, Ok as Good, UnknownError};
        let default = r#"{"said":"nothing"}"#;
        check(
            r#"{"statuscode":0,"statusmsg":"OK","data":{"said":"x","n":1}}"#,
            Ok((Good, "OK", r#"{"n":1,"said":"x"}"#)),
        );
        check("{}", Ok((Good, "OK", default)));
        check(
            " {\"data\":null,\"statusmsg\":null,\"statuscode\":null,\"own\":[]}\n",
            Ok((Good, "OK", default)),
        );
        check(r#"{"statuscode":1}"#, Ok((Aborted, "Aborted", default)));
        check(
            r#"{"statuscode":3,"statusmsg":"no"}"#,
            Ok((MissingData, "no", default)),
        );
        check(
            r#"{"statuscode":77}"#,
            Ok((UnknownError, "UnknownError", default)),
        );
        check(
            r#"{"data":{"said":null}}"#,
            Ok((Good, "OK", r#"{"said":null}"#)),
        );
    }

    #[test]
    fn what_is_no_reply_is_told() {
        check("", Err("the reply is empty"));
        check(" \n", Err("the reply is empty"));
        check("[]", Err("the reply is not an object"));
        check(
            "OK",
            Err("the reply is not json: expected value at line 1 column 1"),
        );
        check(
            "{} {}",
            Err("the reply is not json: trailing characters at line 1 column 4"),
        );
        for number in ["-1", "1.5", "\"0\"", "true", "[]"] {
            check(
                &format!(r#"{{"statuscode":{number}}}"#),
                Err("statuscode of the reply is not a whole number from 0"),
            );
        }
        check(
            r#"{"statusmsg":1}"#,
            Err("statusmsg of the reply is not a text"),
        );
        check(r#"{"data":[]}"#, Err("data of the reply is not an object"));
        assert!(parse_reply(b"{\"statusmsg\":\"\xff\"}", &action()).is_err());
    }

    #[test]
    fn deep_nesting_is_refused_on_a_small_stack() {
        let thread = std::thread::Builder::new().stack_size(crate::pool::STACK_BYTES);
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"data":{{"said":{open}{close}}}}}"#)
        };
        let check = move || {
            assert!(parse_reply(nested(120).as_bytes(), &action()).is_ok());
            assert!(parse_reply(nested(100_000).as_bytes(), &action()).is_err());
        };
        thread.spawn(check).unwrap().join().unwrap();
    }

    #[test]
    fn activation_is_read() {
        assert_eq!(parse_activation(br#"{"activate":true}"#), Ok(true));
        assert_eq!(parse_activation(br#"{"activate":false,"x":1}"#), Ok(false));
        assert_eq!(parse_activation(b"{}"), Err(ReplyError::NoActivation));
        assert!(parse_activation(br#"{"activate":"yes"}"#).is_err());
        assert_eq!(parse_activation(b""), Err(ReplyError::Empty));
    }

    #[test]
    fn requests_have_every_member() {
        let inputs: Inputs = serde_json::from_str(r#"{"package":"zsh"}"#).unwrap();
        let request = AgentRequest {
            body: b"",
            caller_id: "choria=rip.mcollective",
            sender_id: "host",
            request_id: "0123",
            collective: "mcollective",
            agent: "package",
            time: 1_767_323_045,
            ttl: 60,
        };
        let call = RpcCall {
            action: "status",
            inputs: &inputs,
            request: &request,
        };
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
        assert_eq!(
            read(call_request(&call)),
            json!({
                "$schema": "https://choria.io/schemas/mcorpc/external/v1/rpc_request.json",
                "protocol": "io.choria.mcorpc.external.v1.rpc_request",
                "agent": "package", "action": "status", "requestid": "0123", "senderid": "host",
                "callerid": "choria=rip.mcollective", "collective": "mcollective",
                "ttl": 60, "msgtime": 1_767_323_045, "data": {"package": "zsh"},
            })
        );
        assert_eq!(
            read(shim_request(&call)),
            json!({
                "agent": "package", "action": "status", "requestid": "0123", "senderid": "host",
                "callerid": "choria=rip.mcollective", "collective": "mcollective",
                "ttl": 60, "msgtime": 1_767_323_045,
                "body": {"agent": "package", "action": "status", "data": {"package": "zsh"},
                    "caller": "choria=rip.mcollective"},
            })
        );
        assert_eq!(
            read(activation_request("package")),
            json!({
                "$schema": "https://choria.io/schemas/mcorpc/external/v1/activation_request.json",
                "protocol": "io.choria.mcorpc.external.v1.activation_request",
                "agent": "package",
            })
        );
    }
}
