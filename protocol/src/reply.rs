//! What a node answers, and the two one-call paths for whole replies.
//!
//! [`encode_reply`] builds all four layers in a caller's buffers; [`parse_reply`] takes them apart again, in either
//! version. Neither allocates once the buffers are warm, but for what a signature costs: a fleet of fifty thousand
//! answers within a second.

use std::borrow::Cow;
use std::fmt;

use crate::base64;
use crate::json::{self, LayerError, Reader};
use crate::scratch::Scratch;
use crate::secure_reply::{RawSecureReply, ReplyProof, SecureReply, hash_matches};
use crate::security::tokens::TokenSigner;
use crate::transport::{Digest, Headers, TransportError, encode_transport_as};
use crate::version::{ProtocolVersion, detect_version};

mod raw;

use self::raw::RawReply;

/// A parsed reply document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The version of this and of the layers around it.
    pub version: ProtocolVersion,
    /// The agent's body. Bytes of a version 2 body that are no UTF-8 are U+FFFD here; [`parse_reply`] has them as sent.
    pub message: Cow<'a, str>,
    /// Id of the request that is answered.
    pub request_id: Cow<'a, str>,
    /// Identity of the answering node.
    pub sender: Cow<'a, str>,
    /// The agent that answers.
    pub agent: Cow<'a, str>,
    /// Since 1970 at the node, in the unit of the version: seconds or nanoseconds.
    pub time: i64,
}

/// In which version a reply is sent, and whether it is signed.
#[derive(Debug, Clone, Copy)]
pub enum ReplyForm<'a> {
    /// Version 1: hashed only.
    V1,
    /// Version 2: hashed, and signed where there is a signer.
    V2 {
        /// The node's key and token.
        signer: Option<&'a TokenSigner>,
    },
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
    /// Since 1970, in the unit of the version it is sent in: seconds or nanoseconds.
    pub time: i64,
    /// The agent's body. In version 1 bytes that are not UTF-8 become U+FFFD, since JSON can not carry them.
    pub body: &'a [u8],
}

/// A reply taken apart down to the agent's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedReply<'s> {
    /// The version of all its layers.
    pub version: ProtocolVersion,
    /// Identity in the reply's envelope.
    pub sender: Cow<'s, str>,
    /// Identity in the transport's headers: the one discovery goes by.
    pub transport_sender: Option<Cow<'s, str>>,
    /// Id of the request that is answered.
    pub request_id: Cow<'s, str>,
    /// The agent that answers.
    pub agent: Cow<'s, str>,
    /// Since 1970 at the node, in the unit of the version: seconds or nanoseconds.
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
    /// Parses a reply document of either version. Servers and clients of today apply no schema to replies, so only what
    /// is needed to attribute the reply is demanded.
    pub fn parse(document: &'a [u8]) -> Result<Self, ReplyError> {
        let version = detect_version(document).unwrap_or(ProtocolVersion::V1);
        Self::read(version, document).map_err(ReplyError::Reply)
    }

    fn read(version: ProtocolVersion, document: &'a [u8]) -> Result<Self, LayerError> {
        let raw = RawReply::read(version, Reader::new(document)?)?;
        let message = match version {
            ProtocolVersion::V1 => raw.message.required()?.to_cow(),
            ProtocolVersion::V2 => {
                let mut body = Vec::new();
                raw.decode_message(&mut body)?;
                match String::from_utf8(body) {
                    Ok(text) => text.into(),
                    Err(error) => String::from_utf8_lossy(error.as_bytes())
                        .into_owned()
                        .into(),
                }
            }
        };
        Ok(Self {
            version,
            message,
            request_id: raw.request_id.to_cow(),
            sender: raw.sender.to_cow(),
            agent: raw.agent.to_cow(),
            time: raw.time,
        })
    }

    /// Appends the reply document.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let parts = ReplyParts {
            request_id: &self.request_id,
            sender: &self.sender,
            agent: &self.agent,
            time: self.time,
            body: self.message.as_bytes(),
        };
        match self.version {
            ProtocolVersion::V1 => write_reply_v1(out, &self.message, &parts),
            ProtocolVersion::V2 => write_reply_v2(out, &parts),
        }
    }
}

