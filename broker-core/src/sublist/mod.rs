//! The sublist: who wants which subject, shared by all shards of one account.
//!
//! Literal subjects lie in a striped hash table, wildcards in a trie; both lead to leaves that hold
//! the plain members and the queue groups of one subject.
//!
//! ```text
//! a.b.c   literal  → { plain: [m1, m2], queues: { "q": [m3] } }
//! a.*.c   trie     → { plain: [m4] }
//! a.>     trie     → { queues: { "q": [m5, peer r1 of weight 2] } }
//!
//! matches(a.b.c)   = plain m1 m2 m4, group "q" of m3 m5 and twice r1
//! ```
//!
//! Peers of a cluster are kept apart from the members here: a peer has one entry an interest, with a
//! weight, and a match shows each once.
//!
//! It is exact: a member that was inserted before a match began is in the result, one that was removed
//! before is not, and what it gives back is the state of one moment. It knows nothing of connections,
//! permissions, echo or delivery; a member is 16 bytes that mean something to its owner.
//!
//! **Cost.** Insertion and removal take O(tokens) and change one chunk of at most 256 members; a match
//! that one literal interest answers copies no member. Memory is stated with the types: `literals`,
//! `trie`, `members` and [`Interest`]. A subject of its own costs a node some 190 bytes with its text,
//! a subject shared by thousands 16 for each member.
//!
//! **Locks.** A reader holds the lock of one stripe, then that of the trie, both at once: a client that
//! replaces a wildcard subscription by a literal one is seen with one or both, never with none. A writer
//! holds one of them. None is held while a caller's code runs.
//!
//! Published subjects are literal whatever their bytes; see `wire::subject` for the rules.

mod cache;
mod directory;
mod edit;
mod generations;
mod interest;
mod leaf;
mod literals;
mod matches;
mod members;
mod remotes;
mod subject;
mod sync;
mod tally;
mod trie;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
// Counts only; nothing is ordered by them, so they stay out of the loom model.
use std::sync::atomic::AtomicU64 as Counter;
use std::sync::atomic::Ordering::Relaxed;

pub use cache::{CacheStats, MatchCache};
pub use interest::Interest;
pub use matches::{Matches, QueueGroup};
pub use remotes::Remote;

use generations::{Generations, Positions};
use leaf::Slot;
use literals::Literals;
use matches::Gathered;
use subject::{SubjectHasher, has_empty_token};
use sync::RwLock;
use tally::Tally;
use trie::Trie;

/// The top bits of a subject's hash choose its stripe.
const STRIPE_BITS: u32 = if cfg!(loom) { 0 } else { 6 };

/// One subscription's address.
///
/// Ordered by slot, generation and sid, which is also the order within a [`Matches`] chunk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Member {
    /// The connection's slot in the connection table.
    pub slot: u32,
    /// Which connection of those that have had the slot.
    pub generation: u32,
    /// The subscription among those of the connection.
    pub sid: u64,
}

/// The subscriptions of one account.
///
/// An empty one takes some 38 KiB, most of it generations.
pub struct Sublist {
    hasher: SubjectHasher,
    stripes: Box<[Stripe]>,
    trie: RwLock<Trie>,
    generations: Generations,
    /// Shared by all results that hold nothing.
    empty: Arc<Matches>,
}

struct Stripe {
    literals: RwLock<Literals>,
    /// Beside the lock, whose cache line a match takes anyway.
    matches: Counter,
}

/// Counts over the life of a [`Sublist`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SublistStats {
    /// Members that are in it, without those of peers.
    pub subscriptions: u64,
    /// Entries of peers that are in it.
    pub remotes: u64,
    /// Different pairs of subject and queue that are in it.
    pub interests: u64,
    /// Of those, the ones with a wildcard.
    pub wildcards: u64,
    /// Members that were inserted.
    pub inserts: u64,
    /// Members that were removed.
    pub removes: u64,
    /// Subjects that were matched here, so not counting the hits of a [`MatchCache`].
    pub matches: u64,
}

/// What [`Sublist::for_each`] shows members to: subject, queue and member.
pub type Visitor<'a> = dyn FnMut(&[u8], Option<&[u8]>, Member) + 'a;

impl Sublist {
    /// `seed` keys the hash, since peers choose the subjects. Equal seeds and operations give equal
    /// results in equal order.
    pub fn new(seed: u64) -> Self {
        let hasher = SubjectHasher::new(seed);
        let stripe = |_| Stripe {
            literals: RwLock::new(Literals::new()),
            matches: Counter::new(0),
        };
        Self {
            stripes: (0..1_u32 << STRIPE_BITS).map(stripe).collect(),
            trie: RwLock::new(Trie::new(hasher.clone())),
            generations: Generations::new(),
            empty: Arc::default(),
            hasher,
        }
    }

    /// Everyone who wants a message published to this subject.
    pub fn matches(&self, subject: &[u8]) -> Arc<Matches> {
        self.matches_hashed(subject, self.hasher.hash(subject))
    }

