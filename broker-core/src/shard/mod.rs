//! One shard: the connections of one thread, and what happens on them.
//!
//! The owner of a [`ShardCore`] has the sockets. It hands in what arrives (`handle_*`), and then asks what is to be done (`poll_*`)
//! until nothing is left: connections to flush, connections that may be read again, timers to set, shards to wake.
//! Nothing here opens, sleeps or looks at a clock.
//!
//! `login.rs` holds who may come in, `client.rs` the operations of a client, `publish.rs` the way of a message, `output.rs` what leaves,
//! `route.rs` and its kin are the connections to other brokers, `timeout.rs` what is due, `close.rs` how a connection ends,
//! `snapshot.rs` what monitoring sees.

mod announce;
mod client;
mod close;
mod login;
mod output;
mod publish;
mod route;
mod route_deliver;
mod route_interest;
mod route_publish;
mod route_snapshot;
mod snapshot;
mod timeout;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_wire::client_op::{Step, next_client_op};
use muster_wire::encode::{MsgHead, put_err, put_info};
use muster_wire::info::Info;
use muster_wire::limits::Limits;

use self::announce::Announced;
use crate::account::DEFAULT_ACCOUNT_ID;
use crate::auth::Refused;
use crate::broker::BrokerCore;
use crate::close::CloseReason;
use crate::config::TlsOffer;
use crate::conn::{Conn, ConnOptions, KeepAlive, Parked, Phase};
use crate::counters::Counters;
use crate::ids::{AccountId, ConnRef, Key, ShardId};
use crate::inbox::Notice;
use crate::permissions::Verdicts;
use crate::route::Entry;
use crate::slab::ChunkSlab;
use crate::stamp::Stamp;
use crate::sublist::{MatchCache, Matches};

pub use output::Flush;
pub use route_snapshot::RouteSnapshot;
pub use snapshot::{ConnInfo, SubInfo};

/// Subjects whose match result one shard remembers.
const CACHE_SUBJECTS: usize = 8192;

/// Connections that may wait to be flushed before sliced work stops for them.
const DIRTY_MAX: usize = 2048;

/// What became of an accepted socket.
#[derive(Debug)]
pub enum Accepted {
    /// A connection; `greeting` is to be written in clear, before TLS.
    Open {
        /// How the shard addresses it from now on.
        key: Key,
        /// Its first bytes.
        greeting: Vec<u8>,
    },
    /// The broker is full: write the farewell and close.
    Refused {
        /// `INFO` and the reason.
        farewell: Vec<u8>,
    },
}

/// What an operation left to do with the bytes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Look at the next operation.
    Next,
    /// This operation is done; the next one must wait.
    Pause,
    /// This operation is not done; it stays the first.
    Stay,
    /// The connection is closing.
    Closed,
}

/// The connections of one thread.
#[derive(Debug)]
pub struct ShardCore {
    id: ShardId,
    broker: Arc<BrokerCore>,
    conns: ChunkSlab<Conn>,
    /// One cache an account.
    caches: Vec<MatchCache>,
    counters: Counters,
    rng: fastrand::Rng,
    /// Deliveries that may still be made in this turn.
    deliveries_left: u32,
    dirty: VecDeque<Key>,
    ready: VecDeque<Key>,
    readable: VecDeque<Key>,
    timers: Vec<(Key, Duration)>,
    /// What to tell other shards, one list a shard.
    posts: Vec<Vec<Notice>>,
    notices: Vec<Notice>,
    plain_head: MsgHead,
    headers_head: MsgHead,
    closed: VecDeque<ConnInfo>,
    ended: VecDeque<ConnInfo>,
    ended_routes: VecDeque<RouteSnapshot>,
    /// Routes that are being told of interest, or whose own is being taken in.
    route_work: VecDeque<Key>,
    /// What routes that ended had announced, until it is out of the sublist.
    leaving: VecDeque<(ConnRef, Vec<Entry>)>,
    strings: Vec<Arc<str>>,
    verdicts: Verdicts,
    refused: VecDeque<Refused>,
    announced: Announced,
}

