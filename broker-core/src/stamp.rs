//! Moments in eight bytes, for the many that a connection keeps.

use std::num::NonZeroU64;
use std::time::Duration;

/// A moment to the microsecond. An absent one needs no more room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(NonZeroU64);

impl Stamp {
    /// Rounded down to the microsecond.
    pub(crate) fn of(at: Duration) -> Self {
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX - 1);
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    pub(crate) fn time(self) -> Duration {
        Duration::from_micros(self.0.get() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_to_the_microsecond() {
        for at in [
            Duration::ZERO,
            Duration::from_micros(7),
            Duration::from_secs(1 << 40),
        ] {
            assert_eq!(Stamp::of(at).time(), at);
        }
        assert_eq!(
            Stamp::of(Duration::from_nanos(1_999)).time(),
            Duration::from_micros(1)
        );
        assert_eq!(size_of::<Option<Stamp>>(), 8);
    }
}
