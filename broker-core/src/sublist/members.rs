//! The members of one interest: an ordered set whose snapshot costs one reference count.
//!
//! Three shapes, by size, because a fleet has both extremes: each node's own subject has one member,
//! and the shared ones have fifty thousand.
//!
//! | members | shape | memory |
//! |---|---|---|
//! | 1 | inline | none of its own |
//! | 2 to 16 | one slice of the exact size | 16 bytes, and 16 a member |
//! | more | a [`Directory`] of chunks | some 120 bytes; 16 a member, and 60 a chunk of up to 256 |
//!
//! Everything is copy-on-write. A snapshot clones the outer `Arc`; the first change after it copies
//! the directory's spine and the one chunk it touches (at most 4 KiB), later ones work in place.

use std::slice;
use std::sync::Arc;

use super::Member;
use super::directory::{CHUNK_MAX, Directory};

/// The most members kept in one exact slice; every change to it copies all of them.
const FEW_MAX: usize = 16;
/// A directory that shrank to this is a slice again. Below `FEW_MAX`, so that a set at the border
/// does not change its shape with every operation.
const FEW_AGAIN: usize = 8;

/// A set of members that is never empty.
#[derive(Clone, Debug)]
pub(super) enum Members {
    One(Member),
    Few(Arc<[Member]>),
    Many(Arc<Directory>),
}

/// What a removal did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Removal {
    Missing,
    Removed,
    /// That was the only member; the set must be dropped by its owner.
    Last,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Few(few) => few.len(),
            Self::Many(directory) => directory.len(),
        }
    }

    pub(super) fn chunk_count(&self) -> usize {
        match self {
            Self::One(_) | Self::Few(_) => 1,
            Self::Many(directory) => directory.chunks().len(),
        }
    }

    pub(super) fn chunk(&self, i: usize) -> &[Member] {
        match self {
            Self::One(member) => {
                assert_eq!(i, 0, "a single member is one chunk");
                slice::from_ref(member)
            }
            Self::Few(few) => {
                assert_eq!(i, 0, "a short set is one chunk");
                few
            }
            Self::Many(directory) => &directory.chunks()[i],
        }
    }

    pub(super) fn get(&self, i: usize) -> Member {
        match self {
            Self::One(_) | Self::Few(_) => self.chunk(0)[i],
            Self::Many(directory) => directory.get(i),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Member> + '_ {
        (0..self.chunk_count()).flat_map(|i| self.chunk(i).iter().copied())
    }

    /// Returns false if the member is there already.
    pub(super) fn insert(&mut self, member: Member) -> bool {
        match self {
            Self::One(one) => {
                let pair = match member.cmp(one) {
                    std::cmp::Ordering::Less => [member, *one],
                    std::cmp::Ordering::Equal => return false,
                    std::cmp::Ordering::Greater => [*one, member],
                };
                *self = Self::Few(Arc::new(pair));
            }
            Self::Few(few) => {
                let Err(at) = few.binary_search(&member) else {
                    return false;
                };
                let (before, after) = few.split_at(at);
                let grown = before.iter().chain(slice::from_ref(&member)).chain(after);
                *self = if few.len() < FEW_MAX {
                    Self::Few(grown.copied().collect())
                } else {
                    Self::Many(Arc::new(Directory::new(vec![Arc::new(
                        grown.copied().collect(),
                    )])))
                };
            }
            Self::Many(directory) => {
                let place = directory.place(member);
                if place.found {
                    return false;
                }
                Arc::make_mut(directory).insert(place, member);
            }
        }
        true
    }

    pub(super) fn remove(&mut self, member: Member) -> Removal {
        match self {
            Self::One(one) if *one == member => return Removal::Last,
            Self::One(_) => return Removal::Missing,
            Self::Few(few) => {
                let Ok(at) = few.binary_search(&member) else {
                    return Removal::Missing;
                };
                *self = match &**few {
                    [left, right] => Self::One(if at == 0 { *right } else { *left }),
                    all => {
                        let rest = all[..at].iter().chain(&all[at + 1..]);
                        Self::Few(rest.copied().collect())
                    }
                };
            }
            Self::Many(directory) => {
                let place = directory.place(member);
                if !place.found {
                    return Removal::Missing;
                }
                let own = Arc::make_mut(directory);
                own.remove(place);
                if own.len() <= FEW_AGAIN {
                    *self = Self::Few(self.iter().collect());
                }
            }
        }
        Removal::Removed
    }

    #[cfg(any(test, debug_assertions))]
    pub(super) fn assert_invariants(&self) {
        match self {
            Self::One(_) => {}
            Self::Few(few) => {
                assert!((2..=FEW_MAX).contains(&few.len()), "{} in few", few.len());
                assert!(few.is_sorted_by(|a, b| a < b));
            }
            Self::Many(directory) => {
                assert!(directory.len() > FEW_AGAIN);
                directory.assert_invariants();
            }
        }
    }
}

/// What [`join`] makes.
pub(super) struct Joined {
    pub(super) members: Members,
    /// Where there is more than one, the ends (in chunks) of the runs within which members ascend.
    pub(super) runs: Box<[usize]>,
    /// Its own memory, in members (16 bytes); what is lent counts by its pointers.
    pub(super) weight: usize,
}

/// Several sets as one, for reading only.
///
/// Large sets lend their chunks; members of small ones are copied into chunks of their own, so that
/// a subject with thousands of matching one-member interests still has few chunks. A single set is
/// lent as it is. Of no sets there is no join.
pub(super) fn join(sets: &[&Members]) -> Option<Joined> {
    if let [only] = sets {
        return Some(Joined {
            members: (*only).clone(),
            runs: Box::default(),
            weight: 1,
        });
    }
    let mut chunks = Vec::new();
    let mut runs = Vec::new();
    let mut gathered = Vec::new();
    for set in sets {
        match set {
            Members::One(member) => gathered.push(*member),
            Members::Few(few) => gathered.extend_from_slice(few),
            Members::Many(directory) => {
                chunks.extend_from_slice(directory.chunks());
                runs.push(chunks.len());
            }
        }
    }
    gathered.sort_unstable();
    let weight = gathered.len() + chunks.len();
    if chunks.is_empty() && gathered.len() <= FEW_MAX {
        return (!gathered.is_empty()).then(|| Joined {
            members: Members::Few(gathered.into()),
            runs: Box::default(),
            weight,
        });
    }
    if !gathered.is_empty() {
        chunks.extend(gathered.chunks(CHUNK_MAX).map(|c| Arc::new(c.to_vec())));
        runs.push(chunks.len());
    }
    Some(Joined {
        members: Members::Many(Arc::new(Directory::new(chunks))),
        runs: runs.into_boxed_slice(),
        weight,
    })
}

/// The first member of a connection in the given chunks, which ascend.
pub(super) fn find_slot(
    members: &Members,
    chunks: std::ops::Range<usize>,
    slot: u32,
    generation: u32,
) -> Option<Member> {
    let wanted = (slot, generation);
    let before = |member: &Member| (member.slot, member.generation) < wanted;
    let (mut low, mut high) = (chunks.start, chunks.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if members.chunk(middle).last().is_some_and(before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if low == chunks.end {
        return None;
    }
    let chunk = members.chunk(low);
    let found = *chunk.get(chunk.partition_point(before))?;
    ((found.slot, found.generation) == wanted).then_some(found)
}
