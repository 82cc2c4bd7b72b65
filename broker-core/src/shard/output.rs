//! What leaves a connection: which are to be flushed, what their owner takes, what it says of the writing.

use std::collections::VecDeque;
use std::time::Duration;

use super::ShardCore;
use crate::close::CloseReason;
use crate::conn::{Conn, Parked, Phase};
use crate::ids::{ConnRef, Key};
use crate::inbox::Notice;
use crate::outbound::Segment;
use crate::stamp::Stamp;
use crate::table::Life;

/// What the owner of the socket is to do with a connection that is to be flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Write what waits.
    Write,
    /// Write what waits, then close the socket and call [`ShardCore::finish_close`].
    WriteThenClose,
    /// Close the socket now and call [`ShardCore::finish_close`].
    Close,
    /// The connection is gone already.
    Nothing,
}

impl ShardCore {
    /// A connection that is to be flushed; the caller bounds how many it takes in one turn.
    pub fn poll_dirty(&mut self) -> Option<Key> {
        self.dirty.pop_front()
    }

    /// Moves what waits for a connection to the end of `into`.
    pub fn take_output(&mut self, key: Key, into: &mut VecDeque<Segment>, now: Duration) -> Flush {
        let Some(conn) = self.conn(key) else {
            return Flush::Nothing;
        };
        let me = conn.me;
        self.remove_exhausted(key);
        let cut = self.broker.table.with(me, |shared| {
            shared.dirty = false;
            shared.out.take_into(into);
            shared.life == Life::Cut
        });
        if cut == Some(true) {
            self.close(key, CloseReason::SlowConsumerPendingBytes, now);
        }
        match self.conn(key).map(|conn| conn.phase) {
            Some(Phase::Closing { abandon: true, .. }) => Flush::Close,
            Some(Phase::Closing { .. }) => Flush::WriteThenClose,
            Some(_) => Flush::Write,
            None => Flush::Nothing,
        }
    }

    /// The socket took so many of the connection's bytes, counted before TLS.
    pub fn handle_written(&mut self, key: Key, bytes: u64) {
        let release_below = self.broker.config.release_below();
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        conn.blocked_since = None;
        let me = conn.me;
        let released = self.broker.table.with(me, |shared| {
            shared.owed = shared.owed.saturating_sub(bytes);
            if shared.owed < release_below {
                shared.held.take()
            } else {
                None
            }
        });
        if let Some(held) = released.flatten() {
            self.release(&held.publishers);
        }
        self.route_drained(key);
    }

    /// The socket takes nothing although bytes wait.
    pub fn handle_blocked(&mut self, key: Key, now: Duration) {
        if let Some(conn) = self.conn_mut(key)
            && conn.blocked_since.is_none()
        {
            conn.blocked_since = Some(Stamp::of(now));
            self.schedule(key);
        }
    }

    /// Lets publishers that were held go on.
    pub(super) fn release(&mut self, held: &[ConnRef]) {
        for publisher in held {
            if let Some(owner) = self.broker.table.with(*publisher, |shared| shared.owner) {
                self.posts[usize::from(owner)].push(Notice::Resume(*publisher));
            }
        }
    }

    pub(super) fn end_stall(&mut self, key: Key, now: Duration) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        if matches!(conn.parked.as_deref(), Some(Parked::Stalled { until }) if *until <= now) {
            conn.parked = None;
            self.process_partial(key, now);
            self.allow_input(key);
        }
    }

    /// Asks for a timer if the connection's next due moment is earlier than those asked for.
    pub(super) fn schedule(&mut self, key: Key) {
        let write_deadline = self.broker.config.write_deadline;
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        let due = Conn::next_due(conn, write_deadline);
        if conn.timer.is_none_or(|timer| due < timer.time()) {
            conn.timer = Some(Stamp::of(due));
            self.timers.push((key, due));
        }
    }
}
