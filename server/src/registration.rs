//! When a node registers, and how often.
//!
//! Each source of data is asked at its own times: first after the splay and 1–4 seconds, then each interval, or each
//! size interval where a size trigger is set. What a source gives is published if the interval has passed since it was
//! published last, or its size has changed by the trigger. Nothing is asked for or kept while there is no connection.
//!
//! Servers of today share the time of the last publication among all sources, so that one can silence another, and
//! count in whole seconds, so that a poll may come a little too early to count. Neither is copied.

use std::time::Duration;

use fastrand::Rng;

/// The first poll comes after the splay and so many seconds.
const FIRST_POLL_SECS: std::ops::Range<u64> = 1..5;

/// How a node registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationOptions {
    /// What is published; the owner of a node knows each by its index.
    pub sources: Vec<RegistrationSource>,
    /// The collective it is published in.
    pub collective: String,
    /// Time between two publications of a source, at least.
    pub interval: Duration,
    /// Whether the first one comes at a random moment of the interval.
    pub splay: bool,
    /// A change of size, in bytes, for which a source is published sooner; 0 is off.
    pub size_trigger: usize,
    /// How often the size is looked at.
    pub size_interval: Duration,
}

/// A source of registration data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrationSource {
    /// The subject it is published to, the agent's broadcast subject where there is none.
    pub target: Option<String>,
}

/// One source of one node.
#[derive(Debug, Clone)]
struct SourceState {
    next_poll: Duration,
    /// The owner is to give its data.
    wanted: bool,
    /// When it was published last, and how large it was.
    published: Option<(Duration, usize)>,
}

/// The sources of one node.
#[derive(Debug, Default)]
pub(crate) struct Register {
    sources: Vec<SourceState>,
}

impl RegistrationOptions {
    fn poll_every(&self) -> Duration {
        if self.size_trigger > 0 {
            self.size_interval.min(self.interval)
        } else {
            self.interval
        }
    }
}

impl Register {
    /// The node is connected for the first time, or has got new options.
    pub(crate) fn start(&mut self, options: &RegistrationOptions, now: Duration, rng: &mut Rng) {
        let first = |_: &RegistrationSource| {
            let splay = match options.interval.as_secs() {
                secs if options.splay && secs > 0 => rng.u64(..secs),
                _ => 0,
            };
            SourceState {
                next_poll: now + Duration::from_secs(splay + rng.u64(FIRST_POLL_SECS)),
                wanted: false,
                published: None,
            }
        };
        self.sources = options.sources.iter().map(first).collect();
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.sources.iter().map(|source| source.next_poll).min()
    }

    /// Time passed.
    pub(crate) fn handle_timeout(
        &mut self,
        options: &RegistrationOptions,
        now: Duration,
        connected: bool,
    ) {
        for source in &mut self.sources {
            if source.next_poll <= now {
                source.next_poll = now + options.poll_every();
                source.wanted = connected;
            }
        }
    }

    /// A source whose data is wanted now.
    pub(crate) fn poll(&mut self) -> Option<usize> {
        let index = self.sources.iter().position(|source| source.wanted)?;
        self.sources[index].wanted = false;
        Some(index)
    }

    /// Whether data of this size is to be published.
    pub(crate) fn is_due(
        &self,
        index: usize,
        options: &RegistrationOptions,
        size: usize,
        now: Duration,
    ) -> bool {
        let Some(source) = self.sources.get(index) else {
            return false;
        };
        let Some((at, former)) = source.published else {
            return true;
        };
        let has_grown = options.size_trigger > 0 && former.abs_diff(size) >= options.size_trigger;
        has_grown || now >= at + options.interval
    }

    /// Data of this size was published.
    pub(crate) fn published(&mut self, index: usize, size: usize, now: Duration) {
        if let Some(source) = self.sources.get_mut(index) {
            source.published = Some((now, size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(splay: bool, size_trigger: usize) -> RegistrationOptions {
        RegistrationOptions {
            sources: vec![RegistrationSource::default(); 2],
            collective: "mcollective".to_owned(),
            interval: Duration::from_secs(300),
            splay,
            size_trigger,
            size_interval: Duration::from_secs(30),
        }
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Polls every second and publishes data of the size `size` gives; when each source was published.
    fn run(options: &RegistrationOptions, seed: u64, size: impl Fn(u64) -> usize) -> [Vec<u64>; 2] {
        let mut register = Register::default();
        register.start(options, secs(0), &mut Rng::with_seed(seed));
        let mut times = [Vec::new(), Vec::new()];
        for second in 0..1_000 {
            register.handle_timeout(options, secs(second), true);
            while let Some(index) = register.poll() {
                let size = size(second);
                if register.is_due(index, options, size, secs(second)) {
                    register.published(index, size, secs(second));
                    times[index].push(second);
                }
            }
        }
        times
    }

    #[test]
    fn the_first_comes_soon_and_the_others_each_interval() {
        for times in run(&options(false, 0), 7, |_| 10) {
            let first = times[0];
            assert!((1..=4).contains(&first), "{times:?}");
            assert_eq!(times, [first, first + 300, first + 600, first + 900]);
        }
    }

    #[test]
    fn the_splay_spreads_the_first_over_the_interval() {
        let firsts: Vec<_> = (0..200)
            .flat_map(|seed| run(&options(true, 0), seed, |_| 10).map(|times| times[0]))
            .collect();
        assert!(firsts.iter().all(|first| (1..304).contains(first)));
        let late = firsts.iter().filter(|first| **first > 150).count();
        assert!((120..280).contains(&late), "{late} of 400");
    }

    #[test]
    fn a_change_of_size_is_published_before_the_interval_is_over() {
        let size = |second| if second < 100 { 10 } else { 20 };
        for times in run(&options(false, 10), 7, size) {
            assert_eq!(times.len(), 4, "{times:?}");
            assert!((100..131).contains(&times[1]), "{times:?}");
            assert!(times[2] - times[1] >= 300, "{times:?}");
        }
        for times in run(&options(false, 11), 7, size) {
            assert!(times[1] - times[0] >= 300, "{times:?}");
        }
    }

    #[test]
    fn nothing_is_kept_for_later_without_a_connection() {
        let options = options(false, 0);
        let mut register = Register::default();
        register.start(&options, secs(0), &mut Rng::with_seed(1));
        register.handle_timeout(&options, secs(10), false);
        assert_eq!(register.poll(), None);
        register.handle_timeout(&options, secs(20), true);
        assert_eq!(register.poll(), None);
        assert_eq!(register.next(), Some(secs(310)));
    }
}
