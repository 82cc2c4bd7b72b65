//! Three brokers of one cluster: however they meet, part and come back, each ends with one route to each other,
//! knows what the others' clients want, and delivers everything once.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_broker_core::close::CloseReason;
use muster_sim::{MemberConfig, StationId, World, WorldConfig};
use muster_testkit::{LinkModel, Rng, for_seeds};

use super::{ASKING, MS, QUIET, SECOND, publish};

/// Time in which brokers that can reach each other agree: dials are a second apart, and a route too many goes after five.
const AGREE: Duration = Duration::from_secs(20);

/// Three brokers; each dials who `dials` says.
fn three(seed: u64, dials: fn(usize) -> Vec<usize>) -> World {
    let mut config = WorldConfig::new(seed);
    config.shards = *Rng::new(seed).pick(&[1, 3]);
    config.core.deliveries_a_turn = *Rng::new(seed).pick(&[2, 30, 8192]);
    config.members = MemberConfig::cluster(3, dials);
    World::new(config)
}

fn others(place: usize) -> Vec<usize> {
    (0..3).filter(|other| *other != place).collect()
}

/// One client a broker, each with this said.
fn clients(world: &mut World, brokers: usize, options: &str, first: &str) -> Vec<StationId> {
    let all: Vec<StationId> = (0..brokers)
        .map(|at| world.add_raw_at(at, options))
        .collect();
    for client in &all {
        world.say(*client, first);
    }
    world.assemble(&all, 10 * SECOND);
    all
}

fn assert_full(world: &World) {
    for broker in 0..3 {
        let expected: Vec<String> = others(broker)
            .iter()
            .map(|at| format!("member{at}"))
            .collect();
        assert_eq!(world.peers_of(broker), expected, "peers of {broker}");
        assert_eq!(world.routes_of(broker), 2, "routes of {broker}");
    }
}

/// What is published now reaches every client once.
fn assert_reaches(world: &mut World, clients: &[StationId], word: &str) {
    for (at, client) in clients.iter().enumerate() {
        world.say(*client, &publish("all", &format!("{word}{at}")));
    }
    world.run_for(2 * SECOND);
    for client in clients {
        let mut got: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, text) in world
            .raw(*client)
            .messages()
            .filter(|(_, t)| t.starts_with(word))
        {
            *got.entry(text).or_default() += 1;
        }
        assert_eq!(got.len(), clients.len(), "{got:?} of {word}");
        assert!(got.values().all(|copies| *copies == 1), "{got:?} of {word}");
    }
}

#[test]
fn brokers_that_all_dial_each_other_end_with_one_route_each() {
    for_seeds(
        "cluster::brokers_that_all_dial_each_other_end_with_one_route_each",
        12,
        |seed| {
            let mut world = three(seed, others);
            let all = clients(&mut world, 3, QUIET, "SUB all 1\r\nSUB work.* g 2\r\n");
            world.run_for(8 * SECOND);
            assert_full(&world);
            world.assert_agrees(AGREE);
            assert_reaches(&mut world, &all, "x");
            let routes: u64 = (0..3).map(|at| world.counters_of(at).routes).sum();
            let total = world.counters().routes_total;
            world.run_for(60 * SECOND);
            assert_eq!(world.counters().routes_total, total);
            assert_eq!(
                (0..3).map(|at| world.counters_of(at).routes).sum::<u64>(),
                routes,
                "none flaps"
            );
            assert_full(&world);
        },
    );
}

#[test]
fn a_member_that_joins_is_told_of_to_all() {
    for_seeds(
        "cluster::a_member_that_joins_is_told_of_to_all",
        12,
        |seed| {
            // Both know the first alone.
            let mut world = three(seed, |place| if place == 0 { Vec::new() } else { vec![0] });
            let all = clients(&mut world, 3, QUIET, "SUB all 1\r\n");
            world.assert_agrees(AGREE);
            assert_full(&world);
            assert_reaches(&mut world, &all, "x");
        },
    );
}

