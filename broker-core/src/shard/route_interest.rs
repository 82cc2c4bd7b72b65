//! Who is told of interest here, and what becomes of the interest of peers.
//!
//! Every change of a client's interest goes through [`ShardCore::subscribe`] and [`ShardCore::unsubscribe`], whatever its cause.
//! A plain subject is told of with its first member and its last, a queue group at every change, with the number of its members.
//! So the line stands in a route's outbound before any message that the same connection publishes later.

use std::sync::Arc;

use muster_wire::route_op::{RouteOp, put_rs_minus, put_rs_plus};
use muster_wire::subject::is_valid_subscription;

use super::ShardCore;
use crate::account::Account;
use crate::ids::{AccountId, ConnRef, Key};
use crate::route::{Admission, Entry, Stage, Telling};
use crate::sublist::{Interest, Member, Remote};
use crate::table::Life;

/// Interests that one shard tells of, takes in or takes out in one turn: some 1 ms.
const INTERESTS_A_TURN: usize = 4096;

/// What happened to the members of an interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Came,
    Went,
    /// Not known: what holds is told.
    Unknown,
}

impl ShardCore {
    /// Adds a member, and tells the peers.
    pub(super) fn subscribe(
        &mut self,
        account: AccountId,
        subject: &[u8],
        queue: Option<&[u8]>,
        member: Member,
    ) -> Interest {
        let broker = Arc::clone(&self.broker);
        let account = broker.account(account);
        if broker.routes.is_empty() {
            let interest = account.sublist.insert(subject, queue, member);
            self.tell_late(account, &interest);
            return interest;
        }
        let _stripe = broker.routes.stripe(subject);
        let (interest, count) = account.sublist.insert_counted(subject, queue, member);
        if let Some(count) = count {
            self.tell_all(account, &interest, count, Change::Came);
        }
        interest
    }

    /// Takes a member out, and tells the peers.
    pub(super) fn unsubscribe(&mut self, account: AccountId, interest: &Interest, member: Member) {
        let broker = Arc::clone(&self.broker);
        let account = broker.account(account);
        if broker.routes.is_empty() {
            account.sublist.remove(interest, member);
            return self.tell_late(account, interest);
        }
        let _stripe = broker.routes.stripe(interest.subject());
        if let Some(count) = account.sublist.remove_counted(interest, member) {
            self.tell_all(account, interest, count, Change::Went);
        }
    }

    /// A route may have been registered while a change was made without its stripe (see [`crate::routes`]).
    fn tell_late(&mut self, account: &Account, interest: &Interest) {
        let broker = Arc::clone(&self.broker);
        if !broker.routes.is_empty() {
            let _stripe = broker.routes.stripe(interest.subject());
            let count = account.sublist.local_len(interest);
            self.tell_all(account, interest, count, Change::Unknown);
        }
    }

    /// Tells every route. The caller holds the subject's stripe.
    fn tell_all(&mut self, account: &Account, interest: &Interest, count: usize, change: Change) {
        let plain = interest.queue().is_none();
        if plain && matches!((change, count), (Change::Came, 2..) | (Change::Went, 1..)) {
            return;
        }
        for conn in self.broker.routes.all() {
            self.tell(conn, account, interest, count);
        }
    }

    fn tell(&mut self, conn: ConnRef, account: &Account, interest: &Interest, count: usize) {
        let (name, subject) = (account.name.as_bytes(), interest.subject());
        let size = name.len() + subject.len() + interest.queue().map_or(0, <[u8]>::len) + 20;
        self.append_to_route(conn, size, |out| match (count, interest.queue()) {
            (0, queue) => put_rs_minus(out, name, subject, queue),
            (_, None) => put_rs_plus(out, name, subject, None),
            (count, Some(queue)) => {
                let weight = u32::try_from(count).unwrap_or(u32::MAX);
                put_rs_plus(out, name, subject, Some((queue, weight)));
            }
        });
    }

