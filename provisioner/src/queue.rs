//! Nodes to be provisioned: each once, in the order they were found.
//!
//! ```text
//!            add            take                finish: freed
//!  (unknown) ───▶ waiting ───────▶ in work ──────────────────────▶ (unknown)
//!      ▲             │ too old: stale   │ finish: rested
//!      └─────────────┘                  ▼        60 s
//!      ▲                             resting ─────────┐
//!      └──────────────────────────────────────────────┘
//! ```
//!
//! A name in any of the three states is not added again, so events and discoveries may tell of a node as often as they
//! like. A node that was provisioned *rests* while it restarts: it still answers as one without configuration for some
//! seconds. It is no schedule and retries nothing: what failed is free, and the next discovery finds it.
//!
//! **Memory.** At most [`WAITING_MAX`] nodes wait; resting ones are bounded by how many are provisioned in [`REST`].
//! Each takes some 100 bytes and its name.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Nodes that may wait. Further ones are dropped, which is counted, and found again by the next discovery.
pub const WAITING_MAX: usize = 50_000;
/// How long a node that was provisioned is left alone.
pub const REST: Duration = Duration::from_secs(60);

/// A node's name, shared by all who speak of it.
pub type Identity = Arc<str>;

/// The nodes.
#[derive(Debug)]
pub struct Queue {
    entries: BTreeMap<Identity, Entry>,
    /// Oldest first.
    waiting: VecDeque<Identity>,
    /// Soonest first: all rest equally long.
    resting: VecDeque<(Duration, Identity)>,
    in_work: usize,
    /// How long a node may wait.
    wait_max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Waiting { since: Duration },
    InWork,
    Resting,
}

/// What became of a node that was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It waits.
    New,
    /// It waits, is in work or rests already.
    Known,
    /// There is no room; it was dropped.
    Full,
}

/// The next node, out of those that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is in work.
    Work(Identity),
    /// It has waited too long for what is known of it to be true; it was dropped.
    Stale(Identity),
}

/// What becomes of a node whose work is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It restarts and must not be taken again meanwhile.
    Rest,
    /// Whoever finds it may add it.
    Free,
}

impl Queue {
    /// An empty queue whose nodes wait `wait_max` at most.
    #[must_use]
    pub const fn new(wait_max: Duration) -> Self {
        Self {
            entries: BTreeMap::new(),
            waiting: VecDeque::new(),
            resting: VecDeque::new(),
            in_work: 0,
            wait_max,
        }
    }

    /// A node was found.
    pub fn add(&mut self, identity: &str, now: Duration) -> Added {
        self.end_rests(now);
        if self.entries.contains_key(identity) {
            return Added::Known;
        }
        if self.waiting.len() >= WAITING_MAX {
            return Added::Full;
        }
        let identity = Identity::from(identity);
        self.waiting.push_back(Arc::clone(&identity));
        self.entries.insert(identity, Entry::Waiting { since: now });
        Added::New
    }

    /// Takes the node that has waited longest.
    pub fn take(&mut self, now: Duration) -> Option<Taken> {
        let identity = self.waiting.pop_front()?;
        match self.entries.get(&identity) {
            Some(Entry::Waiting { since }) if now.saturating_sub(*since) > self.wait_max => {
                self.entries.remove(&identity);
                Some(Taken::Stale(identity))
            }
            Some(Entry::Waiting { .. }) => {
                self.entries.insert(Arc::clone(&identity), Entry::InWork);
                self.in_work += 1;
                Some(Taken::Work(identity))
            }
            state => unreachable!("{identity} is in the line of those that wait and {state:?}"),
        }
    }

    /// The work on a node is over. One that is not in work is left as it is.
    pub fn finish(&mut self, identity: &str, afterwards: Afterwards, now: Duration) {
        let Some((name, Entry::InWork)) = self.entries.get_key_value(identity) else {
            return;
        };
        let name = Arc::clone(name);
        self.in_work -= 1;
        match afterwards {
            Afterwards::Free => {
                self.entries.remove(&name);
            }
            Afterwards::Rest => {
                self.entries.insert(Arc::clone(&name), Entry::Resting);
                self.resting.push_back((now + REST, name));
            }
        }
    }

    /// Drops every node that waits; says how many.
    pub fn clear_waiting(&mut self) -> usize {
        let count = self.waiting.len();
        for identity in self.waiting.drain(..) {
            self.entries.remove(&identity);
        }
        count
    }

    /// Lets nodes go whose rest is over.
    pub fn end_rests(&mut self, now: Duration) {
        while let Some((until, _)) = self.resting.front()
            && *until <= now
        {
            if let Some((_, identity)) = self.resting.pop_front() {
                self.entries.remove(&identity);
            }
        }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many are in work.
    #[must_use]
    pub const fn in_work(&self) -> usize {
        self.in_work
    }

    /// How many rest.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.resting.len()
    }

