//! The request document of version 2: the body in base64, the rest beside it.

use std::borrow::Cow;

use super::{Request, RequestError, check_filled, check_ttl, filter_rules};
use crate::base64;
use crate::filter::Filter;
use crate::json::{self, LayerError, Reader, Text};
use crate::version::{ProtocolVersion, REQUEST_V2};

pub(super) fn parse(document: &[u8]) -> Result<Request<'_>, RequestError> {
    let mut reader = Reader::new(document)?;
    let mut fields = Fields::new();
    reader.object("request")?;
    while let Some(key) = reader.next_key()? {
        fields.read(&key.to_cow(), &mut reader)?;
    }
    reader.end()?;
    fields.protocol.constant(REQUEST_V2)?;
    let request = fields.into_request()?;
    check_limits(&request)?;
    Ok(request)
}

pub(super) fn validate(request: &Request<'_>) -> Result<(), RequestError> {
    check_filled(&[
        ("message", &request.message),
        ("id", &request.request_id),
        ("sender", &request.sender_id),
        ("caller", &request.caller_id),
        ("collective", &request.collective),
        ("agent", &request.agent),
    ])?;
    check_limits(request)
}

pub(super) fn encode(request: &Request<'_>, out: &mut Vec<u8>) {
    out.reserve(request.message.len() * 4 / 3 + 512);
    out.extend_from_slice(br#"{"protocol":""#);
    out.extend_from_slice(REQUEST_V2.as_bytes());
    out.extend_from_slice(br#"","message":""#);
    base64::encode(request.message.as_bytes(), out);
    out.push(b'"');
    for (key, value) in [
        ("id", &request.request_id),
        ("sender", &request.sender_id),
        ("caller", &request.caller_id),
        ("collective", &request.collective),
        ("agent", &request.agent),
    ] {
        out.push(b',');
        json::write_string(out, key);
        out.push(b':');
        json::write_string(out, value);
    }
    out.extend_from_slice(br#","ttl":"#);
    json::write_integer(out, request.ttl);
    out.extend_from_slice(br#","time":"#);
    json::write_integer(out, request.time);
    out.extend_from_slice(br#","filter":"#);
    request.filter.encode_into(out);
    out.push(b'}');
}

/// The document while it is being read.
struct Fields<'a> {
    protocol: Text<'a>,
    message: Text<'a>,
    id: Text<'a>,
    sender: Text<'a>,
    caller: Text<'a>,
    collective: Text<'a>,
    agent: Text<'a>,
    ttl: Option<i64>,
    time: Option<i64>,
    filter: Option<Filter>,
}

impl<'a> Fields<'a> {
    const fn new() -> Self {
        Self {
            protocol: Text::new("protocol"),
            message: Text::new("message"),
            id: Text::new("id"),
            sender: Text::new("sender"),
            caller: Text::new("caller"),
            collective: Text::new("collective"),
            agent: Text::new("agent"),
            ttl: None,
            time: None,
            filter: None,
        }
    }

    fn read(&mut self, key: &str, reader: &mut Reader<'a>) -> Result<(), RequestError> {
        match key {
            "protocol" => self.protocol.read(reader)?,
            "message" => self.message.read(reader)?,
            "id" => self.id.read(reader)?,
            "sender" => self.sender.read(reader)?,
            "caller" => self.caller.read(reader)?,
            "collective" => self.collective.read(reader)?,
            "agent" => self.agent.read(reader)?,
            "ttl" => self.ttl = Some(reader.whole("ttl")?),
            "time" => self.time = Some(reader.whole("time")?),
            "filter" => self.filter = Some(filter_rules::read_filter(reader)?),
            _ => {
                reader.value()?;
            }
        }
        Ok(())
    }

    fn into_request(self) -> Result<Request<'a>, RequestError> {
        Ok(Request {
            version: ProtocolVersion::V2,
            message: body_text(self.message)?,
            request_id: self.id.non_empty()?.to_cow(),
            sender_id: self.sender.non_empty()?.to_cow(),
            caller_id: self.caller.non_empty()?.to_cow(),
            collective: self.collective.non_empty()?.to_cow(),
            agent: self.agent.non_empty()?.to_cow(),
            ttl: self.ttl.ok_or(LayerError::Missing("ttl"))?,
            time: self.time.ok_or(LayerError::Missing("time"))?,
            filter: self.filter.unwrap_or_default(),
        })
    }
}

/// A body that is no text stays in its base64: whoever looks at the body decodes what decodes.
fn body_text(message: Text<'_>) -> Result<Cow<'_, str>, LayerError> {
    let mut body = Vec::new();
    message.decode_into(&mut body)?;
    if body.is_empty() {
        return Err(LayerError::Empty("message"));
    }
    Ok(match String::from_utf8(body) {
        Ok(text) => text.into(),
        Err(error) => base64::encode_to_string(error.as_bytes()).into(),
    })
}

fn check_limits(request: &Request<'_>) -> Result<(), RequestError> {
    check_ttl(ProtocolVersion::V2, request.ttl)?;
    if request.time < 1 {
        return Err(RequestError::TimeTooSmall { time: request.time });
    }
    Ok(())
}