impl ShardCore {
    /// A shard of `broker`, which has that many.
    #[must_use]
    pub fn new(broker: Arc<BrokerCore>, id: ShardId) -> Self {
        let seed = broker.config.seed ^ (u64::from(id.0) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let deliveries_left = broker.config.deliveries_a_turn;
        Self {
            id,
            conns: ChunkSlab::new(),
            caches: broker
                .accounts()
                .iter()
                .map(|_| MatchCache::new(CACHE_SUBJECTS, seed))
                .collect(),
            counters: Counters::default(),
            rng: fastrand::Rng::with_seed(seed),
            deliveries_left,
            dirty: VecDeque::new(),
            ready: VecDeque::new(),
            readable: VecDeque::new(),
            timers: Vec::new(),
            posts: (0..broker.shards()).map(|_| Vec::new()).collect(),
            notices: Vec::new(),
            plain_head: MsgHead::default(),
            headers_head: MsgHead::default(),
            closed: VecDeque::new(),
            ended: VecDeque::new(),
            ended_routes: VecDeque::new(),
            route_work: VecDeque::new(),
            leaving: VecDeque::new(),
            strings: Vec::new(),
            verdicts: Verdicts::new(seed),
            refused: VecDeque::new(),
            announced: Announced::default(),
            broker,
        }
    }

    /// Which shard this is.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// How many connections it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.conns.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a connection that was accepted from `peer`.
    pub fn accept(&mut self, peer: SocketAddr, now: Duration) -> Accepted {
        let opened = self.broker.admit().and_then(|cid| {
            let index = self.conns.reserve();
            let me = self.broker.table.open(self.id, index);
            if me.is_none() {
                self.broker.dismiss();
            }
            me.map(|me| (cid, me))
        });
        let Some((cid, me)) = opened else {
            return Accepted::Refused {
                farewell: self.refuse(peer),
            };
        };
        let config = &self.broker.config;
        let (phase, deadline) = match config.tls {
            TlsOffer::Off => self.phase_after_tls(now),
            TlsOffer::Server | TlsOffer::Optional | TlsOffer::Mutual => {
                (Phase::AwaitTls, Some(now + config.tls_timeout))
            }
        };
        let mut conn = Conn {
            me,
            cid,
            peer,
            account: DEFAULT_ACCOUNT_ID,
            phase,
            options: ConnOptions::default(),
            greeted: false,
            partial: Vec::new(),
            parked: None,
            meta: None,
            door: None,
            permissions: None,
            route: None,
            started: Stamp::of(now),
            last_activity: Stamp::of(now),
            in_msgs: 0,
            in_bytes: 0,
            stalls: 0,
            keep_alive: KeepAlive {
                at: Stamp::of(now + config.ping_interval),
                unanswered: 0,
                sent: None,
                rtt: None,
            },
            deadline: deadline.map(Stamp::of),
            blocked_since: None,
            timer: None,
        };
        let mut info = self.info(cid.0, peer);
        info.nonce = self.challenge(&mut conn);
        let mut greeting = Vec::with_capacity(512);
        put_info(&mut greeting, &info);
        let index = self.conns.insert(conn);
        self.broker.account(DEFAULT_ACCOUNT_ID).enter();
        let key = Key {
            index,
            generation: me.generation,
        };
        self.counters.connections += 1;
        self.counters.connections_total += 1;
        self.schedule(key);
        Accepted::Open { key, greeting }
    }

    /// What a peer is told whom the owner of the sockets had to refuse, for want of a descriptor; it is counted.
    pub fn refuse(&mut self, peer: SocketAddr) -> Vec<u8> {
        self.counters.connections_refused += 1;
        let mut farewell = Vec::with_capacity(512);
        put_info(&mut farewell, &self.info(0, peer));
        put_err(
            &mut farewell,
            CloseReason::ConnectionsExceeded
                .err_text()
                .unwrap_or_default(),
        );
        farewell
    }

    /// The TLS handshake of a connection is done.
    pub fn handle_tls_established(&mut self, key: Key, now: Duration) {
        let conn = self.conn(key);
        if conn.is_some_and(|conn| conn.route.is_some() && conn.phase == Phase::AwaitTls) {
            return self.start_route(key, now);
        }
        let (phase, deadline) = self.phase_after_tls(now);
        if let Some(conn) = self.conn_mut(key)
            && conn.phase == Phase::AwaitTls
        {
            conn.phase = phase;
            conn.deadline = deadline.map(Stamp::of);
            self.schedule(key);
        }
    }

    /// Takes bytes that arrived on a connection, after TLS.
    pub fn handle_bytes(&mut self, key: Key, bytes: &[u8], now: Duration) {
        let Some(conn) = self.conn_mut(key).filter(|conn| !conn.is_closing()) else {
            return;
        };
        conn.last_activity = Stamp::of(now);
        if conn.partial.is_empty() && conn.parked.is_none() {
            let used = self.process(key, bytes, now);
            if let (Some(conn), Some(rest)) = (self.conn_mut(key), bytes.get(used..)) {
                conn.partial.extend_from_slice(rest);
            }
        } else {
            conn.partial.extend_from_slice(bytes);
            if conn.parked.is_none() {
                self.process_partial(key, now);
            }
        }
    }

    /// Begins a turn: work per turn is bounded anew.
    pub fn begin_turn(&mut self) {
        self.deliveries_left = self.broker.config.deliveries_a_turn;
    }

    /// Goes on with connections that stopped for their bound, as far as this turn's bound allows.
    pub fn resume(&mut self, now: Duration) {
        self.resume_routes();
        self.announce_some();
        for _ in 0..self.ready.len() {
            // A fan-out goes no faster than its receivers are flushed, or all of it lies in memory at once.
            if self.deliveries_left == 0 || self.dirty.len() > DIRTY_MAX {
                return;
            }
            let Some(key) = self.ready.pop_front() else {
                return;
            };
            let Some(conn) = self.conn_mut(key).filter(|conn| !conn.is_closing()) else {
                continue;
            };
            match conn.parked.as_deref() {
                Some(Parked::Budget) => conn.parked = None,
                Some(Parked::Fanout(_)) => {}
                Some(Parked::Held { .. } | Parked::Stalled { .. }) | None => continue,
            }
            self.process_partial(key, now);
            self.allow_input(key);
        }
    }

    /// Whether work is left that needs no event to go on.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let idle = self.ready.is_empty() && self.dirty.is_empty() && self.readable.is_empty();
        let routes_idle = self.route_work.is_empty() && self.leaving.is_empty();
        !(idle && routes_idle) || self.announced.is_under_way()
    }

