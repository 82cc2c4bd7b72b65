//! Randomness that replays.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of choices decided by its seed. There is no way to make one without a seed.
#[derive(Debug, Clone)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring streams.
        Self(fastrand::Rng::with_seed(
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D,
        ))
    }

    /// A stream of its own, so that drawing more here changes nothing there.
    pub fn fork(&mut self) -> Self {
        Self::new(self.0.u64(..))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number within the range.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        self.0.usize(range)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// `true` in so many of a hundred cases.
    pub fn percent(&mut self, cases: u32) -> bool {
        self.0.u32(..100) < cases
    }

    /// A time within the range, to the microsecond.
    pub fn time(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let micros = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.0.u64(micros(range.start())..=micros(range.end())))
    }

    /// One of several.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(..of.len())]
    }

    /// Puts them in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }

    /// So many of the numbers below `of`, in ascending order.
    pub fn subset(&mut self, count: usize, of: usize) -> Vec<usize> {
        let mut chosen = self.0.choose_multiple(0..of, count);
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            let mut fork = rng.fork();
            (rng.number(), fork.number(), rng.subset(3, 10))
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }

    #[test]
    fn drawing_from_a_fork_leaves_the_stream_alone() {
        let (mut one, mut other) = (Rng::new(1), Rng::new(1));
        let mut fork = one.fork();
        let _ = other.fork();
        for _ in 0..10 {
            fork.number();
        }
        assert_eq!(one.number(), other.number());
    }

    #[test]
    fn choices_stay_in_their_bounds() {
        let mut rng = Rng::new(9);
        let (min, max) = (Duration::from_millis(2), Duration::from_millis(3));
        for _ in 0..1000 {
            assert!((min..=max).contains(&rng.time(min..=max)));
            assert!(rng.below(3) < 3);
            assert!((4..=5).contains(&rng.within(4..=5)));
        }
        let subset = rng.subset(4, 9);
        assert!(subset.len() == 4 && subset.is_sorted_by(|a, b| a < b) && subset[3] < 9);
    }
}
