//! The connection table: the part of each connection that all shards may touch.
//!
//! A slot holds the subscriptions (for the exact count of deliveries) and the outbound queue, behind one lock.
//! Slots lie in chunks that are never moved or freed; a slot that is used again has a new generation,
//! so a reference kept in a snapshot of the sublist reaches either the connection it meant or nothing.
//!
//! Lock order: a sublist's lock, then one slot's; never two slots', never the other way round.
//! Memory: [`SLOT_BYTES`] a slot, its subscriptions (`subs.rs`) and what waits to be written beside it.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};

use crate::ids::{ConnRef, Key, ShardId};
use crate::outbound::OutQueue;
use crate::permissions::Permissions;
use crate::subs::{SidNames, Sub, SubTable};

/// Slots of a chunk.
const CHUNK: usize = 1024;

/// Bytes of one slot.
pub const SLOT_BYTES: usize = size_of::<Slot>();

const _: () = assert!(SLOT_BYTES <= 160);

/// What other shards must know of a connection's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Life {
    /// The slot belongs to no connection.
    #[default]
    Free,
    /// Deliveries are taken.
    Open,
    /// Deliveries are refused, what waits is still flushed.
    Closing,
    /// More waited than the limit allows: the owner closes it, deliveries are refused.
    Cut,
}

/// Publishers that were held back; boxed, because few receivers ever have some.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) publishers: Vec<ConnRef>,
}

/// The shared part of a connection.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) generation: u32,
    /// Index in the owner's slab.
    pub(crate) index: u32,
    pub(crate) owner: u16,
    pub(crate) life: Life,
    /// Whether the receiver understands headers.
    pub(crate) headers: bool,
    /// Whether a notice of this connection is under way to its owner.
    pub(crate) dirty: bool,
    /// Whether some subscription has had its last message and is to be removed by the owner.
    pub(crate) exhausted: bool,
    /// Whether a subscription was ever removed, so that a sid may mean another one than a snapshot of the sublist knows.
    pub(crate) recycles: bool,
    pub(crate) subs: SubTable,
    pub(crate) names: Option<Box<SidNames>>,
    pub(crate) out: OutQueue,
    /// Bytes the connection must still get: in `out` and what its owner took from there but has not written.
    pub(crate) owed: u64,
    pub(crate) out_msgs: u64,
    pub(crate) out_bytes: u64,
    /// Its permissions, once some subscription is wider than what it may have.
    pub(crate) filter: Option<Arc<Permissions>>,
    /// Publishers that wait until this connection has drained.
    pub(crate) held: Option<Box<Held>>,
}

impl Shared {
    /// The number under which a sid is kept, if it needs no name or has one.
    pub(crate) fn find_sid(&self, sid: &[u8]) -> Option<u64> {
        match &self.names {
            Some(names) => names.find(sid),
            None => SidNames::default().find(sid),
        }
    }

    /// The number under which a sid is kept, from now on.
    pub(crate) fn name_sid(&mut self, sid: &[u8]) -> u64 {
        match self.find_sid(sid) {
            Some(number) => number,
            None => self.names.get_or_insert_default().find_or_add(sid),
        }
    }

    /// Removes a subscription, which the caller then takes out of the sublist.
    pub(crate) fn remove_sub(&mut self, sid: u64) -> Option<Sub> {
        let sub = self.subs.remove(sid)?;
        self.forget(sid);
        Some(sub)
    }

    /// Removes the subscriptions that have had their last message.
    pub(crate) fn take_exhausted(&mut self) -> Vec<Sub> {
        self.exhausted = false;
        let gone = self.subs.take_exhausted();
        for sub in &gone {
            self.forget(sub.sid);
        }
        gone
    }

    fn forget(&mut self, sid: u64) {
        self.recycles = true;
        if let Some(names) = &mut self.names {
            names.release(sid);
        }
    }

    /// Whether a message must be kept from this subscription.
    #[inline]
    pub(crate) fn denies(&mut self, subject: &[u8], sid: u64) -> bool {
        let Some(filter) = &self.filter else {
            return false;
        };
        let queue = self.subs.get_mut(sid).and_then(|sub| sub.interest.queue());
        filter.subscribe().denies_delivery(subject, queue)
    }

