//! Memory and processor time of this process, read at most once a second.

use std::time::{Duration, Instant};

use muster_reactor::process::{Usage, usage};
use parking_lot::Mutex;

/// Readings are not closer than this, so that a share of time is not one of a few scheduler ticks,
/// and requests in a row do not walk the page tables again and again.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// The last reading and what follows from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Memory and processor time in all.
    pub(super) usage: Usage,
    /// Processor time between the last two readings, in percent of one core.
    pub(super) cpu_percent: f64,
}

/// Takes samples when it is asked and the last one is old.
#[derive(Debug)]
pub(super) struct UsageSampler(Mutex<(Instant, Sample)>);

impl UsageSampler {
    pub(super) fn new() -> Self {
        let sample = Sample {
            usage: usage(None).unwrap_or_default(),
            cpu_percent: 0.0,
        };
        Self(Mutex::new((Instant::now(), sample)))
    }

    /// The sample of the last second. Where /proc cannot be read, the one before stays.
    pub(super) fn sample(&self) -> Sample {
        let mut last = self.0.lock();
        let (taken, before) = *last;
        let elapsed = taken.elapsed();
        if elapsed >= SAMPLE_EVERY
            && let Ok(usage) = usage(None)
        {
            let busy = usage.cpu.saturating_sub(before.usage.cpu);
            let cpu_percent = 100.0 * busy.as_secs_f64() / elapsed.as_secs_f64();
            *last = (taken + elapsed, Sample { usage, cpu_percent });
        }
        last.1
    }
}
