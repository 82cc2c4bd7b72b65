//! The subscriptions of one connection, by sid.
//!
//! A node has eight or so: they lie in one vector, searched from the end.
//! Past [`VECTOR_MAX`] they move into a hash map. 32 bytes a subscription in the vector.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::sublist::Interest;

/// More subscriptions than this are kept in a hash map.
const VECTOR_MAX: usize = 32;

/// The top bit marks a sid that is not a plain decimal number; the rest then is its number in [`SidNames`].
const NAMED: u64 = 1 << 63;

/// One subscription as its connection knows it. 32 bytes.
#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) sid: u64,
    pub(crate) interest: Interest,
    /// Messages appended to the connection's outbound for this subscription.
    pub(crate) delivered: u64,
    /// Auto-unsubscribe after so many messages in all; 0 is never.
    pub(crate) max: u64,
}

impl Sub {
    pub(crate) fn is_exhausted(&self) -> bool {
        self.max != 0 && self.delivered >= self.max
    }
}

/// Subscriptions by sid.
#[derive(Debug)]
pub(crate) enum SubTable {
    Few(Vec<Sub>),
    Many(Box<HashMap<u64, Sub, FixedState>>),
}

impl Default for SubTable {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl SubTable {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(subs) => subs.len(),
            Self::Many(subs) => subs.len(),
        }
    }

    pub(crate) fn get_mut(&mut self, sid: u64) -> Option<&mut Sub> {
        match self {
            Self::Few(subs) => subs.iter_mut().rev().find(|sub| sub.sid == sid),
            Self::Many(subs) => subs.get_mut(&sid),
        }
    }

    /// The sid must not be in the table.
    pub(crate) fn insert(&mut self, sub: Sub) {
        match self {
            Self::Few(subs) if subs.len() < VECTOR_MAX => {
                // Two, four, eight: doubling from four would hold twelve places for nine subscriptions' worth of nodes.
                if subs.len() == subs.capacity() {
                    subs.reserve_exact(subs.len().clamp(2, 8));
                }
                subs.push(sub);
            }
            Self::Few(subs) => {
                let mut many: HashMap<u64, Sub, FixedState> = std::mem::take(subs)
                    .into_iter()
                    .map(|sub| (sub.sid, sub))
                    .collect();
                many.insert(sub.sid, sub);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(subs) => {
                subs.insert(sub.sid, sub);
            }
        }
    }

    pub(crate) fn remove(&mut self, sid: u64) -> Option<Sub> {
        match self {
            Self::Few(subs) => {
                let at = subs.iter().rposition(|sub| sub.sid == sid)?;
                Some(subs.remove(at))
            }
            Self::Many(subs) => subs.remove(&sid),
        }
    }

    /// Removes every subscription that has had its last message.
    pub(crate) fn take_exhausted(&mut self) -> Vec<Sub> {
        match self {
            Self::Few(subs) => subs.extract_if(.., |sub| sub.is_exhausted()).collect(),
            Self::Many(subs) => subs
                .extract_if(|_, sub| sub.is_exhausted())
                .map(|(_, sub)| sub)
                .collect(),
        }
    }

    /// All subscriptions in the order of their sids.
    pub(crate) fn sorted(&self) -> Vec<&Sub> {
        let mut all: Vec<&Sub> = match self {
            Self::Few(subs) => subs.iter().collect(),
            Self::Many(subs) => subs.values().collect(),
        };
        all.sort_unstable_by_key(|sub| sub.sid);
        all
    }
}

/// The sids of a connection's subscriptions that are not plain decimal numbers. Clients in use send numbers only.
#[derive(Debug, Default)]
pub(crate) struct SidNames {
    numbers: BTreeMap<Box<[u8]>, u64>,
    names: Vec<Option<Box<[u8]>>>,
    free: Vec<usize>,
}

impl SidNames {
    /// The number under which a sid is kept, if it needs no name or has one already.
    pub(crate) fn find(&self, sid: &[u8]) -> Option<u64> {
        plain_number(sid).or_else(|| self.numbers.get(sid).copied())
    }