#[test]
fn a_member_that_is_killed_comes_back() {
    for_seeds("cluster::a_member_that_is_killed_comes_back", 12, |seed| {
        let mut world = three(seed, others);
        let mut all = clients(&mut world, 3, QUIET, "SUB all 1\r\n");
        world.assert_agrees(AGREE);
        let gone = world.rng().below(3);
        world.kill_broker(gone);
        world.run_for(3 * SECOND);
        let left: Vec<StationId> = others(gone).iter().map(|at| all[*at]).collect();
        assert_reaches(&mut world, &left, "without");
        world.start_broker(gone);
        all[gone] = world.add_raw_at(gone, QUIET);
        world.say(all[gone], "SUB all 1\r\n");
        world.run_for(8 * SECOND);
        world.assert_agrees(AGREE);
        assert_full(&world);
        assert_reaches(&mut world, &all, "again");
    });
}

#[test]
fn a_partition_heals() {
    for_seeds("cluster::a_partition_heals", 12, |seed| {
        let mut world = three(seed, others);
        let all = clients(&mut world, 3, QUIET, "SUB all 1\r\n");
        world.assert_agrees(AGREE);
        let (a, b) = *world.rng().pick(&[(0, 1), (1, 2), (0, 2)]);
        world.part_brokers(a, b);
        // Interest changes meanwhile; the third still reaches both.
        world.say(all[a], "SUB late.* 7\r\nUNSUB 1\r\nSUB all 8\r\n");
        let long = world.rng().percent(50);
        let time = if long { 120 * SECOND } else { 5 * SECOND };
        world.run_for(time);
        if long {
            assert_eq!(
                world.peers_of(a).len(),
                1,
                "a dead link is noticed by its pings"
            );
            assert!(world.route_ends(a).contains(&CloseReason::StaleConnection));
        }
        world.heal_brokers(a, b);
        world.run_for(8 * SECOND);
        world.assert_agrees(AGREE);
        assert_full(&world);
        assert_reaches(&mut world, &all, "healed");
    });
}

#[test]
fn a_broker_of_another_cluster_or_with_a_name_that_is_taken_stays_out() {
    for_seeds(
        "cluster::a_broker_of_another_cluster_or_with_a_name_that_is_taken_stays_out",
        8,
        |seed| {
            let mut config = WorldConfig::new(seed);
            config.members =
                MemberConfig::cluster(4, |place| if place == 0 { vec![1] } else { vec![0] });
            config.members[2].cluster = "OTHER".to_owned();
            config.members[3].name = "member0".to_owned();
            let mut world = World::new(config);
            let all = clients(&mut world, 4, QUIET, "SUB all 1\r\n");
            world.run_for(20 * SECOND);
            assert_eq!(world.peers_of(0), ["member1"]);
            assert_eq!(world.peers_of(2).len() + world.peers_of(3).len(), 0);
            let reasons = world.route_ends(0);
            assert!(
                reasons.contains(&CloseReason::ClusterNameConflict),
                "{reasons:?}"
            );
            let of_namesake = world.route_ends(3);
            assert!(
                of_namesake.contains(&CloseReason::DuplicateServerName),
                "{of_namesake:?}"
            );
            assert!(
                reasons.len() < 100,
                "once a second at most: {}",
                reasons.len()
            );
            assert_reaches(&mut world, &all[..2], "x");
        },
    );
}

