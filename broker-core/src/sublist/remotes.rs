//! The peers that have members of one interest.
//!
//! A cluster has few peers, and each has one entry an interest, whatever the number of its members: so a
//! sorted vector. 12 bytes a peer, and 24 of its own with a box around them.

use super::members::Removal;

/// A peer of the cluster that has members of an interest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Remote {
    /// The slot of its route in the connection table.
    pub slot: u32,
    /// Which connection of those that have had the slot.
    pub generation: u32,
    /// How many members of the queue group it has; of no meaning without a queue.
    pub weight: u32,
}

impl Remote {
    fn conn(self) -> (u32, u32) {
        (self.slot, self.generation)
    }
}

/// Never empty; ascending by connection, each there once.
#[derive(Clone, Debug)]
pub(super) struct Remotes(Vec<Remote>);

/// What [`Remotes::set`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Set {
    New,
    Changed,
    Same,
}

impl Remotes {
    pub(super) fn new(remote: Remote) -> Self {
        Self(vec![remote])
    }

    pub(super) fn all(&self) -> &[Remote] {
        &self.0
    }

    pub(super) fn set(&mut self, remote: Remote) -> Set {
        match self.place(remote) {
            Err(at) => {
                self.0.insert(at, remote);
                Set::New
            }
            Ok(at) if self.0[at] == remote => Set::Same,
            Ok(at) => {
                self.0[at] = remote;
                Set::Changed
            }
        }
    }

    /// Of `remote` only the connection counts.
    pub(super) fn remove(&mut self, remote: Remote) -> Removal {
        let Ok(at) = self.place(remote) else {
            return Removal::Missing;
        };
        if self.0.len() == 1 {
            return Removal::Last;
        }
        self.0.remove(at);
        Removal::Removed
    }

    fn place(&self, remote: Remote) -> Result<usize, usize> {
        self.0
            .binary_search_by(|other| other.conn().cmp(&remote.conn()))
    }

    #[cfg(any(test, debug_assertions))]
    pub(super) fn assert_invariants(&self) {
        assert!(!self.0.is_empty());
        assert!(self.0.is_sorted_by(|a, b| a.conn() < b.conn()));
    }
}

/// Several interests' peers as one list, each peer once, its weights added.
pub(super) fn join<'a>(sets: impl Iterator<Item = &'a [Remote]>) -> Box<[Remote]> {
    let mut all: Vec<Remote> = sets.flatten().copied().collect();
    all.sort_unstable();
    all.dedup_by(|next, kept| {
        let same = next.conn() == kept.conn();
        if same {
            kept.weight = kept.weight.saturating_add(next.weight);
        }
        same
    });
    all.into_boxed_slice()
}
