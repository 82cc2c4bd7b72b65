//! One broker, its stations, and the time between them.

use std::sync::Arc;
use std::time::Duration;

use muster_broker_core::broker::BrokerCore;
use muster_broker_core::config::CoreConfig;
use muster_broker_core::counters::Counters;
use muster_broker_core::shard::ConnInfo;
use muster_client::Moment;
use muster_client::fleet::{FleetEvent, FleetSession};
use muster_client::nats::{ClientConfig, ClientCore, ServerAddr, State};
use muster_server::{Node, NodeScratch};
use muster_testkit::{End, LinkModel, Rng};
use muster_wire::info::Info;

use crate::endpoint::{Asker, Endpoint, Peer, StationId};
use crate::net::{Event, Net};
use crate::raw::Raw;
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
            core: CoreConfig { info, seed, connections_max: 10_000, ..CoreConfig::default() },
            link: LinkModel::default(),
            client: ClientConfig {
                discover_servers: false,
                ping_interval: Duration::from_secs(10),
                ..ClientConfig::new(vec![ServerAddr::new("broker", 4222)])
            },
        }
    }
}

/// A broker and its stations.
#[derive(Debug)]
pub struct World {
    pub(crate) broker: Arc<BrokerCore>,
    pub(crate) shards: Vec<Shard>,
    pub(crate) stations: Vec<Station>,
    pub(crate) net: Net,
    link: LinkModel,
    client: Arc<ClientConfig>,
    scratch: NodeScratch,
}

impl World {
    /// A world with nobody in it.
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        let broker = Arc::new(BrokerCore::new(config.core, config.shards));
        let shards = (0..broker.shards()).map(|id| Shard::new(&broker, id)).collect();
        Self {
            broker,
            shards,
            stations: Vec::new(),
            net: Net::new(config.seed),
            link: config.link,
            client: Arc::new(config.client),
            scratch: NodeScratch::new(),
        }
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

