//! Which agents are to be looked into and which are gone, from what a scan saw.
//!
//! An agent is looked into when it is new or one of its files has changed, and all of them have been left alone for a
//! while. What came of that is kept until its files change, so a program is not asked again whether it wants to be
//! loaded. Only a failure, such as a program too slow on a busy machine, is tried again, at growing intervals.
//! [`Catalogue`] opens no file and reads no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Wait before the first repetition of a failure; it doubles each time.
const RETRY_MIN: Duration = Duration::from_secs(20);
/// Longest wait between repetitions.
const RETRY_MAX: Duration = Duration::from_secs(600);

/// How a file looks from outside; none where it is not there.
pub type Look = Option<(SystemTime, u64)>;

/// An agent as a scan saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its name, by that of its files.
    pub name: String,
    /// Its DDL.
    pub ddl: PathBuf,
    /// The files that may be its program, in order of preference.
    pub programs: Vec<PathBuf>,
    /// How DDL and programs look.
    pub looks: Vec<Look>,
    /// How long ago the newest of them was written.
    pub age: Duration,
}

/// What a look into an agent came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was loaded.
    Loaded,
    /// It is not for us, or does not want to be loaded.
    Declined,
    /// It could not be told; an agent of the name that was loaded before stays.
    Failed,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Agents to look into; each must be [settled](Catalogue::settle).
    pub examine: Vec<Sighting>,
    /// Agents whose files are gone.
    pub gone: Vec<String>,
}

/// What is known of the agents in the library folders.
#[derive(Debug)]
pub struct Catalogue {
    settle: Duration,
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    ddl: PathBuf,
    looks: Vec<Look>,
    failures: u32,
    retry_at: Option<Duration>,
}

impl Catalogue {
    /// Nothing known. Files younger than `settle` are not looked into.
    #[must_use]
    pub const fn new(settle: Duration) -> Self {
        Self {
            settle,
            known: BTreeMap::new(),
        }
    }

    /// Compares with what was seen; of two agents of a name the first counts. Where not all folders could be read,
    /// `is_complete` is false, and nothing is taken for gone.
    pub fn update(&mut self, seen: &[Sighting], is_complete: bool, now: Duration) -> Changes {
        let mut changes = Changes::default();
        let mut names = BTreeSet::new();
        for sighting in seen {
            if names.insert(sighting.name.as_str())
                && sighting.age >= self.settle
                && self.is_due(sighting, now)
            {
                changes.examine.push(sighting.clone());
            }
        }
        if is_complete {
            self.known.retain(|name, _| {
                let is_there = names.contains(name.as_str());
                if !is_there {
                    changes.gone.push(name.clone());
                }
                is_there
            });
        }
        changes
    }

    /// Keeps what a look into an agent came to.
    pub fn settle(&mut self, sighting: &Sighting, settled: Settled, now: Duration) {
        let before = self.known.get(&sighting.name);
        let failures = match (settled, before) {
            (Settled::Failed, Some(known)) if known.is(sighting) => known.failures + 1,
            (Settled::Failed, _) => 1,
            (Settled::Loaded | Settled::Declined, _) => 0,
        };
        let known = Known {
            ddl: sighting.ddl.clone(),
            looks: sighting.looks.clone(),
            failures,
            retry_at: (failures > 0).then(|| now + retry_after(failures)),
        };
        self.known.insert(sighting.name.clone(), known);
    }

    fn is_due(&self, sighting: &Sighting, now: Duration) -> bool {
        match self.known.get(&sighting.name) {
            Some(known) if known.is(sighting) => known.retry_at.is_some_and(|at| at <= now),
            Some(_) | None => true,
        }
    }
}

impl Known {
    fn is(&self, sighting: &Sighting) -> bool {
        self.ddl == sighting.ddl && self.looks == sighting.looks
    }
}

