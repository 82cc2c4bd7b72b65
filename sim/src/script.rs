//! What a scenario does with stations: adds them, lets them speak and listen, and treats their links badly.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::fleet::{FleetEvent, FleetSession};
use muster_client::nats::{ClientConfig, ClientCore, State};
use muster_server::Node;
use muster_testkit::LinkModel;

use crate::endpoint::{Asker, Endpoint, Peer, StationId};
use crate::raw::Raw;
use crate::station::Station;
use crate::world::World;

impl World {
    /// Adds a node; `make` gets the configuration of its connection, a seed and the time.
    pub fn add_node(
        &mut self,
        make: impl FnOnce(Arc<ClientConfig>, u64, Duration) -> Node,
    ) -> StationId {
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
        self.add(Endpoint::Asker(Box::new(Asker {
            session,
            events: Vec::new(),
        })))
    }

    /// Adds a plain client core.
    pub fn add_peer(&mut self, name: &str) -> StationId {
        let seed = self.net.rng.number();
        let core = ClientCore::new(
            Arc::clone(&self.client),
            Some(name.into()),
            seed,
            self.now(),
        );
        self.add(Endpoint::Peer(Box::new(Peer {
            core,
            messages: Vec::new(),
            events: Vec::new(),
        })))
    }

    /// Adds a client that says what it is told; `options` is the text of its `CONNECT`.
    pub fn add_raw(&mut self, options: &str) -> StationId {
        let id = self.add(Endpoint::Raw(Box::new(Raw::new(options))));
        self.stations[id.0].dial(&mut self.net);
        id
    }

    /// Adds a client that says what it is told, to one of the brokers.
    pub fn add_raw_at(&mut self, broker: usize, options: &str) -> StationId {
        let id = self.add(Endpoint::Raw(Box::new(Raw::new(options))));
        self.stations[id.0].home = broker;
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
        let Endpoint::Peer(peer) = &mut station.endpoint else {
            panic!("no plain client")
        };
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
        let Endpoint::Asker(asker) = &mut station.endpoint else {
            panic!("no fleet client")
        };
        let result = act(&mut asker.session, at);
        station.settle(&mut self.net, &mut self.scratch);
        result
    }

    /// What a fleet client said since the last call.
    pub fn take_events(&mut self, id: StationId) -> Vec<FleetEvent> {
        let Endpoint::Asker(asker) = &mut self.stations[id.0].endpoint else {
            panic!("no fleet client")
        };
        std::mem::take(&mut asker.events)
    }

    /// Lets a raw client say something.
    pub fn say(&mut self, id: StationId, text: &str) {
        let station = &mut self.stations[id.0];
        let Endpoint::Raw(raw) = &mut station.endpoint else {
            panic!("no raw client")
        };
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
        let link = self.stations[id.0]
            .link
            .filter(|link| !self.net.is_severed(*link));
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
            let station = self.net.wire(link).and_then(|wire| wire.station());
            if station == Some(id.0) {
                self.net.heal(link);
            }
        }
    }
}
