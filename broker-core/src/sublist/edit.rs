//! Changes of the sublist, and what those who announce them to peers must ask.

use super::interest::Interest;
use super::leaf::{Effect, Inserted, Item, Leaf, NewKey, Removed, Slot};
use super::subject::{has_empty_token, has_wildcard};
use super::{Member, Remote, Sublist};

impl Sublist {
    /// Adds a member; one that is there already stays as it is.
    ///
    /// The subject must have passed `wire::subject::is_valid_subscription`. An empty queue name is
    /// the same as none. The handle keeps the text shared and is what [`remove`](Self::remove) wants.
    pub fn insert(&self, subject: &[u8], queue: Option<&[u8]>, member: Member) -> Interest {
        self.insert_counted(subject, queue, member).0
    }

    /// As [`insert`](Self::insert); says how many members the interest has here, if that changed.
    pub fn insert_counted(
        &self,
        subject: &[u8],
        queue: Option<&[u8]>,
        member: Member,
    ) -> (Interest, Option<usize>) {
        let inserted = self.insert_item(subject, queue, Item::Local(member));
        (inserted.interest, inserted.effect.locals())
    }

    /// Takes a member out. Returns false if it is not there.
    pub fn remove(&self, interest: &Interest, member: Member) -> bool {
        self.remove_counted(interest, member).is_some()
    }

    /// As [`remove`](Self::remove); says how many members are left here, if one went.
    pub fn remove_counted(&self, interest: &Interest, member: Member) -> Option<usize> {
        let removed = self.remove_item(interest, Item::Local(member));
        removed.effect.locals()
    }

    /// Adds a peer, or changes its weight. The subject is held to the rule of [`insert`](Self::insert).
    pub fn set_remote(&self, subject: &[u8], queue: Option<&[u8]>, remote: Remote) -> Interest {
        let item = Item::Remote(remote);
        self.insert_item(subject, queue, item).interest
    }

    /// Takes a peer's entry out, known by its connection. Returns false if it is not there.
    pub fn remove_remote(&self, interest: &Interest, remote: Remote) -> bool {
        let removed = self.remove_item(interest, Item::Remote(remote));
        removed.effect != Effect::Nothing
    }

    /// How many members an interest has here.
    pub fn local_len(&self, interest: &Interest) -> usize {
        let (subject, queue) = (interest.subject(), interest.queue_name());
        let len = |leaf: &Leaf| leaf.slot(queue).map_or(0, Slot::local_len);
        if has_wildcard(subject) {
            self.trie.read().leaf(subject).map_or(0, len)
        } else {
            let literals = self.stripe(interest.hash()).literals.read();
            literals.get(interest.hash(), subject).map_or(0, len)
        }
    }

    /// The weights of all peers under an interest together.
    pub fn remote_weight(&self, interest: &Interest) -> u64 {
        let (subject, queue) = (interest.subject(), interest.queue_name());
        let sum = |leaf: &Leaf| {
            let remotes = leaf.slot(queue).map_or(&[][..], Slot::remotes);
            remotes.iter().map(|remote| u64::from(remote.weight)).sum()
        };
        if has_wildcard(subject) {
            self.trie.read().leaf(subject).map_or(0, sum)
        } else {
            let literals = self.stripe(interest.hash()).literals.read();
            literals.get(interest.hash(), subject).map_or(0, sum)
        }
    }

    /// A handle of an interest that need not be in the sublist.
    pub fn interest(&self, subject: &[u8], queue: Option<&[u8]>) -> Interest {
        let queue = queue.unwrap_or_default();
        Interest::new(subject, queue, self.hasher.hash(subject))
    }

    /// Appends one part of all interests that have members here; `false` behind the last part.
    ///
    /// Parts are counted from 0. An interest that has members from the first call to the last is in one
    /// of the parts; one that comes or goes meanwhile may be.
    pub fn local_interests(&self, part: usize, into: &mut Vec<Interest>) -> bool {
        let local = |slot: &&Slot| slot.local_len() > 0;
        if let Some(stripe) = self.stripes.get(part) {
            let literals = stripe.literals.read();
            let slots = literals.leaves().flat_map(|leaf| leaf.slots());
            into.extend(slots.filter(local).map(|slot| slot.interest.clone()));
            return true;
        }
        let trie = self.trie.read();
        let Some(leaves) = trie.leaves_of_block(part - self.stripes.len()) else {
            return false;
        };
        let slots = leaves.flat_map(|leaf| leaf.slots());
        into.extend(slots.filter(local).map(|slot| slot.interest.clone()));
        true
    }

    fn insert_item(&self, subject: &[u8], queue: Option<&[u8]>, item: Item) -> Inserted {
        debug_assert!(!has_empty_token(subject), "the subject was not checked");
        let key = NewKey {
            subject,
            queue: queue.unwrap_or_default(),
            hash: self.hasher.hash(subject),
        };
        if has_wildcard(subject) {
            let mut trie = self.trie.write();
            let inserted = trie.insert(key, item);
            if inserted.effect != Effect::Nothing {
                self.generations.raise_wildcard(subject, &self.hasher);
            }
            inserted
        } else {
            let mut literals = self.stripe(key.hash).literals.write();
            let inserted = literals.insert(key, item);
            if inserted.effect != Effect::Nothing {
                self.generations.raise_literal(key.hash);
            }
            inserted
        }
    }

    fn remove_item(&self, interest: &Interest, item: Item) -> Removed {
        let subject = interest.subject();
        if has_wildcard(subject) {
            let mut trie = self.trie.write();
            let removed = trie.remove(interest, item);
            if removed.effect != Effect::Nothing {
                self.generations.raise_wildcard(subject, &self.hasher);
            }
            removed
        } else {
            let mut literals = self.stripe(interest.hash()).literals.write();
            let removed = literals.remove(interest, item);
            if removed.effect != Effect::Nothing {
                self.generations.raise_literal(interest.hash());
            }
            removed
        }
    }
}
