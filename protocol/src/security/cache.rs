//! Certificates and tokens that have been checked, most recently used first.
//!
//! A node hears the same few callers over and over; their proofs need not be checked each time. An entry is
//! found by the whole text, compared byte for byte, and used only while its verdict holds: for a certificate
//! while every one of its chain is valid. Refused texts are not kept, so strangers cannot push callers out.
//!
//! A plain vector: with so few entries a scan that compares lengths first costs less than a hash.
//! Memory: at most [`ENTRIES_MAX`] texts of at most 32 KiB each and their keys, 200 KiB in ordinary use.

use std::sync::Arc;

use parking_lot::Mutex;

/// The most texts kept.
pub(super) const ENTRIES_MAX: usize = 64;

/// What the check of a text came to.
pub(super) trait Verdict {
    /// Whether the check would come out the same at this unix second.
    fn holds(&self, now: u64) -> bool;
}

#[derive(Debug)]
pub(super) struct VerdictCache<T> {
    /// Most recently used first; no two entries with the same text.
    entries: Mutex<Vec<Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    text: Box<str>,
    verdict: Arc<T>,
}

impl<T> Default for VerdictCache<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
        }
    }
}

impl<T: Verdict> VerdictCache<T> {
    /// The entry for this text if its verdict holds now; an entry out of its time is dropped.
    pub(super) fn find(&self, text: &str, now: u64) -> Option<Arc<T>> {
        let mut entries = self.entries.lock();
        let index = entries.iter().position(|entry| &*entry.text == text)?;
        if !entries[index].verdict.holds(now) {
            entries.remove(index);
            return None;
        }
        entries[..=index].rotate_right(1);
        Some(Arc::clone(&entries[0].verdict))
    }

    /// Keeps a checked text, in the place of the least recently used one where the cache is full.
    pub(super) fn insert(&self, text: &str, verdict: Arc<T>) {
        let mut entries = self.entries.lock();
        // Two threads may have checked the same text at once.
        entries.retain(|entry| &*entry.text != text);
        entries.truncate(ENTRIES_MAX - 1);
        entries.insert(
            0,
            Entry {
                text: text.into(),
                verdict,
            },
        );
    }

    pub(super) fn len(&self) -> usize {
        self.entries.lock().len()
    }
}
