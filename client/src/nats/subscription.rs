//! The subscriptions of one core, remembered so that they can be sent again after a reconnect.
//!
//! A list in ascending order of sid: sids are never reused and only grow, so appending keeps the order and a look-up is a binary search.
//! A fleet node has some eight subscriptions; a hash map would cost more than it saves.
//!
//! The delivered count runs on the client side also: after a reconnect the server starts to count at nought, so it is told what remains.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

/// The number of a subscription, unique within its core for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub u64);

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a subject, reply subject or queue name can stand in a control line: not empty, no blank, tab, CR or LF.
///
/// Subjects that come from a user are checked with this before they go to [`ClientCore::subscribe`](super::ClientCore::subscribe).
pub fn is_sendable(name: &[u8]) -> bool {
    !name.is_empty()
        && !name
            .iter()
            .any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// One subscription: 64 bytes, and its text unless that is shared.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) sid: Sid,
    pub(super) subject: Arc<[u8]>,
    pub(super) queue: Option<Arc<[u8]>>,
    delivered: u64,
    /// The part of `delivered` that came over earlier connections; the server in use does not count it.
    delivered_before: u64,
    /// The delivered count at which the subscription ends.
    max: Option<NonZeroU64>,
}

impl Subscription {
    /// How many messages are still to come, where there is a maximum.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.max.map(|max| max.get().saturating_sub(self.delivered))
    }
}

/// What a delivery means for its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// There is no such subscription.
    Unknown,
    /// The message is for the owner.
    Deliver,
    /// The message is for the owner, and it was the last one; the subscription is gone.
    Last,
}

/// What the server must be told when a subscription ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing: there is no such subscription.
    Unknown,
    /// It is gone.
    Now,
    /// It goes after this many messages, counted by the server from when it was told of the subscription.
    After(u64),
}

/// All subscriptions of one core.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Ascending by sid.
    list: Vec<Subscription>,
    last_sid: u64,
}

impl Subscriptions {
    pub(super) fn insert(&mut self, subject: Arc<[u8]>, queue: Option<Arc<[u8]>>) -> Sid {
        self.last_sid += 1;
        let sid = Sid(self.last_sid);
        // Growing by a few keeps a core at what it uses; doubling matters only to those with many.
        if self.list.len() == self.list.capacity() && self.list.len() < 32 {
            self.list.reserve_exact(4);
        }
        self.list.push(Subscription {
            sid,
            subject,
            queue,
            delivered: 0,
            delivered_before: 0,
            max: None,
        });
        sid
    }

    /// Removes it, or sets its maximum.
    /// A maximum that is reached already removes at once, as in the server.
    pub(super) fn end(&mut self, sid: Sid, max: Option<u64>) -> Ending {
        let Ok(index) = self.find(sid) else {
            return Ending::Unknown;
        };
        let subscription = &mut self.list[index];
        match max.and_then(NonZeroU64::new) {
            Some(max) if max.get() > subscription.delivered => {
                subscription.max = Some(max);
                Ending::After(max.get() - subscription.delivered_before)
            }
            _ => {
                self.list.remove(index);
                Ending::Now
            }
        }
    }

    /// Looks a message's subscription up and counts it, unless `counts` is false (a 503 does not count).
    pub(super) fn deliver(&mut self, sid: Sid, counts: bool) -> Delivery {
        let Ok(index) = self.find(sid) else {
            return Delivery::Unknown;
        };
        let subscription = &mut self.list[index];
        subscription.delivered += u64::from(counts);
        if subscription.remaining() == Some(0) {
            self.list.remove(index);
            return Delivery::Last;
        }
        Delivery::Deliver
    }

    /// All of them, for a server that knows none and counts from nought.
    pub(super) fn replay(&mut self) -> impl Iterator<Item = &Subscription> {
        self.list.iter_mut().map(|subscription| {
            subscription.delivered_before = subscription.delivered;
            &*subscription
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Sid, &[u8], Option<&[u8]>)> {
        (self.list.iter()).map(|s| (s.sid, &*s.subject, s.queue.as_deref()))
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    fn find(&self, sid: Sid) -> Result<usize, usize> {
        self.list
            .binary_search_by_key(&sid, |subscription| subscription.sid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> (Subscriptions, Vec<Sid>) {
        let mut subs = Subscriptions::default();
        let sids = (0..5)
            .map(|_| subs.insert(b"a".as_slice().into(), None))
            .collect();
        (subs, sids)
    }

    #[test]
    fn sids_are_never_reused() {
        let (mut subs, sids) = some();
        assert_eq!(subs.end(sids[4], None), Ending::Now);
        assert_eq!(subs.end(sids[4], None), Ending::Unknown);
        assert!(!sids.contains(&subs.insert(b"a".as_slice().into(), None)));
        assert_eq!(subs.len(), 5);
        assert_eq!(subs.deliver(sids[4], true), Delivery::Unknown);
    }

    #[test]
    fn a_maximum_counts_what_was_delivered_before() {
        let (mut subs, sids) = some();
        assert_eq!(subs.deliver(sids[1], true), Delivery::Deliver);
        assert_eq!(subs.end(sids[1], Some(3)), Ending::After(3));
        assert_eq!(subs.deliver(sids[1], true), Delivery::Deliver);
        assert_eq!(subs.deliver(sids[1], false), Delivery::Deliver);
        assert_eq!(subs.deliver(sids[1], true), Delivery::Last);
        assert_eq!(subs.deliver(sids[1], true), Delivery::Unknown);
    }

    #[test]
    fn a_new_server_is_told_what_remains() {
        let (mut subs, sids) = some();
        subs.end(sids[0], Some(3));
        subs.deliver(sids[0], true);
        subs.deliver(sids[1], true);
        let remaining: Vec<_> = subs.replay().map(Subscription::remaining).collect();
        assert_eq!(remaining, [Some(2), None, None, None, None]);
        assert_eq!(subs.end(sids[0], Some(4)), Ending::After(3));
        assert_eq!(subs.end(sids[1], Some(4)), Ending::After(3));
    }

    #[test]
    fn a_maximum_already_reached_ends_at_once() {
        let (mut subs, sids) = some();
        subs.deliver(sids[2], true);
        assert_eq!(subs.end(sids[2], Some(1)), Ending::Now);
        assert_eq!(subs.end(sids[3], Some(0)), Ending::Now);
        assert_eq!(subs.len(), 3);
    }

    #[test]
    fn a_subscription_is_small() {
        assert!(
            size_of::<Subscription>() <= 64,
            "{}",
            size_of::<Subscription>()
        );
    }

    #[test]
    fn names_that_break_a_line_are_found() {
        for name in [&b""[..], b"a b", b"a\tb", b"a\r\nPUB x 0", b"a\n"] {
            assert!(!is_sendable(name), "{name:?}");
        }
        assert!(is_sendable(b"mcollective.broadcast.agent.>"));
    }
}
