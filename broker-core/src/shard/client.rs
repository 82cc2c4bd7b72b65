//! The operations of a client, but for publishing.

use std::sync::Arc;
use std::time::Duration;

use muster_wire::client_op::ClientOp;
use muster_wire::connect::Connect;
use muster_wire::encode::{put_err, put_info, put_ok, put_pong};
use muster_wire::info::Info;
use muster_wire::subject::is_valid_subscription;

use super::{Flow, ShardCore};
use crate::account::Change;
use crate::auth::Grant;
use crate::close::CloseReason;
use crate::conn::{ClientMeta, Conn, ConnOptions, Phase};
use crate::ids::{AccountId, ConnRef, Key};
use crate::stamp::Stamp;
use crate::sublist::Member;
use crate::subs::{Sub, SubTable};
use crate::table::Life;

/// The first keep-alive after `CONNECT` comes this early, for the round-trip time.
const FIRST_PING: Duration = Duration::from_secs(2);

/// The queue name that clients may not take.
const RESERVED_QUEUE: &[u8] = b"_sys_";

/// Distinct client languages and versions a shard shares the text of; further ones are kept for each connection.
const STRINGS_MAX: usize = 64;

impl ShardCore {
    /// `bytes` are those of the whole operation.
    pub(super) fn handle_op(
        &mut self,
        key: Key,
        op: ClientOp<'_>,
        bytes: &[u8],
        now: Duration,
    ) -> Flow {
        let Some(conn) = self.conn(key) else {
            return Flow::Closed;
        };
        match conn.phase {
            Phase::Active => {}
            Phase::AwaitConnect if matches!(op, ClientOp::Connect(_)) => {}
            Phase::AwaitConnect => {
                self.close(key, CloseReason::AuthenticationFailure, now);
                return Flow::Closed;
            }
            // TLS's owner hands over no byte before the handshake is done.
            Phase::AwaitTls | Phase::Closing { .. } => return Flow::Closed,
        }
        match op {
            ClientOp::Pub {
                subject,
                reply,
                headers_len,
                payload,
            } => {
                let ended = &bytes[bytes.len() - payload.len() - 2..];
                return self.handle_publish(key, subject, reply, headers_len, ended, now);
            }
            ClientOp::Sub {
                subject,
                queue,
                sid,
            } => self.handle_sub(key, subject, queue, sid),
            ClientOp::Unsub { sid, max } => self.handle_unsub(key, sid, max),
            ClientOp::Ping => self.handle_ping(key),
            ClientOp::Pong => self.handle_pong(key, now),
            ClientOp::Connect(json) => return self.handle_connect(key, json, now),
            ClientOp::Info(json) => {
                if Info::parse(json).is_err() {
                    self.close(key, CloseReason::BadArguments, now);
                    return Flow::Closed;
                }
            }
            ClientOp::Ok => {}
            ClientOp::Err(_) => {
                self.close(key, CloseReason::ClientClosed, now);
                return Flow::Closed;
            }
        }
        Flow::Next
    }

    fn handle_connect(&mut self, key: Key, json: &[u8], now: Duration) -> Flow {
        let Some(before) = self.conn(key).map(said_before) else {
            return Flow::Closed;
        };
        let reason = match Connect::parse_over(before, json) {
            Err(_) => Err(CloseReason::BadArguments),
            Ok(connect) => self
                .check_connect(key, &connect)
                .map(|grant| (connect, grant)),
        };
        match reason {
            Err(reason) => {
                self.close(key, reason, now);
                Flow::Closed
            }
            Ok((connect, grant)) => {
                self.accept_connect(key, &connect, grant, now);
                Flow::Next
            }
        }
    }

