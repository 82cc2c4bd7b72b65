//! A route to another broker of the cluster: its beginning, its operations, its end.
//!
//! What a peer may say and when is in [`crate::route`]; whether it may join is for [`crate::cluster`] to say.
//! No error is told to a peer that the route survives: who receives one closes.

use std::net::SocketAddr;
use std::time::Duration;

use muster_wire::encode::{put_ping, put_pong};
use muster_wire::route_info::{RouteConnect, RouteInfo, put_route_connect, put_route_info};
use muster_wire::route_op::{RouteLimits, RouteOp, RouteStep, next_route_op};

use super::{Accepted, Flow, ShardCore};
use crate::account::DEFAULT_ACCOUNT_ID;
use crate::close::CloseReason;
use crate::cluster::{Origin, Target, Verdict};
use crate::conn::{Conn, ConnOptions, KeepAlive, Parked, Phase};
use crate::ids::{ConnRef, Key};
use crate::inbox::Notice;
use crate::route::{Admission, RouteConn, Stage, Telling};
use crate::stamp::Stamp;

/// The first keep-alive comes this early, for the round-trip time.
const FIRST_PING: Duration = Duration::from_secs(1);

impl ShardCore {
    /// Takes a route that a peer at this address dialled. Where routes speak TLS the greeting is empty: TLS comes first.
    pub fn accept_route(&mut self, peer: SocketAddr, now: Duration) -> Accepted {
        match self.open_route(Origin::Accepted, peer, now) {
            Some((key, greeting)) => Accepted::Open { key, greeting },
            None => Accepted::Refused {
                farewell: Vec::new(),
            },
        }
    }

    /// Takes a route that was dialled to `target` and reached `peer`; the bytes are to be written first, or after TLS if there are none.
    /// `None` where there is no cluster or no place for it: the socket is to be closed.
    pub fn dialled_route(
        &mut self,
        target: Target,
        peer: SocketAddr,
        now: Duration,
    ) -> Option<(Key, Vec<u8>)> {
        self.open_route(Origin::Dialled(target), peer, now)
    }

    fn open_route(
        &mut self,
        origin: Origin,
        peer: SocketAddr,
        now: Duration,
    ) -> Option<(Key, Vec<u8>)> {
        if !self.broker.is_clustered() {
            return None;
        }
        let index = self.conns.reserve();
        let me = self.broker.table.open(self.id, index)?;
        let config = &self.broker.config.route;
        let (phase, wait) = if config.tls {
            (Phase::AwaitTls, config.tls_timeout)
        } else {
            (Phase::AwaitConnect, config.auth_timeout)
        };
        let jitter = FIRST_PING.mul_f64(self.rng.f64() * 0.2);
        let conn = Conn {
            me,
            cid: self.broker.number(),
            peer,
            account: DEFAULT_ACCOUNT_ID,
            phase,
            options: ConnOptions {
                verbose: false,
                pedantic: false,
                ..ConnOptions::default()
            },
            greeted: true,
            partial: Vec::new(),
            parked: None,
            meta: None,
            door: None,
            permissions: None,
            route: Some(Box::new(RouteConn::new(origin, self.broker.config.seed))),
            started: Stamp::of(now),
            last_activity: Stamp::of(now),
            in_msgs: 0,
            in_bytes: 0,
            stalls: 0,
            keep_alive: KeepAlive {
                at: Stamp::of(now + FIRST_PING + jitter),
                unanswered: 0,
                sent: None,
                rtt: None,
            },
            deadline: Some(Stamp::of(now + wait)),
            blocked_since: None,
            timer: None,
        };
        let index = self.conns.insert(conn);
        let key = Key {
            index,
            generation: me.generation,
        };
        self.counters.routes += 1;
        self.schedule(key);
        let greeting = if phase == Phase::AwaitTls {
            Vec::new()
        } else {
            self.route_greeting(key)
        };
        Some((key, greeting))
    }

    /// `INFO` of the accepting side, `CONNECT` of the one that dialled.
    fn route_greeting(&self, key: Key) -> Vec<u8> {
        let mut greeting = Vec::with_capacity(512);
        let route = self.conn(key).and_then(|conn| conn.route.as_deref());
        if let (Some(route), Some(cluster)) = (route, self.broker.cluster()) {
            match &route.origin {
                Origin::Accepted => put_route_info(&mut greeting, &cluster.info()),
                Origin::Dialled(target) => {
                    put_route_connect(&mut greeting, &cluster.connect_for(target));
                }
            }
        }
        greeting
    }

    /// TLS is up on a route.
    pub(super) fn start_route(&mut self, key: Key, now: Duration) {
        // The clock of the handshake goes on for one more second, as in nats-server.
        let auth_timeout = self.broker.config.route.auth_timeout + Duration::from_secs(1);
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        conn.phase = Phase::AwaitConnect;
        conn.deadline = Some(Stamp::of(now + auth_timeout));
        let greeting = self.route_greeting(key);
        self.append(key, greeting.len(), |out| out.extend_from_slice(&greeting));
        self.schedule(key);
    }

