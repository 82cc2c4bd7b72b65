//! When a node announces its life.
//!
//! ```text
//! not connected yet ──connected──▶ startup ──0–29 min──▶ alive ──30 min──▶ alive … ──stop──▶ shutdown
//! ```
//!
//! Startup is announced once, not again after a lost connection. An alive event that falls into a time without a
//! connection is left out: those who count nodes forget one only after 80 minutes, and a fleet that comes back must not
//! speak all at once. Each event has its own id and time.

use std::time::Duration;

use fastrand::Rng;
use muster_protocol::lifecycle::EventForm;

/// Time between two alive events.
const ALIVE_EVERY: Duration = Duration::from_mins(30);
/// The first alive event comes after less than so many whole minutes.
const FIRST_ALIVE_MINUTES: u64 = 30;

/// How a node announces its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleOptions {
    /// What kind of program it is, such as `server`.
    pub component: String,
    /// How events are written.
    pub form: EventForm,
}

/// An event that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DueEvent {
    Startup,
    Alive,
}

/// Where a node stands in its life.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Life {
    /// None before startup is announced.
    next_alive: Option<Duration>,
}

impl Life {
    pub(crate) const fn is_announced(&self) -> bool {
        self.next_alive.is_some()
    }

    pub(crate) const fn next(&self) -> Option<Duration> {
        self.next_alive
    }

    /// What is to be announced now.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        connected: bool,
        rng: &mut Rng,
    ) -> Option<DueEvent> {
        let Some(at) = self.next_alive else {
            if !connected {
                return None;
            }
            let wait = Duration::from_mins(rng.u64(..FIRST_ALIVE_MINUTES));
            self.next_alive = Some(now + wait);
            return Some(DueEvent::Startup);
        };
        if now < at {
            return None;
        }
        self.next_alive = Some(now + ALIVE_EVERY);
        connected.then_some(DueEvent::Alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(n: u64) -> Duration {
        Duration::from_mins(n)
    }

    #[test]
    fn a_life_is_announced_in_order() {
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let rng = &mut Rng::with_seed(seed);
            let mut life = Life::default();
            assert_eq!(life.poll(minutes(1), false, rng), None);
            assert_eq!(life.next(), None);
            assert_eq!(life.poll(minutes(2), true, rng), Some(DueEvent::Startup));
            let first = life.next().unwrap();
            firsts.insert((first - minutes(2)).as_secs());
            assert_eq!(life.poll(first, true, rng), Some(DueEvent::Alive));
            let second = first + minutes(30);
            assert_eq!(life.next(), Some(second));
            let before = second - Duration::from_nanos(1);
            assert_eq!(life.poll(before, true, rng), None);
            // Without a connection this one is left out.
            assert_eq!(life.poll(second, false, rng), None);
            assert_eq!(life.poll(second, true, rng), None);
            let third = second + minutes(30);
            assert_eq!(life.poll(third, true, rng), Some(DueEvent::Alive));
        }
        assert!(firsts.iter().all(|wait| wait % 60 == 0 && *wait < 1800));
        assert_eq!(firsts.len(), 30, "{firsts:?}");
    }
}
