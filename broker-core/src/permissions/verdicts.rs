//! What a shard remembers of publish checks.
//!
//! A small table without chains: a set of rules and a subject have one place, and whoever comes later takes it.
//! So a check costs one hash and one comparison where it was made before, and the memory has a bound whatever is published:
//! [`PLACES`] entries of at most [`SUBJECT_MAX`] bytes each. Longer subjects are checked anew each time.
//! An entry holds its rules, so that other rules never come to lie at the same address.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::PublishRules;

/// Entries of the table, a power of two.
const PLACES: usize = 512;

/// The longest subject that is remembered: 128 KiB in all.
const SUBJECT_MAX: usize = 256;

/// Lists no longer than this are walked: that is no slower than the table.
const WALKED_MAX: usize = 2;

/// Verdicts of one shard.
#[derive(Debug)]
pub(crate) struct Verdicts {
    hasher: FixedState,
    /// Empty until the first check, which most brokers never make.
    places: Vec<Option<Entry>>,
}

#[derive(Debug)]
struct Entry {
    rules: Arc<PublishRules>,
    subject: Vec<u8>,
    allowed: bool,
}

impl Verdicts {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            places: Vec::new(),
        }
    }

    /// Whether the rules allow a message to this subject.
    pub(crate) fn allows(&mut self, rules: &Arc<PublishRules>, subject: &[u8]) -> bool {
        if subject.len() > SUBJECT_MAX || rules.len() <= WALKED_MAX {
            return rules.allows(subject);
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let place = self.place(rules, subject);
        match &mut self.places[place] {
            Some(entry) if Arc::ptr_eq(&entry.rules, rules) && entry.subject == subject => {
                entry.allowed
            }
            Some(entry) => {
                entry.allowed = rules.allows(subject);
                entry.rules = Arc::clone(rules);
                entry.subject.clear();
                entry.subject.extend_from_slice(subject);
                entry.allowed
            }
            empty => {
                let allowed = rules.allows(subject);
                *empty = Some(Entry {
                    rules: Arc::clone(rules),
                    subject: subject.to_vec(),
                    allowed,
                });
                allowed
            }
        }
    }

    fn place(&self, rules: &Arc<PublishRules>, subject: &[u8]) -> usize {
        let hash = self.hasher.hash_one((Arc::as_ptr(rules).addr(), subject));
        usize::try_from(hash % PLACES as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_subjects_of_other_rules_are_judged_by_their_own() {
        let mut verdicts = Verdicts::new(1);
        let rules = |last: &str| Arc::new(PublishRules::new(Some(&["a.*", "b.*", last]), &[]));
        let (one, other) = (rules("c.>"), rules("d.>"));
        for _ in 0..3 {
            assert!(verdicts.allows(&one, b"c.1") && !verdicts.allows(&one, b"d.1"));
            assert!(verdicts.allows(&other, b"d.1") && !verdicts.allows(&other, b"c.1"));
        }
    }

    #[test]
    fn the_table_keeps_its_bound_and_stays_right() {
        let mut verdicts = Verdicts::new(2);
        let rules = Arc::new(PublishRules::new(
            Some(&["even.>", "x.>", "y.>"]),
            &["even.7"],
        ));
        for round in 0..3_u32 {
            for number in 0..5_000_u32 {
                let subject = format!("{}.{number}", ["even", "odd"][(number % 2) as usize]);
                let allowed = number % 2 == 0;
                assert_eq!(
                    verdicts.allows(&rules, subject.as_bytes()),
                    allowed,
                    "{round}"
                );
            }
        }
        assert_eq!(verdicts.places.len(), PLACES);
        let long = "even.".to_owned() + &"x".repeat(SUBJECT_MAX);
        assert!(verdicts.allows(&rules, long.as_bytes()));
        let held = verdicts.places.iter().flatten();
        assert!(held.map(|entry| entry.subject.len()).max() <= Some(SUBJECT_MAX));
        assert!(!verdicts.allows(&rules, b"even.7"));
    }
}
