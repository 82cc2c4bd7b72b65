//! The hashed layer around a reply.
//!
//! Version 1 replies carry a SHA-256 and no proof of who sent them; the hash only finds damage. Version 2 replies may
//! carry a signature and the node's token beside it; clients of today check the hash and look no further, so both are
//! handed on unchecked here.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};

use crate::base64;
use crate::json::{self, LayerError, RawStr, Reader, Text};
use crate::reply::ReplyError;
use crate::version::{ProtocolVersion, detect_version};

/// A parsed secure reply; its hash is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureReply<'a> {
    /// The version of this and of the inner layer.
    pub version: ProtocolVersion,
    /// The reply document, verbatim.
    pub message: Cow<'a, str>,
    /// Base64 of the SHA-256 over `message`.
    pub hash: Cow<'a, str>,
    /// Base64 of the node's signature over `message`; version 2 only, where the node signs.
    pub signature: Option<Cow<'a, str>>,
    /// The node's token; version 2 only, where the node signs.
    pub sender: Option<Cow<'a, str>>,
}

/// A node's proof of its reply: a signature and the token that names its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyProof<'a> {
    /// The signature over the reply document, raw.
    pub signature: &'a [u8],
    /// The node's token.
    pub token: &'a str,
}

impl<'a> SecureReply<'a> {
    /// Parses the document of [`Transport::decode_data`](crate::transport::Transport::decode_data), of either version.
    pub fn parse(document: &'a [u8]) -> Result<Self, ReplyError> {
        let version = detect_version(document).unwrap_or(ProtocolVersion::V1);
        Self::read(version, document).map_err(ReplyError::Secure)
    }

    fn read(version: ProtocolVersion, document: &'a [u8]) -> Result<Self, LayerError> {
        let raw = RawSecureReply::read(version, document)?;
        let message = match version {
            ProtocolVersion::V1 => raw.message.non_empty()?.to_cow(),
            ProtocolVersion::V2 => {
                let mut message = Vec::new();
                raw.message.decode_into(&mut message)?;
                let message = String::from_utf8(message).map_err(|_| LayerError::WrongType {
                    field: "reply",
                    expected: "utf-8",
                })?;
                message.into()
            }
        };
        Ok(Self {
            version,
            message,
            hash: raw.hash.to_cow(),
            signature: raw.signature.optional(),
            sender: raw.sender.optional(),
        })
    }

    /// True if the hash is that of the message.
    #[must_use]
    pub fn verify_hash(&self) -> bool {
        hash_matches(self.message.as_bytes(), &self.hash)
    }

    /// Appends a version 1 secure reply around `message`.
    pub fn encode_into(out: &mut Vec<u8>, message: &str) {
        out.reserve(message.len() + message.len() / 3 + 128);
        out.extend_from_slice(br#"{"protocol":""#);
        out.extend_from_slice(ProtocolVersion::V1.secure_reply().as_bytes());
        out.extend_from_slice(br#"","message":"#);
        json::write_string(out, message);
        out.extend_from_slice(br#","hash":""#);
        out.extend_from_slice(&hash(message.as_bytes()));
        out.extend_from_slice(br#""}"#);
    }

    /// Appends a version 2 secure reply around `message`, with the node's proof where it signs.
    pub fn encode_v2_into(out: &mut Vec<u8>, message: &[u8], proof: Option<ReplyProof<'_>>) {
        let proof_len = proof.map_or(0, |proof| proof.token.len() + 128);
        out.reserve(message.len() * 4 / 3 + proof_len + 160);
        out.extend_from_slice(br#"{"protocol":""#);
        out.extend_from_slice(ProtocolVersion::V2.secure_reply().as_bytes());
        out.extend_from_slice(br#"","reply":""#);
        base64::encode(message, out);
        out.extend_from_slice(br#"","hash":""#);
        out.extend_from_slice(&hash(message));
        out.push(b'"');
        if let Some(proof) = proof {
            out.extend_from_slice(br#","signature":""#);
            base64::encode(proof.signature, out);
            out.extend_from_slice(br#"","sender":"#);
            json::write_string(out, proof.token);
        }
        out.push(b'}');
    }
}

/// The spans of a secure reply, for readers that bring their own buffers.
pub(crate) struct RawSecureReply<'a> {
    /// Version 1: the document; version 2: its base64. Not known to be there.
    pub(crate) message: Text<'a>,
    pub(crate) hash: RawStr<'a>,
    signature: Text<'a>,
    sender: Text<'a>,
}

impl<'a> RawSecureReply<'a> {
    pub(crate) fn read(version: ProtocolVersion, document: &'a [u8]) -> Result<Self, LayerError> {
        let message_key = match version {
            ProtocolVersion::V1 => "message",
            ProtocolVersion::V2 => "reply",
        };
        let mut reader = Reader::new(document)?;
        let mut protocol = Text::new("protocol");
        let mut message = Text::new(message_key);
        let mut hash = Text::new("hash");
        let mut signature = Text::new("signature");
        let mut sender = Text::new("sender");
        let is_v2 = version == ProtocolVersion::V2;
        reader.object("secure reply")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                key if key == message_key => message.read(&mut reader)?,
                "hash" => hash.read(&mut reader)?,
                "signature" if is_v2 => signature.read(&mut reader)?,
                "sender" if is_v2 => sender.read(&mut reader)?,
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        protocol.constant(version.secure_reply())?;
        message.non_empty()?;
        Ok(Self {
            message,
            hash: hash.required()?,
            signature,
            sender,
        })
    }
}

/// True if `expected` is the base64 of the SHA-256 of `message`.
pub(crate) fn hash_matches(message: &[u8], expected: &str) -> bool {
    hash(message) == *expected.as_bytes()
}

fn hash(message: &[u8]) -> [u8; 44] {
    let sum = digest(&SHA256, message);
    base64::encode_digest(sum.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found() {
        let mut out = Vec::new();
        SecureReply::encode_into(&mut out, "{\"x\":1}");
        let mut parsed = SecureReply::parse(&out).unwrap();
        assert!(parsed.verify_hash());
        parsed.message.to_mut().push(' ');
        assert!(!parsed.verify_hash());
    }

    #[test]
    fn version_2_has_a_proof_or_none() {
        let proof = ReplyProof {
            signature: b"sig",
            token: "a.b.c",
        };
        for proof in [None, Some(proof)] {
            let mut out = Vec::new();
            SecureReply::encode_v2_into(&mut out, b"{\"x\":1}", proof);
            let parsed = SecureReply::parse(&out).unwrap();
            assert_eq!(parsed.version, ProtocolVersion::V2);
            assert_eq!(parsed.message, "{\"x\":1}");
            assert!(parsed.verify_hash());
            assert_eq!(parsed.signature.as_deref(), proof.map(|_| "c2ln"));
            assert_eq!(parsed.sender.as_deref(), proof.map(|proof| proof.token));
        }
    }

    #[test]
    fn a_reply_without_a_hash_is_refused() {
        let error = SecureReply::parse(br#"{"protocol":"choria:secure:reply:1","message":"m"}"#);
        assert_eq!(
            error.unwrap_err().to_string(),
            "secure reply: field hash is missing"
        );
    }
}
