//! The request document of version 1: the body as a string, the rest in an envelope.

use std::borrow::Cow;

use super::{REQUEST_ID_CHARS, Request, RequestError, check_filled, check_ttl, filter_rules};
use crate::filter::Filter;
use crate::json::{self, LayerError, Reader, Text};
use crate::version::{ProtocolVersion, REQUEST_V1};

pub(super) fn parse(document: &[u8]) -> Result<Request<'_>, RequestError> {
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

pub(super) fn validate(request: &Request<'_>) -> Result<(), RequestError> {
    check_filled(&[
        ("message", &request.message),
        ("envelope.callerid", &request.caller_id),
        ("envelope.collective", &request.collective),
        ("envelope.agent", &request.agent),
    ])?;
    check_limits(request)
}

pub(super) fn encode(request: &Request<'_>, out: &mut Vec<u8>) {
    out.reserve(request.message.len() + request.message.len() / 4 + 512);
    out.extend_from_slice(br#"{"protocol":""#);
    out.extend_from_slice(REQUEST_V1.as_bytes());
    out.extend_from_slice(br#"","message":"#);
    json::write_string(out, &request.message);
    let mut lead: &[u8] = br#","envelope":{"#;
    for (key, value) in [
        ("requestid", &request.request_id),
        ("senderid", &request.sender_id),
        ("callerid", &request.caller_id),
        ("collective", &request.collective),
        ("agent", &request.agent),
    ] {
        out.extend_from_slice(lead);
        lead = b",";
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
    out.extend_from_slice(b"}}");
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
            version: ProtocolVersion::V1,
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
        check_limits(&request)?;
        Ok(request)
    }
}

fn check_limits(request: &Request<'_>) -> Result<(), RequestError> {
    let chars = request.request_id.chars().count();
    if chars != REQUEST_ID_CHARS {
        return Err(RequestError::RequestIdLength { chars });
    }
    check_ttl(ProtocolVersion::V1, request.ttl)
}
