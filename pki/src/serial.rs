//! Serial numbers: what tells two certificates of one authority apart.

use std::fmt;

/// The longest number RFC 5280 allows, in bytes.
const BYTES_MAX: usize = 20;

/// A serial number without leading zeroes. `Display` is lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Of big-endian bytes, as they stand in a certificate.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
        Self(bytes[zeroes..].to_vec())
    }

    /// Reads hexadecimal, with or without the colons some tools put in; `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte != b':')
            .map(|byte| {
                char::from(byte)
                    .to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
            })
            .collect::<Option<_>>()?;
        if digits.is_empty() || digits.len() > 2 * BYTES_MAX {
            return None;
        }
        // From the end, so that an odd first digit stands alone.
        let mut bytes: Vec<u8> = digits
            .rchunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        bytes.reverse();
        Some(Self::of_bytes(&bytes))
    }

    /// The big-endian bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("00");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_other_tools_write_them() {
        for (text, shown) in [
            ("4F0a", "4f0a"),
            ("4f:0A", "4f0a"),
            ("00:4f:0a", "4f0a"),
            ("f0a", "0f0a"),
            ("0", "00"),
        ] {
            assert_eq!(Serial::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for bad in ["", ":", "0x4f", "node1", &"1".repeat(41)] {
            assert_eq!(Serial::parse(bad), None, "{bad}");
        }
    }
}
