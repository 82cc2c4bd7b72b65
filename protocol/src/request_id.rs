//! Request ids: in version 1 a version 4 UUID without dashes, in version 2 a KSUID.

use std::fmt;

use crate::ksuid::{KSUID_CHARS, Ksuid, KsuidError};
use crate::version::ProtocolVersion;

const HEX_CHARS: usize = 32;

/// A request id of ours, of either version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    /// 32 lower-case hex digits.
    Hex([u8; HEX_CHARS]),
    Ksuid(Ksuid),
}

/// Why a text is not a request id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestIdError {
    /// Neither 32 nor 27 bytes long.
    Length(usize),
    /// 32 bytes that hold something else than `0`–`9` and `a`–`f`.
    NotHex(u8),
    /// 27 bytes that are no KSUID.
    NotKsuid(KsuidError),
}

impl RequestId {
    /// A version 1 id made of 16 random bytes the caller brings.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut hex = [0; HEX_CHARS];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        Self(Kind::Hex(hex))
    }

    /// Parses what [`RequestId`] prints. Peers may use other ids: those are not refused by
    /// [`Request::parse`](crate::request::Request::parse), but no id of ours can equal them.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        if text.len() == KSUID_CHARS {
            let ksuid = Ksuid::parse(text).map_err(RequestIdError::NotKsuid)?;
            return Ok(ksuid.into());
        }
        let hex: [u8; HEX_CHARS] = text
            .as_bytes()
            .try_into()
            .map_err(|_| RequestIdError::Length(text.len()))?;
        match hex
            .iter()
            .find(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            Some(&other) => Err(RequestIdError::NotHex(other)),
            None => Ok(Self(Kind::Hex(hex))),
        }
    }

    /// The version of the protocol whose requests have such ids.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        match self.0 {
            Kind::Hex(_) => ProtocolVersion::V1,
            Kind::Ksuid(_) => ProtocolVersion::V2,
        }
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Hex(hex) => std::str::from_utf8(hex).expect("hex digits are ASCII"),
            Kind::Ksuid(ksuid) => ksuid.as_str(),
        }
    }
}

/// A version 2 id.
impl From<Ksuid> for RequestId {
    fn from(ksuid: Ksuid) -> Self {
        Self(Kind::Ksuid(ksuid))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl std::str::FromStr for RequestId {
    type Err = RequestIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for RequestIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "request id has {len} bytes, not 32 or 27"),
            Self::NotKsuid(error) => write!(f, "request id is no ksuid: {error}"),
            Self::NotHex(byte) => {
                write!(
                    f,
                    "request id holds '{}', not lower-case hex",
                    byte.escape_ascii()
                )
            }
        }
    }
}

impl std::error::Error for RequestIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_bits_are_set() {
        assert_eq!(
            RequestId::from_random([0; 16]).as_str(),
            "00000000000040008000000000000000"
        );
        assert_eq!(
            RequestId::from_random([0xff; 16]).as_str(),
            "ffffffffffff4fffbfffffffffffffff"
        );
    }

    #[test]
    fn display_and_parse_round_trip() {
        let id = RequestId::from_random(*b"\x01\x23\x45\x67\x89\xab\xcd\xef0123abcd");
        assert_eq!(RequestId::parse(&id.to_string()), Ok(id));
        let id = RequestId::from(Ksuid::from_parts(1_700_000_000, [7; 16]));
        assert_eq!(RequestId::parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        let dash = "-".repeat(27);
        assert_eq!(
            RequestId::parse(&dash),
            Err(RequestIdError::NotKsuid(KsuidError::NotBase62(b'-')))
        );
        assert_eq!(RequestId::parse("ab"), Err(RequestIdError::Length(2)));
        assert_eq!(
            RequestId::parse(&"A".repeat(32)),
            Err(RequestIdError::NotHex(b'A'))
        );
    }
}
