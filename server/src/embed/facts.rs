//! Facts that come from the program around a node.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::facts::Facts;

/// Where a node's facts come from, in place of files.
pub trait FactsSource: Send + Sync + fmt::Debug {
    /// The facts, where they have changed since they were last asked for; at the first time, all there are.
    ///
    /// Asked on the node's thread before each batch of messages is handled, so it returns at once. `now` is the node's
    /// monotonic clock.
    fn poll_facts(&self, now: Duration) -> Option<Facts>;
}

/// Facts that the program sets whenever they change. Clones share them.
///
/// One serves one node: whoever polls first takes the change.
#[derive(Debug, Clone, Default)]
pub struct SharedFacts {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    facts: Mutex<Facts>,
    /// Changes so far, and those the node has seen. Read before the lock is taken, so a poll without news is two loads.
    changes: AtomicU64,
    seen: AtomicU64,
}

impl SharedFacts {
    /// These facts, to begin with.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let shared = Self::default();
        shared.set(facts);
        shared
    }

    /// Replaces the facts. The node answers by them from its next message on.
    pub fn set(&self, facts: Facts) {
        *self.shared.facts.lock() = facts;
        self.shared.changes.fetch_add(1, Ordering::Release);
    }

    /// The facts that were set last.
    #[must_use]
    pub fn current(&self) -> Facts {
        self.shared.facts.lock().clone()
    }
}

impl FactsSource for SharedFacts {
    fn poll_facts(&self, _now: Duration) -> Option<Facts> {
        let changes = self.shared.changes.load(Ordering::Acquire);
        // A change between the load and the lock is taken now, and once more at the next poll.
        (self.shared.seen.swap(changes, Ordering::Relaxed) != changes).then(|| self.current())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_polled_once() {
        let facts = |text: &str| Facts::parse(text).unwrap();
        let shared = SharedFacts::new(facts(r#"{"a":1}"#));
        assert_eq!(shared.poll_facts(Duration::ZERO), Some(facts(r#"{"a":1}"#)));
        assert_eq!(shared.poll_facts(Duration::ZERO), None);
        shared.set(facts(r#"{"a":2}"#));
        shared.set(facts(r#"{"a":3}"#));
        assert_eq!(shared.poll_facts(Duration::ZERO), Some(facts(r#"{"a":3}"#)));
        assert_eq!(shared.poll_facts(Duration::ZERO), None);
    }
}