    /// The number under which a sid is kept; a name is remembered until it is released.
    pub(crate) fn find_or_add(&mut self, sid: &[u8]) -> u64 {
        if let Some(number) = self.find(sid) {
            return number;
        }
        let place = self.free.pop().unwrap_or(self.names.len());
        if place == self.names.len() {
            self.names.push(None);
        }
        self.names[place] = Some(sid.into());
        let number = NAMED | place as u64;
        self.numbers.insert(sid.into(), number);
        number
    }

    /// Forgets the name of a subscription that is gone.
    pub(crate) fn release(&mut self, sid: u64) {
        let Some(place) = place_of(sid) else { return };
        if let Some(name) = self.names.get_mut(place).and_then(Option::take) {
            self.numbers.remove(&name);
            self.free.push(place);
        }
    }

    /// Appends the sid as the client wrote it.
    pub(crate) fn put(&self, out: &mut Vec<u8>, sid: u64) {
        match place_of(sid) {
            None => out.extend_from_slice(itoa::Buffer::new().format(sid).as_bytes()),
            Some(place) => {
                let name = self.names.get(place).and_then(Option::as_deref);
                out.extend_from_slice(name.unwrap_or_default());
            }
        }
    }
}

/// Where the name of a sid lies, if it is no plain number.
fn place_of(sid: u64) -> Option<usize> {
    (sid & NAMED != 0).then(|| usize::try_from(sid & !NAMED).unwrap_or(usize::MAX))
}

/// Decimal digits without leading zeros, below 2^63: what can be written again from the number alone.
fn plain_number(sid: &[u8]) -> Option<u64> {
    let canonical = sid.len() <= 18 && (sid.len() == 1 || sid.first() != Some(&b'0'));
    if sid.is_empty() || !canonical || !sid.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        sid.iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sublist::{Member, Sublist};

    fn sub(sid: u64) -> Sub {
        let member = Member {
            slot: 0,
            generation: 0,
            sid,
        };
        Sub {
            sid,
            interest: Sublist::new(1).insert(b"a", None, member),
            delivered: 0,
            max: 0,
        }
    }

    #[test]
    fn a_table_keeps_its_subscriptions_when_it_becomes_a_map() {
        let mut table = SubTable::default();
        for sid in 0..100 {
            table.insert(sub(sid));
        }
        assert_eq!(table.len(), 100);
        assert!(table.get_mut(0).is_some() && table.get_mut(99).is_some());
        assert!(table.remove(50).is_some() && table.remove(50).is_none());
        let sids: Vec<u64> = table.sorted().iter().map(|sub| sub.sid).collect();
        assert_eq!(sids, (0..100).filter(|sid| *sid != 50).collect::<Vec<_>>());
    }

    #[test]
    fn the_exhausted_leave_both_kinds_of_table() {
        for count in [3, 60] {
            let mut table = SubTable::default();
            for sid in 0..count {
                table.insert(Sub {
                    delivered: sid % 2,
                    max: 1,
                    ..sub(sid)
                });
            }
            let gone = table.take_exhausted();
            assert_eq!(gone.len() as u64, count / 2);
            assert_eq!(table.len() as u64, count - count / 2);
        }
    }

    #[test]
    fn sids_come_back_as_they_were_written() {
        let mut names = SidNames::default();
        for sid in [
            "0",
            "7",
            "007",
            "abc",
            "999999999999999999",
            "9999999999999999999",
            "-1",
        ] {
            let number = names.find_or_add(sid.as_bytes());
            assert_eq!(names.find(sid.as_bytes()), Some(number));
            let mut out = Vec::new();
            names.put(&mut out, number);
            assert_eq!(out, sid.as_bytes());
        }
        assert_eq!(names.find(b"unknown"), None);
    }

    #[test]
    fn names_are_forgotten_and_their_places_used_again() {
        let mut names = SidNames::default();
        for round in 0..1_000 {
            let name = format!("name-{round}");
            let number = names.find_or_add(name.as_bytes());
            names.release(number);
            assert_eq!(names.find(name.as_bytes()), None);
        }
        assert_eq!(names.names.len(), 1);
    }

    #[test]
    fn a_subscription_is_32_bytes() {
        assert_eq!(size_of::<Sub>(), 32);
    }
}
