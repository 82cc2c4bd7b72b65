//! Counts kept under the lock of what they count.

use super::leaf::{Effect, Inserted, Removed};

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    pub(super) interests: u64,
    pub(super) inserts: u64,
    pub(super) removes: u64,
    pub(super) remotes: u64,
}

impl Tally {
    pub(super) fn inserted(&mut self, inserted: &Inserted) {
        self.interests += u64::from(inserted.new_interest);
        match inserted.effect {
            Effect::Local(_) => self.inserts += 1,
            Effect::Remote => self.remotes += 1,
            Effect::Nothing | Effect::Weight => {}
        }
    }

    pub(super) fn removed(&mut self, removed: Removed) {
        self.interests -= u64::from(removed.interest_gone);
        match removed.effect {
            Effect::Local(_) => self.removes += 1,
            Effect::Remote => self.remotes -= 1,
            Effect::Nothing | Effect::Weight => {}
        }
    }
}
