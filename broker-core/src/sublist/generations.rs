//! Which part of the sublist has changed: shared counters that a cached match is checked against.
//!
//! A literal subscription raises the counter at the hash of its subject. A wildcard one raises that
//! of its leading literal tokens, two at most, or the root's if it has none. So a match of `a.b.c`
//! depends on four counters and no more: root, `a`, `a.b` and `a.b.c`; and an inbox that comes or
//! goes (`_INBOX.<id>.*`) leaves all but a few in four thousand cached results alone.
//!
//! **Order.** The writer raises inside its lock, after its change. The reader loads before it matches.
//! A reader that loaded the raised value therefore also sees the change, and one that loaded an
//! earlier value holds a stamp that never fits again, since counters only rise.

use super::subject::{SubjectHasher, is_wildcard, token_end, tokens};
use super::sync::{AtomicU64, Ordering};

/// Counters, a power of two: 32 KiB an account. Few in the loom model, which tracks each one.
const SLOTS: u16 = if cfg!(loom) { 4 } else { 4096 };
/// Behind those chosen by a hash.
const ROOT: u16 = SLOTS;
/// The literal tokens of a wildcard subject that count.
const PREFIX_TOKENS: usize = 2;

#[derive(Debug)]
pub(super) struct Generations {
    counters: Box<[AtomicU64]>,
}

/// The counters that a subject's matches depend on.
pub(super) type Positions = [u16; 2 + PREFIX_TOKENS];

impl Generations {
    pub(super) fn new() -> Self {
        Self {
            counters: (0..=SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn raise_literal(&self, hash: u32) {
        self.raise(slot_of(hash));
    }

    pub(super) fn raise_wildcard(&self, filter: &[u8], hasher: &SubjectHasher) {
        let literal_len = tokens(filter)
            .take(PREFIX_TOKENS)
            .take_while(|token| !is_wildcard(token))
            .fold(0, |end, token| end + token.len() + 1);
        if literal_len == 0 {
            self.raise(ROOT);
        } else {
            self.raise(slot_of_prefix(hasher.hash(&filter[..literal_len - 1])));
        }
    }

    fn raise(&self, slot: u16) {
        self.counters[usize::from(slot)].fetch_add(1, Ordering::Release);
    }

    /// The sum of a subject's counters. None of them ever falls, so equal sums mean that none rose.
    pub(super) fn stamp(&self, positions: Positions) -> u64 {
        positions.iter().fold(0, |sum, &slot| {
            let counter = &self.counters[usize::from(slot)];
            counter.load(Ordering::Acquire).wrapping_add(sum)
        })
    }
}

/// `hash` is that of the whole subject.
pub(super) fn positions(subject: &[u8], hash: u32, hasher: &SubjectHasher) -> Positions {
    let mut positions = [ROOT; 2 + PREFIX_TOKENS];
    positions[1] = slot_of(hash);
    let mut start = 0;
    for position in &mut positions[2..] {
        if start > subject.len() {
            break;
        }
        let end = token_end(subject, start);
        *position = slot_of_prefix(hasher.hash(&subject[..end]));
        start = end + 1;
    }
    positions
}

/// By other bits, so that a literal `a.b` does not disturb what depends on the prefix of `a.b.*`.
fn slot_of_prefix(hash: u32) -> u16 {
    slot_of(hash >> 12)
}

fn slot_of(hash: u32) -> u16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "masked to fewer than 16 bits"
    )]
    let slot = (hash & u32::from(SLOTS - 1)) as u16;
    slot
}
