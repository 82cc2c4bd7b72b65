//! What a node answers, and the two one-call paths for whole replies.
//!
//! [`encode_reply_transport`] builds all four layers in a caller's buffers; [`parse_reply`] takes them apart again.
//! Both allocate nothing once the buffers are warm: a fleet of fifty thousand answers within a second.

use std::borrow::Cow;
use std::fmt;

use crate::base64;
use crate::json::{self, LayerError, RawStr, Reader, Text};
use crate::scratch::Scratch;
use crate::secure_reply::{RawSecureReply, SecureReply, hash_matches};
use crate::transport::{Digest, Headers, TransportError, encode_transport};
use crate::version::REPLY_V1;

/// A parsed reply document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The agent's body.
    pub message: Cow<'a, str>,
    /// Id of the request that is answered.
    pub request_id: Cow<'a, str>,
    /// Identity of the answering node.
    pub sender: Cow<'a, str>,
    /// The agent that answers.
    pub agent: Cow<'a, str>,
    /// Unix seconds at the node.
    pub time: i64,
}

/// What a reply is made of.
#[derive(Debug, Clone, Copy)]
pub struct ReplyParts<'a> {
    /// Id of the request that is answered.
    pub request_id: &'a str,
    /// Identity of the answering node.
    pub sender: &'a str,
    /// The agent that answers.
    pub agent: &'a str,
    /// Unix seconds.
    pub time: i64,
    /// The agent's body. Bytes that are not UTF-8 become U+FFFD, since JSON can not carry them.
    pub body: &'a [u8],
}

/// A reply taken apart down to the agent's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedReply<'s> {
    /// Identity in the reply's envelope.
    pub sender: Cow<'s, str>,
    /// Identity in the transport's headers: the one discovery goes by.
    pub transport_sender: Option<Cow<'s, str>>,
    /// Id of the request that is answered.
    pub request_id: Cow<'s, str>,
    /// The agent that answers.
    pub agent: Cow<'s, str>,
    /// Unix seconds at the node.
    pub time: i64,
    /// The agent's body.
    pub body: &'s [u8],
    /// The hash is that of the reply. A reply where it is not must not be believed.
    pub hash_ok: bool,
}

/// Why bytes are not a reply, by layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyError {
    /// The transport is malformed.
    Transport(TransportError),
    /// The secure reply is malformed.
    Secure(LayerError),
    /// The reply document is malformed.
    Reply(LayerError),
}

impl<'a> Reply<'a> {
    /// Parses a reply document. Servers and clients of today apply no schema to replies, so only what is needed to
    /// attribute the reply is demanded.
    pub fn parse(document: &'a [u8]) -> Result<Self, ReplyError> {
        let reader = Reader::new(document).map_err(|error| ReplyError::Reply(error.into()))?;
        let raw = RawReply::read(reader).map_err(ReplyError::Reply)?;
        Ok(Self {
            message: raw.message.to_cow(),
            request_id: raw.request_id.to_cow(),
            sender: raw.sender.to_cow(),
            agent: raw.agent.to_cow(),
            time: raw.time,
        })
    }

    /// Appends the reply document.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        write_reply(
            out,
            &self.message,
            &ReplyParts {
                request_id: &self.request_id,
                sender: &self.sender,
                agent: &self.agent,
                time: self.time,
                body: &[],
            },
        );
    }
}

/// Appends a whole reply, all four layers, to `out`.
pub fn encode_reply_transport(
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    reply: &ReplyParts<'_>,
    headers: &Headers<'_>,
) {
    let document = &mut scratch.encoded;
    document.clear();
    write_reply(document, &String::from_utf8_lossy(reply.body), reply);
    // The writer only copies strings and ASCII, so this check never copies.
    let document = String::from_utf8_lossy(document);
    scratch.secure.clear();
    SecureReply::encode_into(&mut scratch.secure, &document);
    encode_transport(out, &scratch.secure, headers);
}

