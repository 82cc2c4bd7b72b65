//! How a connection ends.
//!
//! `close` withdraws its interest at once and refuses further deliveries; where the peer is owed an explanation, what waits is flushed first.
//! The owner of the socket learns of it through the list of connections to flush, and ends with [`ShardCore::finish_close`].

use std::time::Duration;

use muster_wire::encode::put_err;

use super::{ConnInfo, ShardCore};
use crate::close::CloseReason;
use crate::conn::{Parked, Phase};
use crate::ids::{ConnRef, Key};
use crate::stamp::Stamp;
use crate::table::Life;

/// How long a closing connection may take to read the reason.
const FAREWELL: Duration = Duration::from_secs(2);

impl ShardCore {
    /// Ends a connection. Called again, it no longer waits for the flush.
    pub fn close(&mut self, key: Key, reason: CloseReason, now: Duration) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        if let Phase::Closing { reason, .. } = conn.phase {
            conn.phase = Phase::Closing {
                reason,
                abandon: true,
            };
            conn.deadline = None;
            return self.dirty.push_back(key);
        }
        // TLS that is not up cannot carry an explanation.
        let flushes = reason.flushes() && conn.phase != Phase::AwaitTls;
        let abandon = !flushes;
        let was_parked = conn.parked.take();
        conn.phase = Phase::Closing { reason, abandon };
        conn.deadline = flushes.then(|| Stamp::of(now + FAREWELL));
        conn.partial = Vec::new();
        if let Some(Parked::Held { since }) = was_parked.as_deref() {
            let held = now.saturating_sub(*since);
            self.counters.held_us += u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        }
        self.count_close(reason);
        if let Some(text) = reason.err_text().filter(|_| flushes) {
            self.append(key, text.len() + 16, |out| put_err(out, text));
        }
        if self.conn(key).is_some_and(|conn| conn.route.is_some()) {
            self.end_route(key, reason, now);
            self.dirty.push_back(key);
            return self.schedule(key);
        }
        let info = self.snapshot(key, false);
        self.withdraw_all(key);
        if let Some(mut info) = info {
            info.stopped = Some(now);
            info.reason = Some(reason);
            self.remember_closed(info);
        }
        self.dirty.push_back(key);
        self.schedule(key);
    }

    /// The socket of a closing connection is closed; its slot is free for another.
    pub fn finish_close(&mut self, key: Key) {
        let Some(conn) = self.conn(key) else { return };
        let (me, account, is_route) = (conn.me, conn.account, conn.route.is_some());
        self.conns.remove(key.index);
        if let Some(held) = self.broker.table.release(me).and_then(|last| last.held) {
            self.release(&held.publishers);
        }
        if is_route {
            self.counters.routes -= 1;
            return;
        }
        self.broker.account(account).leave();
        self.broker.dismiss();
        self.counters.connections -= 1;
    }

    /// Ends every connection, because the broker stops.
    pub fn close_all(&mut self, now: Duration) {
        let live = self.conns.iter().map(|conn| conn.me);
        let keys: Vec<Key> = live
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|me| self.key_of(me))
            .collect();
        for key in keys {
            self.close(key, CloseReason::ServerShutdown, now);
        }
    }

    /// Closes a connection that another thread knows by its place in the table, if it lives and is of this shard.
    pub fn close_conn(&mut self, conn: ConnRef, reason: CloseReason, now: Duration) {
        if let Some(key) = self.key_of(conn) {
            self.close(key, reason, now);
        }
    }

    /// A connection that ended since the last call, for the log.
    pub fn poll_ended(&mut self) -> Option<ConnInfo> {
        self.ended.pop_front()
    }

    fn withdraw_all(&mut self, key: Key) {
        let Some(conn) = self.conn(key) else { return };
        let (me, account) = (conn.me, conn.account);
        let subs = self.subscriptions(conn);
        for sub in subs.sorted() {
            self.withdraw(account, me, sub);
        }
        let held = self.broker.table.with(me, |shared| {
            shared.life = Life::Closing;
            shared.held.take()
        });
        if let Some(held) = held.flatten() {
            self.release(&held.publishers);
        }
    }

    fn remember_closed(&mut self, info: ConnInfo) {
        let kept = self.broker.config.closed_kept / usize::from(self.broker.shards());
        self.ended.push_back(info.clone());
        if kept > 0 {
            if self.closed.len() >= kept {
                self.closed.pop_front();
            }
            self.closed.push_back(info);
        }
    }

    fn count_close(&mut self, reason: CloseReason) {
        let counters = &mut self.counters;
        match reason {
            CloseReason::SlowConsumerPendingBytes => counters.slow_consumers_pending += 1,
            CloseReason::SlowConsumerWriteDeadline => counters.slow_consumers_deadline += 1,
            CloseReason::StaleConnection => counters.stale_connections += 1,
            CloseReason::AuthenticationFailure | CloseReason::AuthenticationTimeout => {
                counters.auth_failures += 1;
            }
            CloseReason::AuthenticationExpired => counters.auth_expired += 1,
            CloseReason::TlsHandshake => counters.tls_failures += 1,
            CloseReason::UnknownOperation
            | CloseReason::BadArguments
            | CloseReason::ControlLineTooLong
            | CloseReason::PayloadTooLarge
            | CloseReason::BadClientProtocol
            | CloseReason::NoRespondersNeedsHeaders => counters.protocol_errors += 1,
            CloseReason::ClientClosed
            | CloseReason::ClusterNameConflict
            | CloseReason::DuplicateServerName
            | CloseReason::DuplicateRoute
            | CloseReason::SelfRoute
            | CloseReason::WrongPort
            | CloseReason::ConnectionsExceeded
            | CloseReason::WriteError
            | CloseReason::ReadError
            | CloseReason::ServerShutdown
            | CloseReason::InternalError => {}
        }
    }
}