    fn accept_connect(&mut self, key: Key, connect: &Connect, grant: Grant, now: Duration) {
        let options = ConnOptions {
            verbose: connect.verbose,
            pedantic: connect.pedantic,
            echo: connect.echo,
            headers: connect.headers && self.broker.config.limits.headers,
            no_responders: connect.no_responders,
            async_info: connect.protocol >= 1,
        };
        let meta = ClientMeta {
            name: connect.name.clone(),
            lang: connect.lang.as_deref().map(|lang| self.share(lang)),
            version: connect
                .version
                .as_deref()
                .map(|version| self.share(version)),
            user: grant.user,
        };
        if self.conn(key).is_some_and(|conn| conn.meta.is_some()) {
            self.start_afresh(key);
        }
        let first_ping = self.broker.config.ping_interval.min(FIRST_PING);
        let jitter = first_ping.mul_f64(self.rng.f64() * 0.2);
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        conn.options = options;
        conn.phase = Phase::Active;
        conn.door = None;
        conn.deadline = grant
            .expires
            .map(|after| Stamp::of(now.saturating_add(after)));
        let left = std::mem::replace(&mut conn.account, grant.account);
        conn.permissions = grant.permissions;
        conn.meta = Some(Box::new(meta));
        conn.keep_alive.at = Stamp::of(now + first_ping + jitter);
        let me = conn.me;
        self.broker.account(left).leave();
        self.broker.account(grant.account).enter();
        self.broker.table.with(me, |shared| {
            shared.headers = options.headers;
            shared.filter = None;
        });
        self.schedule(key);
        self.acknowledge(key);
    }

    /// What was subscribed under an earlier `CONNECT` ends with the next one.
    fn start_afresh(&mut self, key: Key) {
        let Some(conn) = self.conn(key) else { return };
        let (me, account) = (conn.me, conn.account);
        for sub in self.subscriptions(conn).sorted() {
            self.withdraw(account, me, sub);
        }
    }

