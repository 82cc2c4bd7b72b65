//! The signed layer around a request.
//!
//! Version 1 has the request as a string, its signature and the caller's certificate. Version 2 has the request in
//! base64, its signature, the caller's token and, where a signing service vouches for the caller, that service's token.
//!
//! The signature covers the bytes of the request document, so [`SecureRequest::message`] is what to verify and
//! what to parse, never a re-encoded copy. Signing and verification live in [`security`](crate::security).

use std::borrow::Cow;
use std::fmt;

use crate::base64;
use crate::json::{self, LayerError, Reader, Text};
use crate::version::{ProtocolVersion, detect_version};

/// A parsed, unverified secure request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureRequest<'a> {
    /// The version of this and of all inner layers.
    pub version: ProtocolVersion,
    /// The request document, verbatim.
    pub message: Cow<'a, str>,
    /// Base64 of the signature (possibly wrapped), or a literal such as `insecure` where security is off.
    pub signature: Cow<'a, str>,
    /// What the caller shows of itself. Version 1: its certificate chain in PEM, or a literal such as `insecure`.
    /// Version 2: its token.
    pub pubcert: Cow<'a, str>,
    /// The token of the service that signed for the caller; version 2 only, and only where there is one.
    pub signer: Option<Cow<'a, str>>,
}

/// What proves a request's caller, beside the request document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestProof<'a> {
    /// Version 1.
    X509 {
        /// Base64 of the signature, or a literal such as `insecure`.
        signature_b64: &'a str,
        /// The caller's certificate chain in PEM, or a literal such as `insecure`.
        pubcert: &'a str,
    },
    /// Version 2.
    Token {
        /// Base64 of the signature.
        signature_b64: &'a str,
        /// The caller's token.
        caller: &'a str,
        /// The token of the service that signed, where it was not the caller.
        signer: Option<&'a str>,
    },
}

impl RequestProof<'_> {
    /// The version of a request with this proof.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        match self {
            Self::X509 { .. } => ProtocolVersion::V1,
            Self::Token { .. } => ProtocolVersion::V2,
        }
    }
}

/// Why bytes are not a secure request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureRequestError(pub LayerError);

impl<'a> SecureRequest<'a> {
    /// Parses the document of [`Transport::decode_data`](crate::transport::Transport::decode_data), of either version,
    /// and applies the rules real servers apply: all fields present, strings, not empty.
    pub fn parse(document: &'a [u8]) -> Result<Self, SecureRequestError> {
        // A document of neither is refused with what version 1 demands.
        let version = detect_version(document).unwrap_or(ProtocolVersion::V1);
        Self::parse_as(version, document)
    }

    /// Parses a document that must be of the version of the layer around it.
    pub fn parse_as(
        version: ProtocolVersion,
        document: &'a [u8],
    ) -> Result<Self, SecureRequestError> {
        let read = match version {
            ProtocolVersion::V1 => Self::read_v1(document),
            ProtocolVersion::V2 => Self::read_v2(document),
        };
        read.map_err(SecureRequestError)
    }

    fn read_v1(document: &'a [u8]) -> Result<Self, LayerError> {
        let mut protocol = Text::new("protocol");
        let mut message = Text::new("message");
        let mut signature = Text::new("signature");
        let mut pubcert = Text::new("pubcert");
        read_fields(document, |key, reader| match key {
            "protocol" => protocol.read(reader),
            "message" => message.read(reader),
            "signature" => signature.read(reader),
            "pubcert" => pubcert.read(reader),
            _ => Ok(reader.value().map(drop)?),
        })?;
        protocol.constant(ProtocolVersion::V1.secure_request())?;
        Ok(Self {
            version: ProtocolVersion::V1,
            message: message.non_empty()?.to_cow(),
            signature: signature.non_empty()?.to_cow(),
            pubcert: pubcert.non_empty()?.to_cow(),
            signer: None,
        })
    }

    fn read_v2(document: &'a [u8]) -> Result<Self, LayerError> {
        let mut protocol = Text::new("protocol");
        let mut request = Text::new("request");
        let mut signature = Text::new("signature");
        let mut caller = Text::new("caller");
        let mut signer = Text::new("signer");
        read_fields(document, |key, reader| match key {
            "protocol" => protocol.read(reader),
            "request" => request.read(reader),
            "signature" => signature.read(reader),
            "caller" => caller.read(reader),
            "signer" => signer.read(reader),
            _ => Ok(reader.value().map(drop)?),
        })?;
        protocol.constant(ProtocolVersion::V2.secure_request())?;
        let mut message = Vec::new();
        request.decode_into(&mut message)?;
        let message = String::from_utf8(message).map_err(|_| LayerError::WrongType {
            field: "request",
            expected: "utf-8",
        })?;
        Ok(Self {
            version: ProtocolVersion::V2,
            message: message.into(),
            signature: signature.non_empty()?.to_cow(),
            pubcert: caller.non_empty()?.to_cow(),
            signer: signer.optional(),
        })
    }

