//! What the sublist needs to know of a subject, and the keyed hash of its bytes.
//!
//! A wildcard counts only where it is the whole token (`*x` is a literal), and `>` only in the last
//! place. A published subject is always literal: its tokens `*` and `>` have no meaning of their own.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

pub(super) const PWC: &[u8] = b"*";
pub(super) const FWC: &[u8] = b">";

/// A subject with an empty token is matched by nothing, not even by `*`.
pub(super) fn has_empty_token(subject: &[u8]) -> bool {
    let mut at_start = true;
    for &byte in subject {
        if byte == b'.' && at_start {
            return true;
        }
        at_start = byte == b'.';
    }
    at_start
}

pub(super) fn has_wildcard(filter: &[u8]) -> bool {
    // Most subjects hold neither byte; one pass settles those.
    filter.iter().any(|&b| b == b'*' || b == b'>') && tokens(filter).any(is_wildcard)
}

pub(super) fn is_wildcard(token: &[u8]) -> bool {
    token == PWC || token == FWC
}

pub(super) fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|&b| b == b'.')
}

/// Where the token that starts at `start` ends.
pub(super) fn token_end(subject: &[u8], start: usize) -> usize {
    subject[start..]
        .iter()
        .position(|&b| b == b'.')
        .map_or(subject.len(), |length| start + length)
}

/// The keyed hash of subjects and tokens, both of which peers choose.
///
/// 32 bits are kept with every interest and child, so that a growing table need not read the bytes
/// again. The top bits choose the stripe, the low ones the generation.
#[derive(Clone, Debug)]
pub(super) struct SubjectHasher {
    state: FixedState,
}

impl SubjectHasher {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: FixedState::with_seed(seed),
        }
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        let hash = hasher.finish();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low half of the hash is what is wanted"
        )]
        let low = hash as u32;
        low
    }
}

/// A table reads its bucket from the low bits and its tag from the top ones; a kept 32-bit hash is
/// spread over both by an odd multiplier, which loses nothing.
pub(super) fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