    /// Equal texts of lang and version are kept once a shard.
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.strings.iter().find(|shared| ***shared == *text) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = text.into();
        if self.strings.len() < STRINGS_MAX {
            self.strings.push(Arc::clone(&shared));
        }
        shared
    }

    fn handle_sub(&mut self, key: Key, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        let Some((me, account)) = self.conn(key).map(|conn| (conn.me, conn.account)) else {
            return;
        };
        if !is_valid_subscription(subject) {
            return self.append(key, 32, |out| put_err(out, "Invalid Subject"));
        }
        if queue == Some(RESERVED_QUEUE) {
            let subject = String::from_utf8_lossy(subject);
            let text = format!(
                "Permissions Violation for Subscription to \"{subject}\" using queue \"_sys_\""
            );
            return self.append(key, text.len(), |out| put_err(out, &text));
        }
        if !self.may_subscribe(key, subject, queue) {
            return;
        }
        self.remove_exhausted(key);
        let subscriptions_max = self.broker.config.subscriptions_max;
        let place = self.broker.table.with(me, |shared| {
            let known = shared.find_sid(sid);
            if subscriptions_max != 0 && shared.subs.len() >= subscriptions_max {
                Place::TooMany
            } else if known.is_some_and(|number| shared.subs.get_mut(number).is_some()) {
                Place::Taken
            } else {
                Place::Free(shared.name_sid(sid))
            }
        });
        match place {
            Some(Place::Free(sid)) => {
                let member = Member {
                    slot: me.slot,
                    generation: me.generation,
                    sid,
                };
                let interest = self.subscribe(account, subject, queue, member);
                self.share_subscription(account, subject, queue, member, Change::Add);
                let sub = Sub {
                    sid,
                    interest,
                    delivered: 0,
                    max: 0,
                };
                self.broker.table.with(me, |shared| shared.subs.insert(sub));
                self.acknowledge(key);
            }
            Some(Place::TooMany) => {
                self.append(key, 48, |out| {
                    put_err(out, "maximum subscriptions exceeded");
                });
            }
            Some(Place::Taken) => self.acknowledge(key),
            None => {}
        }
    }

    fn handle_unsub(&mut self, key: Key, sid: &[u8], max: Option<u64>) {
        let Some((me, account)) = self.conn(key).map(|conn| (conn.me, conn.account)) else {
            return;
        };
        let removed = self.broker.table.with(me, |shared| {
            let number = shared.find_sid(sid)?;
            let sub = shared.subs.get_mut(number)?;
            match max {
                Some(max) if max > sub.delivered => {
                    sub.max = max;
                    None
                }
                _ => shared.remove_sub(number),
            }
        });
        if let Some(sub) = removed.flatten() {
            self.withdraw(account, me, &sub);
        }
        self.acknowledge(key);
    }

    fn handle_ping(&mut self, key: Key) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        // A PING before CONNECT says nothing of what the client understands.
        let first = conn.meta.is_some() && !std::mem::replace(&mut conn.greeted, true);
        let tells_info = first && conn.options.async_info;
        let (cid, peer, account) = (conn.cid.0, conn.peer, conn.account);
        if !tells_info {
            return self.append(key, 8, put_pong);
        }
        let info = Info {
            connect_info: true,
            remote_account: Some(self.broker.account(account).name.clone()),
            ..self.info(cid, peer)
        };
        self.append(key, 512, |out| {
            put_pong(out);
            put_info(out, &info);
        });
    }

    pub(super) fn handle_pong(&mut self, key: Key, now: Duration) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        conn.keep_alive.unanswered = 0;
        if let Some(sent) = conn.keep_alive.sent.take() {
            let micros = now.saturating_sub(sent.time()).as_micros();
            conn.keep_alive.rtt = Some((Stamp::of(now), u32::try_from(micros).unwrap_or(u32::MAX)));
        }
    }

    /// `+OK` where the client wants one for each operation.
    pub(super) fn acknowledge(&mut self, key: Key) {
        if self.conn(key).is_some_and(|conn| conn.options.verbose) {
            self.append(key, 8, put_ok);
        }
    }

    /// Takes a subscription that is no longer in its connection's table out of the sublist.
    pub(super) fn withdraw(&mut self, account: AccountId, me: ConnRef, sub: &Sub) {
        let member = Member {
            slot: me.slot,
            generation: me.generation,
            sid: sub.sid,
        };
        self.unsubscribe(account, &sub.interest, member);
        let (subject, queue) = (sub.interest.subject(), sub.interest.queue());
        self.share_subscription(account, subject, queue, member, Change::Remove);
    }

    /// Removes what has had its last message, before anything later can be seen by the client.
    pub(super) fn remove_exhausted(&mut self, key: Key) {
        let Some((me, account)) = self.conn(key).map(|conn| (conn.me, conn.account)) else {
            return;
        };
        let gone = self.broker.table.with(me, |shared| {
            shared.exhausted.then(|| shared.take_exhausted())
        });
        for sub in gone.flatten().unwrap_or_default() {
            self.withdraw(account, me, &sub);
        }
    }

    /// Appends to the connection's own outbound; a peer that makes us answer faster than it reads is cut like any other.
    pub(super) fn append(&mut self, key: Key, size: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some((me, is_route)) = self.conn(key).map(|conn| (conn.me, conn.route.is_some()))
        else {
            return;
        };
        let pending_max = if is_route {
            self.broker.config.route_pending_max()
        } else {
            self.broker.config.pending_max
        };
        let newly_dirty = self.broker.table.with(me, |shared| {
            if matches!(shared.life, Life::Cut) {
                return false;
            }
            shared.append(size, write);
            if shared.owed > pending_max && shared.life == Life::Open {
                shared.life = Life::Cut;
            }
            shared.mark_dirty()
        });
        if newly_dirty == Some(true) {
            self.dirty.push_back(key);
        }
    }

    pub(super) fn subscriptions(&self, conn: &Conn) -> SubTable {
        let taken = self
            .broker
            .table
            .with(conn.me, |shared| std::mem::take(&mut shared.subs));
        taken.unwrap_or_default()
    }
}

/// What stands where a further `CONNECT` is silent. Credentials are not kept, so they must be shown again.
fn said_before(conn: &Conn) -> Connect {
    let options = conn.options;
    let meta = conn.meta.as_deref();
    let text = |of: fn(&ClientMeta) -> Option<&str>| meta.and_then(of).map(Into::into);
    Connect {
        verbose: options.verbose,
        pedantic: options.pedantic,
        echo: options.echo,
        headers: options.headers,
        no_responders: options.no_responders,
        protocol: i64::from(options.async_info),
        name: text(|meta| meta.name.as_deref()),
        lang: text(|meta| meta.lang.as_deref()),
        version: text(|meta| meta.version.as_deref()),
        ..Connect::default()
    }
}

enum Place {
    Free(u64),
    Taken,
    TooMany,
}
