//! What an adapter has done, as figures that any thread may read.
//!
//! Every message that came in ends in exactly one of them: `received = filtered + unchanged + dropped (by reason) + stored + waiting`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a message did not get into the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// It is no message of the configured protocol.
    Unreadable,
    /// The sender's name can be no part of a subject.
    BadSubject,
    /// The queue was full: the sink is slow or down, and there is no spill.
    QueueFull,
    /// The spill had reached its bound.
    SpillFull,
    /// The disk refused the spill.
    SpillFailed,
    /// The sink will never take it.
    Rejected,
    /// It was sent without asking for an answer, and the connection broke.
    Unconfirmed,
    /// It still waited when the adapter was stopped.
    Stopped,
    /// The spill on disk was damaged.
    Damaged,
}

impl DropReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Unreadable,
        Self::BadSubject,
        Self::QueueFull,
        Self::SpillFull,
        Self::SpillFailed,
        Self::Rejected,
        Self::Unconfirmed,
        Self::Stopped,
        Self::Damaged,
    ];

    /// The label of the metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::BadSubject => "bad_subject",
            Self::QueueFull => "queue_full",
            Self::SpillFull => "spill_full",
            Self::SpillFailed => "spill_failed",
            Self::Rejected => "rejected",
            Self::Unconfirmed => "unconfirmed",
            Self::Stopped => "stopped",
            Self::Damaged => "damaged",
        }
    }
}

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The figures of one side of an adapter, as the metrics of today have them.
#[derive(Debug, Default)]
pub struct Side {
    /// Messages handled well.
    pub messages: Count,
    /// Bytes: of payloads on the way in, of envelopes on the way out.
    pub bytes: Count,
    /// Messages given up.
    pub errors: Count,
    /// How often the time was taken.
    pub timed: Count,
    /// The time it took, in nanoseconds.
    pub nanos: Count,
}

/// The figures of an adapter.
#[derive(Debug, Default)]
pub struct Counters {
    /// The way in.
    pub input: Side,
    /// The way out.
    pub output: Side,
    /// Messages that came, whatever became of them.
    pub received: Count,
    /// Messages the filter is not true for.
    pub filtered: Count,
    /// Messages the limiter held back.
    pub unchanged: Count,
    /// Messages in the queue, or safe on disk where there is a spill.
    pub taken: Count,
    /// Messages the sink has.
    pub stored: Count,
    /// Those of them that it had already.
    pub duplicates: Count,
    /// Attempts that have to be made again.
    pub retries: Count,
    dropped: [Count; DropReason::ALL.len()],
}

impl Counters {
    /// Counts messages that are given up.
    pub fn give_up(&self, reason: DropReason, count: u64) {
        self.dropped[reason as usize].add(count);
    }

    /// Messages given up for a reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].get()
    }

    /// Messages given up for any reason.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().map(Count::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_lie_in_their_own_order() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
