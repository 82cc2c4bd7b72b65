//! Several brokers on one thread, with routes that are byte queues.

use std::net::SocketAddr;
use std::time::Duration;

use muster_wire::info::Info;
use muster_wire::route_info::GossipMode;

use super::fleet::{Client, Fleet};
use crate::account::DEFAULT_ACCOUNT;
use crate::cluster::{Cluster, ClusterConfig, RouteUrl, Target, TargetId};
use crate::config::CoreConfig;
use crate::shard::{Accepted, RouteSnapshot};

/// One end of a route: the broker, and the connection there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) broker: usize,
    pub(super) conn: Client,
}

#[derive(Debug)]
struct Link {
    dialled: End,
    accepted: End,
}

pub(super) struct Mesh {
    pub(super) brokers: Vec<Fleet>,
    links: Vec<Link>,
}

/// A member of the cluster that is told whom to dial.
pub(super) fn membership(name: &str) -> Cluster {
    let info = Info {
        server_id: format!("ID-{name}"),
        server_name: name.to_owned(),
        headers: true,
        ..Info::default()
    };
    let config = ClusterConfig {
        name: "C1".into(),
        ..ClusterConfig::default()
    };
    Cluster::new(config, &info, 7)
}

impl Mesh {
    /// Brokers without routes.
    pub(super) fn apart(count: usize, shards: u16, adjust: fn(&mut CoreConfig)) -> Self {
        let brokers = (0..count)
            .map(|number| Fleet::member(shards, membership(&format!("b{number}")), adjust));
        Self {
            brokers: brokers.collect(),
            links: Vec::new(),
        }
    }

    /// Each with a route to each other.
    pub(super) fn full(count: usize, shards: u16) -> Self {
        let mut mesh = Self::apart(count, shards, |_| {});
        for from in 0..count {
            for to in from + 1..count {
                mesh.dial(from, to);
            }
        }
        mesh.pump();
        mesh
    }

    /// A route between two; the shards are chosen by the number of routes there are.
    pub(super) fn dial(&mut self, from: usize, to: usize) -> usize {
        let peer = SocketAddr::from(([10, 0, 0, 1], 6222));
        let turn = self.links.len();
        let dialled = {
            let fleet = &mut self.brokers[from];
            let shard = turn % fleet.shards.len();
            let target = Target {
                id: TargetId(0),
                url: RouteUrl::new("10.0.0.1", 6222),
                explicit: true,
                gossip: GossipMode::default(),
            };
            let taken = fleet.shards[shard].dialled_route(target, peer, fleet.now);
            let (key, greeting) = taken.expect("a member of a cluster");
            End {
                broker: from,
                conn: fleet.route_socket(shard, key, greeting),
            }
        };
        let accepted = self.accept_route(to, (turn + 1) % self.brokers[to].shards.len());
        self.links.push(Link { dialled, accepted });
        turn
    }

    /// A route that a test plays the other end of.
    pub(super) fn accept_route(&mut self, broker: usize, shard: usize) -> End {
        let peer = SocketAddr::from(([10, 0, 0, 2], 4000));
        let fleet = &mut self.brokers[broker];
        let Accepted::Open { key, greeting } = fleet.shards[shard].accept_route(peer, fleet.now)
        else {
            panic!("a member of a cluster takes routes")
        };
        assert!(greeting.starts_with(b"INFO {"));
        End {
            broker,
            conn: fleet.route_socket(shard, key, greeting),
        }
    }