    /// Looks at operations in `buf` until one must wait; returns how many bytes are done with.
    pub(super) fn process_route(&mut self, key: Key, buf: &[u8], now: Duration) -> usize {
        let mut used = 0;
        loop {
            let Some(conn) = self.conn(key) else {
                return buf.len();
            };
            if self.deliveries_left == 0 {
                // A message in the middle of its fan-out keeps its place.
                if !matches!(conn.parked.as_deref(), Some(Parked::Fanout(_))) {
                    self.park(key, Parked::Budget);
                }
                self.ready.push_back(key);
                return used;
            }
            let mut limits = self.broker.config.route.limits;
            if conn.phase != Phase::Active {
                // Of a stranger no more is kept than of anyone else's line.
                limits = RouteLimits {
                    json_max: limits.json_max.min(limits.control_line_max),
                    ..limits
                };
            }
            let rest = buf.get(used..).unwrap_or_default();
            match next_route_op(rest, &limits) {
                Ok(RouteStep::Op { op, len }) => {
                    match self.handle_route_op(key, op, &rest[..len], now) {
                        Flow::Next => used += len,
                        Flow::Pause => return used + len,
                        Flow::Stay => return used,
                        Flow::Closed => return buf.len(),
                    }
                }
                Ok(RouteStep::Incomplete { .. }) => return used,
                Err(error) => {
                    self.close(key, CloseReason::from(error), now);
                    return buf.len();
                }
            }
        }
    }

    fn handle_route_op(&mut self, key: Key, op: RouteOp<'_>, bytes: &[u8], now: Duration) -> Flow {
        let Some(stage) = self.route_stage(key) else {
            return Flow::Closed;
        };
        match (stage, op) {
            (Stage::AwaitConnect, RouteOp::Connect(json)) => {
                return self.handle_route_connect(key, json, now);
            }
            // As nats-server, which takes nothing before it, not even a PING.
            (Stage::AwaitConnect, _) => {
                self.close(key, CloseReason::AuthenticationFailure, now);
                return Flow::Closed;
            }
            (Stage::AwaitInfo, RouteOp::Info(json)) => {
                return self.handle_first_info(key, json, now);
            }
            (_, RouteOp::Info(json)) => return self.handle_later_info(key, json, now),
            (_, RouteOp::Ping) => self.append(key, 8, put_pong),
            (_, RouteOp::Pong) => self.handle_pong(key, now),
            (_, RouteOp::Err(text)) => {
                let peer = self.conn(key).map(|conn| conn.peer);
                if let (Some(peer), Some(mut cluster)) = (peer, self.broker.cluster()) {
                    cluster.handle_peer_error(peer, text, now);
                }
                self.close(key, CloseReason::ClientClosed, now);
                return Flow::Closed;
            }
            (_, RouteOp::Ok | RouteOp::Account | RouteOp::Connect(_)) => {}
            (Stage::AwaitInfo, _) => {
                self.close(key, CloseReason::AuthenticationFailure, now);
                return Flow::Closed;
            }
            (_, RouteOp::Subscribe { .. } | RouteOp::Unsubscribe { .. }) => {
                self.handle_remote_interest(key, op);
            }
            (_, RouteOp::Message(message)) => {
                let ended = &bytes[bytes.len() - message.payload.len() - 2..];
                return self.handle_route_message(key, message, ended, now);
            }
        }
        Flow::Next
    }

    fn handle_route_connect(&mut self, key: Key, json: &[u8], now: Duration) -> Flow {
        let verdict = match (RouteConnect::parse(json), self.broker.cluster()) {
            (Ok(connect), Some(cluster)) => cluster.check_connect(&connect).map(|()| connect.echo),
            (Err(_), _) | (_, None) => Err(CloseReason::BadArguments),
        };
        match verdict {
            Err(reason) => {
                let peer = self.conn(key).map(|conn| conn.peer);
                if let (Some(peer), Some(mut cluster)) = (peer, self.broker.cluster()) {
                    cluster.handle_refused(peer, reason, now);
                }
                self.close(key, reason, now);
                Flow::Closed
            }
            Ok(echo) => {
                if let Some(route) = self.route_mut(key) {
                    route.stage = Stage::AwaitInfo;
                    route.echo = echo;
                }
                Flow::Next
            }
        }
    }

