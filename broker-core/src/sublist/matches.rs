//! What a published subject matches: an immutable snapshot of members and queue groups.

use super::Member;
use super::interest::Interest;
use super::leaf::{Leaf, Slot};
use super::members::{Members, find_slot, join};
use super::remotes::{self, Remote};

use smallvec::SmallVec;

/// The result of a match, as it was at one moment; later changes of the sublist do not reach it.
///
/// A subject that only one interest matches costs an allocation of 96 bytes, however many members
/// that interest has: the members are shared with the sublist.
#[derive(Default, Debug)]
pub struct Matches {
    plain: Option<Members>,
    /// Where the plain members come from several interests: the ends of their ascending runs, in
    /// chunks. Else empty.
    runs: Box<[usize]>,
    groups: Box<[QueueGroup]>,
    /// Ascending, each connection once.
    remotes: Box<[Remote]>,
    weight: usize,
}

/// The members of one queue group, which gets a message once.
///
/// It is one group by its name, whatever subjects its members used.
#[derive(Debug)]
pub struct QueueGroup {
    interest: Interest,
    members: Option<Members>,
    remotes: Box<[Remote]>,
}

impl Matches {
    /// Whether nobody is interested.
    pub fn is_empty(&self) -> bool {
        self.plain.is_none() && self.groups.is_empty() && self.remotes.is_empty()
    }

    /// The peers that have plain members, each once; the weights say nothing.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// Whether some peer of the cluster is interested.
    pub fn has_remotes(&self) -> bool {
        !self.remotes.is_empty() || self.groups.iter().any(|group| !group.remotes.is_empty())
    }

    /// The number of plain members, each of which gets the message.
    pub fn plain_len(&self) -> usize {
        self.plain.as_ref().map_or(0, Members::len)
    }

    /// The number of slices that hold the plain members.
    pub fn chunk_count(&self) -> usize {
        self.plain.as_ref().map_or(0, Members::chunk_count)
    }

    /// One slice of plain members, not empty and of at most 256.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`chunk_count`](Self::chunk_count).
    pub fn chunk(&self, i: usize) -> &[Member] {
        let plain = self.plain.as_ref().expect("i is below the chunk count");
        plain.chunk(i)
    }

    /// All plain members, chunk after chunk. A connection with several matching subscriptions is
    /// there once for each.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.plain.iter().flat_map(Members::iter)
    }

    /// The queue groups, ascending by name.
    pub fn groups(&self) -> &[QueueGroup] {
        &self.groups
    }

    /// A plain member of that connection, if it has one.
    pub fn contains_slot(&self, slot: u32, generation: u32) -> Option<Member> {
        let plain = self.plain.as_ref()?;
        if self.runs.is_empty() {
            return find_slot(plain, 0..plain.chunk_count(), slot, generation);
        }
        let starts = std::iter::once(&0).chain(&self.runs);
        starts
            .zip(&self.runs)
            .find_map(|(&start, &end)| find_slot(plain, start..end, slot, generation))
    }

    /// Its own memory, in members (16 bytes); what the sublist lends counts by its pointers.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

impl QueueGroup {
    /// The queue name.
    pub fn name(&self) -> &[u8] {
        self.interest.queue_name()
    }

    /// The number of members here. A connection that joined by two subjects counts twice.
    pub fn len(&self) -> usize {
        self.members.as_ref().map_or(0, Members::len)
    }

    /// Whether it has no members here, but at peers.
    pub fn is_empty(&self) -> bool {
        self.members.is_none()
    }

    /// The peers that have members, each once, with how many.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// One member.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`len`](Self::len).
    pub fn member(&self, i: usize) -> Member {
        let members = self.members.as_ref().expect("i is below the length");
        members.get(i)
    }
}

/// Gathers leaves under the sublist's locks and makes the snapshot.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    plain: SmallVec<[&'a Members; 8]>,
    queues: SmallVec<[&'a Slot; 8]>,
    remotes: SmallVec<[&'a [Remote]; 4]>,
}

impl<'a> Gathered<'a> {
    pub(super) fn add(&mut self, leaf: &'a Leaf) {
        if let Some(slot) = leaf.plain() {
            self.plain.extend(&slot.members);
            if !slot.remotes().is_empty() {
                self.remotes.push(slot.remotes());
            }
        }
        self.queues.extend(leaf.queues());
    }

    /// Nothing, if nobody is interested.
    pub(super) fn into_matches(mut self) -> Option<Matches> {
        if self.plain.is_empty() && self.queues.is_empty() && self.remotes.is_empty() {
            return None;
        }
        // By subject within a name: which group a member falls in must not hang on the walk's order.
        self.queues.sort_unstable_by(|a, b| {
            let key = |slot: &'a Slot| (slot.interest.queue_name(), slot.interest.subject());
            key(a).cmp(&key(b))
        });
        let same_name = |a: &&Slot, b: &&Slot| a.interest.queue_name() == b.interest.queue_name();
        let mut weight = OWN_WEIGHT;
        let groups = self.queues.chunk_by(same_name).filter_map(|slots| {
            let sets: SmallVec<[&Members; 8]> = slots
                .iter()
                .filter_map(|slot| slot.members.as_ref())
                .collect();
            let joined = join(&sets);
            let remotes = remotes::join(slots.iter().map(|slot| slot.remotes()));
            weight += GROUP_WEIGHT + joined.as_ref().map_or(0, |joined| joined.weight);
            weight += remotes.len();
            Some(QueueGroup {
                interest: slots.first()?.interest.clone(),
                members: joined.map(|joined| joined.members),
                remotes,
            })
        });
        let groups = groups.collect();
        let remotes = remotes::join(self.remotes.iter().copied());
        weight += remotes.len();
        let mut matches = Matches {
            plain: None,
            runs: Box::default(),
            groups,
            remotes,
            weight,
        };
        if let Some(plain) = join(&self.plain) {
            matches.plain = Some(plain.members);
            matches.runs = plain.runs;
            matches.weight += plain.weight;
        }
        Some(matches)
    }
}

/// The weight of a [`Matches`] without what it holds, its allocation included.
const OWN_WEIGHT: usize = 7;
/// That of a [`QueueGroup`].
const GROUP_WEIGHT: usize = 3;
