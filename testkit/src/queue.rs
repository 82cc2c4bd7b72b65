//! What happens next: events by time, and of one time in the order they were added.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Events to come. Its order depends on nothing but the calls.
#[derive(Debug)]
pub struct EventQueue<T> {
    heap: BinaryHeap<Entry<T>>,
    added: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Duration,
    number: u64,
    event: T,
}

impl<T> EventQueue<T> {
    /// No events.
    #[must_use]
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            added: 0,
        }
    }

    /// Adds an event.
    pub fn push(&mut self, at: Duration, event: T) {
        self.heap.push(Entry {
            at,
            number: self.added,
            event,
        });
        self.added += 1;
    }

    /// When the next event is.
    #[must_use]
    pub fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Duration, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }

    /// Takes the next event if it is at `until` or before.
    pub fn pop_until(&mut self, until: Duration) -> Option<(Duration, T)> {
        self.next_at()
            .filter(|at| *at <= until)
            .and_then(|_| self.pop())
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

// The heap gives its greatest first, so the earliest is the greatest.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_their_order() {
        let mut queue = EventQueue::new();
        for (ms, name) in [(3, 'd'), (1, 'a'), (3, 'e'), (1, 'b'), (2, 'c'), (3, 'f')] {
            queue.push(Duration::from_millis(ms), name);
        }
        assert_eq!(queue.pop_until(Duration::ZERO), None);
        let early: String = std::iter::from_fn(|| queue.pop_until(Duration::from_millis(2)))
            .map(|(_, c)| c)
            .collect();
        assert_eq!((early.as_str(), queue.len()), ("abc", 3));
        let late: String = std::iter::from_fn(|| queue.pop()).map(|(_, c)| c).collect();
        assert_eq!(late, "def");
        assert!(queue.is_empty());
    }
}
