//! One broker, its stations, and the time between them.

use std::sync::Arc;
use std::time::Duration;

use muster_broker_core::broker::BrokerCore;
use muster_broker_core::config::CoreConfig;
use muster_broker_core::counters::Counters;
use muster_broker_core::shard::ConnInfo;
use muster_client::Moment;
use muster_client::nats::{ClientConfig, ServerAddr};
use muster_server::NodeScratch;
use muster_testkit::{End, LinkModel, Rng};
use muster_wire::info::Info;

use crate::cluster::{ClusterWorld, MemberConfig};
use crate::net::{Event, Near, Net};
use crate::shard::{After, Ready, Shard};
use crate::station::{Station, moment};

/// The longest time a shard takes for one step; how long is drawn for each.
const STEP_MAX: Duration = Duration::from_micros(40);

/// The longest time from the cause of a shard's waking to its first step.
const WAKE_MAX: Duration = Duration::from_micros(60);

/// What a world is made of.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Shards of the broker.
    pub shards: u16,
    /// The broker's configuration.
    pub core: CoreConfig,
    /// How links behave, unless a station has its own way.
    pub link: LinkModel,
    /// How clients behave: nodes, askers and peers.
    pub client: ClientConfig,
    /// The brokers, where there is more than one: a cluster.
    pub members: Vec<MemberConfig>,
    /// How routes behave.
    pub route_link: LinkModel,
}

impl WorldConfig {
    /// Three shards, quick links, and clients that notice within seconds that their link is dead.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let info = Info {
            server_id: "SIM".to_owned(),
            server_name: "sim".to_owned(),
            version: "2.10.0".to_owned(),
            proto: 1,
            headers: true,
            max_payload: 1 << 20,
            ..Info::default()
        };
        Self {
            seed,
            shards: 3,
            core: CoreConfig {
                info,
                seed,
                connections_max: 10_000,
                ..CoreConfig::default()
            },
            link: LinkModel::default(),
            client: ClientConfig {
                discover_servers: false,
                ping_interval: Duration::from_secs(10),
                ..ClientConfig::new(vec![ServerAddr::new("broker", 4222)])
            },
            members: Vec::new(),
            route_link: LinkModel::default(),
        }
    }
}

/// A broker or a cluster of them, and its stations.
#[derive(Debug)]
pub struct World {
    /// All of the same number of shards.
    pub(crate) brokers: Vec<Arc<BrokerCore>>,
    /// Broker after broker.
    pub(crate) shards: Vec<Shard>,
    pub(crate) cluster: ClusterWorld,
    pub(crate) stations: Vec<Station>,
    pub(crate) net: Net,
    pub(crate) link: LinkModel,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) scratch: NodeScratch,
}

