//! Members of a cluster, and patience.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_broker::{Broker, BrokerConfig, ClusterSetting};
use muster_broker_core::config::CoreConfig;

use crate::client::{Client, Event, PATIENCE};
use crate::real::{Real, RealConfig};

/// A member: a broker of ours, or a real one.
pub(crate) enum Member {
    Muster(Arc<Broker>, Box<BrokerConfig>),
    Real(Box<Real>, RealConfig),
}

/// What a member can be started from again.
pub(crate) enum Plan {
    Muster(Box<BrokerConfig>),
    Real(RealConfig),
}

/// A cluster.
pub(crate) struct Lab {
    members: Vec<Member>,
}

impl Member {
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Muster(broker, _) => broker.address(),
            Self::Real(real, _) => real.clients,
        }
    }

    pub(crate) fn broker(&self) -> &Broker {
        match self {
            Self::Muster(broker, _) => broker,
            Self::Real(..) => panic!("a broker of ours is asked for"),
        }
    }

    pub(crate) fn real(&self) -> &Real {
        match self {
            Self::Real(real, _) => real,
            Self::Muster(..) => panic!("a real one is asked for"),
        }
    }

    pub(crate) fn peer_address(&self) -> SocketAddr {
        match self {
            Self::Muster(broker, _) => broker.peer_address().unwrap(),
            Self::Real(real, _) => real.peers,
        }
    }

    /// The names of its peers.
    pub(crate) fn peers(&self) -> Vec<String> {
        match self {
            Self::Muster(broker, _) => {
                let cluster = broker.core().cluster().unwrap();
                let names = cluster.peers().map(|peer| peer.server_name.to_string());
                names.collect()
            }
            Self::Real(real, _) => {
                let routes = real.routes();
                let names = routes.iter().map(|route| route["remote_name"].as_str());
                let names = names.map(|name| name.unwrap_or_default().to_owned());
                // Two real ones have several connections to each other.
                names.collect::<BTreeSet<_>>().into_iter().collect()
            }
        }
    }

    /// Its open routes, with those whose handshake is not done.
    pub(crate) fn routes(&self) -> usize {
        let shards = self.broker().ask(|core, _| core.open_routes().count());
        shards.into_iter().map(Option::unwrap).sum()
    }
}