    fn handle_first_info(&mut self, key: Key, json: &[u8], now: Duration) -> Flow {
        let Ok(info) = RouteInfo::parse(json) else {
            self.close(key, CloseReason::BadArguments, now);
            return Flow::Closed;
        };
        let Some((me, peer, origin)) = self.conn(key).and_then(|conn| {
            let route = conn.route.as_deref()?;
            Some((conn.me, conn.peer, route.origin.clone()))
        }) else {
            return Flow::Closed;
        };
        if let Some(route) = self.route_mut(key) {
            route.remote_id = info.server_id.as_str().into();
            route.remote_name = info.server_name.as_str().into();
        }
        let (verdict, own) = match self.broker.cluster() {
            None => return Flow::Closed,
            Some(mut cluster) => (
                cluster.handle_first_info(me, &origin, peer, &info, now),
                cluster.info_for(&origin),
            ),
        };
        let stage = match verdict {
            Verdict::Registered => Stage::Registered,
            Verdict::Standby => Stage::Standby,
            Verdict::Close(reason) => {
                self.close(key, reason, now);
                return Flow::Closed;
            }
        };
        if origin != Origin::Accepted {
            self.append(key, 512, |out| put_route_info(out, &own));
        }
        self.register_route(key, me, stage, info.headers);
        Flow::Next
    }

    /// From now on the peer is told of every change; what holds already follows in slices.
    fn register_route(&mut self, key: Key, me: ConnRef, stage: Stage, headers: bool) {
        if let Some(conn) = self.conn_mut(key) {
            conn.phase = Phase::Active;
            conn.deadline = None;
        }
        if let Some(route) = self.route_mut(key) {
            route.stage = stage;
            route.telling = Some(Telling::default());
        }
        self.broker
            .table
            .with(me, |shared| shared.headers = headers);
        self.broker.routes.add(me);
        self.counters.routes_total += 1;
        self.queue_route_work(key);
    }

    fn handle_later_info(&mut self, key: Key, json: &[u8], now: Duration) -> Flow {
        let Ok(info) = RouteInfo::parse(json) else {
            self.close(key, CloseReason::BadArguments, now);
            return Flow::Closed;
        };
        let me = self.conn(key).map(|conn| conn.me);
        if let (Some(me), Some(mut cluster)) = (me, self.broker.cluster()) {
            cluster.handle_info(me, &info, now);
        }
        Flow::Next
    }

    /// Sends an `INFO` on a route: gossip, or that this broker is going to stop.
    pub fn send_route_info(&mut self, conn: ConnRef, info: &RouteInfo) {
        if let Some(key) = self.key_of(conn) {
            self.append(key, 512, |out| put_route_info(out, info));
        }
    }

    /// Another route to the same peer is gone, and this one takes its place.
    pub(super) fn promote_route(&mut self, key: Key) {
        let Some(route) = self.route_mut(key) else {
            return;
        };
        if route.stage == Stage::Standby {
            route.stage = Stage::Registered;
            if route.telling.is_none() {
                route.admission = Admission::Entering(route.interest.len());
                self.queue_route_work(key);
            }
        }
    }

    /// The end of a route, after its phase has become `Closing`. Deliveries to it stop at once; what it announced goes in slices.
    pub(super) fn end_route(&mut self, key: Key, reason: CloseReason, now: Duration) {
        let snapshot = self.route_snapshot(key);
        self.withdraw_route(key);
        let Some((me, origin)) = self.conn(key).and_then(|conn| {
            let route = conn.route.as_deref()?;
            Some((conn.me, route.origin.clone()))
        }) else {
            return;
        };
        let successor = match self.broker.cluster() {
            None => None,
            Some(mut cluster) => cluster.handle_closed(me, &origin, now),
        };
        if let Some(next) = successor
            && let Some(owner) = self.broker.table.with(next, |shared| shared.owner)
        {
            self.posts[usize::from(owner)].push(Notice::Promote(next));
        }
        if reason == CloseReason::SlowConsumerPendingBytes {
            self.counters.routes_cut += 1;
        }
        if let Some(mut snapshot) = snapshot {
            snapshot.stopped = Some(now);
            snapshot.reason = Some(reason);
            self.ended_routes.push_back(snapshot);
        }
    }

    /// Routes are pinged whatever comes from them, and only the answer counts.
    pub(super) fn keep_route_alive(&mut self, key: Key, now: Duration) {
        let config = self.broker.config.route;
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        conn.keep_alive.at = Stamp::of(now + config.ping_interval);
        if conn.phase != Phase::Active {
            return;
        }
        if conn.keep_alive.unanswered >= config.pings_out_max {
            self.close(key, CloseReason::StaleConnection, now);
            return;
        }
        conn.keep_alive.unanswered += 1;
        conn.keep_alive.sent = Some(Stamp::of(now));
        self.append(key, 8, put_ping);
    }

    pub(super) fn route_mut(&mut self, key: Key) -> Option<&mut RouteConn> {
        self.conn_mut(key)?.route.as_deref_mut()
    }

    fn route_stage(&self, key: Key) -> Option<Stage> {
        let conn = self.conn(key).filter(|conn| !conn.is_closing())?;
        conn.route.as_deref().map(|route| route.stage)
    }
}
