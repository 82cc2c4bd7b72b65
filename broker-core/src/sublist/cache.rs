//! The match cache of one shard: results that are as exact as a fresh match.
//!
//! It serves one [`Sublist`], always the same. A hit costs one hash, one probe and four atomic loads,
//! and takes no lock; a result whose generations have moved on is matched again in its place
//! (see `generations`).
//!
//! - **Who gets in.** A subject enters at its second sighting, so the inboxes that get one reply each
//!   do not drive out what is asked for again and again. A filter of hashes remembers the first.
//! - **What it holds.** At most `capacity` results, and in them at most 64 copied members (1 KiB) for
//!   each place: a crowd of overlapping wildcards cannot multiply its members into the cache.
//! - **Who goes.** A sampled second chance: up to four results by lot, the first one that is stale or
//!   was not hit since it last drew. Each miss also looks at two results in turn and drops them if
//!   stale, for a stale one keeps chunks alive that the sublist has replaced.

use std::fmt;
use std::sync::Arc;

use fastrand::Rng;
use hashbrown::HashTable;

use super::generations::Positions;
use super::subject::spread;
use super::{Matches, Sublist};

/// Longer subjects are matched each time, so that `capacity` bounds the memory of the keys.
const SUBJECT_LEN_MAX: usize = 512;
/// Copied members (16 bytes) that the cache may hold for each place.
const WEIGHT_PER_PLACE: usize = 64;
/// The part of all weight that one result may have.
const WEIGHT_SHARE: usize = 8;
/// How many results draw lots before one goes.
const DRAWS: usize = 4;
/// How many results a miss checks for staleness.
const SWEPT_PER_MISS: usize = 2;

/// The results of one shard for one sublist.
///
/// A result costs 56 bytes, its subject, 10 to 21 of index, and the [`Matches`] it holds.
pub struct MatchCache {
    /// Places in `entries`, by the hash of the subject.
    index: HashTable<usize>,
    entries: Vec<Cached>,
    capacity: usize,
    weight: usize,
    /// Hashes seen once. Two subjects in one place cost a second miss, no more.
    sightings: Box<[u32]>,
    sweep_at: usize,
    rng: Rng,
    hits: u64,
    misses: u64,
    invalidated: u64,
}

struct Cached {
    subject: Box<[u8]>,
    matches: Arc<Matches>,
    /// Taken before the match was made.
    stamp: u64,
    hash: u32,
    positions: Positions,
    weight: usize,
    /// Hit since it last drew a lot.
    hit: bool,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Cached>() == 56);

/// Counts over the life of a [`MatchCache`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CacheStats {
    /// Look-ups answered from the cache.
    pub hits: u64,
    /// Look-ups that were matched by the sublist.
    pub misses: u64,
    /// Results found out of date, whether looked up or swept.
    pub invalidated: u64,
    /// Results held.
    pub len: usize,
}

