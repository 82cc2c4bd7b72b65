//! Queue groups whose members come and go under load: each message reaches one member, once.

use std::collections::BTreeMap;

use muster_sim::{StationId, World, WorldConfig};
use muster_testkit::{Rng, for_seeds};

use super::{MS, QUIET, SECOND, numbered, publish};

const PUBLISHERS: usize = 4;
const STEPS: usize = 120;

/// A member of the group; its station stays to be asked what it got after it left.
struct Member {
    station: StationId,
    sid: u64,
    subscribed: bool,
    pings: usize,
    leaving: bool,
}

struct Scene {
    world: World,
    rng: Rng,
    members: Vec<Member>,
    publishers: Vec<StationId>,
    published: [usize; PUBLISHERS],
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut config = WorldConfig::new(seed);
        config.core.deliveries_a_turn = *Rng::new(seed).pick(&[1, 4, 30, 8192]);
        let mut world = World::new(config);
        let rng = world.rng();
        let publishers: Vec<StationId> = (0..PUBLISHERS).map(|_| world.add_raw(QUIET)).collect();
        let (members, published) = (Vec::new(), [0; PUBLISHERS]);
        let mut scene = Self {
            world,
            rng,
            members,
            publishers,
            published,
        };
        for _ in 0..6 {
            scene.join();
        }
        let mut all = scene.publishers.clone();
        all.extend(scene.members.iter().map(|member| member.station));
        scene.world.assemble(&all, 10 * SECOND);
        scene
    }

    fn join(&mut self) {
        let station = self.world.add_raw(QUIET);
        self.members.push(Member {
            station,
            sid: 0,
            subscribed: false,
            pings: 0,
            leaving: false,
        });
        self.subscribe(self.members.len() - 1);
    }

    /// Subjects that overlap are one group by its name.
    fn subscribe(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.sid += 1;
        member.subscribed = true;
        let subject = *self.rng.pick(&["work.*", "work.>", "work.*"]);
        let mut text = format!("SUB {subject} group {}\r\n", member.sid);
        // The first member stays for good, so that there is one at any time.
        if at > 0 && self.rng.percent(25) {
            text += &format!("UNSUB {} {}\r\n", member.sid, self.rng.within(1..=6));
        }
        self.world.say(member.station, &text);
    }

    fn unsubscribe(&mut self, at: usize) {
        let member = &mut self.members[at];
        member.subscribed = false;
        self.world
            .say(member.station, &format!("UNSUB {}\r\n", member.sid));
    }

    fn step(&mut self) {
        let at = self.rng.within(1..=self.members.len() - 1);
        let usable = !self.members[at].leaving;
        match self.rng.below(12) {
            0..6 => self.publish(),
            6 if usable && self.members[at].subscribed => {
                self.unsubscribe(at);
                self.subscribe(at);
            }
            7 if usable && self.members[at].subscribed => self.unsubscribe(at),
            8 if usable && !self.members[at].subscribed => self.subscribe(at),
            9 if usable => {
                self.unsubscribe(at);
                let member = &mut self.members[at];
                (member.leaving, member.pings) = (true, member.pings + 1);
                self.world.say(member.station, "PING\r\n");
            }
            10 if self.members.len() < 14 => self.join(),
            _ => {
                let wait = self.rng.time(MS / 10..=8 * MS);
                self.world.run_for(wait);
            }
        }
        self.let_go();
    }

    fn publish(&mut self) {
        let publisher = self.rng.below(PUBLISHERS);
        for _ in 0..self.rng.within(1..=12) {
            let number = self.published[publisher];
            self.published[publisher] += 1;
            let text = publish(
                &format!("work.{}", number % 3),
                &format!("{publisher}:{number}"),
            );
            self.world.say(self.publishers[publisher], &text);
        }
        if self.rng.percent(50) {
            self.world.run_for(self.rng.clone().time(MS / 50..=2 * MS));
        }
    }

    /// Members that have given up their subscription, and know that nothing more comes, hang up.
    fn let_go(&mut self) {
        for member in &self.members {
            if member.leaving && self.world.raw(member.station).pongs() >= member.pings {
                self.world.leave(member.station);
            }
        }
    }

    fn finish(&mut self) {
        self.world.run_for(2 * SECOND);
        self.let_go();
        let mut copies: BTreeMap<&str, u32> = BTreeMap::new();
        for member in &self.members {
            let mut latest = [None; PUBLISHERS];
            for (_, text) in self.world.raw(member.station).messages() {
                *copies.entry(text).or_default() += 1;
                let (publisher, number) = numbered(text);
                let (number, latest) = (Some(number), &mut latest[publisher]);
                assert!(number > *latest, "{text} came after {latest:?}");
                *latest = number;
            }
        }
        for (publisher, count) in self.published.iter().enumerate() {
            for number in 0..*count {
                let text = format!("{publisher}:{number}");
                assert_eq!(copies.remove(&*text), Some(1), "copies of {text}");
            }
        }
        assert!(copies.is_empty(), "never published: {copies:?}");
        let counters = self.world.counters();
        let total = self.published.iter().sum::<usize>() as u64;
        assert_eq!((counters.in_msgs, counters.out_msgs), (total, total));
        assert_eq!((counters.unheard_msgs, counters.dropped_msgs), (0, 0));
        self.world.assert_at_rest();
        self.world.assert_dissolves();
    }
}

#[test]
fn groups_that_drain_under_load_lose_and_double_nothing() {
    for_seeds(
        "groups::groups_that_drain_under_load_lose_and_double_nothing",
        50,
        |seed| {
            let mut scene = Scene::new(seed);
            for _ in 0..STEPS {
                scene.step();
            }
            scene.finish();
        },
    );
}
