//! What is due on a connection: deadlines of its phase, the write deadline, stalls, keep-alives.

use std::time::Duration;

use muster_wire::encode::put_ping;

use super::ShardCore;
use crate::close::CloseReason;
use crate::conn::{Conn, Phase};
use crate::ids::Key;
use crate::stamp::Stamp;

/// A round-trip time older than this is measured again, even on a busy connection.
const RTT_AGE_MAX: Duration = Duration::from_secs(3600);

/// A client that has not pinged this long after it came is pinged all the same.
const GREETING_MAX: Duration = Duration::from_secs(2);

impl ShardCore {
    /// A timer of this connection fired; it may be an old one, with nothing due.
    pub fn handle_timeout(&mut self, key: Key, now: Duration) {
        let write_deadline = self.broker.config.write_deadline;
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        if conn.timer.is_some_and(|timer| timer.time() > now) {
            return;
        }
        conn.timer = None;
        let late = conn
            .blocked_since
            .is_some_and(|since| since.time() + write_deadline <= now);
        if let Some(reason) = overdue(conn, now) {
            self.close(key, reason, now);
        } else if late && !conn.is_closing() {
            self.close(key, CloseReason::SlowConsumerWriteDeadline, now);
        } else {
            self.end_stall(key, now);
            if self
                .conn(key)
                .is_some_and(|conn| conn.keep_alive.at.time() <= now)
            {
                if self.conn(key).is_some_and(|conn| conn.route.is_some()) {
                    self.keep_route_alive(key, now);
                } else {
                    self.keep_alive(key, now);
                }
            }
        }
        self.schedule(key);
    }

    fn keep_alive(&mut self, key: Key, now: Duration) {
        let (interval, unanswered_max) = (
            self.broker.config.ping_interval,
            self.broker.config.pings_out_max,
        );
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        conn.keep_alive.at = Stamp::of(now + interval);
        if matches!(conn.phase, Phase::AwaitTls | Phase::Closing { .. }) {
            return;
        }
        // A PING before the first PONG would confuse clients that read one line after CONNECT and PING.
        let greeting_over = conn.started.time() + GREETING_MAX;
        if !conn.greeted && now < greeting_over {
            conn.keep_alive.at = Stamp::of(greeting_over);
            return;
        }
        let since = |at: Stamp| now.saturating_sub(at.time());
        let fresh_rtt = conn
            .keep_alive
            .rtt
            .is_some_and(|(taken, _)| since(taken) < RTT_AGE_MAX);
        if fresh_rtt && since(conn.last_activity) < interval {
            return;
        }
        if conn.keep_alive.unanswered >= unanswered_max {
            self.close(key, CloseReason::StaleConnection, now);
            return;
        }
        conn.keep_alive.unanswered += 1;
        conn.keep_alive.sent = Some(Stamp::of(now));
        self.append(key, 8, put_ping);
    }
}

/// The deadline of the phase, if it has passed.
fn overdue(conn: &Conn, now: Duration) -> Option<CloseReason> {
    conn.deadline.filter(|deadline| deadline.time() <= now)?;
    match conn.phase {
        Phase::AwaitTls => Some(CloseReason::TlsHandshake),
        Phase::AwaitConnect => Some(CloseReason::AuthenticationTimeout),
        Phase::Closing { reason, .. } => Some(reason),
        Phase::Active => Some(CloseReason::AuthenticationExpired),
    }
}
