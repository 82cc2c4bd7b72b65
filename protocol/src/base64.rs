//! Standard base64 as the fleet reads and writes it.
//!
//! Readers skip carriage returns and line feeds anywhere (some peers wrap at 60 characters) and tolerate stray bits in
//! the last character; padding is required. Writers emit one unwrapped line.

use std::fmt;

use ::base64::Engine as _;
use ::base64::alphabet;
use ::base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base64Error;

impl fmt::Display for Base64Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not standard base64")
    }
}

impl std::error::Error for Base64Error {}

/// Appends the decoded bytes of `text` to `out`; on an error `out` keeps its former content.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Base64Error> {
    let kept = out.len();
    let result = if memchr::memchr2(b'\n', b'\r', text).is_some() {
        let unwrapped: Vec<u8> = text
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\n' | b'\r'))
            .collect();
        TOLERANT.decode_vec(&unwrapped, out)
    } else {
        TOLERANT.decode_vec(text, out)
    };
    result.map_err(|_| {
        out.truncate(kept);
        Base64Error
    })
}

/// Appends `bytes` in base64 to `out`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    TOLERANT
        .encode_slice(bytes, &mut out[start..])
        .expect("four characters for each started group of three bytes are always enough");
}

/// A SHA-256 in base64.
pub(crate) fn encode_digest(digest: &[u8; 32]) -> [u8; 44] {
    let mut text = [0; 44];
    TOLERANT
        .encode_slice(digest, &mut text)
        .expect("32 bytes are 44 characters");
    text
}

/// `bytes` in base64, as a string.
#[must_use]
pub fn encode_to_string(bytes: &[u8]) -> String {
    TOLERANT.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_skips_line_ends_anywhere() {
        for text in ["cGluZw==", "cGlu\nZw==", "cGlu\r\nZw=\n=\n", "\ncGluZw=="] {
            let mut out = Vec::new();
            decode(text.as_bytes(), &mut out).unwrap();
            assert_eq!(out, b"ping", "{text:?}");
        }
    }

    #[test]
    fn a_failed_decode_leaves_the_buffer_alone() {
        for text in ["cGluZw", "cGluZw=", "cGl uZw==", "{}", "cGluZw==cGlu"] {
            let mut out = b"kept".to_vec();
            assert_eq!(
                decode(text.as_bytes(), &mut out),
                Err(Base64Error),
                "{text:?}"
            );
            assert_eq!(out, b"kept", "{text:?}");
        }
    }

    #[test]
    fn stray_bits_in_the_last_character_pass() {
        let mut out = Vec::new();
        decode(b"cGluZx==", &mut out).unwrap();
        assert_eq!(out, b"ping");
    }

    #[test]
    fn encode_appends() {
        for len in 0..40_u8 {
            let bytes: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37)).collect();
            let mut out = b"x".to_vec();
            encode(&bytes, &mut out);
            assert_eq!(out[1..], *encode_to_string(&bytes).as_bytes());
            let mut back = Vec::new();
            decode(&out[1..], &mut back).unwrap();
            assert_eq!(back, bytes);
        }
    }
}
