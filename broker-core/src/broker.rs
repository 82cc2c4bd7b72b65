//! What all shards of one broker share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::account::{Account, accounts};
use crate::cluster::{Cluster, ClusterCell};
use crate::config::CoreConfig;
use crate::counters::{Counters, PublishedCounters};
use crate::ids::{AccountId, Cid, ConnRef, ShardId};
use crate::inbox::Inbox;
use crate::routes::Routes;
use crate::table::ConnTable;

/// The shared state: table, accounts, inboxes, figures. It outlives its shards.
#[derive(Debug)]
pub struct BrokerCore {
    /// The configuration.
    pub config: CoreConfig,
    pub(crate) table: ConnTable,
    pub(crate) routes: Routes,
    accounts: Box<[Account]>,
    /// Logins refused, by reason; touched on refusals alone.
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    inboxes: Box<[Inbox]>,
    counters: Box<[PublishedCounters]>,
    connections: AtomicU64,
    next_cid: AtomicU64,
    cluster: Option<ClusterCell>,
}

impl BrokerCore {
    /// A broker of so many shards, at least one.
    #[must_use]
    pub fn new(config: CoreConfig, shards: u16) -> Self {
        // Connections that close still hold their slot for a while, so the table is a little larger than the limit.
        let slots = usize::try_from(config.connections_max)
            .unwrap_or(usize::MAX)
            .min(1 << 24);
        Self {
            table: ConnTable::new(slots + slots / 16 + 64),
            accounts: accounts(&config.accounts, config.seed),
            refusals: Mutex::default(),
            inboxes: (0..shards.max(1)).map(|_| Inbox::default()).collect(),
            counters: (0..shards.max(1))
                .map(|_| PublishedCounters::default())
                .collect(),
            routes: Routes::new(config.seed),
            connections: AtomicU64::new(0),
            next_cid: AtomicU64::new(1),
            cluster: None,
            config,
        }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.inboxes.len()).expect("made from a u16")
    }

    /// All accounts; the default one is the first.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account of this number, which a connection has.
    pub(crate) fn account(&self, id: AccountId) -> &Account {
        &self.accounts[id.0 as usize]
    }

    /// Logins refused since the start, by the reason's name.
    #[must_use]
    pub fn login_refusals(&self) -> Vec<(&'static str, u64)> {
        let refusals = self.refusals.lock();
        refusals
            .iter()
            .map(|(name, count)| (*name, *count))
            .collect()
    }

    pub(crate) fn count_refusal(&self, reason: &'static str) {
        *self.refusals.lock().entry(reason).or_default() += 1;
    }

    /// A broker that is a member of a cluster.
    #[must_use]
    pub fn clustered(config: CoreConfig, shards: u16, cluster: Cluster) -> Self {
        Self {
            cluster: Some(ClusterCell::new(cluster)),
            ..Self::new(config, shards)
        }
    }

    /// The membership, where the broker is a member of a cluster. No other lock may be taken while it is held.
    pub fn cluster(&self) -> Option<MutexGuard<'_, Cluster>> {
        self.cluster.as_ref().map(ClusterCell::lock)
    }

    /// As [`Self::cluster`], for the one who carries out what it wants: it leaves no mark for [`Self::take_cluster_touched`].
    pub fn attend_cluster(&self) -> Option<MutexGuard<'_, Cluster>> {
        self.cluster.as_ref().map(ClusterCell::attend)
    }

    /// The shard of a connection, while it lives.
    #[must_use]
    pub fn owner(&self, conn: ConnRef) -> Option<ShardId> {
        self.table.with(conn, |shared| ShardId(shared.owner))
    }

    /// Whether the membership was looked at since this was last asked, so that it may have something to do.
    pub fn take_cluster_touched(&self) -> bool {
        self.cluster.as_ref().is_some_and(ClusterCell::take_touched)
    }

    /// Whether the broker is a member of a cluster.
    pub(crate) fn is_clustered(&self) -> bool {
        self.cluster.is_some()
    }

    /// The account of this name, as peers of the cluster call it.
    pub(crate) fn account_named(&self, name: &[u8]) -> Option<&Account> {
        self.accounts
            .iter()
            .find(|account| account.name.as_bytes() == name)
    }

    /// The inbox of a shard.
    ///
    /// # Panics
    /// There is no such shard.
    #[must_use]
    pub fn inbox(&self, shard: ShardId) -> &Inbox {
        &self.inboxes[usize::from(shard.0)]
    }

    /// The figures of each shard as it last published them.
    pub fn shard_counters(&self) -> impl Iterator<Item = Counters> + '_ {
        self.counters.iter().map(PublishedCounters::read)
    }

    /// The figures of all shards together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shard_counters()
            .fold(Counters::default(), Counters::plus)
    }

    pub(crate) fn publish_counters(&self, shard: ShardId, counters: &Counters) {
        self.counters[usize::from(shard.0)].publish(counters);
    }

    /// Counts a new connection unless the broker is full.
    pub(crate) fn admit(&self) -> Option<Cid> {
        let admitted =
            self.connections
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                    (open < self.config.connections_max).then_some(open + 1)
                });
        admitted
            .ok()
            .map(|_| Cid(self.next_cid.fetch_add(1, Ordering::Relaxed)))
    }

    /// A number for a connection that counts against no limit.
    pub(crate) fn number(&self) -> Cid {
        Cid(self.next_cid.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn dismiss(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