fn retry_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(8);
    (RETRY_MIN * (1 << doublings)).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(5);
    const START: Duration = Duration::from_secs(1000);

    fn sighting(name: &str, dir: &str, size: u64) -> Sighting {
        Sighting {
            name: name.to_owned(),
            ddl: PathBuf::from(format!("{dir}/{name}.json")),
            programs: vec![PathBuf::from(format!("{dir}/{name}"))],
            looks: vec![Some((SystemTime::UNIX_EPOCH, size)), None],
            age: Duration::from_secs(60),
        }
    }

    fn examined(changes: &Changes) -> Vec<&str> {
        changes.examine.iter().map(|s| s.name.as_str()).collect()
    }

    #[test]
    fn what_is_settled_is_left_alone_until_it_changes() {
        let mut catalogue = Catalogue::new(SETTLE);
        let (a, b) = (sighting("a", "/l", 1), sighting("b", "/l", 1));
        let changes = catalogue.update(&[a.clone(), b.clone()], true, START);
        assert_eq!(examined(&changes), ["a", "b"]);
        catalogue.settle(&a, Settled::Loaded, START);
        catalogue.settle(&b, Settled::Declined, START);
        let changes = catalogue.update(&[a.clone(), b.clone()], true, START);
        assert_eq!(changes, Changes::default());
        // Another size, another place.
        let changed = [sighting("a", "/l", 2), sighting("b", "/m", 1)];
        let changes = catalogue.update(&changed, true, START);
        assert_eq!(examined(&changes), ["a", "b"]);
        assert_eq!(changes.gone, [""; 0]);
    }

    #[test]
    fn young_files_wait_and_keep_what_there_was() {
        let mut catalogue = Catalogue::new(SETTLE);
        let a = sighting("a", "/l", 1);
        catalogue.settle(&a, Settled::Loaded, START);
        let young = Sighting {
            age: Duration::from_secs(4),
            ..sighting("a", "/l", 2)
        };
        let changes = catalogue.update(std::slice::from_ref(&young), true, START);
        assert_eq!(changes, Changes::default());
        let old = Sighting {
            age: SETTLE,
            ..young
        };
        assert_eq!(examined(&catalogue.update(&[old], true, START)), ["a"]);
    }

    #[test]
    fn what_is_gone_is_told_once_and_only_after_a_whole_look() {
        let mut catalogue = Catalogue::new(SETTLE);
        let a = sighting("a", "/l", 1);
        catalogue.settle(&a, Settled::Loaded, START);
        assert_eq!(catalogue.update(&[], false, START), Changes::default());
        assert_eq!(catalogue.update(&[], true, START).gone, ["a"]);
        assert_eq!(catalogue.update(&[], true, START), Changes::default());
        assert_eq!(examined(&catalogue.update(&[a], true, START)), ["a"]);
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let mut catalogue = Catalogue::new(SETTLE);
        let both = [sighting("a", "/l", 1), sighting("a", "/m", 1)];
        let changes = catalogue.update(&both, true, START);
        assert_eq!(changes.examine, both[..1]);
        catalogue.settle(&both[0], Settled::Loaded, START);
        let changes = catalogue.update(&both[1..], true, START);
        assert_eq!(changes.examine, both[1..]);
    }

    #[test]
    fn failures_are_tried_again_at_growing_intervals() {
        let mut catalogue = Catalogue::new(SETTLE);
        let a = sighting("a", "/l", 1);
        let mut now = START;
        for wait in [20, 40, 80, 160, 320, 600, 600] {
            catalogue.settle(&a, Settled::Failed, now);
            let wait = Duration::from_secs(wait);
            let early = now + wait - Duration::from_secs(1);
            assert_eq!(
                catalogue.update(std::slice::from_ref(&a), true, early),
                Changes::default()
            );
            now += wait;
            assert_eq!(
                examined(&catalogue.update(std::slice::from_ref(&a), true, now)),
                ["a"]
            );
        }
        // A change is looked into at once, and begins anew.
        catalogue.settle(&a, Settled::Failed, now);
        let b = sighting("a", "/l", 2);
        assert_eq!(
            examined(&catalogue.update(std::slice::from_ref(&b), true, now)),
            ["a"]
        );
        catalogue.settle(&b, Settled::Failed, now);
        let soon = now + Duration::from_secs(20);
        assert_eq!(examined(&catalogue.update(&[b], true, soon)), ["a"]);
    }
}
