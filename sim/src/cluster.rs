//! Several brokers: whom they dial, what is between them, and what must hold when they are left alone.
//!
//! What plays the cluster thread of `broker` here carries out what [`Cluster::poll_action`] wants, with dials that take their time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_broker_core::broker::BrokerCore;
use muster_broker_core::close::CloseReason;
use muster_broker_core::cluster::{
    Cluster, ClusterAction, ClusterConfig, DialFailure, RouteUrl, Target,
};
use muster_broker_core::config::CoreConfig;
use muster_testkit::{End, LinkModel};
use muster_wire::info::Info;

use crate::endpoint::StationId;
use crate::net::{Event, Near};
use crate::shard::{Ready, Shard};
use crate::world::{World, WorldConfig};

/// The port that all brokers have for routes.
const PORT: u16 = 6222;

/// How long a dial waits for an answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// One broker of a cluster.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// Its name.
    pub name: String,
    /// The cluster's.
    pub cluster: String,
    /// Which others it dials, by their places.
    pub dials: Vec<usize>,
}

impl MemberConfig {
    /// So many brokers of one cluster; each dials those that `dials` says.
    pub fn cluster(count: usize, dials: impl Fn(usize) -> Vec<usize>) -> Vec<Self> {
        let member = |place: usize| Self {
            name: format!("member{place}"),
            cluster: "SIM".to_owned(),
            dials: dials(place),
        };
        (0..count).map(member).collect()
    }
}

/// What there is of a cluster beside its brokers.
#[derive(Debug)]
pub(crate) struct ClusterWorld {
    members: Vec<MemberConfig>,
    core: CoreConfig,
    shards: u16,
    link: LinkModel,
    /// Times each was started, so that each has another id every time.
    runs: Vec<u64>,
    down: BTreeSet<usize>,
    parted: BTreeSet<(usize, usize)>,
    dials: BTreeMap<usize, (usize, Target)>,
    next_dial: usize,
    /// By broker: the event that is in the queue.
    armed: Vec<Option<Duration>>,
}

impl ClusterWorld {
    pub(crate) fn new(config: &WorldConfig) -> Self {
        Self {
            runs: vec![0; config.members.len()],
            members: config.members.clone(),
            core: config.core.clone(),
            shards: config.shards,
            link: config.route_link.clone(),
            down: BTreeSet::new(),
            parted: BTreeSet::new(),
            dials: BTreeMap::new(),
            next_dial: 0,
            armed: vec![None; config.members.len()],
        }
    }

    /// The broker of a member, as it starts.
    pub(crate) fn broker(&mut self, place: usize) -> Arc<BrokerCore> {
        let member = &self.members[place];
        self.runs[place] += 1;
        let seed = self.core.seed ^ ((place as u64 + 1) << 32) ^ self.runs[place];
        let mut core = self.core.clone();
        core.seed = seed;
        core.info = Info {
            server_id: format!("ID{place}R{}", self.runs[place]),
            server_name: member.name.clone(),
            cluster: Some(member.cluster.as_str().into()),
            ..core.info
        };
        let config = ClusterConfig {
            name: member.cluster.as_str().into(),
            listen: url_of(place),
            advertise: Some(url_of(place)),
            routes: member.dials.iter().copied().map(url_of).collect(),
            ..ClusterConfig::default()
        };
        let cluster = Cluster::new(config, &core.info, seed);
        Arc::new(BrokerCore::clustered(core, self.shards, cluster))
    }

    fn is_parted(&self, a: usize, b: usize) -> bool {
        self.parted.contains(&(a.min(b), a.max(b)))
    }
}

fn url_of(place: usize) -> RouteUrl {
    RouteUrl::new(&format!("b{place}"), PORT)
}

impl World {
    pub(crate) fn start_clusters(&mut self) {
        if !self.cluster.members.is_empty() {
            for broker in 0..self.brokers.len() {
                self.arm_cluster(broker, self.net.now());
            }
        }
    }

