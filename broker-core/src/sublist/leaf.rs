//! All that is subscribed at one subject: the plain members and the queue groups, here and at peers.

use super::interest::Interest;
use super::members::{Members, Removal};
use super::remotes::{Remote, Remotes};
use super::{Member, remotes};

/// One interest with its members and the peers that have members: 40 bytes. Never without both.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) interest: Interest,
    pub(super) members: Option<Members>,
    remotes: Option<Box<Remotes>>,
}

/// The slots of one subject, never empty: 48 bytes.
#[derive(Debug)]
pub(super) struct Leaf {
    plain: Option<Slot>,
    queues: Option<Box<Queues>>,
}

/// Ascending by queue name, not empty. Insertion moves what lies behind, 40 bytes a group.
#[derive(Debug)]
struct Queues(Vec<Slot>);

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot>() == 40 && size_of::<Leaf>() == 48);

/// The subject, queue name (empty for none) and subject hash of an insertion.
#[derive(Clone, Copy)]
pub(super) struct NewKey<'a> {
    pub(super) subject: &'a [u8],
    pub(super) queue: &'a [u8],
    pub(super) hash: u32,
}

/// What is put under an interest, or taken from it.
#[derive(Clone, Copy)]
pub(super) enum Item {
    Local(Member),
    /// To be taken away it is known by its connection, whatever its weight.
    Remote(Remote),
}

/// What an insertion or removal did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// It was so already.
    Nothing,
    /// A local member came or went; so many are there.
    Local(usize),
    /// A peer came or went.
    Remote,
    /// The peer's weight is another one.
    Weight,
}

impl Effect {
    /// How many local members there are, if that changed.
    pub(super) fn locals(self) -> Option<usize> {
        match self {
            Self::Local(count) => Some(count),
            Self::Nothing | Self::Remote | Self::Weight => None,
        }
    }
}

/// What an insertion did.
pub(super) struct Inserted {
    pub(super) interest: Interest,
    /// The interest was not there before.
    pub(super) new_interest: bool,
    pub(super) effect: Effect,
}

/// What a removal did.
#[derive(Clone, Copy)]
pub(super) struct Removed {
    pub(super) effect: Effect,
    /// The interest had nobody else, so it is gone; the leaf may be empty then.
    pub(super) interest_gone: bool,
}

impl Removed {
    pub(super) const NOTHING: Self = Self {
        effect: Effect::Nothing,
        interest_gone: false,
    };
}

impl Slot {
    fn new(interest: Interest, item: Item) -> Self {
        let (members, remotes) = match item {
            Item::Local(member) => (Some(Members::One(member)), None),
            Item::Remote(remote) => (None, Some(Box::new(Remotes::new(remote)))),
        };
        Self {
            interest,
            members,
            remotes,
        }
    }

    pub(super) fn local_len(&self) -> usize {
        self.members.as_ref().map_or(0, Members::len)
    }

    pub(super) fn remotes(&self) -> &[Remote] {
        self.remotes.as_ref().map_or(&[], |remotes| remotes.all())
    }

    fn insert(&mut self, item: Item) -> Effect {
        match item {
            Item::Local(member) => {
                let new = match &mut self.members {
                    Some(members) => members.insert(member),
                    none => {
                        *none = Some(Members::One(member));
                        true
                    }
                };
                if new {
                    Effect::Local(self.local_len())
                } else {
                    Effect::Nothing
                }
            }
            Item::Remote(remote) => match &mut self.remotes {
                None => {
                    self.remotes = Some(Box::new(Remotes::new(remote)));
                    Effect::Remote
                }
                Some(remotes) => match remotes.set(remote) {
                    remotes::Set::New => Effect::Remote,
                    remotes::Set::Changed => Effect::Weight,
                    remotes::Set::Same => Effect::Nothing,
                },
            },
        }
    }

    fn remove(&mut self, item: Item) -> Removed {
        let effect = match item {
            Item::Local(member) => match self.members.as_mut().map(|m| m.remove(member)) {
                None | Some(Removal::Missing) => Effect::Nothing,
                Some(Removal::Removed) => Effect::Local(self.local_len()),
                Some(Removal::Last) => {
                    self.members = None;
                    Effect::Local(0)
                }
            },
            Item::Remote(remote) => match self.remotes.as_mut().map(|r| r.remove(remote)) {
                None | Some(Removal::Missing) => Effect::Nothing,
                Some(Removal::Removed) => Effect::Remote,
                Some(Removal::Last) => {
                    self.remotes = None;
                    Effect::Remote
                }
            },
        };
        Removed {
            effect,
            interest_gone: self.members.is_none() && self.remotes.is_none(),
        }
    }

    #[cfg(any(test, debug_assertions))]
    fn assert_invariants(&self) {
        assert!(self.members.is_some() || self.remotes.is_some());
        if let Some(members) = &self.members {
            members.assert_invariants();
        }
        if let Some(remotes) = &self.remotes {
            remotes.assert_invariants();
        }
    }
}

impl Leaf {
    pub(super) fn new(key: NewKey<'_>, item: Item) -> (Self, Inserted) {
        let mut leaf = Self {
            plain: None,
            queues: None,
        };
        let inserted = leaf.insert(key, item);
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

    /// The slot of this queue name, empty for none.
    pub(super) fn slot(&self, queue: &[u8]) -> Option<&Slot> {
        if queue.is_empty() {
            return self.plain();
        }
        let queues = self.queues();
        search(queues, queue).ok().map(|at| &queues[at])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_none() && self.queues.is_none()
    }

    pub(super) fn insert(&mut self, key: NewKey<'_>, item: Item) -> Inserted {
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
                effect: slot.insert(item),
            },
            Err(at) => self.insert_slot(at, key, item),
        }
    }

    fn insert_slot(&mut self, at: usize, key: NewKey<'_>, item: Item) -> Inserted {
        let interest = Interest::new(key.subject, key.queue, key.hash);
        let slot = Slot::new(interest.clone(), item);
        match &mut self.queues {
            Some(queues) if !key.queue.is_empty() => queues.0.insert(at, slot),
            _ => self.plain = Some(slot),
        }
        Inserted {
            interest,
            new_interest: true,
            effect: match item {
                Item::Local(_) => Effect::Local(1),
                Item::Remote(_) => Effect::Remote,
            },
        }
    }

    pub(super) fn remove(&mut self, queue: &[u8], item: Item) -> Removed {
        if queue.is_empty() {
            let Some(slot) = &mut self.plain else {
                return Removed::NOTHING;
            };
            let removed = slot.remove(item);
            if removed.interest_gone {
                self.plain = None;
            }
            return removed;
        }
        let Some(queues) = &mut self.queues else {
            return Removed::NOTHING;
        };
        let Ok(at) = search(&queues.0, queue) else {
            return Removed::NOTHING;
        };
        let removed = queues.0[at].remove(item);
        if removed.interest_gone {
            queues.0.remove(at);
            if queues.0.is_empty() {
                self.queues = None;
            }
        }
        removed
    }

    #[cfg(any(test, debug_assertions))]
    pub(super) fn assert_invariants(&self) {
        assert!(!self.is_empty());
        let subject = self.interest().expect("not empty").subject();
        for slot in self.slots() {
            assert_eq!(slot.interest.subject(), subject);
            slot.assert_invariants();
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