    pub(crate) fn key(&self) -> Key {
        Key {
            index: self.index,
            generation: self.generation,
        }
    }

    /// Takes the right to post the notice; `false` if one is under way.
    pub(crate) fn mark_dirty(&mut self) -> bool {
        !std::mem::replace(&mut self.dirty, true)
    }

    /// Appends bytes that are owed to the connection.
    pub(crate) fn append(&mut self, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let tail = self.out.tail(size);
        let before = tail.len();
        write(tail);
        self.owed += (tail.len() - before) as u64;
    }
}

/// One place of the table.
#[derive(Debug, Default)]
pub struct Slot(Mutex<Shared>);

impl Slot {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock()
    }
}

/// All slots of a broker.
#[derive(Debug)]
pub struct ConnTable {
    chunks: Box<[OnceLock<Box<[Slot]>>]>,
    free: Mutex<FreeList>,
}

#[derive(Debug, Default)]
struct FreeList {
    reusable: Vec<u32>,
    /// Slots handed out for the first time so far.
    fresh: u32,
}

impl ConnTable {
    /// A table for at most `capacity` connections at a time; memory is taken as they come.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let chunks = capacity.div_ceil(CHUNK).max(1);
        Self {
            chunks: (0..chunks).map(|_| OnceLock::new()).collect(),
            free: Mutex::new(FreeList::default()),
        }
    }

    /// The slot of this index, if it was ever used.
    #[inline]
    pub(crate) fn slot(&self, slot: u32) -> Option<&Slot> {
        let slot = slot as usize;
        self.chunks.get(slot / CHUNK)?.get()?.get(slot % CHUNK)
    }

    /// Opens a slot for a connection of `owner`; `None` when the table is full.
    pub(crate) fn open(&self, owner: ShardId, index: u32) -> Option<ConnRef> {
        let slot = self.take_free()?;
        let mut shared = self.slot(slot)?.lock();
        let generation = shared.generation.wrapping_add(1);
        *shared = Shared {
            generation,
            index,
            owner: owner.0,
            life: Life::Open,
            ..Shared::default()
        };
        Some(ConnRef { slot, generation })
    }

    /// Frees a slot and returns what it held; `None` if the reference is to an earlier life.
    pub(crate) fn release(&self, conn: ConnRef) -> Option<Shared> {
        let mut shared = self.slot(conn.slot)?.lock();
        if shared.generation != conn.generation || shared.life == Life::Free {
            return None;
        }
        let generation = shared.generation;
        let last = std::mem::replace(
            &mut *shared,
            Shared {
                generation,
                ..Shared::default()
            },
        );
        drop(shared);
        self.free.lock().reusable.push(conn.slot);
        Some(last)
    }

    /// Runs `act` on the connection while it lives in its slot.
    pub(crate) fn with<T>(&self, conn: ConnRef, act: impl FnOnce(&mut Shared) -> T) -> Option<T> {
        let mut shared = self.slot(conn.slot)?.lock();
        let alive = shared.generation == conn.generation && shared.life != Life::Free;
        alive.then(|| act(&mut shared))
    }

    fn take_free(&self) -> Option<u32> {
        let mut free = self.free.lock();
        if let Some(slot) = free.reusable.pop() {
            return Some(slot);
        }
        let slot = free.fresh;
        let chunk = self.chunks.get(slot as usize / CHUNK)?;
        chunk.get_or_init(|| (0..CHUNK).map(|_| Slot::default()).collect());
        free.fresh += 1;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_an_earlier_life_reaches_nothing() {
        let table = ConnTable::new(10);
        let first = table.open(ShardId(0), 0).unwrap();
        assert!(table.with(first, |_| ()).is_some());
        assert!(table.release(first).is_some());
        assert!(table.release(first).is_none());
        let second = table.open(ShardId(0), 0).unwrap();
        assert_eq!(second.slot, first.slot);
        assert!(table.with(first, |_| ()).is_none());
        assert!(table.with(second, |_| ()).is_some());
    }

    #[test]
    fn a_full_table_refuses() {
        let table = ConnTable::new(1);
        let opened = (0..)
            .map_while(|index| table.open(ShardId(0), index))
            .count();
        assert_eq!(opened, CHUNK, "capacity is rounded up to whole chunks");
    }
}