    /// Does what the membership of a broker wants done.
    pub(crate) fn drive_cluster(&mut self, broker: usize) {
        let core = Arc::clone(&self.brokers[broker]);
        let now = self.net.now();
        if self.cluster.down.contains(&broker) {
            return;
        }
        loop {
            let action = core
                .cluster()
                .and_then(|mut cluster| cluster.poll_action(now));
            match action {
                None => break,
                Some(ClusterAction::Dial(target)) => self.dial(broker, target),
                Some(ClusterAction::Tell { conn, info }) => {
                    self.for_shards(broker, |_| Ready::Tell(conn, info.clone()));
                }
                Some(ClusterAction::Close { conn, reason }) => {
                    self.for_shards(broker, |_| Ready::Close(conn, reason));
                }
                Some(ClusterAction::ConnectUrls | ClusterAction::Note(_)) => {}
            }
        }
        let due = core.cluster().and_then(|cluster| cluster.next_deadline());
        if let Some(due) = due {
            self.arm_cluster(broker, due.max(now + Duration::from_micros(1)));
        }
        core.take_cluster_touched();
    }

    fn arm_cluster(&mut self, broker: usize, at: Duration) {
        let armed = &mut self.cluster.armed[broker];
        if armed.is_none_or(|armed| at < armed) {
            *armed = Some(at);
            self.net.queue.push(at, Event::Cluster(broker));
        }
    }

    /// The time for which a broker's cluster was put into the queue has come.
    pub(crate) fn cluster_due(&mut self, broker: usize) {
        if self.cluster.armed[broker] == Some(self.net.now()) {
            self.cluster.armed[broker] = None;
            self.drive_cluster(broker);
        }
    }

    fn for_shards(&mut self, broker: usize, event: impl Fn(usize) -> Ready) {
        for shard in self.shards_of(broker) {
            self.report_to(shard, event(shard));
        }
    }

    fn dial(&mut self, from: usize, target: Target) {
        let to = place_of(&target);
        let link = &self.cluster.link;
        let mut wait = self.net.rng.time(link.delay_min..=link.delay_max * 2);
        if to.is_some_and(|to| self.cluster.is_parted(from, to)) {
            wait = DIAL_TIMEOUT;
        }
        let dial = self.cluster.next_dial;
        self.cluster.next_dial += 1;
        self.cluster.dials.insert(dial, (from, target));
        self.net.after(wait, Event::Dial(dial));
    }

    /// A dial has come to its end.
    pub(crate) fn dial_ends(&mut self, dial: usize) {
        let Some((from, target)) = self.cluster.dials.remove(&dial) else {
            return;
        };
        let now = self.net.now();
        let to = place_of(&target).filter(|to| *to < self.brokers.len());
        let failure = match to {
            None => Some(DialFailure::Unresolved),
            Some(to) if self.cluster.is_parted(from, to) => Some(DialFailure::Timeout),
            Some(to) if self.cluster.down.contains(&to) => Some(DialFailure::Refused),
            Some(_) => None,
        };
        let (Some(to), None) = (to, failure) else {
            if let (Some(failure), Some(mut cluster)) = (failure, self.brokers[from].cluster()) {
                cluster.handle_dial_failed(target.id, failure, now);
            }
            return self.drive_cluster(from);
        };
        let (near, far) = (self.some_shard(from), self.some_shard(to));
        let link = self.cluster.link.clone();
        let link = self.net.connect(link, Near::Shard(near), far);
        self.report(link, End::Near, Ready::Dialled(link, Box::new(target)));
        self.report(link, End::Far, Ready::AcceptRoute(link));
    }

    /// A broker is killed with all its sockets.
    pub fn kill_broker(&mut self, broker: usize) {
        self.cluster.down.insert(broker);
        self.cluster.dials.retain(|_, (from, _)| *from != broker);
        let fresh = self.cluster.broker(broker);
        for (id, shard) in self.shards_of(broker).enumerate() {
            self.shards[shard].kill(&mut self.net);
            let id = u16::try_from(id).unwrap_or_default();
            self.shards[shard] = Shard::new(&fresh, id);
        }
        self.brokers[broker] = fresh;
    }

    /// It is started again, as another one of the same name.
    pub fn start_broker(&mut self, broker: usize) {
        self.cluster.down.remove(&broker);
        self.drive_cluster(broker);
    }

    /// Nothing passes between two brokers any more.
    pub fn part_brokers(&mut self, a: usize, b: usize) {
        self.cluster.parted.insert((a.min(b), a.max(b)));
        self.for_routes(a, b, |world, link| world.net.part(link));
    }

    /// Everything passes again.
    pub fn heal_brokers(&mut self, a: usize, b: usize) {
        self.cluster.parted.remove(&(a.min(b), a.max(b)));
        self.for_routes(a, b, |world, link| world.net.heal(link));
    }

