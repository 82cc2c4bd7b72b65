//! KSUIDs: ids that sort by the second they were made in. Version 2 requests and tokens are named by them.
//!
//! ```text
//! 4 bytes: seconds since 2014-05-13 16:53:20 UTC, big-endian │ 16 random bytes │ both as 27 digits of base 62
//! ```
//!
//! The moment and the randomness are the caller's to bring.

use std::fmt;

/// Digits of a KSUID.
pub const KSUID_CHARS: usize = 27;

/// Unix second that a KSUID's clock starts at.
const EPOCH: u64 = 1_400_000_000;
const BYTES: usize = 20;
const BASE: u32 = 62;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A KSUID as its digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ksuid([u8; KSUID_CHARS]);

/// Why a text is no KSUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KsuidError {
    /// Not 27 bytes long.
    Length(usize),
    /// Holds something else than digits and letters of ASCII.
    NotBase62(u8),
    /// Stands for a number beyond 20 bytes.
    TooLarge,
}

impl Ksuid {
    /// The id of this unix second and these random bytes. A second out of the clock's range, which ends in 2150, is the
    /// nearest in it.
    #[must_use]
    pub fn from_parts(unix_seconds: u64, random: [u8; 16]) -> Self {
        let seconds = unix_seconds.saturating_sub(EPOCH);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&random);
        let mut digits = [0; KSUID_CHARS];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[usize::from(divide(&mut bytes))];
        }
        Self(digits)
    }

    /// Parses 27 digits.
    ///
    /// # Errors
    /// The text is no KSUID.
    pub fn parse(text: &str) -> Result<Self, KsuidError> {
        let digits: [u8; KSUID_CHARS] = text
            .as_bytes()
            .try_into()
            .map_err(|_| KsuidError::Length(text.len()))?;
        let ksuid = Self(digits);
        ksuid.bytes()?;
        Ok(ksuid)
    }

    /// The 27 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base 62 is ASCII")
    }

    /// The unix second it was made in.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        let bytes = self.bytes().expect("digits were checked when it was made");
        let seconds = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        EPOCH + u64::from(seconds)
    }

    fn bytes(&self) -> Result<[u8; BYTES], KsuidError> {
        let mut bytes = [0; BYTES];
        for &digit in &self.0 {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'Z' => digit - b'A' + 10,
                b'a'..=b'z' => digit - b'a' + 36,
                other => return Err(KsuidError::NotBase62(other)),
            };
            if !multiply_add(&mut bytes, value) {
                return Err(KsuidError::TooLarge);
            }
        }
        Ok(bytes)
    }
}

/// Divides the number by 62; the remainder.
fn divide(number: &mut [u8; BYTES]) -> u8 {
    let mut rest = 0_u32;
    for byte in number {
        let value = rest << 8 | u32::from(*byte);
        *byte = u8::try_from(value / BASE).expect("the remainder before was below 62");
        rest = value % BASE;
    }
    u8::try_from(rest).expect("a remainder is below 62")
}

/// Multiplies the number by 62 and adds a digit; false if it no longer fits.
fn multiply_add(number: &mut [u8; BYTES], digit: u8) -> bool {
    let mut carry = u32::from(digit);
    for byte in number.iter_mut().rev() {
        let value = u32::from(*byte) * BASE + carry;
        *byte = value.to_le_bytes()[0];
        carry = value >> 8;
    }
    carry == 0
}

impl fmt::Display for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ksuid({self})")
    }
}

impl fmt::Display for KsuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "ksuid has {len} bytes, not {KSUID_CHARS}"),
            Self::NotBase62(byte) => {
                write!(
                    f,
                    "ksuid holds '{}', not a digit or letter",
                    byte.escape_ascii()
                )
            }
            Self::TooLarge => {
                f.write_str("ksuid is beyond the largest, aWgEPTl1tmebfsQzFP4bxwgy80V")
            }
        }
    }
}

impl std::error::Error for KsuidError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ids_come_out() {
        assert_eq!(Ksuid::from_parts(EPOCH, [0; 16]).as_str(), "0".repeat(27));
        let largest = Ksuid::from_parts(u64::MAX, [0xff; 16]);
        assert_eq!(largest.as_str(), "aWgEPTl1tmebfsQzFP4bxwgy80V");
        assert_eq!(Ksuid::from_parts(0, [0; 16]).unix_seconds(), EPOCH);
    }

    #[test]
    fn recorded_ids_tell_their_second() {
        // The token was issued then, and the request sent then.
        for (text, second) in [
            ("3MaT76KQgZXGUdJ6KQvMQygXVrO", 1_795_587_507),
            ("3MaTHOn13q1DQVz5Nt6IRRkU4oW", 1_795_587_589),
        ] {
            let ksuid = Ksuid::parse(text).unwrap();
            assert_eq!(ksuid.unix_seconds(), second);
            let bytes = ksuid.bytes().unwrap();
            let random = bytes[4..].try_into().unwrap();
            assert_eq!(Ksuid::from_parts(second, random), ksuid);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        assert_eq!(Ksuid::parse("abc"), Err(KsuidError::Length(3)));
        let dash = "-".repeat(27);
        assert_eq!(Ksuid::parse(&dash), Err(KsuidError::NotBase62(b'-')));
        let beyond = "aWgEPTl1tmebfsQzFP4bxwgy80W";
        assert_eq!(Ksuid::parse(beyond), Err(KsuidError::TooLarge));
    }
}
