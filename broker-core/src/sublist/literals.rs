//! The literal subjects: one hash table, kept in stripes.
//!
//! Stripes are there for the writers' sake. A table that doubles moves all it holds while its lock is
//! held; in sixty-four parts, a million subjects make a pause of a fraction of a millisecond, not of
//! tens. Readers of different subjects share no lock word, either.
//!
//! A subject costs 49 bytes at a load of 0.44 to 0.88, so 56 to 112, and its [`Interest`](super::Interest).

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::interest::Interest;
use super::leaf::{Inserted, Item, Leaf, NewKey, Removed};
use super::subject::spread;
use super::tally::Tally;

/// One stripe, behind the lock of its owner.
#[derive(Debug)]
pub(super) struct Literals {
    table: HashTable<Leaf>,
    pub(super) tally: Tally,
}

impl Literals {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            tally: Tally::default(),
        }
    }

    pub(super) fn get(&self, hash: u32, subject: &[u8]) -> Option<&Leaf> {
        self.table
            .find(spread(hash), |leaf| leaf.has_subject(subject))
    }

    pub(super) fn insert(&mut self, key: NewKey<'_>, item: Item) -> Inserted {
        let entry = self.table.entry(
            spread(key.hash),
            |leaf| leaf.has_subject(key.subject),
            |leaf| spread(leaf.hash()),
        );
        let inserted = match entry {
            Entry::Occupied(mut leaf) => leaf.get_mut().insert(key, item),
            Entry::Vacant(place) => {
                let (leaf, inserted) = Leaf::new(key, item);
                place.insert(leaf);
                inserted
            }
        };
        self.tally.inserted(&inserted);
        inserted
    }

    pub(super) fn remove(&mut self, interest: &Interest, item: Item) -> Removed {
        let subject = interest.subject();
        let found = self
            .table
            .find_entry(spread(interest.hash()), |leaf| leaf.has_subject(subject));
        let Ok(mut entry) = found else {
            return Removed::NOTHING;
        };
        let removed = entry.get_mut().remove(interest.queue_name(), item);
        if removed.interest_gone && entry.get().is_empty() {
            entry.remove();
            self.shrink();
        }
        self.tally.removed(removed);
        removed
    }

    /// After a storm has passed, its memory is given back; at an eighth, so that the cost of moving
    /// is spread over many removals.
    fn shrink(&mut self) {
        if self.table.capacity() > 64 && self.table.len() < self.table.capacity() / 8 {
            self.table
                .shrink_to(self.table.len() * 2, |leaf| spread(leaf.hash()));
        }
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.table.iter()
    }
}
