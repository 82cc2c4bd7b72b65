//! How long to wait between rounds of the server pool.
//!
//! A table of steps and a jitter around each; the last step repeats for ever.
//! The jitter is what spreads fifty thousand nodes that lost the same broker at the same instant, so it is drawn from each core's own seed.

use std::time::Duration;

use fastrand::Rng;

/// One row of a table: the waits of the first five seconds.
const ROW_MS: [u64; 11] = [
    500, 750, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000,
];
const ROW_SPAN_MS: u64 = 5000;

/// A table of waits, each multiplied by a random factor of 0.5 to 1.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    steps: Box<[Duration]>,
}

impl Backoff {
    /// The smallest jitter factor, in thousandths.
    const JITTER_MIN: u64 = 500;
    /// The largest jitter factor, in thousandths.
    const JITTER_MAX: u64 = 1500;

    /// A table of its own.
    ///
    /// # Panics
    /// When `steps` is empty.
    pub fn new(steps: impl Into<Box<[Duration]>>) -> Self {
        let steps = steps.into();
        assert!(!steps.is_empty(), "a back-off table needs a step");
        Self { steps }
    }

    /// 0.5 s to 5 s in 11 steps: the fleet's table for initial connects and elections.
    pub fn five_sec() -> Self {
        Self::rows(1)
    }

    /// 0.5 s to 20 s in 44 steps: the fleet's table for reconnects.
    pub fn twenty_sec() -> Self {
        Self::rows(4)
    }

    /// The wait before the round after `round` failed ones, with jitter.
    pub fn delay(&self, round: u32, rng: &mut Rng) -> Duration {
        let last = self.steps.len() - 1;
        let step = self.steps[usize::try_from(round).unwrap_or(last).min(last)];
        let micros = u64::try_from(step.as_micros()).unwrap_or(u64::MAX);
        let factor = rng.u64(Self::JITTER_MIN..=Self::JITTER_MAX);
        Duration::from_micros(micros.saturating_mul(factor) / 1000)
    }

    /// The waits without jitter.
    pub fn steps(&self) -> &[Duration] {
        &self.steps
    }

    fn rows(count: u64) -> Self {
        let row = |index| ROW_MS.iter().map(move |ms| ms + index * ROW_SPAN_MS);
        Self::new(
            (0..count)
                .flat_map(row)
                .map(Duration::from_millis)
                .collect::<Vec<_>>(),
        )
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::twenty_sec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_the_fleets() {
        let twenty = Backoff::twenty_sec();
        let ms: Vec<u128> = twenty.steps().iter().map(Duration::as_millis).collect();
        assert_eq!(ms.len(), 44);
        assert_eq!(ms[..5], [500, 750, 1000, 1500, 2000]);
        assert_eq!(ms[10..15], [5000, 5500, 5750, 6000, 6500]);
        assert_eq!(ms[43], 20_000);
        assert!(ms.is_sorted());
        assert_eq!(Backoff::five_sec().steps(), &twenty.steps()[..11]);
    }

    #[test]
    fn jitter_stays_in_its_bounds_and_uses_them() {
        let backoff = Backoff::twenty_sec();
        let mut rng = Rng::with_seed(7);
        for round in [0, 1, 43, 44, u32::MAX] {
            let step = backoff.steps()[usize::try_from(round).unwrap().min(43)];
            let delays: Vec<_> = (0..500).map(|_| backoff.delay(round, &mut rng)).collect();
            let (min, max) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
            assert!(*min >= step / 2 && *min < step * 6 / 10, "{round}: {min:?}");
            assert!(
                *max <= step * 3 / 2 && *max > step * 14 / 10,
                "{round}: {max:?}"
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..20)
                .map(|round| Backoff::default().delay(round, &mut rng))
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