    /// Appends to a route of any shard; one that falls too far behind is cut.
    fn append_to_route(&mut self, conn: ConnRef, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let pending_max = self.broker.config.route_pending_max();
        let appended = self.broker.table.with(conn, |shared| {
            if shared.life != Life::Open {
                return None;
            }
            shared.append(size, write);
            if shared.owed > pending_max {
                shared.life = Life::Cut;
            }
            shared.mark_dirty().then(|| (shared.owner, shared.key()))
        });
        if let Some((owner, key)) = appended.flatten() {
            self.notify(owner, conn, key);
        }
    }

    /// `RS+` and `RS-` of a peer. What names an account that is not here, or no subject, is counted and left.
    pub(super) fn handle_remote_interest(&mut self, key: Key, op: RouteOp<'_>) {
        let (account, subject, queue, weight) = match op {
            RouteOp::Subscribe {
                account,
                subject,
                queue,
                weight,
                ..
            } => (account, subject, queue, Some(weight)),
            RouteOp::Unsubscribe {
                account,
                subject,
                queue,
                ..
            } => (account, subject, queue, None),
            _ => return,
        };
        let broker = Arc::clone(&self.broker);
        let Some(account) = broker.account_named(account) else {
            self.counters.route_unknown_account += 1;
            return;
        };
        if !is_valid_subscription(subject) {
            self.counters.route_invalid_subjects += 1;
            return;
        }
        let interest = account.sublist.interest(subject, queue);
        match weight {
            Some(weight) => self.enter(key, account, interest, weight),
            None => self.leave(key, account, &interest),
        }
    }

