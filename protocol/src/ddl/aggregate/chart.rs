//! A histogram in one line.

use std::fmt;

/// Columns of a chart at most.
const CHART_BUCKETS_MAX: usize = 50;
/// Heights of a column; an empty one is a blank.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A histogram in one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The least number.
    pub min: f64,
    /// The largest number.
    pub max: f64,
    /// One character for each bucket from the least to the largest number, at most fifty.
    pub bars: String,
}

impl Chart {
    /// The histogram of these numbers, each of them finite.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let min = values.iter().copied().reduce(f64::min)?;
        let max = values.iter().copied().reduce(f64::max)?;
        // No more buckets than numbers: a column for each of three nodes says more than fifty with three bars in them.
        let buckets = if min < max {
            values.len().min(CHART_BUCKETS_MAX)
        } else {
            1
        };
        let mut counts = vec![0_usize; buckets];
        for value in values {
            counts[bucket(*value, min, max, buckets)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        let bar = |count: &usize| match count {
            0 => ' ',
            // From the lowest bar for one of many to the highest for the most.
            count => BARS[(count * BARS.len()).div_ceil(most) - 1],
        };
        Some(Self {
            min,
            max,
            bars: counts.iter().map(bar).collect(),
        })
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}", self.min, self.bars, self.max)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place from 0 to the number of buckets, which is at most fifty"
)]
fn bucket(value: f64, min: f64, max: f64, buckets: usize) -> usize {
    // Halves, so that the span of the largest numbers there are is still a number.
    let place = (value / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0) * buckets as f64;
    // The largest number belongs to the last bucket; one bucket has no span to divide.
    (place.max(0.0) as usize).min(buckets - 1)
}