    /// A peer that a test plays, registered and with everything read that it was told.
    pub(super) fn peer(&mut self, broker: usize, name: &str) -> End {
        let end = self.accept_route(broker, 0);
        let info = format!(r#"{{"server_id":"{name}","headers":true,"cluster":"C1"}}"#);
        self.send(
            end,
            &format!("CONNECT {{\"cluster\":\"C1\"}}\r\nINFO {info}\r\n"),
        );
        self.pump();
        self.take(end);
        end
    }

    pub(super) fn send(&mut self, end: End, text: &str) {
        self.brokers[end.broker].send(end.conn, text);
    }

    pub(super) fn take(&mut self, end: End) -> String {
        self.brokers[end.broker].take(end.conn)
    }

    pub(super) fn client(&mut self, broker: usize, shard: usize) -> End {
        let client = self.brokers[broker].client(shard);
        self.pump();
        End {
            broker,
            conn: client,
        }
    }

    pub(super) fn asking(&mut self, broker: usize, shard: usize) -> End {
        let conn = self.brokers[broker].client_with(shard, super::ASKING);
        End { broker, conn }
    }

    /// Sends, and lets everything come to rest.
    pub(super) fn tell(&mut self, end: End, text: &str) {
        self.send(end, text);
        self.pump();
    }

    pub(super) fn leave(&mut self, end: End) {
        self.brokers[end.broker].leave(end.conn);
    }

    /// The connection breaks at both ends.
    pub(super) fn sever(&mut self, link: usize) {
        let (dialled, accepted) = (self.links[link].dialled, self.links[link].accepted);
        self.leave(dialled);
        self.leave(accepted);
    }

    pub(super) fn ends(&self, link: usize) -> (End, End) {
        (self.links[link].dialled, self.links[link].accepted)
    }

    /// Until nothing happens any more anywhere, without time passing.
    pub(super) fn pump(&mut self) {
        for _ in 0..10_000 {
            for fleet in &mut self.brokers {
                fleet.pump();
            }
            let moved = (0..self.links.len()).fold(false, |moved, link| self.carry(link) | moved);
            if !moved {
                return;
            }
        }
        panic!("the brokers do not come to rest");
    }

    /// One turn of each shard of each broker, and what lies on the routes is carried over.
    pub(super) fn step(&mut self) {
        for fleet in &mut self.brokers {
            for shard in 0..fleet.shards.len() {
                fleet.turn(shard);
            }
        }
        for link in 0..self.links.len() {
            self.carry(link);
        }
    }

    fn carry(&mut self, link: usize) -> bool {
        let Link { dialled, accepted } = self.links[link];
        let mut moved = false;
        for (from, to) in [(dialled, accepted), (accepted, dialled)] {
            let bytes = self.brokers[from.broker].take_bytes(from.conn);
            if !bytes.is_empty() && !self.brokers[to.broker].is_closed(to.conn) {
                self.brokers[to.broker].send_bytes(to.conn, &bytes);
                moved = true;
            }
            let gone = self.brokers[from.broker].is_closed(from.conn);
            // What was sent before the end is read before it is noticed.
            if gone && !moved && !self.brokers[to.broker].is_closed(to.conn) {
                self.leave(to);
                moved = true;
            }
        }
        moved
    }

    /// Lets time pass on all brokers.
    pub(super) fn advance(&mut self, by: Duration) {
        self.pump();
        let until = self.brokers[0].now + by;
        loop {
            let due = |fleet: &Fleet| fleet.next_timer(until);
            let next = (0..self.brokers.len())
                .filter_map(|at| due(&self.brokers[at]).map(|time| (time, at)))
                .min();
            let Some((time, at)) = next else { break };
            for fleet in &mut self.brokers {
                fleet.now = fleet.now.max(time);
            }
            self.brokers[at].fire();
            self.pump();
        }
        for fleet in &mut self.brokers {
            fleet.now = until;
        }
        self.pump();
    }

    pub(super) fn routes(&self, broker: usize) -> Vec<RouteSnapshot> {
        let shards = self.brokers[broker].shards.iter();
        shards.flat_map(|shard| shard.open_routes()).collect()
    }

    /// After rest: what each knows of the others is what they have.
    pub(super) fn assert_agreed(&self) {
        for (at, fleet) in self.brokers.iter().enumerate() {
            let sublist = &fleet.broker.accounts()[0].sublist;
            sublist.assert_invariants();
            let mut keys = Vec::new();
            let mut part = 0;
            while sublist.local_interests(part, &mut keys) {
                part += 1;
            }
            for other in self.brokers.iter().enumerate().filter(|(b, _)| *b != at) {
                let heard = &other.1.broker.accounts()[0].sublist;
                for key in &keys {
                    let count = sublist.local_len(key) as u64;
                    let weight = heard.remote_weight(key);
                    let told = if key.queue().is_some() { count } else { 1 };
                    assert!(weight >= told, "{key:?} of {at}: {weight} of {told}");
                }
            }
            let expected: u64 = self
                .brokers
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, fleet)| local_interests(fleet))
                .sum();
            assert_eq!(sublist.stats().remotes, expected, "remotes at {at}");
        }
    }
}

fn local_interests(fleet: &Fleet) -> u64 {
    let account = &fleet.broker.accounts()[0];
    assert_eq!(&*account.name, DEFAULT_ACCOUNT);
    let (mut keys, mut part) = (Vec::new(), 0);
    while account.sublist.local_interests(part, &mut keys) {
        part += 1;
    }
    keys.len() as u64
}
