//! Requests a node has acted on, so that it acts on none of them twice.
//!
//! A signed request can be published again by anybody who saw it, and stays valid for its time to live. So what was
//! acted on is remembered that long. A request is known by its caller and its request id; another caller who uses the
//! same id shuts nobody out.
//!
//! The memory is bounded, and past the bound the oldest is forgotten: under that many requests a replay within the
//! time to live is possible again, and being deaf to new requests would be worse. 16 bytes a request.

use std::collections::VecDeque;

use crate::gate::ReplayKey;

/// The requests seen, the oldest in front.
#[derive(Debug, Default)]
pub(crate) struct ReplayMemory {
    seen: VecDeque<Seen>,
}

#[derive(Debug)]
struct Seen {
    key: ReplayKey,
    /// Unix second from which on the time to live refuses the request anyway.
    until: u32,
}

impl ReplayMemory {
    /// Notes a request that is live until the unix second `until`; false if it was seen before.
    pub(crate) fn insert(
        &mut self,
        key: &ReplayKey,
        until: i64,
        unix_now: i64,
        max: usize,
    ) -> bool {
        let now = clamp(unix_now);
        while self.seen.front().is_some_and(|seen| seen.until <= now) {
            self.seen.pop_front();
        }
        if self.seen.iter().any(|seen| seen.key == *key) {
            return false;
        }
        if self.seen.len() >= max {
            self.seen.pop_front();
        }
        if max > 0 {
            self.seen.push_back(Seen {
                key: *key,
                until: clamp(until),
            });
        }
        true
    }
}

/// A second beyond what 32 bits hold lies in 2106; it stands for that.
fn clamp(unix: i64) -> u32 {
    u32::try_from(unix.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> ReplayKey {
        [n; 12]
    }

    #[test]
    fn a_request_is_remembered_until_its_ttl_is_over() {
        let mut memory = ReplayMemory::default();
        assert!(memory.insert(&key(1), 160, 100, 8));
        assert!(!memory.insert(&key(1), 160, 100, 8));
        assert!(!memory.insert(&key(1), 160, 159, 8));
        assert!(memory.insert(&key(2), 160, 159, 8));
        assert!(memory.insert(&key(1), 220, 160, 8));
        assert_eq!(memory.seen.len(), 1, "what is over is gone");
    }

    #[test]
    fn past_the_bound_the_oldest_is_forgotten() {
        let mut memory = ReplayMemory::default();
        for n in 0..5 {
            assert!(memory.insert(&key(n), 160, 100, 4));
        }
        assert_eq!(memory.seen.len(), 4);
        assert!(memory.insert(&key(0), 160, 100, 4));
        assert!(!memory.insert(&key(4), 160, 100, 4));
    }

    #[test]
    fn an_entry_has_16_bytes() {
        assert_eq!(size_of::<Seen>(), 16);
    }
}
