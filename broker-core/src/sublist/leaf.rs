//! All that is subscribed at one subject: the plain members and the queue groups.

use super::Member;
use super::interest::Interest;
use super::members::{Members, Removal};

/// One interest and its members: 32 bytes.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) interest: Interest,
    pub(super) members: Members,
}

/// The slots of one subject, never empty: 40 bytes.
#[derive(Debug)]
pub(super) struct Leaf {
    plain: Option<Slot>,
    queues: Option<Box<Queues>>,
}

/// Ascending by queue name, not empty. Insertion moves what lies behind, 32 bytes a group.
#[derive(Debug)]
struct Queues(Vec<Slot>);

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot>() == 32 && size_of::<Leaf>() == 40);

/// The subject, queue name (empty for none) and subject hash of an insertion.
#[derive(Clone, Copy)]
pub(super) struct NewKey<'a> {
    pub(super) subject: &'a [u8],
    pub(super) queue: &'a [u8],
    pub(super) hash: u32,
}

/// What an insertion did.
pub(super) struct Inserted {
    pub(super) interest: Interest,
    /// The interest had no members before.
    pub(super) new_interest: bool,
    /// The member was not there before.
    pub(super) new_member: bool,
}

impl Leaf {
    pub(super) fn new(key: NewKey<'_>, member: Member) -> (Self, Inserted) {
        let mut leaf = Self {
            plain: None,
            queues: None,
        };
        let inserted = leaf.insert(key, member);
        (leaf, inserted)
    }

    /// The subject of this leaf, taken from any of its interests.
    pub(super) fn interest(&self) -> Option<&Interest> {
        self.slots().next().map(|slot| &slot.interest)
    }

    pub(super) fn has_subject(&self, subject: &[u8]) -> bool {
        self.interest().is_some_and(|i| i.subject() == subject)
    }

    pub(super) fn hash(&self) -> u32 {
        self.interest().map_or(0, Interest::hash)
    }

    pub(super) fn plain(&self) -> Option<&Slot> {
        self.plain.as_ref()
    }

    pub(super) fn queues(&self) -> &[Slot] {
        self.queues.as_ref().map_or(&[], |queues| &queues.0)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.plain.iter().chain(self.queues())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_none() && self.queues.is_none()
    }

    pub(super) fn insert(&mut self, key: NewKey<'_>, member: Member) -> Inserted {
        let found = if key.queue.is_empty() {
            self.plain.as_mut().ok_or(0)
        } else {
            let slots = &mut self
                .queues
                .get_or_insert_with(|| Box::new(Queues(Vec::new())))
                .0;
            match search(slots, key.queue) {
                Ok(at) => Ok(&mut slots[at]),
                Err(at) => Err(at),
            }
        };
        match found {
            Ok(slot) => Inserted {
                interest: slot.interest.clone(),
                new_interest: false,
                new_member: slot.members.insert(member),
            },
            Err(at) => self.insert_slot(at, key, member),
        }
    }

    fn insert_slot(&mut self, at: usize, key: NewKey<'_>, member: Member) -> Inserted {
        let interest = Interest::new(key.subject, key.queue, key.hash);
        let slot = Slot {
            interest: interest.clone(),
            members: Members::One(member),
        };
        match &mut self.queues {
            Some(queues) if !key.queue.is_empty() => queues.0.insert(at, slot),
            _ => self.plain = Some(slot),
        }
        Inserted {
            interest,
            new_interest: true,
            new_member: true,
        }
    }

    /// [`Removal::Last`] means the interest is gone; the leaf may be empty then.
    pub(super) fn remove(&mut self, queue: &[u8], member: Member) -> Removal {
        if queue.is_empty() {
            let Some(slot) = &mut self.plain else {
                return Removal::Missing;
            };
            let removal = slot.members.remove(member);
            if removal == Removal::Last {
                self.plain = None;
            }
            return removal;
        }
        let Some(queues) = &mut self.queues else {
            return Removal::Missing;
        };
        let Ok(at) = search(&queues.0, queue) else {
            return Removal::Missing;
        };
        let removal = queues.0[at].members.remove(member);
        if removal == Removal::Last {
            queues.0.remove(at);
            if queues.0.is_empty() {
                self.queues = None;
            }
        }
        removal
    }

    #[cfg(any(test, debug_assertions))]
    pub(super) fn assert_invariants(&self) {
        assert!(!self.is_empty());
        let subject = self.interest().expect("not empty").subject();
        for slot in self.slots() {
            assert_eq!(slot.interest.subject(), subject);
            slot.members.assert_invariants();
        }
        assert!(self.plain().is_none_or(|s| s.interest.queue().is_none()));
        let names = || self.queues().iter().map(|s| s.interest.queue_name());
        assert!(names().all(|name| !name.is_empty()));
        assert!(names().is_sorted_by(|a, b| a < b));
    }
}

fn search(slots: &[Slot], queue: &[u8]) -> Result<usize, usize> {
    slots.binary_search_by(|slot| slot.interest.queue_name().cmp(queue))
}
