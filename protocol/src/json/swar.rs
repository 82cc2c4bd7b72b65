//! Looking at eight bytes at once.
//!
//! The usual "has a zero byte" trick: a test flags the top bit of each byte it holds for. A borrow can flag a byte above a
//! true hit, never below it, so the lowest flag, which [`first`] takes, is exact, for one test and for several or-ed.

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Eight bytes as a word, the first one lowest.
pub(super) fn word(chunk: &[u8]) -> u64 {
    u64::from_le_bytes(chunk.try_into().expect("callers cut eight bytes"))
}

/// Flags bytes equal to `byte`.
pub(super) const fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * byte as u64);
    difference.wrapping_sub(ONES) & !difference & TOPS
}

/// Flags bytes below `limit`, which is at most 128.
pub(super) const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & TOPS
}

/// Index of the first flagged byte.
pub(super) const fn first(flags: u64) -> usize {
    flags.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(bytes: [u8; 8], holds: impl Fn(u8) -> bool) -> usize {
        bytes.iter().position(|&byte| holds(byte)).unwrap_or(8)
    }

    proptest! {
        #[test]
        fn the_first_flag_is_exact(bytes: [u8; 8], near in 0_usize..8, byte: u8, limit in 0_u8..=128) {
            let mut bytes = bytes;
            // Neighbours of the byte sought are where borrows could mislead.
            bytes[near] = byte.wrapping_add(1);
            bytes[(near + 1) % 8] = byte;
            let word = word(&bytes);
            prop_assert_eq!(first(equal(word, byte)), position(bytes, |b| b == byte));
            prop_assert_eq!(first(below(word, limit)), position(bytes, |b| b < limit));
            prop_assert_eq!(
                first(equal(word, byte) | below(word, limit)),
                position(bytes, |b| b == byte || b < limit)
            );
        }
    }
}