/// A broker of ours on free ports.
pub(crate) fn config(number: usize, shards: u16, cluster: ClusterSetting) -> BrokerConfig {
    BrokerConfig {
        listen: loopback(),
        shards: Some(shards),
        server_name: Some(format!("b{number}")),
        cluster: Some(cluster),
        core: CoreConfig {
            connections_max: 1000,
            ..CoreConfig::default()
        },
        ..BrokerConfig::default()
    }
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self {
            members: Vec::new(),
        }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// A broker that dials all who are there.
    pub(crate) fn add_muster(&mut self, shards: u16) -> SocketAddr {
        let others: Vec<_> = self.members.iter().map(Member::peer_address).collect();
        self.add_muster_with_routes(shards, &others)
    }

    pub(crate) fn add_muster_with_routes(
        &mut self,
        shards: u16,
        routes: &[SocketAddr],
    ) -> SocketAddr {
        let cluster = ClusterSetting::new("C1", loopback()).with_routes(routes.iter().copied());
        self.add(config(self.members.len(), shards, cluster))
    }

    pub(crate) fn add(&mut self, config: BrokerConfig) -> SocketAddr {
        self.restart(Plan::Muster(Box::new(config)));
        self.members.last().unwrap().peer_address()
    }

    /// A real server that dials these.
    pub(crate) fn add_real(&mut self, routes: &[SocketAddr]) -> SocketAddr {
        let name = format!("r{}", self.members.len());
        self.add_real_as(RealConfig::new(&name, routes))
    }

    pub(crate) fn add_real_as(&mut self, config: RealConfig) -> SocketAddr {
        self.restart(Plan::Real(config));
        self.members.last().unwrap().peer_address()
    }

    /// Starts a broker and remembers the ports it took.
    pub(crate) fn restart(&mut self, plan: Plan) {
        let member = match plan {
            Plan::Muster(mut config) => {
                let broker = Broker::start((*config).clone()).unwrap();
                config.listen = broker.address();
                if let (Some(cluster), Some(address)) = (&mut config.cluster, broker.peer_address())
                {
                    cluster.listen = address;
                }
                Member::Muster(Arc::new(broker), config)
            }
            Plan::Real(mut config) => {
                let real = Real::start(&config);
                config.ports = (real.clients.port(), real.peers.port());
                Member::Real(Box::new(real), config)
            }
        };
        self.members.push(member);
    }

    /// Stops a member; it can be started again as it was.
    pub(crate) fn stop(&mut self, place: usize) -> Plan {
        match self.members.remove(place) {
            Member::Muster(broker, config) => {
                // Its last handle stops it.
                drop(broker);
                Plan::Muster(config)
            }
            Member::Real(real, config) => {
                drop(real);
                Plan::Real(config)
            }
        }
    }

    /// A page of a member's monitoring.
    pub(crate) fn page(&self, place: usize, path: &str) -> String {
        let Member::Muster(broker, _) = &self.members[place] else {
            panic!("a broker of ours is asked for")
        };
        let server = muster_broker::monitor::serve(Arc::clone(broker), loopback()).unwrap();
        crate::real::text(server.address(), path)
    }

    /// Starts a member anew with one more route.
    pub(crate) fn dial_from(&mut self, place: usize, to: SocketAddr) {
        let Plan::Muster(mut config) = self.stop(place) else {
            panic!("a broker of ours is asked for")
        };
        let cluster = config.cluster.take().unwrap();
        config.cluster = Some(cluster.with_routes([to]));
        self.restart(Plan::Muster(config));
    }

    #[track_caller]
    pub(crate) fn wait(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !reached(self) {
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            std::thread::yield_now();
        }
    }

    /// Looks for `time` whether something stays as it is.
    #[track_caller]
    pub(crate) fn stays(&self, what: &str, time: Duration, is: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            assert!(is(self), "no more: {what}");
            std::thread::yield_now();
        }
    }

    /// Waits until every member knows every other one, and all that was said before has been heard.
    pub(crate) fn settle(&self) {
        let addresses: Vec<_> = self.members.iter().map(Member::address).collect();
        settle(&addresses);
    }
}

/// Sends probes from each broker to each other until all arrive: then whatever was subscribed before is known everywhere, because
/// interest and messages keep their order on a route.
pub(crate) fn settle(addresses: &[SocketAddr]) {
    let mut clients: Vec<_> = addresses
        .iter()
        .map(|address| Client::connect(*address))
        .collect();
    for (place, client) in clients.iter_mut().enumerate() {
        // A subject of its own, so that the word of it comes behind all earlier words.
        let subject = format!("lab.{}.{place}", fastrand::u64(..));
        client.send(format!("SUB {subject} 1\r\n").as_bytes());
        client.round_trip();
        for from in addresses {
            let mut probe = Client::connect(*from);
            let begun = Instant::now();
            loop {
                assert!(begun.elapsed() < PATIENCE, "{from} does not reach {place}");
                probe.send(format!("PUB {subject} 0\r\n\r\n").as_bytes());
                probe.round_trip();
                client.send(b"PING\r\n");
                let mut heard = false;
                while client.next() != Event::Pong {
                    heard = true;
                }
                if heard {
                    break;
                }
            }
        }
    }
}

/// The bodies of so many messages.
pub(crate) fn messages(client: &mut Client, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        match client.next() {
            Event::Message { payload, .. } => {
                bodies.push(String::from_utf8(payload.into()).unwrap());
            }
            other => panic!("no message: {other:?}"),
        }
    }
    bodies
}
