//! How many nodes are subscribed, counted by all reactors.

use std::sync::atomic::{AtomicU64, Ordering};

use muster_client::nats::Event;

/// Counts of a fleet's connections.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    flushed: AtomicU64,
    disconnected: AtomicU64,
    connect_failed: AtomicU64,
}

impl Progress {
    /// Every node flushes once after its subscriptions; from then on it is reached by a broadcast.
    pub(crate) fn note(&self, event: &Event) {
        let counter = match event {
            Event::Flushed(1) => &self.flushed,
            Event::Disconnected(_) => &self.disconnected,
            Event::ConnectFailed(_) => &self.connect_failed,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Nodes whose subscriptions the broker has.
    pub(crate) fn subscribed(&self) -> u64 {
        self.flushed.load(Ordering::Relaxed)
    }

    /// Connections lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.disconnected.load(Ordering::Relaxed)
    }

    /// Attempts to connect that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.connect_failed.load(Ordering::Relaxed)
    }
}