    /// Takes what other shards left for this one.
    pub fn handle_notices(&mut self, now: Duration) {
        let mut notices = std::mem::take(&mut self.notices);
        self.broker.inbox(self.id).take(&mut notices);
        for notice in notices.drain(..) {
            match notice {
                Notice::Dirty(conn) => {
                    if let Some(key) = self.key_of(conn) {
                        self.dirty.push_back(key);
                    }
                }
                Notice::Resume(conn) => {
                    if let Some(key) = self.key_of(conn) {
                        self.release_held(key, now);
                    }
                }
                Notice::Promote(conn) => {
                    if let Some(key) = self.key_of(conn) {
                        self.promote_route(key);
                    }
                }
            }
        }
        self.notices = notices;
    }

    /// Hands the notices for other shards over; `wake` is called for each shard that sleeps.
    pub fn post(&mut self, mut wake: impl FnMut(ShardId)) {
        for shard in 0..self.broker.shards() {
            let posts = &mut self.posts[usize::from(shard)];
            if !posts.is_empty() && self.broker.inbox(ShardId(shard)).post(posts) {
                wake(ShardId(shard));
            }
        }
        self.counters.cache_hits = self.caches.iter().map(|cache| cache.stats().hits).sum();
        self.counters.cache_misses = self.caches.iter().map(|cache| cache.stats().misses).sum();
        self.broker.publish_counters(self.id, &self.counters);
    }

    /// A connection whose socket may be read again.
    pub fn poll_readable(&mut self) -> Option<Key> {
        self.readable.pop_front()
    }

    /// A timer to set; earlier ones of the same connection stay set.
    pub fn poll_timer(&mut self) -> Option<(Key, Duration)> {
        self.timers.pop()
    }

    /// Whether the connection's socket may be read.
    #[must_use]
    pub fn wants_input(&self, key: Key) -> bool {
        self.conn(key).is_some_and(Conn::wants_input)
    }

