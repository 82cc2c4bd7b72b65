//! Protocol versions and the values that name them.
//!
//! A peer speaks exactly one version, and each inner layer has the version of the layer around it. There is no
//! negotiation: what is not in this table is dropped. Which version a process speaks follows from how it proves who
//! calls: certificates are version 1, tokens version 2.

use std::time::Duration;

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

/// `protocol` of a version 2 transport.
pub const TRANSPORT_V2: &str = "io.choria.protocol.v2.transport";
/// `protocol` of a version 2 secure request.
pub const SECURE_REQUEST_V2: &str = "io.choria.protocol.v2.secure_request";
/// `protocol` of a version 2 request.
pub const REQUEST_V2: &str = "io.choria.protocol.v2.request";
/// `protocol` of a version 2 secure reply.
pub const SECURE_REPLY_V2: &str = "io.choria.protocol.v2.secure_reply";
/// `protocol` of a version 2 reply.
pub const REPLY_V2: &str = "io.choria.protocol.v2.reply";

const V1: [&str; 5] = [
    TRANSPORT_V1,
    SECURE_REQUEST_V1,
    REQUEST_V1,
    SECURE_REPLY_V1,
    REPLY_V1,
];
const V2: [&str; 5] = [
    TRANSPORT_V2,
    SECURE_REQUEST_V2,
    REQUEST_V2,
    SECURE_REPLY_V2,
    REPLY_V2,
];

/// A version of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// X.509 signatures, seconds, strings in strings.
    V1,
    /// JWT and ed25519, nanoseconds, base64 in base64.
    V2,
}

impl ProtocolVersion {
    /// Seconds a request must be allowed to live, at least.
    #[must_use]
    pub const fn ttl_min(self) -> i64 {
        match self {
            Self::V1 => 30,
            Self::V2 => 1,
        }
    }

    /// A moment, given as time since 1970, in the unit of this version's `time` fields: seconds or nanoseconds.
    /// One beyond what the field holds is the last it holds.
    #[must_use]
    pub fn wire_time(self, unix: Duration) -> i64 {
        match self {
            Self::V1 => i64::try_from(unix.as_secs()).unwrap_or(i64::MAX),
            Self::V2 => i64::try_from(unix.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// A `time` field of this version in whole seconds and the nanoseconds beyond.
    #[must_use]
    pub const fn split_time(self, time: i64) -> (i64, i64) {
        match self {
            Self::V1 => (time, 0),
            Self::V2 => (time.div_euclid(NANOS), time.rem_euclid(NANOS)),
        }
    }

    /// True while a request sent at `time` (in this version's unit) may be acted on: the sender's clock is less than `ttl`
    /// seconds away from ours, either way.
    #[must_use]
    pub fn is_live(self, time: i64, ttl: i64, unix_now: Duration) -> bool {
        let (seconds, nanos) = self.split_time(time);
        let sent = i128::from(seconds) * i128::from(NANOS) + i128::from(nanos);
        let ttl = i128::from(ttl) * i128::from(NANOS);
        let now = i128::try_from(unix_now.as_nanos()).unwrap_or(i128::MAX);
        sent > now.saturating_sub(ttl) && sent < now.saturating_add(ttl)
    }

    pub(crate) const fn transport(self) -> &'static str {
        match self {
            Self::V1 => TRANSPORT_V1,
            Self::V2 => TRANSPORT_V2,
        }
    }

    pub(crate) const fn secure_request(self) -> &'static str {
        match self {
            Self::V1 => SECURE_REQUEST_V1,
            Self::V2 => SECURE_REQUEST_V2,
        }
    }

    pub(crate) const fn secure_reply(self) -> &'static str {
        match self {
            Self::V1 => SECURE_REPLY_V1,
            Self::V2 => SECURE_REPLY_V2,
        }
    }

    pub(crate) const fn reply(self) -> &'static str {
        match self {
            Self::V1 => REPLY_V1,
            Self::V2 => REPLY_V2,
        }
    }
}

const NANOS: i64 = 1_000_000_000;

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
    fn times_are_in_the_unit_of_the_version() {
        let unix = Duration::new(1_700_000_000, 123_456_789);
        assert_eq!(ProtocolVersion::V1.wire_time(unix), 1_700_000_000);
        let nanos = ProtocolVersion::V2.wire_time(unix);
        assert_eq!(nanos, 1_700_000_000_123_456_789);
        assert_eq!(
            ProtocolVersion::V2.split_time(nanos),
            (1_700_000_000, 123_456_789)
        );
        assert_eq!(ProtocolVersion::V2.split_time(-1), (-1, 999_999_999));
        assert_eq!(ProtocolVersion::V2.wire_time(Duration::MAX), i64::MAX);
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