    /// Whether anyone wants a message published to this subject.
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        if has_empty_token(subject) {
            return false;
        }
        let hash = self.hasher.hash(subject);
        let stripe = self.stripe(hash);
        stripe.matches.fetch_add(1, Relaxed);
        let literals = stripe.literals.read();
        if literals.get(hash, subject).is_some() {
            return true;
        }
        // The stripe stays locked, as in a match.
        let trie = self.trie.read();
        trie.visit(subject, |_| ControlFlow::Break(())).is_break()
    }

    /// Counts, each exact in itself.
    pub fn stats(&self) -> SublistStats {
        let mut stats = SublistStats::default();
        for stripe in &self.stripes {
            stats.add(stripe.literals.read().tally);
            stats.matches += stripe.matches.load(Relaxed);
        }
        let wildcards = self.trie.read().tally;
        stats.add(wildcards);
        stats.wildcards = wildcards.interests;
        stats
    }

    /// Shows up to `limit` members from the given offset on, sorted by subject, queue and member.
    ///
    /// Meant for monitoring: it notes all interests, one stripe locked at a time, and sorts them. The
    /// visitor runs without a lock and may use the sublist.
    pub fn for_each(&self, from: usize, limit: usize, visitor: &mut Visitor<'_>) {
        let mut slots: Vec<Slot> = Vec::new();
        for stripe in &self.stripes {
            let literals = stripe.literals.read();
            slots.extend(literals.leaves().flat_map(|leaf| leaf.slots().cloned()));
        }
        let trie = self.trie.read();
        slots.extend(trie.leaves().flat_map(|leaf| leaf.slots().cloned()));
        drop(trie);
        slots.sort_unstable_by(|a, b| {
            let subjects = a.interest.subject().cmp(b.interest.subject());
            subjects.then_with(|| a.interest.queue_name().cmp(b.interest.queue_name()))
        });
        let (mut skip, mut left) = (from, limit);
        for Slot {
            interest, members, ..
        } in &slots
        {
            if left == 0 {
                break;
            }
            let Some(members) = members else { continue };
            let shown = members.len().saturating_sub(skip).min(left);
            for i in skip..skip + shown {
                visitor(interest.subject(), interest.queue(), members.get(i));
            }
            skip = skip.saturating_sub(members.len());
            left -= shown;
        }
    }

    /// Panics if the parts contradict each other.
    #[cfg(any(test, debug_assertions))]
    pub fn assert_invariants(&self) {
        let mut subscriptions = 0;
        let mut interests = 0;
        let mut remotes = 0;
        let mut count = |slot: &Slot| {
            subscriptions += slot.local_len();
            remotes += slot.remotes().len();
            interests += 1;
        };
        for (i, stripe) in self.stripes.iter().enumerate() {
            let literals = stripe.literals.read();
            for leaf in literals.leaves() {
                leaf.assert_invariants();
                assert_eq!(self.stripe_index(leaf.hash()), i);
                leaf.slots().for_each(&mut count);
            }
        }
        let trie = self.trie.read();
        trie.assert_invariants();
        let in_trie = trie.leaves().flat_map(|leaf| leaf.slots());
        in_trie.for_each(&mut count);
        drop(trie);
        let stats = self.stats();
        assert_eq!(usize::try_from(stats.subscriptions), Ok(subscriptions));
        assert_eq!(stats.interests, interests);
        assert_eq!(usize::try_from(stats.remotes), Ok(remotes));
    }

    fn matches_hashed(&self, subject: &[u8], hash: u32) -> Arc<Matches> {
        if has_empty_token(subject) {
            return Arc::clone(&self.empty);
        }
        let stripe = self.stripe(hash);
        stripe.matches.fetch_add(1, Relaxed);
        let literals = stripe.literals.read();
        let trie = self.trie.read();
        let mut gathered = Gathered::default();
        if let Some(leaf) = literals.get(hash, subject) {
            gathered.add(leaf);
        }
        let _ = trie.visit(subject, |leaf| {
            gathered.add(leaf);
            ControlFlow::Continue(())
        });
        gathered
            .into_matches()
            .map_or_else(|| Arc::clone(&self.empty), Arc::new)
    }

    fn stripe(&self, hash: u32) -> &Stripe {
        &self.stripes[self.stripe_index(hash)]
    }

    fn stripe_index(&self, hash: u32) -> usize {
        // By way of 64 bits, where a shift by 32 is defined.
        usize::try_from(u64::from(hash) >> (32 - STRIPE_BITS)).expect("a few bits")
    }

    fn hash(&self, subject: &[u8]) -> u32 {
        self.hasher.hash(subject)
    }

    fn positions(&self, subject: &[u8], hash: u32) -> Positions {
        generations::positions(subject, hash, &self.hasher)
    }

    fn stamp(&self, positions: Positions) -> u64 {
        self.generations.stamp(positions)
    }
}

impl SublistStats {
    fn add(&mut self, tally: Tally) {
        self.subscriptions += tally.inserts - tally.removes;
        self.interests += tally.interests;
        self.remotes += tally.remotes;
        self.inserts += tally.inserts;
        self.removes += tally.removes;
    }
}

impl fmt::Debug for Sublist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sublist")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