    fn enter(&mut self, key: Key, account: &Account, interest: Interest, weight: u32) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        let me = conn.me;
        let Some(route) = conn.route.as_deref_mut() else {
            return;
        };
        let (at, changed) = route.interest.set(account.id, interest, weight);
        let live = match route.admission {
            Admission::Withheld => false,
            Admission::Entering(from) => at >= from,
            Admission::Open => true,
        };
        if let Some(entry) = route.interest.get(at).filter(|_| changed && live) {
            let (subject, queue) = (entry.interest.subject(), entry.interest.queue());
            account
                .sublist
                .set_remote(subject, queue, remote(me, weight));
        }
    }

    fn leave(&mut self, key: Key, account: &Account, interest: &Interest) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        let me = conn.me;
        let Some(route) = conn.route.as_deref_mut() else {
            return;
        };
        // A peer may take back what it never told of.
        let Some(entry) = route.interest.remove(account.id, interest) else {
            return;
        };
        if let Admission::Entering(from) = &mut route.admission {
            *from = (*from).min(route.interest.len());
        }
        account
            .sublist
            .remove_remote(&entry.interest, remote(me, 0));
    }

    /// Puts a route on the list of those with work that needs no event.
    pub(super) fn queue_route_work(&mut self, key: Key) {
        if let Some(route) = self.route_mut(key)
            && !std::mem::replace(&mut route.queued, true)
        {
            self.route_work.push_back(key);
        }
    }

    /// Goes on with what routes are to be told, what they told, and what those that ended leave behind.
    pub(super) fn resume_routes(&mut self) {
        let mut left = INTERESTS_A_TURN;
        while let Some((conn, entries)) = self.leaving.front_mut()
            && left > 0
        {
            let conn = *conn;
            let gone = entries.split_off(entries.len().saturating_sub(left));
            if entries.is_empty() {
                self.leaving.pop_front();
            }
            left -= gone.len().min(left);
            self.take_out(conn, &gone);
        }
        for _ in 0..self.route_work.len() {
            let Some(key) = self.route_work.pop_front() else {
                return;
            };
            if let Some(route) = self.route_mut(key) {
                route.queued = false;
            }
            left = self.tell_some(key, left);
            left = self.enter_some(key, left);
            let (telling, entering) = self.route_mut(key).map_or((false, false), |route| {
                let entering = matches!(route.admission, Admission::Entering(_));
                (route.telling.is_some(), entering)
            });
            // One that has much to read is told the rest when it has read it, see `route_drained`.
            if entering || (telling && !self.is_behind(key)) {
                self.queue_route_work(key);
            }
            if left == 0 {
                return;
            }
        }
    }

    /// A route has room again.
    pub(super) fn route_drained(&mut self, key: Key) {
        if self
            .route_mut(key)
            .is_some_and(|route| route.telling.is_some())
        {
            self.queue_route_work(key);
        }
    }

    fn is_behind(&self, key: Key) -> bool {
        let hold_above = self.broker.config.hold_above();
        let me = self.conn(key).map(|conn| conn.me);
        let owed = me.and_then(|me| self.broker.table.with(me, |shared| shared.owed));
        owed.is_some_and(|owed| owed > hold_above)
    }

    /// Tells a route of some of what is wanted here; returns how many more may be told in this turn.
    fn tell_some(&mut self, key: Key, mut left: usize) -> usize {
        let broker = Arc::clone(&self.broker);
        let Some((me, mut telling)) = self.conn_mut(key).and_then(|conn| {
            let telling = conn.route.as_deref_mut()?.telling.take()?;
            Some((conn.me, telling))
        }) else {
            return left;
        };
        while left > 0 && !self.is_behind(key) {
            let Some(account) = broker.accounts().get(telling.account) else {
                self.finish_telling(key);
                return left;
            };
            let Some(interest) = telling.batch.pop() else {
                next_part(account, &mut telling);
                continue;
            };
            left -= 1;
            let _stripe = broker.routes.stripe(interest.subject());
            // It may have gone since the part was taken; then its going was told.
            let count = account.sublist.local_len(&interest);
            if count > 0 {
                self.tell(me, account, &interest, count);
            }
        }
        if let Some(route) = self.route_mut(key) {
            route.telling = Some(telling);
        }
        left
    }

    fn finish_telling(&mut self, key: Key) {
        if let Some(route) = self.route_mut(key)
            && route.stage == Stage::Registered
        {
            route.admission = Admission::Entering(route.interest.len());
        }
    }

    /// Puts some of what a peer announced into the sublist.
    fn enter_some(&mut self, key: Key, mut left: usize) -> usize {
        let broker = Arc::clone(&self.broker);
        let Some(conn) = self.conn_mut(key) else {
            return left;
        };
        let me = conn.me;
        let Some(route) = conn.route.as_deref_mut() else {
            return left;
        };
        let Admission::Entering(mut from) = route.admission else {
            return left;
        };
        while left > 0 && from > 0 {
            (left, from) = (left - 1, from - 1);
            if let Some(entry) = route.interest.get(from) {
                let sublist = &broker.account(entry.account).sublist;
                let (subject, queue) = (entry.interest.subject(), entry.interest.queue());
                sublist.set_remote(subject, queue, remote(me, entry.weight));
            }
        }
        route.admission = if from == 0 {
            Admission::Open
        } else {
            Admission::Entering(from)
        };
        left
    }

    /// A route ended: it is told nothing more and sent nothing more, and what it announced goes in slices.
    pub(super) fn withdraw_route(&mut self, key: Key) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        let me = conn.me;
        let Some(route) = conn.route.as_deref_mut() else {
            return;
        };
        route.telling = None;
        let withheld = std::mem::replace(&mut route.admission, Admission::Withheld);
        let entries = route.interest.take();
        if withheld != Admission::Withheld && !entries.is_empty() {
            self.leaving.push_back((me, entries));
        }
        self.broker.routes.remove(me);
        let held = self.broker.table.with(me, |shared| {
            shared.life = Life::Closing;
            shared.held.take()
        });
        if let Some(held) = held.flatten() {
            self.release(&held.publishers);
        }
    }

    fn take_out(&self, conn: ConnRef, entries: &[Entry]) {
        for entry in entries {
            let sublist = &self.broker.account(entry.account).sublist;
            sublist.remove_remote(&entry.interest, remote(conn, 0));
        }
    }
}

fn next_part(account: &Account, telling: &mut Telling) {
    if account
        .sublist
        .local_interests(telling.part, &mut telling.batch)
    {
        telling.part += 1;
    } else {
        telling.account += 1;
        telling.part = 0;
    }
}

fn remote(conn: ConnRef, weight: u32) -> Remote {
    Remote {
        slot: conn.slot,
        generation: conn.generation,
        weight,
    }
}