    /// The broker's figures.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.broker.counters()
    }

    /// Connections that ended, shard by shard.
    pub fn ended(&self) -> impl Iterator<Item = &ConnInfo> {
        self.shards.iter().flat_map(|shard| &shard.ended)
    }

    /// How many subscriptions the broker holds.
    #[must_use]
    pub fn subscriptions(&self) -> u64 {
        self.broker.accounts().iter().map(|account| account.sublist.stats().subscriptions).sum()
    }

    /// Adds a node; `make` gets the configuration of its connection, a seed and the time.
    pub fn add_node(&mut self, make: impl FnOnce(Arc<ClientConfig>, u64, Duration) -> Node) -> StationId {
        let (client, seed, now) = (Arc::clone(&self.client), self.net.rng.number(), self.now());
        self.add(Endpoint::Node(Box::new(make(client, seed, now))))
    }

    /// Adds a fleet client; `make` gets the configuration of its connection, a seed and the time.
    pub fn add_asker(
        &mut self,
        make: impl FnOnce(Arc<ClientConfig>, u64, Duration) -> FleetSession,
    ) -> StationId {
        let (client, seed, now) = (Arc::clone(&self.client), self.net.rng.number(), self.now());
        let session = make(client, seed, now);
        self.add(Endpoint::Asker(Box::new(Asker { session, events: Vec::new() })))
    }

    /// Adds a plain client core.
    pub fn add_peer(&mut self, name: &str) -> StationId {
        let seed = self.net.rng.number();
        let core = ClientCore::new(Arc::clone(&self.client), Some(name.into()), seed, self.now());
        self.add(Endpoint::Peer(Box::new(Peer { core, messages: Vec::new(), events: Vec::new() })))
    }

    /// Adds a client that says what it is told; `options` is the text of its `CONNECT`.
    pub fn add_raw(&mut self, options: &str) -> StationId {
        let id = self.add(Endpoint::Raw(Box::new(Raw::new(options))));
        self.stations[id.0].dial(&mut self.net);
        id
    }

    fn add(&mut self, endpoint: Endpoint) -> StationId {
        let index = self.stations.len();
        let mut station = Station::new(endpoint, index, self.link.clone());
        station.settle(&mut self.net, &mut self.scratch);
        self.stations.push(station);
        StationId(index)
    }

    /// Changes how a station's links behave from its next connection on.
    pub fn set_link(&mut self, id: StationId, model: LinkModel) {
        self.stations[id.0].model = model;
    }

    /// The node that was added under this id.
    ///
    /// # Panics
    /// The station is none; so with the others.
    #[must_use]
    pub fn node(&self, id: StationId) -> &Node {
        match &self.stations[id.0].endpoint {
            Endpoint::Node(node) => node,
            other => panic!("{other:?} is no node"),
        }
    }

    /// The raw client that was added under this id.
    #[must_use]
    pub fn raw(&self, id: StationId) -> &Raw {
        match &self.stations[id.0].endpoint {
            Endpoint::Raw(raw) => raw,
            other => panic!("{other:?} is no raw client"),
        }
    }

    /// The plain client that was added under this id.
    #[must_use]
    pub fn peer(&self, id: StationId) -> &Peer {
        match &self.stations[id.0].endpoint {
            Endpoint::Peer(peer) => peer,
            other => panic!("{other:?} is no plain client"),
        }
    }

    /// Lets a plain client act, and does what it then wants done.
    pub fn with_peer<T>(&mut self, id: StationId, act: impl FnOnce(&mut ClientCore) -> T) -> T {
        let station = &mut self.stations[id.0];
        let Endpoint::Peer(peer) = &mut station.endpoint else { panic!("no plain client") };
        let result = act(&mut peer.core);
        station.settle(&mut self.net, &mut self.scratch);
        result
    }

    /// Lets a fleet client act, and does what it then wants done.
    pub fn with_asker<T>(
        &mut self,
        id: StationId,
        act: impl FnOnce(&mut FleetSession, Moment) -> T,
    ) -> T {
        let at = self.moment();
        let station = &mut self.stations[id.0];
        let Endpoint::Asker(asker) = &mut station.endpoint else { panic!("no fleet client") };
        let result = act(&mut asker.session, at);
        station.settle(&mut self.net, &mut self.scratch);
        result
    }

    /// What a fleet client said since the last call.
    pub fn take_events(&mut self, id: StationId) -> Vec<FleetEvent> {
        let Endpoint::Asker(asker) = &mut self.stations[id.0].endpoint else { panic!("no fleet client") };
        std::mem::take(&mut asker.events)
    }

    /// Lets a raw client say something.
    pub fn say(&mut self, id: StationId, text: &str) {
        let station = &mut self.stations[id.0];
        let Endpoint::Raw(raw) = &mut station.endpoint else { panic!("no raw client") };
        raw.say(text.as_bytes());
        station.settle(&mut self.net, &mut self.scratch);
    }

    /// A client goes for good, after what it has said.
    pub fn leave(&mut self, id: StationId) {
        let station = &mut self.stations[id.0];
        match &mut station.endpoint {
            Endpoint::Raw(raw) => raw.close(),
            Endpoint::Node(_) | Endpoint::Asker(_) | Endpoint::Peer(_) => {
                if let Some(client) = station.endpoint.client() {
                    client.close();
                }
            }
        }
        station.settle(&mut self.net, &mut self.scratch);
    }

    /// Whether the broker has taken a station, and the station knows.
    pub fn is_ready(&mut self, id: StationId) -> bool {
        let station = &mut self.stations[id.0];
        let linked = station.link.is_some();
        match station.endpoint.client() {
            Some(client) => client.state() == State::Ready,
            None => linked && self.raw(id).is_flushed(),
        }
    }

    /// A station reads no more; what is sent to it fills its link.
    pub fn stop_reading(&mut self, id: StationId) {
        self.stations[id.0].reading = false;
    }

    /// It reads again.
    pub fn go_on_reading(&mut self, id: StationId) {
        let station = &mut self.stations[id.0];
        station.reading = true;
        station.read(&mut self.net, &mut self.scratch);
    }

    /// Breaks a station's connection; says whether there was one.
    pub fn sever(&mut self, id: StationId) -> bool {
        let link = self.stations[id.0].link.filter(|link| !self.net.is_severed(*link));
        if let Some(link) = link {
            self.net.sever(link);
        }
        link.is_some()
    }

    /// Nothing passes between a station and the broker any more.
    pub fn part(&mut self, id: StationId) {
        let station = &mut self.stations[id.0];
        station.parted = true;
        if let Some(link) = station.link {
            self.net.part(link);
        }
    }

    /// Everything passes again, for links also that the station has given up meanwhile.
    pub fn heal(&mut self, id: StationId) {
        self.stations[id.0].parted = false;
        for link in 0..self.net.all_links() {
            if self.net.wire(link).is_some_and(|wire| wire.station == id.0) {
                self.net.heal(link);
            }
        }
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
                let Some(station) = self.net.wire(link).map(|wire| wire.station) else { return };
                if self.stations[station].link == Some(link) {
                    self.stations[station].settle(&mut self.net, &mut self.scratch);
                }
            }
            Event::Writable(link, End::Far) => self.report(link, Ready::Writable(link)),
            Event::Connect { station, attempt } => self.connect(station, attempt),
            Event::Timer(station) => {
                self.stations[station].handle_timer(&mut self.net, &mut self.scratch);
            }
        }
    }

    fn arrived(&mut self, link: usize, end: End) {
        match end {
            End::Far => self.report(link, Ready::Readable(link)),
            End::Near => {
                let Some(station) = self.net.wire(link).map(|wire| wire.station) else { return };
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
        let shard = self.net.rng.below(self.shards.len());
        let link = self.net.connect(self.stations[station].model.clone(), station, shard);
        self.stations[station].connected(link, &mut self.net, &mut self.scratch);
        self.report(link, Ready::Accept(link));
    }

    /// The poll of a shard has something for it.
    fn report(&mut self, link: usize, event: Ready) {
        let Some(shard) = self.net.wire(link).map(|wire| wire.shard) else { return };
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
        for woken in std::mem::take(&mut self.shards[index].wakes) {
            if self.shards[woken].asleep {
                self.wake(woken);
            }
        }
        match after {
            After::Step => {
                let wait = self.net.rng.time(Duration::from_micros(1)..=STEP_MAX);
                self.schedule(index, now + wait);
            }
            After::Sleep(until) => {
                self.shards[index].asleep = true;
                if let Some(at) = until {
                    self.schedule(index, at.max(now + Duration::from_micros(1)));
                }
            }
        }
    }
}
