//! Forward if changed: of values that come again and again, only what is new, old enough or otherwise worth it goes on.
//!
//! A message has a *value*, such as its sender ([`inspect`] takes it out). It goes on when
//!
//! * it has no value, or the value was never seen, or was forgotten;
//! * the value went on longer ago than the age, less a second and less a random part of a tenth, which spreads a fleet that
//!   started at once;
//! * the message asks for it (the force field is there);
//! * its size went from nothing to something, or changed by the trigger or more;
//! * the value comes back after it was missed ([`Change::Timeout`]).
//!
//! Everything else is held back. A value that was not seen for three times the age is forgotten.
//!
//! Pure: time is given, chance comes from a seed. [`store`] keeps the state on disk.

pub mod inspect;
pub mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

/// Values that are remembered at most; more of them go on without being remembered.
pub const VALUES_MAX: usize = 1_000_000;
/// How many ages a value is remembered for without being seen.
const FORGET_AGES: u32 = 3;
/// How much earlier than the age a value may go on, beside the random part.
const SLACK: Duration = Duration::from_secs(1);

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long a value that went on is held back.
    pub age: Duration,
    /// How long a value may stay away before it is missed; never, where there is none.
    pub missed_after: Option<Duration>,
    /// A change of size in bytes for which a message goes on; none, where there is none.
    pub size_trigger: Option<u64>,
}

/// What is known of a value. Moments are since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When it went on last.
    pub forwarded: Duration,
    /// When it was seen last.
    pub seen: Duration,
    /// How large the message was that went on.
    pub size: u64,
    /// It is missed.
    pub missed: bool,
}

/// Whether a message goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does, and why.
    Forward(Reason),
    /// It does not.
    Hold,
}

/// Why a message goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has no value.
    NoValue,
    /// The value was not known.
    New,
    /// The value is old enough.
    Age,
    /// The message asks for it.
    Forced,
    /// Its size has changed.
    Size,
    /// It was missed.
    Recovered,
}

/// What happened to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was seen for the first time.
    New,
    /// It is missed.
    Timeout,
    /// It is there again after it was missed.
    Recover,
    /// It was forgotten.
    Expire,
}

impl Change {
    /// The word in advisories.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Timeout => "timeout",
            Self::Recover => "recover",
            Self::Expire => "expire",
        }
    }
}

/// The limiter.
#[derive(Debug)]
pub struct Limiter {
    rules: Rules,
    values: BTreeMap<Box<str>, Seen>,
    rng: Rng,
}

impl Limiter {
    /// A limiter that knows of these values.
    #[must_use]
    pub fn new(rules: Rules, values: BTreeMap<Box<str>, Seen>, seed: u64) -> Self {
        Self {
            rules,
            values,
            rng: Rng::with_seed(seed),
        }
    }

    /// Decides on a message, and remembers that it went on. Where it then does not get through, call [`Limiter::undo`].
    pub fn decide(
        &mut self,
        value: Option<&str>,
        size: u64,
        is_forced: bool,
        now: Duration,
    ) -> Verdict {
        let Some(value) = value else {
            return Verdict::Forward(Reason::NoValue);
        };
        let early = SLACK + self.rules.age.mul_f64(self.rng.f64() / 10.0);
        let Some(known) = self.values.get_mut(value) else {
            if self.values.len() < VALUES_MAX {
                let seen = Seen {
                    forwarded: now,
                    seen: now,
                    size,
                    missed: false,
                };
                self.values.insert(value.into(), seen);
            }
            return Verdict::Forward(Reason::New);
        };
        known.seen = now;
        let was_missed = std::mem::take(&mut known.missed);
        let held_for = now.saturating_sub(known.forwarded);
        let has_grown = known.size == 0 && size > 0;
        let change = known.size.abs_diff(size);
        let is_triggered = self.rules.size_trigger.is_some_and(|least| change >= least);
        let reason = if is_forced {
            Reason::Forced
        } else if was_missed {
            Reason::Recovered
        } else if held_for + early >= self.rules.age {
            Reason::Age
        } else if has_grown || (is_triggered && change > 0) {
            Reason::Size
        } else {
            return Verdict::Hold;
        };
        known.forwarded = now;
        known.size = size;
        Verdict::Forward(reason)
    }

    /// A message that was to go on did not get through: the next one of its value goes on.
    pub fn undo(&mut self, value: &str) {
        self.values.remove(value);
    }