impl World {
    /// A world with nobody in it.
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        let mut cluster = ClusterWorld::new(&config);
        let brokers: Vec<Arc<BrokerCore>> = if config.members.is_empty() {
            vec![Arc::new(BrokerCore::new(config.core, config.shards))]
        } else {
            let members = 0..config.members.len();
            members.map(|member| cluster.broker(member)).collect()
        };
        let shards = brokers
            .iter()
            .flat_map(|broker| (0..broker.shards()).map(|id| Shard::new(broker, id)))
            .collect();
        let mut world = Self {
            brokers,
            shards,
            cluster,
            stations: Vec::new(),
            net: Net::new(config.seed),
            link: config.link,
            client: Arc::new(config.client),
            scratch: NodeScratch::new(),
        };
        world.start_clusters();
        world
    }

    /// A stream of choices of its own, for the scenario.
    pub fn rng(&mut self) -> Rng {
        self.net.rng.fork()
    }

    /// This moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        moment(&self.net)
    }

    /// Monotonic time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.net.now()
    }

    /// Everything that happened so far, as one number.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.net.trace.hash()
    }

    /// The figures of the broker, or of all together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let all = self.brokers.iter().map(|broker| broker.counters());
        all.fold(Counters::default(), Counters::plus)
    }

    /// Connections that ended, shard by shard.
    pub fn ended(&self) -> impl Iterator<Item = &ConnInfo> {
        self.shards.iter().flat_map(|shard| &shard.ended)
    }

    /// How many subscriptions the broker holds.
    #[must_use]
    pub fn subscriptions(&self) -> u64 {
        let accounts = self.brokers.iter().flat_map(|broker| broker.accounts());
        accounts
            .map(|account| account.sublist.stats().subscriptions)
            .sum()
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now() + time;
        while let Some((at, event)) = self.net.queue.pop_until(until) {
            self.net.clock.advance_to(at);
            self.handle(event);
        }
        self.net.clock.advance_to(until);
    }

    /// Lets time pass until something is so, or until the limit; says whether it is so.
    pub fn run_until(&mut self, limit: Duration, mut is_so: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.now() + limit;
        loop {
            if is_so(self) {
                return true;
            }
            // Asked between moments, not between events: nothing that is asked for is gone within one.
            let Some(at) = self.net.queue.next_at().filter(|at| *at <= until) else {
                self.net.clock.advance_to(until);
                return is_so(self);
            };
            self.run_for(at.saturating_sub(self.now()));
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        self.net.trace.note((now, event));
        match event {
            Event::Shard(shard) => self.step(shard),
            Event::Arrive(link, end) => {
                if self.net.take_arrival(link, end) {
                    self.arrived(link, end);
                }
            }
            Event::Writable(link, End::Near) => {
                let Some(station) = self.net.wire(link).and_then(|wire| wire.station()) else {
                    return self.report(link, End::Near, Ready::Writable(link, End::Near));
                };
                if self.stations[station].link == Some(link) {
                    self.stations[station].settle(&mut self.net, &mut self.scratch);
                }
            }
            Event::Writable(link, End::Far) => {
                self.report(link, End::Far, Ready::Writable(link, End::Far));
            }
            Event::Dial(dial) => self.dial_ends(dial),
            Event::Cluster(broker) => self.cluster_due(broker),
            Event::Connect { station, attempt } => self.connect(station, attempt),
            Event::Timer(station) => {
                self.stations[station].handle_timer(&mut self.net, &mut self.scratch);
            }
        }
    }

    fn arrived(&mut self, link: usize, end: End) {
        match end {
            End::Far => self.report(link, End::Far, Ready::Readable(link, End::Far)),
            End::Near => {
                let Some(station) = self.net.wire(link).and_then(|wire| wire.station()) else {
                    return self.report(link, End::Near, Ready::Readable(link, End::Near));
                };
                if self.stations[station].link == Some(link) {
                    self.stations[station].read(&mut self.net, &mut self.scratch);
                }
            }
        }
    }

    fn connect(&mut self, station: usize, attempt: u32) {
        if !self.stations[station].takes(attempt) {
            return;
        }
        let shard = self.some_shard(self.stations[station].home);
        let near = Near::Station(station);
        let link = self
            .net
            .connect(self.stations[station].model.clone(), near, shard);
        self.stations[station].connected(link, &mut self.net, &mut self.scratch);
        self.report(link, End::Far, Ready::Accept(link));
    }

    /// A shard of a broker, by chance.
    pub(crate) fn some_shard(&mut self, broker: usize) -> usize {
        let shards = self.shards_of(broker);
        shards.start + self.net.rng.below(shards.len())
    }

    pub(crate) fn shards_of(&self, broker: usize) -> std::ops::Range<usize> {
        let each = self.shards.len() / self.brokers.len();
        broker * each..(broker + 1) * each
    }

    pub(crate) fn broker_of(&self, shard: usize) -> usize {
        shard * self.brokers.len() / self.shards.len()
    }

    /// The poll of the shard at an end has something for it.
    pub(crate) fn report(&mut self, link: usize, end: End, event: Ready) {
        let Some(shard) = self.net.wire(link).and_then(|wire| wire.shard_at(end)) else {
            return;
        };
        self.report_to(shard, event);
    }

    pub(crate) fn report_to(&mut self, shard: usize, event: Ready) {
        self.shards[shard].report(event);
        if self.shards[shard].asleep {
            self.wake(shard);
        }
    }

    fn wake(&mut self, shard: usize) {
        self.shards[shard].asleep = false;
        let wait = self.net.rng.time(Duration::ZERO..=WAKE_MAX);
        self.schedule(shard, self.net.now() + wait);
    }

    fn schedule(&mut self, shard: usize, at: Duration) {
        self.shards[shard].next = Some(at);
        self.net.queue.push(at, Event::Shard(shard));
    }

    fn step(&mut self, index: usize) {
        let now = self.net.now();
        if self.shards[index].next != Some(now) {
            return;
        }
        self.shards[index].next = None;
        self.shards[index].asleep = false;
        let after = self.shards[index].step(&mut self.net);
        let broker = self.broker_of(index);
        let first = self.shards_of(broker).start;
        for woken in std::mem::take(&mut self.shards[index].wakes) {
            let woken = first + woken;
            if self.shards[woken].asleep {
                self.wake(woken);
            }
        }
        match after {
            After::Step => {
                let wait = self.net.rng.time(Duration::from_micros(1)..=STEP_MAX);
                // Real clocks do not tick in microseconds.
                let more = Duration::from_nanos(self.net.rng.below(1000) as u64);
                self.schedule(index, now + wait + more);
            }
            After::Sleep(until) => {
                self.shards[index].asleep = true;
                if let Some(at) = until {
                    self.schedule(index, at.max(now + Duration::from_micros(1)));
                }
            }
        }
        if self.brokers[broker].take_cluster_touched() {
            self.drive_cluster(broker);
        }
    }
}
