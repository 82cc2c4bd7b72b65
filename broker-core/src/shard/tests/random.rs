//! Random comings and goings from a seed: whatever happens to others, who keeps up gets everything once and in order.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fleet::{Client, Fleet};

const SEEDS: u64 = 25;
const STEPS: usize = 300;
const PUBLISHERS: usize = 4;

struct Scene {
    fleet: Fleet,
    rng: fastrand::Rng,
    /// Plain subscribers that always read.
    steady: Vec<Client>,
    /// Plain subscribers that sometimes do not.
    slow: Vec<Client>,
    /// Members of one queue group; the first stays.
    members: Vec<(Client, u64)>,
    publishers: Vec<Client>,
    published: [usize; PUBLISHERS],
    received: BTreeMap<Client, String>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (shards, deliveries) = (rng.u16(1..=4), rng.u32(1..=12));
        let mut fleet = Fleet::new(shards, |config| {
            config.deliveries_a_turn = deliveries;
            config.pending_max = 4000;
        });
        let mut some = |count: usize, first: &str| {
            let place = |_| fleet.client(rng.usize(..usize::from(shards)));
            let clients: Vec<Client> = (0..count).map(place).collect();
            for client in &clients {
                fleet.send(*client, first);
            }
            fleet.pump();
            clients
        };
        let steady = some(3, "SUB foo 1\r\n");
        let slow = some(3, "SUB foo 1\r\n");
        let members = some(4, "SUB foo group 1\r\n")
            .into_iter()
            .map(|client| (client, 1))
            .collect();
        let publishers = some(PUBLISHERS, "PING\r\n");
        Self {
            fleet,
            rng,
            steady,
            slow,
            members,
            publishers,
            published: [0; PUBLISHERS],
            received: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        match self.rng.u8(..10) {
            0..5 => {
                let at = self.rng.usize(..PUBLISHERS);
                for _ in 0..self.rng.usize(1..4) {
                    let text = format!(
                        "<{at} {:04} {}>",
                        self.published[at],
                        "x".repeat(self.rng.usize(..200))
                    );
                    self.published[at] += 1;
                    self.fleet
                        .send(self.publishers[at], &super::publish("foo", &text));
                }
            }
            5 => {
                let at = self.rng.usize(1..self.members.len());
                let (client, sid) = &mut self.members[at];
                let next = *sid + 1;
                self.fleet
                    .send(*client, &format!("UNSUB {sid}\r\nSUB foo group {next}\r\n"));
                *sid = next;
            }
            6 => {
                let at = self.rng.usize(1..self.members.len());
                let (client, sid) = self.members[at];
                self.fleet.send(client, &format!("UNSUB {sid}\r\n"));
            }
            7 => {
                let slow = self.slow[self.rng.usize(..self.slow.len())];
                self.fleet.block(slow);
            }
            8 => {
                let slow = self.slow[self.rng.usize(..self.slow.len())];
                self.fleet.unblock(slow);
            }
            _ => self
                .fleet
                .advance(Duration::from_millis(self.rng.u64(..30))),
        }
        let shard = self.rng.usize(..self.fleet.shards.len());
        self.fleet.turn(shard);
        self.read();
    }

    fn read(&mut self) {
        let members = self.members.iter().map(|(client, _)| *client);
        for client in self
            .steady
            .iter()
            .copied()
            .chain(self.slow.iter().copied())
            .chain(members)
        {
            let got = self.fleet.take(client);
            self.received.entry(client).or_default().push_str(&got);
        }
    }

    fn finish(&mut self) {
        for slow in self.slow.clone() {
            self.fleet.unblock(slow);
        }
        self.fleet.advance(Duration::from_secs(60));
        self.read();
    }

    /// The messages a client received, each as publisher and number.
    fn messages(&self, client: Client) -> Vec<(usize, usize)> {
        let texts = self.received[&client].split('<').skip(1);
        texts
            .map(|text| (text[..1].parse().unwrap(), text[2..6].parse().unwrap()))
            .collect()
    }

    fn all(&self) -> Vec<(usize, usize)> {
        let numbers = |at: usize| (0..self.published[at]).map(move |number| (at, number));
        (0..PUBLISHERS).flat_map(numbers).collect()
    }
}

/// The messages of one publisher come in their order.
fn is_ordered(messages: &[(usize, usize)]) -> bool {
    (0..PUBLISHERS).all(|at| {
        messages
            .iter()
            .filter(|(from, _)| *from == at)
            .is_sorted_by(|one, next| one < next)
    })
}

#[test]
fn who_keeps_up_gets_everything_once_and_in_order() {
    let mut cut = 0;
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed);
        for _ in 0..STEPS {
            scene.step();
        }
        scene.finish();
        let all = scene.all();
        for client in scene.steady.clone() {
            let mut messages = scene.messages(client);
            assert!(is_ordered(&messages), "seed {seed}");
            messages.sort_unstable();
            assert_eq!(messages, all, "seed {seed}");
        }
        for client in &scene.slow {
            assert!(is_ordered(&scene.messages(*client)), "seed {seed}");
            cut += u32::from(scene.fleet.is_closed(*client));
        }
        let of_group = scene
            .members
            .iter()
            .map(|(client, _)| scene.messages(*client));
        let mut of_group: Vec<(usize, usize)> = of_group.flatten().collect();
        of_group.sort_unstable();
        assert_eq!(of_group, all, "seed {seed}");
        let counters = scene.fleet.counters();
        assert_eq!(counters.in_msgs, all.len() as u64, "seed {seed}");
        assert_eq!(
            u64::from(scene.slow.iter().any(|slow| scene.fleet.is_closed(*slow))),
            counters.slow_consumers().min(1)
        );
        scene.fleet.broker.accounts()[0].sublist.assert_invariants();
    }
    assert!(cut > 5, "only {cut} were cut: the seeds try too little");
}