    fn phase_after_tls(&self, now: Duration) -> (Phase, Option<Duration>) {
        let config = &self.broker.config;
        match config.authenticator {
            None => (Phase::Active, None),
            Some(_) => (Phase::AwaitConnect, Some(now + config.auth_timeout)),
        }
    }

    /// Looks at operations in `buf` until one must wait; returns how many bytes are done with.
    fn process(&mut self, key: Key, buf: &[u8], now: Duration) -> usize {
        if self.conn(key).is_some_and(|conn| conn.route.is_some()) {
            return self.process_route(key, buf, now);
        }
        let mut used = 0;
        loop {
            let Some(conn) = self.conn(key) else {
                return buf.len();
            };
            // A publish that was held is counted and acknowledged already; without budget it parks as a fan-out that has not begun.
            let was_held = matches!(conn.parked.as_deref(), Some(Parked::Held { .. }));
            if self.deliveries_left == 0 && !was_held {
                self.park(key, Parked::Budget);
                self.ready.push_back(key);
                return used;
            }
            let limits = self.limits(conn);
            let rest = buf.get(used..).unwrap_or_default();
            // Of a stranger nothing but CONNECT is read, not even to its line end.
            if conn.phase == Phase::AwaitConnect
                && rest
                    .first()
                    .is_some_and(|first| !first.eq_ignore_ascii_case(&b'c'))
            {
                self.close(key, CloseReason::AuthenticationFailure, now);
                return buf.len();
            }
            match next_client_op(rest, &limits) {
                Ok(Step::Op { op, len }) => match self.handle_op(key, op, &rest[..len], now) {
                    Flow::Next => used += len,
                    Flow::Pause => return used + len,
                    Flow::Stay => return used,
                    Flow::Closed => return buf.len(),
                },
                Ok(Step::Incomplete { .. }) => return used,
                Err(error) => {
                    self.close(key, CloseReason::from(error), now);
                    return buf.len();
                }
            }
        }
    }

    fn process_partial(&mut self, key: Key, now: Duration) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        let mut partial = std::mem::take(&mut conn.partial);
        let used = self.process(key, &partial, now);
        if let Some(conn) = self.conn_mut(key)
            && used < partial.len()
        {
            partial.drain(..used);
            conn.partial = partial;
        }
    }

    fn limits(&self, conn: &Conn) -> Limits {
        let limits = self.broker.config.limits;
        Limits {
            headers: limits.headers && conn.options.headers,
            ..limits
        }
    }

    fn info(&self, cid: u64, peer: SocketAddr) -> Info {
        let config = &self.broker.config;
        Info {
            client_id: cid,
            client_ip: Some(peer.ip().to_canonical().to_string().into()),
            auth_required: config.authenticator.is_some(),
            tls_required: config.tls != TlsOffer::Off,
            tls_verify: config.tls == TlsOffer::Mutual,
            connect_urls: match &self.announced.urls {
                Some(urls) => urls.to_vec(),
                None => config.info.connect_urls.clone(),
            },
            lame_duck: self.announced.lame_duck,
            ..config.info.clone()
        }
    }

    fn conn(&self, key: Key) -> Option<&Conn> {
        self.conns
            .get(key.index)
            .filter(|conn| conn.me.generation == key.generation)
    }

    fn conn_mut(&mut self, key: Key) -> Option<&mut Conn> {
        self.conns
            .get_mut(key.index)
            .filter(|conn| conn.me.generation == key.generation)
    }

    fn key_of(&self, conn: ConnRef) -> Option<Key> {
        let key = self
            .broker
            .table
            .with(conn, |shared| (shared.owner, shared.key()));
        key.filter(|(owner, _)| *owner == self.id.0)
            .map(|(_, key)| key)
    }

    /// Who wants `subject` in an account.
    fn matches(&mut self, account: AccountId, subject: &[u8]) -> Arc<Matches> {
        let sublist = &self.broker.account(account).sublist;
        self.caches[account.0 as usize].matches(sublist, subject)
    }

    /// Tells the owner of the sockets that a connection may be read, if it may.
    fn allow_input(&mut self, key: Key) {
        if self.wants_input(key) {
            self.readable.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests;
