//! Certificates whose chain has been checked, most recently used first.
//!
//! A node hears the same few callers over and over; their chains need not be checked each time. An entry is
//! found by the whole certificate text, compared byte for byte, and used only while the time lies in the
//! window in which every certificate of its chain is valid. Refused certificates are not kept, so strangers
//! cannot push callers out.
//!
//! A plain vector: with so few entries a scan that compares lengths first costs less than a hash.
//! Memory: at most [`ENTRIES_MAX`] texts of at most 32 KiB each and their keys, 200 KiB in ordinary use.

use std::sync::Arc;

use parking_lot::Mutex;

use super::trust::CheckedCert;

/// The most certificates kept.
pub(super) const ENTRIES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct ChainCache {
    /// Most recently used first; no two entries with the same text.
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    pubcert: Box<str>,
    cert: Arc<CheckedCert>,
}

impl ChainCache {
    /// The entry for this text if its verdict holds now; an entry out of its time is dropped.
    pub(super) fn find(&self, pubcert: &str, now: u64) -> Option<Arc<CheckedCert>> {
        let mut entries = self.entries.lock();
        let index = entries
            .iter()
            .position(|entry| &*entry.pubcert == pubcert)?;
        if !entries[index].cert.window.contains(now) {
            entries.remove(index);
            return None;
        }
        entries[..=index].rotate_right(1);
        Some(Arc::clone(&entries[0].cert))
    }

    /// Keeps a checked certificate, in the place of the least recently used one where the cache is full.
    pub(super) fn insert(&self, pubcert: &str, cert: Arc<CheckedCert>) {
        let mut entries = self.entries.lock();
        // Two threads may have checked the same certificate at once.
        entries.retain(|entry| &*entry.pubcert != pubcert);
        entries.truncate(ENTRIES_MAX - 1);
        entries.insert(
            0,
            Entry {
                pubcert: pubcert.into(),
                cert,
            },
        );
    }

    pub(super) fn len(&self) -> usize {
        self.entries.lock().len()
    }
}
