//! A set of node names that gives each a number, in the order of their arrival.
//!
//! A look-up hashes once and compares one name: a fleet's replies are attributed at some fifty nanoseconds each.
//! The hash takes a seed of the process, since the names come from peers; names are compared in full, so a collision costs time, never truth.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Names with numbers. About 21 bytes a name, and its text.
#[derive(Debug, Clone)]
pub(super) struct Names {
    hasher: FixedState,
    table: HashTable<u32>,
    names: Vec<Box<str>>,
}

impl Names {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            table: HashTable::new(),
            names: Vec::new(),
        }
    }

    /// Adds a name; says its number, and whether it is new.
    pub(super) fn insert(&mut self, name: &str) -> (usize, bool) {
        let Self {
            hasher,
            table,
            names,
        } = self;
        let hash = hasher.hash_one(name);
        let is_name = |index: &u32| &*names[*index as usize] == name;
        match table.entry(hash, is_name, |index| {
            hasher.hash_one(&*names[*index as usize])
        }) {
            Entry::Occupied(found) => (*found.get() as usize, false),
            Entry::Vacant(free) => {
                let index = names.len();
                free.insert(u32::try_from(index).expect("callers bound the number of names"));
                names.push(name.into());
                (index, true)
            }
        }
    }

    /// The number of a name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let hash = self.hasher.hash_one(name);
        let found = self
            .table
            .find(hash, |index| &*self.names[*index as usize] == name);
        found.map(|index| *index as usize)
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(|name| &**name)
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The names in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_found_again() {
        let mut names = Names::new(7);
        for round in 0..2 {
            for i in 0..5000 {
                let (index, is_new) = names.insert(&format!("node{i}.example.net"));
                assert_eq!((index, is_new), (i, round == 0));
            }
        }
        assert_eq!(names.len(), 5000);
        assert_eq!(names.find("node77.example.net"), Some(77));
        assert_eq!(names.get(77), Some("node77.example.net"));
        assert_eq!(names.find("node5000.example.net"), None);
    }
}