/// Appends a whole version 1 reply, all four layers, to `out`; see [`encode_reply`].
pub fn encode_reply_transport(
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    reply: &ReplyParts<'_>,
    headers: &Headers<'_>,
) {
    encode_reply(out, scratch, ReplyForm::V1, reply, headers);
}

/// Appends a whole reply, all four layers, to `out`.
pub fn encode_reply(
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    form: ReplyForm<'_>,
    reply: &ReplyParts<'_>,
    headers: &Headers<'_>,
) {
    let Scratch {
        encoded, secure, ..
    } = scratch;
    encoded.clear();
    secure.clear();
    let version = match form {
        ReplyForm::V1 => {
            write_reply_v1(encoded, &String::from_utf8_lossy(reply.body), reply);
            // The writer only copies strings and ASCII, so this check never copies.
            SecureReply::encode_into(secure, &String::from_utf8_lossy(encoded));
            ProtocolVersion::V1
        }
        ReplyForm::V2 { signer } => {
            write_reply_v2(encoded, reply);
            let signature = signer.map(|signer| (signer.sign(encoded), signer.token()));
            let proof = signature
                .as_ref()
                .map(|(signature, token)| ReplyProof { signature, token });
            SecureReply::encode_v2_into(secure, encoded, proof);
            ProtocolVersion::V2
        }
    };
    encode_transport_as(out, version, secure, headers);
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
    let version = transport.version;
    let outer = RawSecureReply::read(version, secure).map_err(ReplyError::Secure)?;
    let (reader, hash_ok) = match version {
        ProtocolVersion::V1 => {
            let message = outer.message.non_empty().map_err(ReplyError::Secure)?;
            let message = message.unescape_in(inner);
            let hash_ok = hash_matches(message.as_bytes(), &outer.hash.to_cow());
            (Reader::from_text(message), hash_ok)
        }
        ProtocolVersion::V2 => {
            inner.clear();
            outer
                .message
                .decode_into(inner)
                .map_err(ReplyError::Secure)?;
            let hash_ok = hash_matches(inner, &outer.hash.to_cow());
            let reader = Reader::new(inner).map_err(|error| ReplyError::Reply(error.into()))?;
            (reader, hash_ok)
        }
    };
    let reply = RawReply::read(version, reader).map_err(ReplyError::Reply)?;
    let body = match version {
        ProtocolVersion::V1 => {
            let message = reply.message.required().map_err(ReplyError::Reply)?;
            message.unescape_in(body).as_bytes()
        }
        ProtocolVersion::V2 => {
            body.clear();
            reply.decode_message(body).map_err(ReplyError::Reply)?;
            body
        }
    };
    Ok(ParsedReply {
        version,
        sender: reply.sender.to_cow(),
        transport_sender: transport.sender,
        request_id: reply.request_id.to_cow(),
        agent: reply.agent.to_cow(),
        time: reply.time,
        body,
        hash_ok,
    })
}

/// Writes the reply document with `message` as its body; `parts.body` is not looked at.
fn write_reply_v1(out: &mut Vec<u8>, message: &str, parts: &ReplyParts<'_>) {
    out.reserve(message.len() + message.len() / 4 + parts.sender.len() + 256);
    out.extend_from_slice(br#"{"protocol":""#);
    out.extend_from_slice(ProtocolVersion::V1.reply().as_bytes());
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

fn write_reply_v2(out: &mut Vec<u8>, parts: &ReplyParts<'_>) {
    out.reserve(parts.body.len() * 4 / 3 + parts.sender.len() + 256);
    out.extend_from_slice(br#"{"protocol":""#);
    out.extend_from_slice(ProtocolVersion::V2.reply().as_bytes());
    out.extend_from_slice(br#"","message":""#);
    base64::encode(parts.body, out);
    out.extend_from_slice(br#"","request":"#);
    json::write_string(out, parts.request_id);
    out.extend_from_slice(br#","sender":"#);
    json::write_string(out, parts.sender);
    out.extend_from_slice(br#","agent":"#);
    json::write_string(out, parts.agent);
    out.extend_from_slice(br#","time":"#);
    json::write_integer(out, parts.time);
    out.push(b'}');
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
