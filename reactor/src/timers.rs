//! Deadlines of many keys, one live deadline a key.
//!
//! A binary heap with lazy deletion: moving a deadline later costs nothing until the old one fires,
//! which suits keep-alive timers that are pushed back far more often than they run out.
//! 16 bytes an entry; a key has one entry unless its deadline was moved earlier.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Deadlines in whole milliseconds, rounded up, so that nothing fires early.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Timers {
    /// No deadline.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants `key` back at `deadline`. Earlier requests of the same key stay and fire as well.
    pub fn schedule(&mut self, key: u64, deadline: Duration) {
        self.heap.push(Reverse((milliseconds_up(deadline), key)));
    }

    /// The next deadline.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.heap
            .peek()
            .map(|Reverse((at, _))| Duration::from_millis(*at))
    }

    /// A key whose deadline has come.
    pub fn expire(&mut self, now: Duration) -> Option<u64> {
        let due = self.next().is_some_and(|at| at <= now);
        due.then(|| self.heap.pop().map(|Reverse((_, key))| key))
            .flatten()
    }
}

fn milliseconds_up(at: Duration) -> u64 {
    u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fire_in_order_and_never_early() {
        let mut timers = Timers::new();
        timers.schedule(1, Duration::from_micros(2_500));
        timers.schedule(2, Duration::from_millis(1));
        assert_eq!(timers.next(), Some(Duration::from_millis(1)));
        assert_eq!(timers.expire(Duration::from_micros(999)), None);
        assert_eq!(timers.expire(Duration::from_millis(1)), Some(2));
        assert_eq!(timers.expire(Duration::from_micros(2_600)), None);
        assert_eq!(timers.expire(Duration::from_millis(3)), Some(1));
        assert_eq!(timers.next(), None);
    }
}