    /// What has happened to values by the mere passing of time, in their order.
    pub fn tick(&mut self, now: Duration) -> Vec<(Box<str>, Change, Seen)> {
        let forget = self.rules.age * FORGET_AGES;
        let mut changes = Vec::new();
        self.values.retain(|value, known| {
            let away = now.saturating_sub(known.seen);
            if away > forget {
                changes.push((value.clone(), Change::Expire, *known));
                return false;
            }
            let is_late = self.rules.missed_after.is_some_and(|after| away > after);
            if is_late && !known.missed {
                known.missed = true;
                changes.push((value.clone(), Change::Timeout, *known));
            }
            true
        });
        changes
    }

    /// What is known of each value.
    #[must_use]
    pub const fn values(&self) -> &BTreeMap<Box<str>, Seen> {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AGE: Duration = Duration::from_secs(3600);

    fn limiter(size_trigger: Option<u64>) -> Limiter {
        let rules = Rules {
            age: AGE,
            missed_after: Some(AGE / 2),
            size_trigger,
        };
        Limiter::new(rules, BTreeMap::new(), 1)
    }

    fn at(secs: u64) -> Duration {
        Duration::from_secs(1_000_000 + secs)
    }

    #[test]
    fn what_is_known_and_young_is_held_back() {
        let mut limiter = limiter(None);
        let mut decide = |value, secs| limiter.decide(value, 10, false, at(secs));
        assert_eq!(decide(Some("a"), 0), Verdict::Forward(Reason::New));
        assert_eq!(decide(Some("a"), 300), Verdict::Hold);
        assert_eq!(decide(Some("b"), 300), Verdict::Forward(Reason::New));
        assert_eq!(decide(None, 301), Verdict::Forward(Reason::NoValue));
        assert_eq!(decide(Some("a"), 3000), Verdict::Hold);
        assert_eq!(decide(Some("a"), 3599), Verdict::Forward(Reason::Age));
        assert_eq!(decide(Some("a"), 3600), Verdict::Hold);
    }

    #[test]
    fn force_size_and_failure_let_a_message_on() {
        let mut limiter = limiter(Some(100));
        let mut decide = |size, force| limiter.decide(Some("a"), size, force, at(0));
        assert_eq!(decide(0, false), Verdict::Forward(Reason::New));
        assert_eq!(decide(5, false), Verdict::Forward(Reason::Size));
        assert_eq!(decide(104, false), Verdict::Hold);
        assert_eq!(decide(105, false), Verdict::Forward(Reason::Size));
        assert_eq!(decide(5, false), Verdict::Forward(Reason::Size));
        assert_eq!(decide(5, true), Verdict::Forward(Reason::Forced));
        limiter.undo("a");
        let again = limiter.decide(Some("a"), 5, false, at(1));
        assert_eq!(again, Verdict::Forward(Reason::New));
    }

    #[test]
    fn what_stays_away_is_missed_once_and_then_forgotten() {
        let mut limiter = limiter(None);
        limiter.decide(Some("a"), 1, false, at(0));
        assert_eq!(limiter.tick(at(1800)), []);
        let changes = limiter.tick(at(1801));
        assert_eq!(changes[0].1, Change::Timeout);
        assert_eq!(limiter.tick(at(1900)), []);
        let back = limiter.decide(Some("a"), 1, false, at(2000));
        assert_eq!(back, Verdict::Forward(Reason::Recovered));
        limiter.tick(at(5000));
        let changes = limiter.tick(at(2000 + 3 * 3600 + 1));
        assert_eq!(changes[0].1, Change::Expire);
        assert!(limiter.values().is_empty());
    }

    proptest! {
        /// Whatever the times, a value that keeps coming goes on at least once an age, and is held back most of it.
        #[test]
        fn a_steady_value_goes_on_once_an_age(seed: u64, step in 1_u64..600) {
            let rules = Rules { age: AGE, missed_after: None, size_trigger: None };
            let mut limiter = Limiter::new(rules, BTreeMap::new(), seed);
            let mut last = at(0);
            limiter.decide(Some("v"), 1, false, last);
            for number in 1..200 {
                let now = at(number * step);
                if limiter.decide(Some("v"), 1, false, now) != Verdict::Hold {
                    prop_assert!(now - last >= AGE * 9 / 10 - SLACK);
                    last = now;
                }
                prop_assert!(now - last < AGE);
            }
        }
    }
}
