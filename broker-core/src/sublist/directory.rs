//! The spine of a large member set: copy-on-write chunks, in order.
//!
//! Members that come in ascending order fill their chunks to the last place: a full chunk at the end
//! is followed by a new one, and only an insertion in the middle splits. Whatever is shared with a
//! snapshot is copied before it is changed, a chunk at a time.

use std::sync::Arc;

use super::Member;

/// The most members in one chunk, so the most that one change copies: 4 KiB.
pub(super) const CHUNK_MAX: usize = 256;

pub(super) type Chunk = Vec<Member>;

/// The spine of a large set.
///
/// Chunks are not empty, hold at most [`CHUNK_MAX`], and ascend within and among themselves.
/// A directory made of several sets ([`join`](super::members::join)) is the exception: it ascends only
/// within its runs, and is not changed any more.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    chunks: Vec<Arc<Chunk>>,
    /// For each chunk, the number of members up to its end.
    ends: Vec<usize>,
}

/// Where a member is or belongs.
#[derive(Clone, Copy)]
pub(super) struct Place {
    chunk: usize,
    at: usize,
    pub(super) found: bool,
}

impl Directory {
    /// The chunks hold to the rules above, or are not changed any more.
    pub(super) fn new(chunks: Vec<Arc<Chunk>>) -> Self {
        let ends = chunks.iter().scan(0, |total, chunk| {
            *total += chunk.len();
            Some(*total)
        });
        Self {
            ends: ends.collect(),
            chunks,
        }
    }

    pub(super) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    pub(super) fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    pub(super) fn get(&self, i: usize) -> Member {
        let chunk = self.ends.partition_point(|&end| end <= i);
        let start = chunk.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.chunks[chunk][i - start]
    }

    pub(super) fn place(&self, member: Member) -> Place {
        let tail = self.chunks.len() - 1;
        // Sequential insertion is the common case and needs no search.
        if last(&self.chunks[tail]) < Some(member) {
            return Place {
                chunk: tail,
                at: self.chunks[tail].len(),
                found: false,
            };
        }
        let chunk = self.chunks.partition_point(|c| last(c) < Some(member));
        let (at, found) = match self.chunks[chunk].binary_search(&member) {
            Ok(at) => (at, true),
            Err(at) => (at, false),
        };
        Place { chunk, at, found }
    }

    pub(super) fn insert(&mut self, place: Place, member: Member) {
        let Place {
            mut chunk, mut at, ..
        } = place;
        if self.chunks[chunk].len() == CHUNK_MAX {
            if at == CHUNK_MAX {
                // Only the last chunk is inserted to past its end.
                let mut tail = Vec::with_capacity(CHUNK_MAX / 4);
                tail.push(member);
                self.chunks.push(Arc::new(tail));
                self.ends.push(self.len() + 1);
                return;
            }
            self.split(chunk);
            if at > CHUNK_MAX / 2 {
                chunk += 1;
                at -= CHUNK_MAX / 2;
            }
        }
        insert_in_chunk(&mut self.chunks[chunk], at, member);
        for end in &mut self.ends[chunk..] {
            *end += 1;
        }
    }

    fn split(&mut self, chunk: usize) {
        let (left, right) = self.chunks[chunk].split_at(CHUNK_MAX / 2);
        let (left, right) = (Arc::new(left.to_vec()), Arc::new(right.to_vec()));
        self.ends
            .insert(chunk, self.ends[chunk] - (CHUNK_MAX - left.len()));
        self.chunks[chunk] = left;
        self.chunks.insert(chunk + 1, right);
    }

    pub(super) fn remove(&mut self, place: Place) {
        let Place { chunk, at, .. } = place;
        remove_from_chunk(&mut self.chunks[chunk], at);
        for end in &mut self.ends[chunk..] {
            *end -= 1;
        }
        if self.chunks[chunk].is_empty() {
            self.chunks.remove(chunk);
            self.ends.remove(chunk);
        } else if self.mergeable(chunk) {
            self.merge(chunk);
        } else if chunk > 0 && self.mergeable(chunk - 1) {
            self.merge(chunk - 1);
        }
    }

    /// Neighbours merge when they fill half a chunk together: far enough from the point of splitting
    /// that a set does not swing between the two.
    fn mergeable(&self, left: usize) -> bool {
        self.chunks
            .get(left + 1)
            .is_some_and(|right| self.chunks[left].len() + right.len() <= CHUNK_MAX / 2)
    }

    fn merge(&mut self, left: usize) {
        let merged = [&self.chunks[left][..], &self.chunks[left + 1][..]].concat();
        self.chunks[left] = Arc::new(merged);
        self.chunks.remove(left + 1);
        self.ends.remove(left);
    }

    #[cfg(any(test, debug_assertions))]
    pub(super) fn assert_invariants(&self) {
        assert_eq!(self.chunks.len(), self.ends.len());
        let mut total = 0;
        let mut previous = None;
        for (chunk, &end) in self.chunks.iter().zip(&self.ends) {
            assert!((1..=CHUNK_MAX).contains(&chunk.len()));
            total += chunk.len();
            assert_eq!(total, end);
            assert!(chunk.is_sorted_by(|a, b| a < b));
            assert!(previous < chunk.first().copied());
            previous = last(chunk);
        }
    }
}

fn last(chunk: &Chunk) -> Option<Member> {
    chunk.last().copied()
}

/// What a chunk of `len` members that must grow is grown to.
fn grown(len: usize) -> usize {
    let step = if len < 64 { 16 } else { len };
    (len + step).min(CHUNK_MAX)
}

fn insert_in_chunk(chunk: &mut Arc<Chunk>, at: usize, member: Member) {
    if let Some(own) = Arc::get_mut(chunk) {
        if own.len() == own.capacity() {
            own.reserve_exact(grown(own.len()) - own.len());
        }
        own.insert(at, member);
    } else {
        let mut copy = Vec::with_capacity(grown(chunk.len()));
        copy.extend_from_slice(&chunk[..at]);
        copy.push(member);
        copy.extend_from_slice(&chunk[at..]);
        *chunk = Arc::new(copy);
    }
}

fn remove_from_chunk(chunk: &mut Arc<Chunk>, at: usize) {
    if let Some(own) = Arc::get_mut(chunk) {
        own.remove(at);
        if own.capacity() > 2 * own.len() + 16 {
            own.shrink_to(own.len() + 8);
        }
    } else {
        *chunk = Arc::new([&chunk[..at], &chunk[at + 1..]].concat());
    }
}