/// Takes a whole reply apart. The body and, where nothing is escaped, everything else borrow from `scratch`.
pub fn parse_reply<'s>(
    payload: &'s [u8],
    scratch: &'s mut Scratch,
) -> Result<ParsedReply<'s>, ReplyError> {
    let transport = Digest::read(payload).map_err(|error| ReplyError::Transport(error.into()))?;
    let Scratch {
        secure,
        inner,
        body,
        ..
    } = scratch;
    secure.clear();
    base64::decode(transport.data.to_cow().as_bytes(), secure)
        .map_err(|error| ReplyError::Transport(TransportError::Base64(error)))?;
    let outer = RawSecureReply::read(secure).map_err(ReplyError::Secure)?;
    let message = outer.message.unescape_in(inner);
    let hash_ok = hash_matches(message, &outer.hash.to_cow());
    let reply = RawReply::read(Reader::from_text(message)).map_err(ReplyError::Reply)?;
    Ok(ParsedReply {
        sender: reply.sender.to_cow(),
        transport_sender: transport.sender,
        request_id: reply.request_id.to_cow(),
        agent: reply.agent.to_cow(),
        time: reply.time,
        body: reply.message.unescape_in(body).as_bytes(),
        hash_ok,
    })
}

/// Writes the reply document with `message` as its body; `parts.body` is not looked at.
fn write_reply(out: &mut Vec<u8>, message: &str, parts: &ReplyParts<'_>) {
    out.reserve(message.len() + message.len() / 4 + parts.sender.len() + 256);
    out.extend_from_slice(br#"{"protocol":""#);
    out.extend_from_slice(REPLY_V1.as_bytes());
    out.extend_from_slice(br#"","message":"#);
    json::write_string(out, message);
    out.extend_from_slice(br#","envelope":{"requestid":"#);
    json::write_string(out, parts.request_id);
    out.extend_from_slice(br#","senderid":"#);
    json::write_string(out, parts.sender);
    out.extend_from_slice(br#","agent":"#);
    json::write_string(out, parts.agent);
    out.extend_from_slice(br#","time":"#);
    json::write_integer(out, parts.time);
    out.extend_from_slice(b"}}");
}

struct RawReply<'a> {
    message: RawStr<'a>,
    request_id: RawStr<'a>,
    sender: RawStr<'a>,
    agent: RawStr<'a>,
    time: i64,
}

impl<'a> RawReply<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self, LayerError> {
        let mut protocol = Text::new("protocol");
        let mut message = Text::new("message");
        let mut envelope = RawEnvelope::default();
        let mut has_envelope = false;
        reader.object("reply")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                "message" => message.read(&mut reader)?,
                "envelope" => {
                    envelope.read(&mut reader)?;
                    has_envelope = true;
                }
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        protocol.constant(REPLY_V1)?;
        if !has_envelope {
            return Err(LayerError::Missing("envelope"));
        }
        Ok(Self {
            // An agent with nothing to say leaves it empty: it still counts as an answer.
            message: message.required()?,
            request_id: envelope.request_id.non_empty()?,
            sender: envelope.sender.non_empty()?,
            agent: envelope.agent.required()?,
            time: envelope.time.ok_or(LayerError::Missing("envelope.time"))?,
        })
    }
}

struct RawEnvelope<'a> {
    request_id: Text<'a>,
    sender: Text<'a>,
    agent: Text<'a>,
    time: Option<i64>,
}

impl Default for RawEnvelope<'_> {
    fn default() -> Self {
        Self {
            request_id: Text::new("envelope.requestid"),
            sender: Text::new("envelope.senderid"),
            agent: Text::new("envelope.agent"),
            time: None,
        }
    }
}

impl<'a> RawEnvelope<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), LayerError> {
        reader.object("envelope")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "requestid" => self.request_id.read(reader)?,
                "senderid" => self.sender.read(reader)?,
                "agent" => self.agent.read(reader)?,
                "time" => self.time = Some(reader.whole("envelope.time")?),
                _ => {
                    reader.value()?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Secure(error) => write!(f, "secure reply: {error}"),
            Self::Reply(error) => write!(f, "reply: {error}"),
        }
    }
}

impl std::error::Error for ReplyError {}

#[cfg(test)]
mod tests;
