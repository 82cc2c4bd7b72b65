//! What a connection to another broker of the cluster has beside that of a client.
//!
//! ```text
//!  accepted: INFO goes out            dialled: CONNECT goes out
//!       |                                  |
//!  AwaitConnect --- valid CONNECT ---> AwaitInfo --- INFO, verdict of the cluster ---> Registered
//!                                                                          |               ^
//!                                                                          +--> Standby ---+ the other route closed
//! ```
//!
//! The one that dialled sends its own `INFO` when it has the peer's. `TLS`, where it is on, comes before all of this.
//!
//! What the peer announces counts only once it has been told all of ours ([`Admission`]): a message that is sent to it may be answered
//! at once, and the answer must find its way back.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::cluster::Origin;
use crate::ids::AccountId;
use crate::sublist::Interest;

/// Where the handshake of a route stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The peer dialled; its `CONNECT` must come first.
    AwaitConnect,
    /// Its `INFO` says who it is.
    AwaitInfo,
    /// A peer.
    Registered,
    /// A second route to a peer.
    Standby,
}

/// Whether what the peer announced lies in the sublist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Nothing of it.
    Withheld,
    /// All from this place on; the rest follows, from the end to the start.
    Entering(usize),
    /// All of it, and what comes is put there at once.
    Open,
}

/// How far a peer was told of the interest here.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// The account, by its place.
    pub(crate) account: usize,
    /// The next part of its interest.
    pub(crate) part: usize,
    /// What is left of the part before.
    pub(crate) batch: Vec<Interest>,
}

/// A route.
#[derive(Debug)]
pub(crate) struct RouteConn {
    pub(crate) origin: Origin,
    pub(crate) stage: Stage,
    pub(crate) remote_id: Box<str>,
    pub(crate) remote_name: Box<str>,
    /// Whether a message of the peer may be sent back to it for a queue group it has the last member of.
    pub(crate) echo: bool,
    pub(crate) interest: RemoteTable,
    pub(crate) admission: Admission,
    pub(crate) telling: Option<Telling>,
    /// Whether the shard's list of routes with work has it.
    pub(crate) queued: bool,
    /// Before this it is not stalled again, whoever is behind.
    pub(crate) stall_after: Duration,
}

impl RouteConn {
    pub(crate) fn new(origin: Origin, seed: u64) -> Self {
        let stage = match origin {
            Origin::Accepted => Stage::AwaitConnect,
            Origin::Dialled(_) => Stage::AwaitInfo,
        };
        Self {
            origin,
            stage,
            remote_id: Box::default(),
            remote_name: Box::default(),
            echo: true,
            interest: RemoteTable::new(seed),
            admission: Admission::Withheld,
            telling: None,
            queued: false,
            stall_after: Duration::ZERO,
        }
    }
}

/// One thing a peer announced. 16 bytes, and its text once for all who share it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) account: AccountId,
    pub(crate) weight: u32,
    pub(crate) interest: Interest,
}

/// What a peer announced: by account, subject and queue, and in an order that allows to go through it in slices.
#[derive(Debug)]
pub(crate) struct RemoteTable {
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hasher: FixedState,
}

impl RemoteTable {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    fn new(seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)
    }

    /// Everything, for removal.
    pub(crate) fn take(&mut self) -> Vec<Entry> {
        self.index = HashTable::new();
        std::mem::take(&mut self.entries)
    }

    /// Adds an entry, or gives the one that is there this weight. Returns its place, and whether it is another than it was.
    pub(crate) fn set(
        &mut self,
        account: AccountId,
        interest: Interest,
        weight: u32,
    ) -> (usize, bool) {
        let hash = self.hash(account, &interest);
        let found = self.find(hash, account, &interest);
        if let Some(at) = found {
            let entry = &mut self.entries[at];
            let changed = std::mem::replace(&mut entry.weight, weight) != weight;
            return (at, changed);
        }
        let at = self.entries.len();
        let place = u32::try_from(at).expect("four thousand million entries do not fit in memory");
        self.entries.push(Entry {
            account,
            weight,
            interest,
        });
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.insert_unique(hash, place, |at| {
            let entry = &entries[*at as usize];
            hash_of(hasher, entry.account, &entry.interest)
        });
        (at, true)
    }

    /// Removes an entry; the last one takes its place.
    pub(crate) fn remove(&mut self, account: AccountId, interest: &Interest) -> Option<Entry> {
        let hash = self.hash(account, interest);
        let at = self.find(hash, account, interest)?;
        self.forget_place(hash, at);
        let last = self.entries.len() - 1;
        if at != last {
            let moved = &self.entries[last];
            let hash = self.hash(moved.account, &moved.interest);
            if let Some(place) = self.index.find_mut(hash, |place| *place as usize == last) {
                *place = u32::try_from(at).expect("below the length");
            }
        }
        Some(self.entries.swap_remove(at))
    }

    fn forget_place(&mut self, hash: u64, at: usize) {
        if let Ok(place) = self.index.find_entry(hash, |place| *place as usize == at) {
            place.remove();
        }
    }

    fn find(&self, hash: u64, account: AccountId, interest: &Interest) -> Option<usize> {
        let is_it = |place: &u32| {
            let entry = &self.entries[*place as usize];
            entry.account == account && entry.interest == *interest
        };
        self.index.find(hash, is_it).map(|place| *place as usize)
    }

    fn hash(&self, account: AccountId, interest: &Interest) -> u64 {
        hash_of(&self.hasher, account, interest)
    }
}

fn hash_of(hasher: &FixedState, account: AccountId, interest: &Interest) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u32(account.0);
    hasher.write(interest.subject());
    hasher.write_u8(b' ');
    hasher.write(interest.queue().unwrap_or_default());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sublist::Sublist;

    #[test]
    fn an_entry_is_known_by_account_subject_and_queue() {
        let sublist = Sublist::new(1);
        let mut table = RemoteTable::new(2);
        let keys = [
            (0, "a", None),
            (1, "a", None),
            (0, "a", Some("q")),
            (0, "b", None),
        ];
        let key = |(account, subject, queue): (u32, &str, Option<&str>)| {
            let interest = sublist.interest(subject.as_bytes(), queue.map(str::as_bytes));
            (AccountId(account), interest)
        };
        for (at, (account, interest)) in keys.map(key).into_iter().enumerate() {
            assert_eq!(table.set(account, interest.clone(), 1), (at, true));
            assert_eq!(table.set(account, interest.clone(), 1), (at, false));
            assert_eq!(table.set(account, interest, 2), (at, true));
        }
        for (account, interest) in keys.map(key) {
            let entry = table.remove(account, &interest).unwrap();
            assert_eq!((entry.account, entry.weight), (account, 2));
            assert_eq!(entry.interest, interest);
            assert!(table.remove(account, &interest).is_none());
        }
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn the_places_stay_right_whatever_goes() {
        let sublist = Sublist::new(1);
        let mut table = RemoteTable::new(2);
        let interest = |number: usize| sublist.interest(format!("s.{number}").as_bytes(), None);
        for number in 0..1000 {
            table.set(AccountId(0), interest(number), 1);
        }
        for number in (0..1000).step_by(3) {
            assert!(table.remove(AccountId(0), &interest(number)).is_some());
        }
        for number in 0..1000 {
            let found = table.remove(AccountId(0), &interest(number)).is_some();
            assert_eq!(found, number % 3 != 0, "{number}");
        }
    }
}
