//! The broker's id: 56 characters in the form of a public server nkey, new at every start.

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The prefix that makes the text begin with `N`, for servers.
const SERVER_PREFIX: u8 = 13 << 3;

/// An id from 32 bytes of randomness: base32 of prefix, bytes and their CRC-16 (XMODEM, little-endian).
pub(crate) fn server_id(random: [u8; 32]) -> String {
    let mut raw = Vec::with_capacity(35);
    raw.push(SERVER_PREFIX);
    raw.extend_from_slice(&random);
    raw.extend_from_slice(&crc16(&raw).to_le_bytes());
    base32(&raw)
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            }
        })
    })
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count) as usize & 31]));
        }
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count)) as usize & 31]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_56_characters_and_begins_with_n() {
        let id = server_id([7; 32]);
        assert_eq!(id.len(), 56);
        assert!(id.starts_with('N'));
        assert_ne!(id, server_id([8; 32]));
    }

    #[test]
    fn the_checksum_is_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
    }
}
