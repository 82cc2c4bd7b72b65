//! What a published subject matches: an immutable snapshot of members and queue groups.

use super::Member;
use super::interest::Interest;
use super::leaf::{Leaf, Slot};
use super::members::{Members, find_slot, join};

use smallvec::SmallVec;

/// The result of a match, as it was at one moment; later changes of the sublist do not reach it.
///
/// A subject that only one interest matches costs an allocation of 80 bytes, however many members
/// that interest has: the members are shared with the sublist.
#[derive(Default, Debug)]
pub struct Matches {
    plain: Option<Members>,
    /// Where the plain members come from several interests: the ends of their ascending runs, in
    /// chunks. Else empty.
    runs: Box<[usize]>,
    groups: Box<[QueueGroup]>,
    weight: usize,
}

/// The members of one queue group, which gets a message once.
///
/// It is one group by its name, whatever subjects its members used.
#[derive(Debug)]
pub struct QueueGroup {
    interest: Interest,
    members: Members,
}

impl Matches {
    /// Whether nobody is interested.
    pub fn is_empty(&self) -> bool {
        self.plain.is_none() && self.groups.is_empty()
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

    /// The number of members, never 0. A connection that joined by two subjects counts twice.
    #[expect(clippy::len_without_is_empty, reason = "a group is never empty")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// One member.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`len`](Self::len).
    pub fn member(&self, i: usize) -> Member {
        self.members.get(i)
    }
}

/// Gathers leaves under the sublist's locks and makes the snapshot.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    plain: SmallVec<[&'a Members; 8]>,
    queues: SmallVec<[&'a Slot; 8]>,
}

impl<'a> Gathered<'a> {
    pub(super) fn add(&mut self, leaf: &'a Leaf) {
        self.plain.extend(leaf.plain().map(|slot| &slot.members));
        self.queues.extend(leaf.queues());
    }

    /// Nothing, if nobody is interested.
    pub(super) fn into_matches(mut self) -> Option<Matches> {
        if self.plain.is_empty() && self.queues.is_empty() {
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
            let sets: SmallVec<[&Members; 8]> = slots.iter().map(|slot| &slot.members).collect();
            let joined = join(&sets)?;
            weight += GROUP_WEIGHT + joined.weight;
            Some(QueueGroup {
                interest: slots.first()?.interest.clone(),
                members: joined.members,
            })
        });
        let groups = groups.collect();
        let mut matches = Matches {
            plain: None,
            runs: Box::default(),
            groups,
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
const OWN_WEIGHT: usize = 6;
/// That of a [`QueueGroup`].
const GROUP_WEIGHT: usize = 2;
