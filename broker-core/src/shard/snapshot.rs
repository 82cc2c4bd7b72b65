//! What monitoring sees of a shard's connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::ShardCore;
use crate::close::CloseReason;
use crate::conn::Conn;
use crate::counters::CacheFigures;
use crate::ids::{AccountId, Cid, ConnRef, Key};
use crate::sublist::Member;
use crate::subs::{SidNames, Sub};
use crate::table::Shared;

/// One connection at one moment. Times are the shard's monotonic ones.
#[derive(Debug, Clone)]
pub struct ConnInfo {
    /// Its number.
    pub cid: Cid,
    /// Its key in the shard; after it ended, of no use.
    pub key: Key,
    /// The other side's address.
    pub peer: SocketAddr,
    /// When it came.
    pub started: Duration,
    /// When bytes last arrived.
    pub last_activity: Duration,
    /// When it ended.
    pub stopped: Option<Duration>,
    /// Why it ended.
    pub reason: Option<CloseReason>,
    /// Round-trip time of the last answered keep-alive.
    pub rtt: Option<Duration>,
    /// Bytes that wait for it.
    pub pending_bytes: u64,
    /// Messages it sent.
    pub in_msgs: u64,
    /// Messages it was sent.
    pub out_msgs: u64,
    /// Bytes of the messages it sent.
    pub in_bytes: u64,
    /// Bytes of the messages it was sent.
    pub out_bytes: u64,
    /// How often it was held back or stalled as a publisher.
    pub stalls: u32,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// The subscriptions, where they were asked for.
    pub subs: Vec<SubInfo>,
    /// Its account.
    pub account: AccountId,
    /// The user it was let in as.
    pub user: Option<Arc<str>>,
    /// The name it gave itself.
    pub name: Option<Box<str>>,
    /// Its client library's language.
    pub lang: Option<Arc<str>>,
    /// Its client library's version.
    pub version: Option<Arc<str>>,
}

/// One subscription at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubInfo {
    /// The subject.
    pub subject: Box<[u8]>,
    /// The queue group.
    pub queue: Option<Box<[u8]>>,
    /// The sid as the client wrote it.
    pub sid: Box<[u8]>,
    /// Messages delivered.
    pub msgs: u64,
    /// Auto-unsubscribe after so many; 0 is never.
    pub max: u64,
}

impl ShardCore {
    /// Every open connection; with `subs` their subscriptions too.
    pub fn open_connections(&self, subs: bool) -> impl Iterator<Item = ConnInfo> + '_ {
        let open = self.conns.iter().filter(|conn| !conn.is_closing());
        open.filter_map(move |conn| self.info_of(conn, Detail::of(subs)))
    }

    /// Every open connection without texts and subscriptions, which allocates nothing.
    pub fn open_figures(&self) -> impl Iterator<Item = ConnInfo> + '_ {
        let open = self.conns.iter().filter(|conn| !conn.is_closing());
        open.filter_map(move |conn| self.info_of(conn, Detail::Figures))
    }

    /// One connection of this shard; with `subs` its subscriptions too.
    #[must_use]
    pub fn connection(&self, key: Key, subs: bool) -> Option<ConnInfo> {
        self.snapshot(key, subs)
    }

    /// The connections that ended last, oldest first.
    pub fn closed_connections(&self) -> impl Iterator<Item = &ConnInfo> {
        self.closed.iter()
    }

    /// The subscription that a member of the sublist stands for, if its connection is one of this shard.
    #[must_use]
    pub fn subscription(&self, member: Member) -> Option<(Cid, SubInfo)> {
        let conn = ConnRef {
            slot: member.slot,
            generation: member.generation,
        };
        let found = self.broker.table.with(conn, |shared| {
            if shared.owner != self.id.0 {
                return None;
            }
            let key = shared.key();
            let unnamed = SidNames::default();
            let Shared { subs, names, .. } = shared;
            let sub = subs.get_mut(member.sid)?;
            Some((key, sub_info(sub, names.as_deref().unwrap_or(&unnamed))))
        });
        let (key, info) = found.flatten()?;
        self.conn(key).map(|conn| (conn.cid, info))
    }

    /// What the match caches hold.
    #[must_use]
    pub fn cache_figures(&self) -> CacheFigures {
        self.caches
            .iter()
            .fold(CacheFigures::default(), |figures, cache| {
                let (fanout_max, fanout_sum) = cache.fanout();
                CacheFigures {
                    subjects: figures.subjects + cache.stats().len,
                    fanout_max: figures.fanout_max.max(fanout_max),
                    fanout_sum: figures.fanout_sum + fanout_sum,
                }
            })
    }

    pub(super) fn snapshot(&self, key: Key, subs: bool) -> Option<ConnInfo> {
        self.conn(key)
            .and_then(|conn| self.info_of(conn, Detail::of(subs)))
    }

    fn info_of(&self, conn: &Conn, detail: Detail) -> Option<ConnInfo> {
        if conn.route.is_some() {
            return None;
        }
        let meta = conn.meta.as_deref();
        let texts = meta.filter(|_| detail != Detail::Figures);
        self.broker.table.with(conn.me, |shared| ConnInfo {
            cid: conn.cid,
            key: conn.key(shared.index),
            peer: conn.peer,
            started: conn.started.time(),
            last_activity: conn.last_activity.time(),
            stopped: None,
            reason: None,
            rtt: conn
                .keep_alive
                .rtt
                .map(|(_, micros)| Duration::from_micros(micros.into())),
            pending_bytes: shared.owed,
            in_msgs: conn.in_msgs,
            out_msgs: shared.out_msgs,
            in_bytes: conn.in_bytes,
            out_bytes: shared.out_bytes,
            stalls: conn.stalls,
            subscriptions: shared.subs.len(),
            subs: if detail == Detail::Subscriptions {
                sub_infos(shared)
            } else {
                Vec::new()
            },
            account: conn.account,
            user: meta.and_then(|meta| meta.user.clone()),
            name: texts.and_then(|meta| meta.name.clone()),
            lang: texts.and_then(|meta| meta.lang.clone()),
            version: texts.and_then(|meta| meta.version.clone()),
        })
    }
}

/// How much of a connection is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Figures,
    Texts,
    Subscriptions,
}

impl Detail {
    fn of(subs: bool) -> Self {
        if subs {
            Self::Subscriptions
        } else {
            Self::Texts
        }
    }
}

fn sub_infos(shared: &Shared) -> Vec<SubInfo> {
    let unnamed = SidNames::default();
    let names = shared.names.as_deref().unwrap_or(&unnamed);
    shared
        .subs
        .sorted()
        .into_iter()
        .map(|sub| sub_info(sub, names))
        .collect()
}

fn sub_info(sub: &Sub, names: &SidNames) -> SubInfo {
    let mut sid = Vec::new();
    names.put(&mut sid, sub.sid);
    SubInfo {
        subject: sub.interest.subject().into(),
        queue: sub.interest.queue().map(Into::into),
        sid: sid.into(),
        msgs: sub.delivered,
        max: sub.max,
    }
}