    /// What proves the caller.
    #[must_use]
    pub fn proof(&self) -> RequestProof<'_> {
        match self.version {
            ProtocolVersion::V1 => RequestProof::X509 {
                signature_b64: &self.signature,
                pubcert: &self.pubcert,
            },
            ProtocolVersion::V2 => RequestProof::Token {
                signature_b64: &self.signature,
                caller: &self.pubcert,
                signer: self.signer.as_deref(),
            },
        }
    }

    /// Appends a version 1 secure request made of its parts.
    pub fn encode_into(out: &mut Vec<u8>, message: &str, signature_b64: &str, pubcert: &str) {
        out.reserve(message.len() + message.len() / 4 + signature_b64.len() + pubcert.len() + 128);
        out.extend_from_slice(br#"{"protocol":""#);
        out.extend_from_slice(ProtocolVersion::V1.secure_request().as_bytes());
        out.extend_from_slice(br#"","message":"#);
        json::write_string(out, message);
        out.extend_from_slice(br#","signature":"#);
        json::write_string(out, signature_b64);
        out.extend_from_slice(br#","pubcert":"#);
        json::write_string(out, pubcert);
        out.push(b'}');
    }

    /// Appends a secure request around a request document, in the version of its proof.
    pub fn encode_with(out: &mut Vec<u8>, message: &str, proof: &RequestProof<'_>) {
        let (signature_b64, caller, signer) = match *proof {
            RequestProof::X509 {
                signature_b64,
                pubcert,
            } => return Self::encode_into(out, message, signature_b64, pubcert),
            RequestProof::Token {
                signature_b64,
                caller,
                signer,
            } => (signature_b64, caller, signer),
        };
        let signer_len = signer.map_or(0, str::len);
        out.reserve(message.len() * 4 / 3 + signature_b64.len() + caller.len() + signer_len + 160);
        out.extend_from_slice(br#"{"protocol":""#);
        out.extend_from_slice(ProtocolVersion::V2.secure_request().as_bytes());
        out.extend_from_slice(br#"","request":""#);
        base64::encode(message.as_bytes(), out);
        out.extend_from_slice(br#"","signature":"#);
        json::write_string(out, signature_b64);
        out.extend_from_slice(br#","caller":"#);
        json::write_string(out, caller);
        if let Some(signer) = signer {
            out.extend_from_slice(br#","signer":"#);
            json::write_string(out, signer);
        }
        out.push(b'}');
    }
}

/// Hands each member of the document's object to `read`, which consumes its value.
fn read_fields<'a>(
    document: &'a [u8],
    mut read: impl FnMut(&str, &mut Reader<'a>) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    let mut reader = Reader::new(document)?;
    reader.object("secure request")?;
    while let Some(key) = reader.next_key()? {
        read(&key.to_cow(), &mut reader)?;
    }
    Ok(reader.end()?)
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

    #[test]
    fn version_2_parts_round_trip() {
        for signer in [None, Some("s.s.s")] {
            let proof = RequestProof::Token {
                signature_b64: "c2ln",
                caller: "a.b.c",
                signer,
            };
            let mut out = Vec::new();
            SecureRequest::encode_with(&mut out, "{\"a\":\"<b>\"}", &proof);
            let parsed = SecureRequest::parse(&out).unwrap();
            assert_eq!(parsed.version, ProtocolVersion::V2);
            assert_eq!(parsed.message, "{\"a\":\"<b>\"}");
            assert_eq!(parsed.proof(), proof);
            let error = SecureRequest::parse_as(ProtocolVersion::V1, &out).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("not \"choria:secure:request:1\"")
            );
        }
    }

    #[test]
    fn version_2_refusals_name_the_field() {
        let protocol = r#""protocol":"io.choria.protocol.v2.secure_request""#;
        for (rest, expected) in [
            (
                r#""signature":"s","caller":"c""#,
                "field request is missing",
            ),
            (
                r#""request":"","signature":"s","caller":"c""#,
                "field request is empty",
            ),
            (
                r#""request":"e","signature":"s","caller":"c""#,
                "field request is not standard base64",
            ),
            (
                r#""request":"/w==","signature":"s","caller":"c""#,
                "field request is not utf-8",
            ),
            (
                r#""request":"e30=","caller":"c""#,
                "field signature is missing",
            ),
            (
                r#""request":"e30=","signature":"s","caller":"""#,
                "field caller is empty",
            ),
        ] {
            check(
                &format!("{{{protocol},{rest}}}"),
                &format!("secure request: {expected}"),
            );
        }
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