/// Members of a queue group leave while requests are under way: each is answered, or the asker is told that nobody is there.
#[test]
fn a_lost_race_for_a_queue_group_loses_nothing() {
    for_seeds(
        "cluster::a_lost_race_for_a_queue_group_loses_nothing",
        10,
        |seed| {
            let mut world = three(seed, others);
            let far: Vec<StationId> = (0..100).map(|_| world.add_raw_at(0, QUIET)).collect();
            for member in &far {
                world.say(*member, "SUB svc g 1\r\n");
            }
            let near = world.add_raw_at(2, QUIET);
            world.say(near, "SUB svc g 1\r\n");
            let asker = world.add_raw_at(1, ASKING);
            world.assemble(&[far.clone(), vec![near, asker]].concat(), 10 * SECOND);
            world.assert_agrees(AGREE);
            let mut rng = world.rng();
            for number in 0..500 {
                world.say(asker, &publish("svc", &number.to_string()));
                if number == 150 {
                    for member in &far {
                        world.say(*member, "UNSUB 1\r\n");
                    }
                }
                world.run_for(rng.time(MS / 20..=MS / 2));
            }
            world.run_for(3 * SECOND);
            let mut got: BTreeMap<String, u32> = BTreeMap::new();
            for member in far.iter().chain([&near]) {
                for (_, text) in world.raw(*member).messages() {
                    *got.entry(text.to_owned()).or_default() += 1;
                }
            }
            assert!(got.values().all(|copies| *copies == 1));
            assert_eq!(got.len(), 500);
            assert!(!world.raw(far[0]).heard().is_empty());
            world.assert_agrees(AGREE);
        },
    );
}

#[test]
fn broadcasts_back_to_back_cut_no_route() {
    for_seeds("cluster::broadcasts_back_to_back_cut_no_route", 3, |seed| {
        let mut world = three(seed, others);
        let receivers: Vec<StationId> =
            (0..300).map(|at| world.add_raw_at(at % 3, QUIET)).collect();
        for receiver in &receivers {
            world.say(*receiver, "SUB broadcast 1\r\n");
        }
        let sender = world.add_raw_at(0, QUIET);
        world.assemble(&[receivers.clone(), vec![sender]].concat(), 20 * SECOND);
        world.assert_agrees(AGREE);
        let routes = world.counters().routes_total;
        for number in 0..60 {
            let text = format!("{number}:{}", "x".repeat(1000));
            world.say(sender, &publish("broadcast", &text));
        }
        world.run_for(20 * SECOND);
        for receiver in &receivers {
            let numbers = world.raw(*receiver).messages();
            let numbers: Vec<usize> = numbers
                .map(|(_, text)| {
                    text.split(':')
                        .next()
                        .unwrap_or_default()
                        .parse()
                        .expect("numbered")
                })
                .collect();
            assert_eq!(numbers, (0..60).collect::<Vec<_>>());
        }
        assert_eq!(world.counters().routes_total, routes);
        assert_eq!(world.counters().route_out_msgs, 120, "one a peer");
        assert_full(&world);
    });
}

#[test]
fn a_slow_link_slows_and_loses_nothing() {
    for_seeds("cluster::a_slow_link_slows_and_loses_nothing", 6, |seed| {
        let mut config = WorldConfig::new(seed);
        config.members =
            MemberConfig::cluster(2, |place| if place == 0 { vec![1] } else { Vec::new() });
        config.route_link = LinkModel {
            bytes_per_second: Some(200_000),
            in_flight_max: 20_000,
            ..LinkModel::default()
        };
        config.core.pending_max = 100_000;
        let mut world = World::new(config);
        let all = clients(&mut world, 2, QUIET, "SUB all 1\r\n");
        world.assert_agrees(AGREE);
        let body = "x".repeat(2000);
        world.say(all[1], "SUB far 2\r\n");
        world.run_for(SECOND);
        for number in 0..300 {
            world.say(all[0], &publish("far", &format!("{number}:{body}")));
        }
        world.run_for(30 * SECOND);
        assert_eq!(world.raw(all[1]).messages().count(), 300);
        assert_eq!(world.counters().routes_cut, 0);
        assert!(world.counters().held_publishers > 0);
        assert_reaches(&mut world, &all, "y");
    });
}

/// One of everything, by chance.
struct Scene {
    world: World,
    rng: Rng,
    clients: Vec<(StationId, usize)>,
    next_sid: u64,
    /// By sid, which is used once in the scene.
    groups: BTreeMap<u64, &'static str>,
    published: u64,
    parted: Option<(usize, usize)>,
    down: Option<usize>,
}

