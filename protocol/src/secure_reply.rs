//! The hashed layer around a reply.
//!
//! Version 1 replies carry a SHA-256 and no proof of who sent them; the hash only finds damage.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};

use crate::base64;
use crate::json::{self, LayerError, Reader, Text};
use crate::reply::ReplyError;
use crate::version::SECURE_REPLY_V1;

/// A parsed secure reply; its hash is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureReply<'a> {
    /// The reply document, verbatim.
    pub message: Cow<'a, str>,
    /// Base64 of the SHA-256 over `message`.
    pub hash: Cow<'a, str>,
}

impl<'a> SecureReply<'a> {
    /// Parses the document of [`Transport::decode_data`](crate::transport::Transport::decode_data).
    pub fn parse(document: &'a [u8]) -> Result<Self, ReplyError> {
        let raw = RawSecureReply::read(document).map_err(ReplyError::Secure)?;
        Ok(Self {
            message: raw.message.to_cow(),
            hash: raw.hash.to_cow(),
        })
    }

    /// True if the hash is that of the message.
    #[must_use]
    pub fn verify_hash(&self) -> bool {
        hash_matches(&self.message, &self.hash)
    }

    /// Appends a secure reply around `message`.
    pub fn encode_into(out: &mut Vec<u8>, message: &str) {
        out.reserve(message.len() + message.len() / 3 + 128);
        out.extend_from_slice(br#"{"protocol":""#);
        out.extend_from_slice(SECURE_REPLY_V1.as_bytes());
        out.extend_from_slice(br#"","message":"#);
        json::write_string(out, message);
        out.extend_from_slice(br#","hash":""#);
        out.extend_from_slice(&hash(message));
        out.extend_from_slice(br#""}"#);
    }
}

/// The spans of a secure reply, for readers that bring their own buffers.
pub(crate) struct RawSecureReply<'a> {
    pub(crate) message: json::RawStr<'a>,
    pub(crate) hash: json::RawStr<'a>,
}

impl<'a> RawSecureReply<'a> {
    pub(crate) fn read(document: &'a [u8]) -> Result<Self, LayerError> {
        let mut reader = Reader::new(document)?;
        let mut protocol = Text::new("protocol");
        let mut message = Text::new("message");
        let mut hash = Text::new("hash");
        reader.object("secure reply")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                "message" => message.read(&mut reader)?,
                "hash" => hash.read(&mut reader)?,
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        protocol.constant(SECURE_REPLY_V1)?;
        Ok(Self {
            message: message.non_empty()?,
            hash: hash.required()?,
        })
    }
}

/// True if `expected` is the base64 of the SHA-256 of `message`.
pub(crate) fn hash_matches(message: &str, expected: &str) -> bool {
    hash(message) == *expected.as_bytes()
}

fn hash(message: &str) -> [u8; 44] {
    let sum = digest(&SHA256, message.as_bytes());
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
    fn a_reply_without_a_hash_is_refused() {
        let error = SecureReply::parse(br#"{"protocol":"choria:secure:reply:1","message":"m"}"#);
        assert_eq!(
            error.unwrap_err().to_string(),
            "secure reply: field hash is missing"
        );
    }
}
