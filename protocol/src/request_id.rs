//! Request ids: a version 4 UUID without dashes.

use std::fmt;

/// 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId([u8; 32]);

/// Why a text is not a request id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestIdError {
    /// Not 32 bytes long.
    Length(usize),
    /// Holds something else than `0`–`9` and `a`–`f`.
    NotHex(u8),
}

impl RequestId {
    /// An id made of 16 random bytes the caller brings.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        Self(hex)
    }

    /// Parses what [`RequestId`] prints. Peers may use other ids of 32 characters: those are not refused by
    /// [`Request::parse`](crate::request::Request::parse), but no id of ours can equal them.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        let hex: [u8; 32] = text
            .as_bytes()
            .try_into()
            .map_err(|_| RequestIdError::Length(text.len()))?;
        match hex
            .iter()
            .find(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        {
            Some(&other) => Err(RequestIdError::NotHex(other)),
            None => Ok(Self(hex)),
        }
    }

    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
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
            Self::Length(len) => write!(f, "request id has {len} bytes, not 32"),
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
    }

    #[test]
    fn other_texts_are_refused() {
        assert_eq!(RequestId::parse("ab"), Err(RequestIdError::Length(2)));
        assert_eq!(
            RequestId::parse(&"A".repeat(32)),
            Err(RequestIdError::NotHex(b'A'))
        );
    }
}