    #[cfg(test)]
    fn assert_invariants(&self) {
        let count =
            |wanted: fn(&Entry) -> bool| self.entries.values().filter(|e| wanted(e)).count();
        assert_eq!(
            count(|e| matches!(e, Entry::Waiting { .. })),
            self.waiting.len()
        );
        assert_eq!(count(|e| *e == Entry::InWork), self.in_work);
        assert_eq!(count(|e| *e == Entry::Resting), self.resting.len());
        assert!(self.waiting.len() <= WAITING_MAX);
        assert!(self.resting.iter().is_sorted_by_key(|(until, _)| *until));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn work(name: &str) -> Option<Taken> {
        Some(Taken::Work(name.into()))
    }

    #[test]
    fn a_node_is_in_the_queue_once() {
        let mut queue = Queue::new(120 * SECOND);
        assert_eq!(queue.add("a", SECOND), Added::New);
        assert_eq!(queue.add("a", SECOND), Added::Known);
        assert_eq!(queue.add("b", SECOND), Added::New);
        assert_eq!(queue.take(SECOND), work("a"));
        assert_eq!(queue.add("a", SECOND), Added::Known, "in work");
        assert_eq!(queue.take(SECOND), work("b"));
        assert_eq!(queue.take(SECOND), None);
        assert_eq!((queue.waiting(), queue.in_work()), (0, 2));
    }

    #[test]
    fn a_provisioned_node_rests_and_a_failed_one_is_free() {
        let mut queue = Queue::new(120 * SECOND);
        for name in ["a", "b"] {
            queue.add(name, SECOND);
            queue.take(SECOND);
        }
        queue.finish("a", Afterwards::Rest, 2 * SECOND);
        queue.finish("b", Afterwards::Free, 2 * SECOND);
        assert_eq!(queue.add("b", 2 * SECOND), Added::New);
        assert_eq!(queue.add("a", 61 * SECOND), Added::Known);
        assert_eq!(queue.resting(), 1);
        assert_eq!(queue.add("a", 62 * SECOND), Added::New);
        queue.finish("a", Afterwards::Rest, 62 * SECOND);
        assert_eq!(queue.resting(), 0, "what is not in work cannot be finished");
    }

    #[test]
    fn what_waited_too_long_is_dropped() {
        let mut queue = Queue::new(120 * SECOND);
        queue.add("a", SECOND);
        queue.add("b", 2 * SECOND);
        assert_eq!(queue.take(122 * SECOND), Some(Taken::Stale("a".into())));
        assert_eq!(queue.take(122 * SECOND), work("b"));
        assert_eq!(queue.add("a", 122 * SECOND), Added::New);
    }

    #[test]
    fn a_full_queue_drops_and_takes_the_node_later() {
        let mut queue = Queue::new(120 * SECOND);
        for number in 0..WAITING_MAX {
            assert_eq!(queue.add(&format!("n{number}"), SECOND), Added::New);
        }
        assert_eq!(queue.add("late", SECOND), Added::Full);
        assert_eq!(queue.take(SECOND), work("n0"));
        assert_eq!(queue.add("late", SECOND), Added::New);
    }

    #[test]
    fn clearing_leaves_what_is_in_work() {
        let mut queue = Queue::new(120 * SECOND);
        for name in ["a", "b", "c"] {
            queue.add(name, SECOND);
        }
        queue.take(SECOND);
        assert_eq!(queue.clear_waiting(), 2);
        assert_eq!(queue.add("a", SECOND), Added::Known);
        assert_eq!(queue.add("b", SECOND), Added::New);
        queue.assert_invariants();
    }

    proptest! {
        #[test]
        fn whatever_happens_no_node_is_in_work_twice(
            ops in proptest::collection::vec((0_u8..6, 0_u8..8, 0_u64..40), 1..200),
        ) {
            let mut queue = Queue::new(50 * SECOND);
            let mut now = Duration::ZERO;
            let mut in_work = std::collections::BTreeSet::new();
            let mut rests = BTreeMap::new();
            for (op, node, wait) in ops {
                now += Duration::from_secs(wait);
                let name = format!("n{node}");
                match op {
                    0 | 1 => {
                        let added = queue.add(&name, now);
                        if in_work.contains(&name) || rests.get(&name).is_some_and(|until| now < *until) {
                            prop_assert_eq!(added, Added::Known);
                        }
                    }
                    2 => if let Some(Taken::Work(identity)) = queue.take(now) {
                        prop_assert!(in_work.insert(identity.to_string()));
                    },
                    3 | 4 => {
                        let afterwards = if op == 3 { Afterwards::Rest } else { Afterwards::Free };
                        queue.finish(&name, afterwards, now);
                        if in_work.remove(&name) && op == 3 {
                            rests.insert(name, now + REST);
                        }
                    }
                    _ => {
                        queue.clear_waiting();
                    }
                }
                queue.assert_invariants();
                prop_assert_eq!(queue.in_work(), in_work.len());
            }
        }
    }
}
