//! What monitoring sees of a shard's routes.

use std::net::SocketAddr;
use std::time::Duration;

use super::ShardCore;
use crate::close::CloseReason;
use crate::cluster::Origin;
use crate::conn::Conn;
use crate::ids::{Cid, ConnRef, Key};
use crate::route::Stage;

/// One route at one moment. Times are the shard's monotonic ones.
#[derive(Debug, Clone)]
pub struct RouteSnapshot {
    /// Its number.
    pub rid: Cid,
    /// Its key in the shard; after it ended, of no use.
    pub key: Key,
    /// Its place in the table, by which the cluster knows it.
    pub conn: ConnRef,
    /// The other side's address.
    pub peer: SocketAddr,
    /// The peer's id; empty before its `INFO`.
    pub remote_id: Box<str>,
    /// The peer's name.
    pub remote_name: Box<str>,
    /// Whether this broker dialled.
    pub did_solicit: bool,
    /// Whether it dialled an address of its configuration.
    pub is_configured: bool,
    /// Whether it carries interest and messages.
    pub registered: bool,
    /// When it began.
    pub started: Duration,
    /// When bytes last arrived.
    pub last_activity: Duration,
    /// When it ended.
    pub stopped: Option<Duration>,
    /// Why it ended.
    pub reason: Option<CloseReason>,
    /// Round-trip time of the last answered keep-alive.
    pub rtt: Option<Duration>,
    /// Bytes that wait for the peer.
    pub pending_bytes: u64,
    /// Messages it sent.
    pub in_msgs: u64,
    /// Messages it was sent.
    pub out_msgs: u64,
    /// Bytes of the messages it sent.
    pub in_bytes: u64,
    /// Bytes of the messages it was sent.
    pub out_bytes: u64,
    /// How much it announced: one for each account, subject and queue.
    pub subscriptions: usize,
}

impl ShardCore {
    /// Every open route of this shard, with those whose handshake is not done.
    pub fn open_routes(&self) -> impl Iterator<Item = RouteSnapshot> + '_ {
        let open = self.conns.iter().filter(|conn| !conn.is_closing());
        open.filter_map(|conn| self.route_info(conn))
    }

    /// The subjects a peer announced, so many at most, in no order.
    #[must_use]
    pub fn route_subjects(&self, key: Key, most: usize) -> Vec<String> {
        let route = self.conn(key).and_then(|conn| conn.route.as_deref());
        let interest = route.into_iter().flat_map(|route| route.interest.iter());
        let subjects = interest.map(|entry| String::from_utf8_lossy(entry.interest.subject()));
        subjects.take(most).map(Into::into).collect()
    }

    /// A route that ended since the last call, for the log.
    pub fn poll_ended_route(&mut self) -> Option<RouteSnapshot> {
        self.ended_routes.pop_front()
    }

    /// One route of this shard.
    pub fn route_snapshot(&self, key: Key) -> Option<RouteSnapshot> {
        self.conn(key).and_then(|conn| self.route_info(conn))
    }

    fn route_info(&self, conn: &Conn) -> Option<RouteSnapshot> {
        let route = conn.route.as_deref()?;
        let rtt = conn.keep_alive.rtt;
        let (did_solicit, is_configured) = match &route.origin {
            Origin::Accepted => (false, false),
            Origin::Dialled(target) => (true, target.explicit),
        };
        self.broker.table.with(conn.me, |shared| RouteSnapshot {
            rid: conn.cid,
            key: conn.key(shared.index),
            conn: conn.me,
            peer: conn.peer,
            remote_id: route.remote_id.clone(),
            remote_name: route.remote_name.clone(),
            did_solicit,
            is_configured,
            registered: route.stage == Stage::Registered,
            started: conn.started.time(),
            last_activity: conn.last_activity.time(),
            stopped: None,
            reason: None,
            rtt: rtt.map(|(_, micros)| Duration::from_micros(micros.into())),
            pending_bytes: shared.owed,
            in_msgs: conn.in_msgs,
            out_msgs: shared.out_msgs,
            in_bytes: conn.in_bytes,
            out_bytes: shared.out_bytes,
            subscriptions: route.interest.len(),
        })
    }
}
