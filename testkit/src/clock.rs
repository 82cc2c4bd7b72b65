//! A clock that moves only when it is told to.

use std::time::Duration;

/// Virtual time on both clocks: monotonic since an arbitrary start, and wall-clock since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualClock {
    now: Duration,
    /// The wall clock when the monotonic one showed zero.
    unix_at_zero: Duration,
}

impl VirtualClock {
    /// A clock that shows `now`, and `unix` on the wall.
    ///
    /// # Panics
    /// When the wall shows less than the monotonic clock.
    #[must_use]
    pub fn new(now: Duration, unix: Duration) -> Self {
        let unix_at_zero = unix
            .checked_sub(now)
            .expect("the wall clock began before the monotonic one");
        Self { now, unix_at_zero }
    }

    /// Monotonic time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Wall-clock time since the Unix epoch.
    #[must_use]
    pub fn unix(&self) -> Duration {
        self.unix_at_zero + self.now
    }

    /// Moves on to `at`.
    ///
    /// # Panics
    /// When `at` is in the past.
    pub fn advance_to(&mut self, at: Duration) {
        assert!(
            at >= self.now,
            "time went back from {:?} to {at:?}",
            self.now
        );
        self.now = at;
    }
}

impl Default for VirtualClock {
    /// A thousand seconds after its start, so that nothing takes zero for a moment; some day in 2024 on the wall.
    fn default() -> Self {
        Self::new(
            Duration::from_secs(1000),
            Duration::from_secs(1_720_000_000),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_move_together() {
        let mut clock = VirtualClock::default();
        let (now, unix) = (clock.now(), clock.unix());
        clock.advance_to(now + Duration::from_millis(7));
        assert_eq!(clock.unix() - unix, Duration::from_millis(7));
    }

    #[test]
    #[should_panic(expected = "time went back")]
    fn time_does_not_go_back() {
        VirtualClock::default().advance_to(Duration::from_secs(999));
    }
}
