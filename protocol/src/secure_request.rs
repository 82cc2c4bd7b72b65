//! The signed layer around a request.
//!
//! The signature covers the bytes of `message` after JSON-unescaping, so [`SecureRequest::message`] is what to verify and
//! what to parse, never a re-encoded copy. Signing and verification live in [`security`](crate::security).

use std::borrow::Cow;
use std::fmt;

use crate::json::{self, LayerError, Reader, Text};
use crate::version::SECURE_REQUEST_V1;

/// A parsed, unverified secure request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureRequest<'a> {
    /// The request document, verbatim.
    pub message: Cow<'a, str>,
    /// Base64 of the signature (possibly wrapped), or a literal such as `insecure` where security is off.
    pub signature: Cow<'a, str>,
    /// The caller's certificate chain in PEM, or a literal such as `insecure`.
    pub pubcert: Cow<'a, str>,
}

/// Why bytes are not a secure request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureRequestError(pub LayerError);

impl<'a> SecureRequest<'a> {
    /// Parses the document of [`Transport::decode_data`](crate::transport::Transport::decode_data) and applies the
    /// rules real servers apply: all fields present, strings, not empty.
    pub fn parse(document: &'a [u8]) -> Result<Self, SecureRequestError> {
        Self::read(document).map_err(SecureRequestError)
    }

    fn read(document: &'a [u8]) -> Result<Self, LayerError> {
        let mut reader = Reader::new(document)?;
        let mut protocol = Text::new("protocol");
        let mut message = Text::new("message");
        let mut signature = Text::new("signature");
        let mut pubcert = Text::new("pubcert");
        reader.object("secure request")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                "message" => message.read(&mut reader)?,
                "signature" => signature.read(&mut reader)?,
                "pubcert" => pubcert.read(&mut reader)?,
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        protocol.constant(SECURE_REQUEST_V1)?;
        Ok(Self {
            message: message.non_empty()?.to_cow(),
            signature: signature.non_empty()?.to_cow(),
            pubcert: pubcert.non_empty()?.to_cow(),
        })
    }

    /// Appends a secure request made of its parts.
    pub fn encode_into(out: &mut Vec<u8>, message: &str, signature_b64: &str, pubcert: &str) {
        out.reserve(message.len() + message.len() / 4 + signature_b64.len() + pubcert.len() + 128);
        out.extend_from_slice(br#"{"protocol":""#);
        out.extend_from_slice(SECURE_REQUEST_V1.as_bytes());
        out.extend_from_slice(br#"","message":"#);
        json::write_string(out, message);
        out.extend_from_slice(br#","signature":"#);
        json::write_string(out, signature_b64);
        out.extend_from_slice(br#","pubcert":"#);
        json::write_string(out, pubcert);
        out.push(b'}');
    }
}

impl fmt::Display for SecureRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secure request: {}", self.0)
    }
}

impl std::error::Error for SecureRequestError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_round_trip() {
        let mut out = Vec::new();
        SecureRequest::encode_into(&mut out, "{\"a\":\"<b>\"}", "c2ln\n", "-----BEGIN\nx\n");
        let parsed = SecureRequest::parse(&out).unwrap();
        assert_eq!(parsed.message, "{\"a\":\"<b>\"}");
        assert_eq!(parsed.signature, "c2ln\n");
        assert_eq!(parsed.pubcert, "-----BEGIN\nx\n");
    }

    #[track_caller]
    fn check(document: &str, expected: &str) {
        let error = SecureRequest::parse(document.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected, "{document}");
    }

    #[test]
    fn refusals_name_the_field() {
        let protocol = r#""protocol":"choria:secure:request:1""#;
        check("{}", "secure request: field protocol is missing");
        check(
            r#"{"protocol":"choria:secure:reply:1"}"#,
            "secure request: protocol is \"choria:secure:reply:1\", not \"choria:secure:request:1\"",
        );
        check(
            &format!(r#"{{{protocol},"message":"m","signature":"","pubcert":"p"}}"#),
            "secure request: field signature is empty",
        );
        check(
            &format!(r#"{{{protocol},"message":"m","signature":"s","pubcert":null}}"#),
            "secure request: field pubcert is missing",
        );
        check(
            &format!(r#"{{{protocol},"message":{{}},"signature":"s","pubcert":"p"}}"#),
            "secure request: field message is not a string",
        );
        check(
            "[]",
            "secure request: field secure request is not an object",
        );
    }
}