impl Scene {
    fn step(&mut self) {
        let at = self.rng.below(self.clients.len());
        let (mut client, broker) = self.clients[at];
        // Who lost its broker is followed by another.
        if self.world.raw(client).closed_at().is_some() && self.down != Some(broker) {
            client = self.world.add_raw_at(broker, QUIET);
            self.clients.push((client, broker));
        }
        self.next_sid += 1;
        let sid = self.next_sid;
        match self.rng.below(24) {
            0..5 => {
                let subject = *self.rng.pick(&["a", "a.b", "a.*", "b.>", "*"]);
                self.world.say(client, &format!("SUB {subject} {sid}\r\n"));
            }
            5..9 => {
                let group = *self.rng.pick(&["g", "h"]);
                self.groups.insert(sid, group);
                self.world.say(
                    client,
                    &format!("SUB w.* {group} {sid}\r\nUNSUB {sid} {}\r\n", sid % 4 + 1),
                );
            }
            9..13 => {
                let gone = 1 + self.rng.number() % sid;
                self.world.say(client, &format!("UNSUB {gone}\r\n"));
            }
            13..17 => {
                self.published += 1;
                let number = format!("p{}", self.published);
                let text = publish("a.b", &number) + &publish("w.x", &number);
                self.world.say(client, &text);
            }
            17 => self.world.leave(client),
            18 => {
                let broker = self.rng.below(3);
                let client = self.world.add_raw_at(broker, QUIET);
                self.clients.push((client, broker));
            }
            19 => {
                let (a, b) = *self.rng.pick(&[(0, 1), (1, 2), (0, 2)]);
                self.world.sever_brokers(a, b);
            }
            20 => match self.parted.take() {
                Some((a, b)) => self.world.heal_brokers(a, b),
                None => {
                    let (a, b) = *self.rng.pick(&[(0, 1), (1, 2), (0, 2)]);
                    self.parted = Some((a, b));
                    self.world.part_brokers(a, b);
                }
            },
            21 => match self.down.take() {
                Some(broker) => self.world.start_broker(broker),
                None => {
                    let broker = self.rng.below(3);
                    self.down = Some(broker);
                    self.world.kill_broker(broker);
                }
            },
            _ => {
                let time = self.rng.time(MS..=1500 * MS);
                self.world.run_for(time);
            }
        }
        if self.rng.percent(40) {
            let time = self.rng.time(MS / 20..=20 * MS);
            self.world.run_for(time);
        }
    }

    /// However often routes came and went: no subscription got a message twice, and no group did.
    fn assert_nothing_twice(&self) {
        let (mut plain, mut grouped) = (BTreeMap::new(), BTreeMap::new());
        for (client, _) in &self.clients {
            for (sid, text) in self.world.raw(*client).messages() {
                let copies: &mut u32 = match self.groups.get(&sid) {
                    None => plain.entry((sid, text)).or_default(),
                    Some(group) => grouped.entry((*group, text)).or_default(),
                };
                *copies += 1;
                assert_eq!(*copies, 1, "{text} for {sid}");
            }
        }
        assert!(plain.len() + grouped.len() > 5, "something was delivered");
    }

    fn finish(mut self) {
        if let Some((a, b)) = self.parted {
            self.world.heal_brokers(a, b);
        }
        if let Some(broker) = self.down {
            self.world.start_broker(broker);
        }
        self.world.run_for(15 * SECOND);
        self.assert_nothing_twice();
        self.world.assert_agrees(AGREE);
        assert_full(&self.world);
        let all = clients(&mut self.world, 3, QUIET, "SUB all 1\r\n");
        self.world.run_for(SECOND);
        assert_reaches(&mut self.world, &all, "last");
    }
}

#[test]
fn whatever_happens_the_brokers_agree_in_the_end() {
    for_seeds(
        "cluster::whatever_happens_the_brokers_agree_in_the_end",
        30,
        |seed| {
            let mut world = three(seed, others);
            let rng = world.rng();
            let clients = (0..6)
                .map(|at| (world.add_raw_at(at % 3, QUIET), at % 3))
                .collect();
            let mut scene = Scene {
                world,
                rng,
                clients,
                next_sid: 0,
                groups: BTreeMap::new(),
                published: 0,
                parted: None,
                down: None,
            };
            for _ in 0..150 {
                scene.step();
            }
            scene.finish();
        },
    );
}
