//! How many nodes are subscribed, counted by all reactors.

use std::sync::atomic::{AtomicU64, Ordering};

use muster_client::nats::Event;

/// Counts of a fleet's connections.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    subscribed: AtomicU64,
    lost: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// Every node flushes once after its subscriptions; from then on it is reached by a broadcast.
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::Flushed(1) => self.count_subscribed(),
            Event::Disconnected(_) => self.count_lost(),
            Event::ConnectFailed(_) => self.count_failed(),
            _ => {}
        }
    }

    pub(crate) fn count_subscribed(&self) {
        self.subscribed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Nodes whose subscriptions the broker has.
    pub(crate) fn subscribed(&self) -> u64 {
        self.subscribed.load(Ordering::Relaxed)
    }

    /// Working connections lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Attempts to connect that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}