    /// Breaks the connections between two brokers.
    pub fn sever_brokers(&mut self, a: usize, b: usize) {
        self.for_routes(a, b, |world, link| world.net.sever(link));
    }

    fn for_routes(&mut self, a: usize, b: usize, act: impl Fn(&mut Self, usize)) {
        for link in 0..self.net.all_links() {
            let Some((Near::Shard(near), far)) = self.net.wire(link).map(|w| (w.near, w.shard))
            else {
                continue;
            };
            let ends = (self.broker_of(near), self.broker_of(far));
            if ends == (a, b) || ends == (b, a) {
                act(self, link);
            }
        }
    }

    /// The names of the peers that a broker has a registered route to, sorted; a peer with two is there twice.
    #[must_use]
    pub fn peers_of(&self, broker: usize) -> Vec<String> {
        let mut names: Vec<String> = self.shards[self.shards_of(broker)]
            .iter()
            .flat_map(|shard| shard.core.open_routes())
            .filter(|route| route.registered)
            .map(|route| route.remote_name.to_string())
            .collect();
        names.sort_unstable();
        names
    }

    /// How many routes a broker has, those included that stand by.
    #[must_use]
    pub fn routes_of(&self, broker: usize) -> usize {
        let shards = self.shards[self.shards_of(broker)].iter();
        shards.map(|shard| shard.core.open_routes().count()).sum()
    }

    /// Why routes of a broker ended since it was started.
    #[must_use]
    pub fn route_ends(&self, broker: usize) -> Vec<CloseReason> {
        let shards = self.shards[self.shards_of(broker)].iter();
        let ended = shards.flat_map(|shard| &shard.ended_routes);
        ended.filter_map(|route| route.reason).collect()
    }

    /// The figures of one broker.
    #[must_use]
    pub fn counters_of(&self, broker: usize) -> muster_broker_core::counters::Counters {
        self.brokers[broker].counters()
    }

    /// Whether each broker knows of exactly what the clients of the others want, and by one route each.
    #[must_use]
    pub fn has_agreed(&self) -> bool {
        let interests: Vec<Vec<_>> = self
            .brokers
            .iter()
            .map(|broker| {
                let sublist = &broker.accounts()[0].sublist;
                let (mut keys, mut part) = (Vec::new(), 0);
                while sublist.local_interests(part, &mut keys) {
                    part += 1;
                }
                let weight = |key| sublist.local_len(key) as u64;
                keys.iter().map(|key| (key.clone(), weight(key))).collect()
            })
            .collect();
        self.brokers.iter().enumerate().all(|(at, broker)| {
            let sublist = &broker.accounts()[0].sublist;
            let others = interests
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at);
            let others: Vec<_> = others.flat_map(|(_, keys)| keys).collect();
            let expected = |wanted: &muster_broker_core::sublist::Interest| -> u64 {
                let same = others.iter().filter(|(key, _)| key == wanted);
                same.map(|(key, count)| if key.queue().is_some() { *count } else { 1 })
                    .sum()
            };
            sublist.stats().remotes == others.len() as u64
                && others.iter().all(|(key, _)| {
                    // Each broker's interests carry a hash of its own.
                    let here = sublist.interest(key.subject(), key.queue());
                    sublist.remote_weight(&here) == expected(key)
                })
        })
    }

    /// Waits until the brokers have agreed.
    ///
    /// # Panics
    /// They do not in this time.
    pub fn assert_agrees(&mut self, limit: Duration) {
        let until = self.now() + limit;
        while !self.has_agreed() {
            assert!(
                self.now() < until,
                "the brokers do not agree: {}",
                self.disagreement()
            );
            self.run_for(Duration::from_millis(20));
        }
        self.assert_sound();
    }

    fn disagreement(&self) -> String {
        let lines = self.brokers.iter().enumerate().map(|(at, broker)| {
            let stats = broker.accounts()[0].sublist.stats();
            format!(
                "{at}: peers {:?}, {} here, {} elsewhere",
                self.peers_of(at),
                stats.interests,
                stats.remotes
            )
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Whether a station is connected to a broker.
    #[must_use]
    pub fn is_linked(&self, id: StationId) -> bool {
        self.stations[id.0].link.is_some()
    }
}

/// Which member a target names.
fn place_of(target: &Target) -> Option<usize> {
    target.url.host.strip_prefix('b')?.parse().ok()
}
