//! Protocol versions and the values that name them.
//!
//! A peer speaks exactly one version, and each inner layer has the version of the layer around it. There is no
//! negotiation: what is not in this table is dropped.

use crate::json::Reader;

/// `protocol` of a version 1 transport.
pub const TRANSPORT_V1: &str = "choria:transport:1";
/// `protocol` of a version 1 secure request.
pub const SECURE_REQUEST_V1: &str = "choria:secure:request:1";
/// `protocol` of a version 1 request.
pub const REQUEST_V1: &str = "choria:request:1";
/// `protocol` of a version 1 secure reply.
pub const SECURE_REPLY_V1: &str = "choria:secure:reply:1";
/// `protocol` of a version 1 reply.
pub const REPLY_V1: &str = "choria:reply:1";

const V1: [&str; 5] = [
    TRANSPORT_V1,
    SECURE_REQUEST_V1,
    REQUEST_V1,
    SECURE_REPLY_V1,
    REPLY_V1,
];
const V2: [&str; 5] = [
    "io.choria.protocol.v2.transport",
    "io.choria.protocol.v2.secure_request",
    "io.choria.protocol.v2.request",
    "io.choria.protocol.v2.secure_reply",
    "io.choria.protocol.v2.reply",
];

/// A version of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// X.509 signatures, seconds, strings in strings.
    V1,
    /// JWT and ed25519, nanoseconds, base64 in base64. Recognised, not yet spoken.
    V2,
}

/// The version of any layer's document, by its top-level `protocol` field; `None` if that is missing or unknown.
#[must_use]
pub fn detect_version(document: &[u8]) -> Option<ProtocolVersion> {
    let mut reader = Reader::new(document).ok()?;
    reader.begin_object().ok()?;
    let mut found = None;
    while let Some(key) = reader.next_key().ok()? {
        if key.to_cow() == "protocol" {
            let protocol = reader.string().ok()?.to_cow();
            found = if V1.contains(&&*protocol) {
                Some(ProtocolVersion::V1)
            } else if V2.contains(&&*protocol) {
                Some(ProtocolVersion::V2)
            } else {
                None
            };
        } else {
            reader.value().ok()?;
        }
    }
    reader.end().ok()?;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_of_both_versions_is_known() {
        for (names, version) in [(V1, ProtocolVersion::V1), (V2, ProtocolVersion::V2)] {
            for name in names {
                let text = format!(r#"{{"headers":{{"protocol":"x"}},"protocol":"{name}"}}"#);
                assert_eq!(detect_version(text.as_bytes()), Some(version), "{name}");
            }
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"protocol":"choria:transport:2"}"#,
            r#"{"protocol":1}"#,
            r#"{"data":{"protocol":"choria:transport:1"}}"#,
            r#"{"protocol":"choria:transport:1""#,
            r#"{"protocol":"choria:transport:1"} x"#,
        ] {
            assert_eq!(detect_version(text.as_bytes()), None, "{text}");
        }
    }
}
