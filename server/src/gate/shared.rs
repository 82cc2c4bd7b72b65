//! One verification for many nodes.
//!
//! A broadcast reaches fifty thousand nodes of a process as the same bytes, and a client sends the same bytes to every
//! node it addresses. The outcome for recent payloads is kept: found by hash, proven equal byte by byte.
//!
//! Invariant: an outcome is used only in the second of the wall clock it was found in. So a certificate that expires,
//! or becomes valid, is noticed as without the cache, and the cost is one verification a payload and second.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;
use muster_protocol::security::RequestSecurity;
use parking_lot::Mutex;

use super::{Gate, OpenedRequest, Refusal, open};

/// Payloads whose outcome is kept, at most.
pub const CACHED_REQUESTS_MAX: usize = 64;
/// Bytes of payloads kept, at most; the requests made of them take about as much again.
pub const CACHED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Verifies each distinct payload once a second: for many nodes in one process.
#[derive(Debug)]
pub struct VerifyShared {
    security: RequestSecurity,
    cache: Mutex<Cache>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Cache {
    /// The oldest in front.
    entries: VecDeque<Entry>,
    /// Bytes of all payloads.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    unix_secs: u64,
    payload: Box<[u8]>,
    outcome: Result<Arc<OpenedRequest>, Refusal>,
}

impl VerifyShared {
    /// A gate with this security, to be shared by reference.
    #[must_use]
    pub fn new(security: RequestSecurity) -> Self {
        Self {
            security,
            cache: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Payloads whose outcome was known.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Payloads that were verified.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

impl Gate for VerifyShared {
    fn open(&self, payload: &[u8], unix: Duration) -> Result<Arc<OpenedRequest>, Refusal> {
        // A fixed seed: whoever makes hashes collide gains some comparisons of bytes, at most one an entry.
        let hash = FixedState::with_seed(0).hash_one(payload);
        let unix_secs = unix.as_secs();
        if let Some(outcome) = self.cache.lock().find(hash, unix_secs, payload) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return outcome;
        }
        // Outside the lock: two threads may verify the same payload, and neither waits for the other.
        self.misses.fetch_add(1, Ordering::Relaxed);
        let outcome = open(&self.security, payload, unix).map(Arc::new);
        let entry = Entry {
            hash,
            unix_secs,
            payload: payload.into(),
            outcome: outcome.clone(),
        };
        self.cache.lock().insert(entry);
        outcome
    }
}

impl Cache {
    fn find(
        &self,
        hash: u64,
        unix_secs: u64,
        payload: &[u8],
    ) -> Option<Result<Arc<OpenedRequest>, Refusal>> {
        // From the back: what came last is what most nodes ask for.
        let entry = self.entries.iter().rev().find(|entry| {
            entry.hash == hash && entry.unix_secs == unix_secs && *entry.payload == *payload
        })?;
        Some(entry.outcome.clone())
    }

    fn insert(&mut self, entry: Entry) {
        if entry.payload.len() > CACHED_BYTES_MAX {
            return;
        }
        self.bytes += entry.payload.len();
        self.entries.push_back(entry);
        while self.entries.len() > CACHED_REQUESTS_MAX || self.bytes > CACHED_BYTES_MAX {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.payload.len();
        }
    }
}