impl MatchCache {
    /// Holds up to `capacity` results; `seed` is for the lots drawn when it is full.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.max(1);
        Self {
            index: HashTable::new(),
            entries: Vec::new(),
            capacity,
            weight: 0,
            sightings: vec![0; capacity.next_power_of_two()].into_boxed_slice(),
            sweep_at: 0,
            rng: Rng::with_seed(seed),
            hits: 0,
            misses: 0,
            invalidated: 0,
        }
    }

    /// Everyone who wants a message published to this subject, exactly as
    /// [`Sublist::matches`] would say.
    pub fn matches(&mut self, sublist: &Sublist, subject: &[u8]) -> Arc<Matches> {
        let hash = sublist.hash(subject);
        let Some(at) = self.find(subject, hash) else {
            return self.miss(sublist, subject, hash);
        };
        let cached = &mut self.entries[at];
        if sublist.stamp(cached.positions) == cached.stamp {
            self.hits += 1;
            cached.hit = true;
            return Arc::clone(&cached.matches);
        }
        self.invalidated += 1;
        self.refresh(sublist, at)
    }

    /// Looks at up to `count` results in turn and drops the stale ones. For an owner with time to
    /// spare: a cache that is not asked keeps what it holds.
    pub fn sweep(&mut self, sublist: &Sublist, count: usize) {
        for _ in 0..count.min(self.entries.len()) {
            if self.sweep_at >= self.entries.len() {
                self.sweep_at = 0;
            }
            if self.is_stale(sublist, self.sweep_at) {
                self.invalidated += 1;
                self.evict(self.sweep_at);
            } else {
                self.sweep_at += 1;
            }
        }
    }

    /// Counts.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits,
            misses: self.misses,
            invalidated: self.invalidated,
            len: self.entries.len(),
        }
    }

    /// The largest number of receivers among the results held, and the sum of all: a queue group
    /// is one receiver, and so is a peer.
    pub fn fanout(&self) -> (usize, usize) {
        let fanouts = self.entries.iter().map(|cached| {
            let matches = &cached.matches;
            matches.plain_len() + matches.groups().len() + matches.remotes().len()
        });
        fanouts.fold((0, 0), |(max, sum), fanout| (max.max(fanout), sum + fanout))
    }

    fn find(&self, subject: &[u8], hash: u32) -> Option<usize> {
        let is_it = |&at: &usize| {
            let cached = &self.entries[at];
            cached.hash == hash && *cached.subject == *subject
        };
        self.index.find(spread(hash), is_it).copied()
    }

    fn is_stale(&self, sublist: &Sublist, at: usize) -> bool {
        let cached = &self.entries[at];
        sublist.stamp(cached.positions) != cached.stamp
    }

    fn miss(&mut self, sublist: &Sublist, subject: &[u8], hash: u32) -> Arc<Matches> {
        self.misses += 1;
        self.sweep(sublist, SWEPT_PER_MISS);
        if subject.len() > SUBJECT_LEN_MAX || !self.seen_before(hash) {
            return sublist.matches_hashed(subject, hash);
        }
        let positions = sublist.positions(subject, hash);
        let stamp = sublist.stamp(positions);
        let matches = sublist.matches_hashed(subject, hash);
        let weight = matches.weight();
        if weight <= self.weight_max() / WEIGHT_SHARE {
            while self.entries.len() >= self.capacity {
                self.evict_one(sublist);
            }
            self.admit(Cached {
                subject: subject.into(),
                matches: Arc::clone(&matches),
                stamp,
                hash,
                positions,
                weight,
                hit: false,
            });
            self.evict_overweight(sublist);
        }
        matches
    }

    /// Matches an entry again, in its place.
    fn refresh(&mut self, sublist: &Sublist, at: usize) -> Arc<Matches> {
        self.misses += 1;
        let cached = &mut self.entries[at];
        let stamp = sublist.stamp(cached.positions);
        let matches = sublist.matches_hashed(&cached.subject, cached.hash);
        self.weight -= cached.weight;
        cached.weight = matches.weight();
        cached.stamp = stamp;
        cached.matches = Arc::clone(&matches);
        self.weight += cached.weight;
        if cached.weight > self.capacity * WEIGHT_PER_PLACE / WEIGHT_SHARE {
            self.evict(at);
        }
        self.evict_overweight(sublist);
        matches
    }

    fn seen_before(&mut self, hash: u32) -> bool {
        let at = hash as usize & (self.sightings.len() - 1);
        std::mem::replace(&mut self.sightings[at], hash) == hash
    }

    fn weight_max(&self) -> usize {
        self.capacity * WEIGHT_PER_PLACE
    }

    fn admit(&mut self, cached: Cached) {
        let Self { index, entries, .. } = self;
        let hash_of = |&at: &usize| spread(entries[at].hash);
        index.insert_unique(spread(cached.hash), entries.len(), hash_of);
        self.weight += cached.weight;
        self.entries.push(cached);
    }

    fn evict_overweight(&mut self, sublist: &Sublist) {
        while self.weight > self.weight_max() {
            self.evict_one(sublist);
        }
    }

    fn evict_one(&mut self, sublist: &Sublist) {
        let mut drawn = 0;
        for _ in 0..DRAWS {
            drawn = self.rng.usize(..self.entries.len());
            let hit = std::mem::take(&mut self.entries[drawn].hit);
            if !hit || self.is_stale(sublist, drawn) {
                break;
            }
        }
        self.evict(drawn);
    }

    fn evict(&mut self, at: usize) {
        let gone = self.entries.swap_remove(at);
        self.weight -= gone.weight;
        if let Ok(place) = self.index.find_entry(spread(gone.hash), |&i| i == at) {
            place.remove();
        }
        // The last entry has moved into the gap.
        if let Some(moved) = self.entries.get(at) {
            let from = self.entries.len();
            if let Some(place) = self.index.find_mut(spread(moved.hash), |&i| i == from) {
                *place = at;
            }
        }
    }

    /// Panics if the parts contradict each other.
    #[cfg(any(test, debug_assertions))]
    pub fn assert_invariants(&self) {
        assert_eq!(self.index.len(), self.entries.len());
        assert!(self.entries.len() <= self.capacity);
        for (at, cached) in self.entries.iter().enumerate() {
            assert_eq!(self.find(&cached.subject, cached.hash), Some(at));
        }
        let weight: usize = self.entries.iter().map(|cached| cached.weight).sum();
        assert_eq!(weight, self.weight);
        assert!(weight <= self.weight_max());
    }
}

impl fmt::Debug for MatchCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatchCache")
            .field("capacity", &self.capacity)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
