//! Lame duck: a shard takes no more clients and sends those it has away one after the other.
//!
//! Clients were told to go elsewhere; whoever has not gone by the end of the grace is closed in its turn, evenly over the duration, so
//! that the other brokers see a stream of newcomers and not a storm. Routes stay until the broker stops.

use std::time::Duration;

use muster_broker_core::close::CloseReason;

use super::{Kind, ShardLoop};

/// Connections closed in one turn at most.
const CLOSES_A_TURN: usize = 256;

/// How far a drain has come.
#[derive(Debug)]
pub(super) struct Drain {
    begin: Duration,
    duration: Duration,
    /// Clients there were when it began to close them, and the place of the next one.
    total: Option<usize>,
    closed: usize,
    next: usize,
}

impl Drain {
    pub(super) fn new(begin: Duration, duration: Duration) -> Self {
        Self {
            begin,
            duration,
            total: None,
            closed: 0,
            next: 0,
        }
    }

    /// How many clients may have been closed by `now`.
    fn due(&self, total: usize, now: Duration) -> usize {
        let passed = now.saturating_sub(self.begin).as_millis();
        let all = self.duration.as_millis().max(1);
        let total_wide = total as u128;
        // One at once, so that even a short stay has its share.
        let due = total_wide * passed / all + 1;
        usize::try_from(due).unwrap_or(usize::MAX).min(total)
    }
}

impl ShardLoop {
    /// Whether every client of a drain is gone.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain.is_some() && self.clients().next().is_none()
    }

    fn clients(&self) -> impl Iterator<Item = (usize, muster_broker_core::ids::Key)> + '_ {
        let ios = self.ios.iter().enumerate();
        ios.filter_map(|(index, io)| Some((index, io.as_deref()?)))
            .filter(|(_, io)| io.kind == Kind::Client)
            .map(|(index, io)| (index, io.key))
    }

    /// When the next client is to go.
    pub(super) fn next_drain(&self, now: Duration) -> Option<Duration> {
        let drain = self.drain.as_ref()?;
        if now < drain.begin {
            return Some(drain.begin);
        }
        let total = drain.total.filter(|total| drain.closed < *total)?;
        let total = u32::try_from(total).unwrap_or(u32::MAX).max(1);
        Some(now + (drain.duration / total).max(Duration::from_millis(1)))
    }

    pub(super) fn drain_some(&mut self) {
        let now = self.links.clock.now();
        let Some(drain) = self.drain.as_ref().filter(|drain| drain.begin <= now) else {
            return;
        };
        let total = drain.total.unwrap_or_else(|| self.clients().count());
        let due = drain.due(total, now).saturating_sub(drain.closed);
        let from = drain.next;
        let clients = self.clients().filter(|(index, _)| *index >= from);
        let leaving: Vec<_> = clients.take(due.min(CLOSES_A_TURN)).collect();
        let Some(drain) = &mut self.drain else {
            return;
        };
        drain.total = Some(total);
        drain.closed += leaving.len();
        if let Some((last, _)) = leaving.last() {
            drain.next = last + 1;
        }
        for (_, key) in leaving {
            self.core.close(key, CloseReason::ServerShutdown, now);
        }
    }
}
