//! Counts kept under the lock of what they count.

use super::leaf::Inserted;
use super::members::Removal;

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    pub(super) interests: u64,
    pub(super) inserts: u64,
    pub(super) removes: u64,
}

impl Tally {
    pub(super) fn inserted(&mut self, inserted: &Inserted) {
        self.interests += u64::from(inserted.new_interest);
        self.inserts += u64::from(inserted.new_member);
    }

    /// Returns whether there was anything to remove.
    pub(super) fn removed(&mut self, removal: Removal) -> bool {
        self.interests -= u64::from(removal == Removal::Last);
        self.removes += u64::from(removal != Removal::Missing);
        removal != Removal::Missing
    }
}
