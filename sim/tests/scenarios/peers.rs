//! Client cores on bad links: connections break, part and fill up, brokers cut the slow; nothing comes twice or out of order, and all come back.

use std::collections::{BTreeMap, BTreeSet};

use muster_client::nats::{Event, Sid};
use muster_sim::{StationId, World, WorldConfig};
use muster_testkit::{LinkModel, Rng, for_seeds};

use super::{MS, SECOND, numbered};

const PEERS: usize = 8;
const STEPS: usize = 120;

struct Scene {
    world: World,
    rng: Rng,
    peers: Vec<StationId>,
    /// By peer: the subscription that gets everything.
    all: Vec<Sid>,
    /// By peer: a subscription with a maximum, and the maximum.
    limited: Vec<(Sid, usize)>,
    sent: [usize; PEERS],
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut config = WorldConfig::new(seed);
        config.core.pending_max = *rng.pick(&[10_000, 1 << 26]);
        config.core.deliveries_a_turn = *rng.pick(&[2, 8192]);
        config.core.write_deadline = 2 * SECOND;
        config.link = LinkModel {
            in_flight_max: 4000,
            delay_max: 10 * MS,
            ..LinkModel::default()
        };
        let mut world = World::new(config);
        let peers: Vec<StationId> = (0..PEERS)
            .map(|at| world.add_peer(&format!("peer {at}")))
            .collect();
        let (mut all, mut limited) = (Vec::new(), Vec::new());
        for peer in &peers {
            let max = rng.within(1..=30);
            world.with_peer(*peer, |core| {
                all.push(core.subscribe(b"all.>", None));
                let sid = core.subscribe(b"all.*", None);
                core.unsubscribe(sid, Some(max as u64));
                limited.push((sid, max));
            });
        }
        world.assemble(&peers, 10 * SECOND);
        Self {
            world,
            rng,
            peers,
            all,
            limited,
            sent: [0; PEERS],
        }
    }

    fn publish(&mut self, at: usize) {
        let text = format!("{at}:{}:{}", self.sent[at], "x".repeat(self.rng.below(400)));
        self.sent[at] += 1;
        // Without a connection it is kept, or refused when there is too much of it.
        let _ = self.world.with_peer(self.peers[at], |core| {
            core.publish(b"all.x", None, text.as_bytes())
        });
    }

    fn step(&mut self) {
        let at = self.rng.below(PEERS);
        let peer = self.peers[at];
        match self.rng.below(20) {
            0..10 => (0..self.rng.within(1..=4)).for_each(|_| self.publish(at)),
            10 => {
                self.world.sever(peer);
            }
            11 => self.world.part(peer),
            12 | 13 => self.world.heal(peer),
            14 => self.world.stop_reading(peer),
            15 | 16 => self.world.go_on_reading(peer),
            _ => {
                let longest = *self.rng.pick(&[2 * MS, 50 * MS, 4 * SECOND]);
                let wait = self.rng.time(MS / 100..=longest);
                self.world.run_for(wait);
            }
        }
    }

    /// All links are good again, and everybody publishes so much that each maximum is reached.
    fn calm_down(&mut self) {
        for peer in self.peers.clone() {
            self.world.heal(peer);
            self.world.go_on_reading(peer);
        }
        self.world.run_for(30 * SECOND);
        let peers = self.peers.clone();
        self.world.assemble(&peers, 120 * SECOND);
        for at in (0..PEERS).cycle().take(PEERS * 5) {
            self.publish(at);
            self.world.run_for(100 * MS);
        }
        self.world.run_for(SECOND);
    }

    fn check(&self) {
        for (at, peer) in self.peers.iter().enumerate() {
            let peer = self.world.peer(*peer);
            let mut seen: BTreeMap<(Sid, usize), usize> = BTreeMap::new();
            let mut last = BTreeSet::new();
            for (sid, _, text) in &peer.messages {
                let (from, number) = numbered(text);
                let before = seen.insert((*sid, from), number);
                assert!(
                    before.is_none_or(|before| before < number),
                    "{number} came after {before:?}"
                );
                if *sid == self.all[at] && number + 5 >= self.sent[from] {
                    last.insert((from, number));
                }
            }
            assert_eq!(
                last.len(),
                PEERS * 5,
                "what was published on good links came to peer {at}"
            );
            let (sid, max) = self.limited[at];
            let count = peer.messages.iter().filter(|(of, ..)| *of == sid).count();
            let ends = peer
                .events
                .iter()
                .filter(|event| **event == Event::Unsubscribed(sid))
                .count();
            assert_eq!(
                (count, ends),
                (max, 1),
                "the maximum of peer {at} over all its connections"
            );
        }
    }
}

#[test]
fn client_cores_on_bad_links_come_back_and_get_nothing_twice() {
    for_seeds(
        "peers::client_cores_on_bad_links_come_back_and_get_nothing_twice",
        30,
        |seed| {
            let mut scene = Scene::new(seed);
            for _ in 0..STEPS {
                scene.step();
            }
            scene.calm_down();
            scene.check();
            scene.world.assert_at_rest();
            assert_eq!(scene.world.subscriptions(), PEERS as u64);
            scene.world.assert_dissolves();
        },
    );
}
