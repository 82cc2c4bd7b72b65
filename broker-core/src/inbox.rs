//! What other shards ask of one shard, and the hand-shake that lets it sleep.
//!
//! A shard that wants to sleep says so first and looks into its inbox afterwards;
//! one that posts puts its notices in first and asks whether the owner sleeps afterwards.
//! So of the two at least one sees the other, and no notice waits for a sleeper (model-checked in `tests/inbox_loom.rs`).

use crate::ids::ConnRef;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Something another shard left for the owner of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The connection in this slot has bytes to be written, or is to be cut.
    Dirty(ConnRef),
    /// This connection's publisher was held back and may go on.
    Resume(ConnRef),
    /// This route takes the place of another to the same peer.
    Promote(ConnRef),
}

/// The notices for one shard.
#[derive(Debug, Default)]
pub struct Inbox {
    notices: Mutex<Vec<Notice>>,
    sleeping: AtomicBool,
}

impl Inbox {
    /// Leaves all of `batch`; afterwards it is empty. Returns whether the owner sleeps and this caller must wake it.
    pub fn post(&self, batch: &mut Vec<Notice>) -> bool {
        self.notices.lock().append(batch);
        self.must_wake()
    }

    /// Whether the owner sleeps; only one caller is told so for each sleep.
    pub fn must_wake(&self) -> bool {
        self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst)
    }

    /// Moves all notices to the end of `into`.
    pub fn take(&self, into: &mut Vec<Notice>) {
        into.append(&mut self.notices.lock());
    }

    /// Says that the owner is about to sleep; `false` means that notices wait and it must not.
    pub fn prepare_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.notices.lock().is_empty() {
            return true;
        }
        self.sleeping.store(false, Ordering::SeqCst);
        false
    }

    /// Says that the owner is awake.
    pub fn woke(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }
}
