//! Connections that break in the middle: every node that was asked ends up as replied or as missing, once.

use std::collections::BTreeSet;

use muster_client::fleet::{Summary, Target};
use muster_sim::{StationId, World, WorldConfig, all_nodes, ask};
use muster_testkit::{LinkModel, Rng, for_seeds};

use super::{MS, SECOND};

const NODES: usize = 40;

/// Each node is accounted for exactly once.
fn assert_accounted(summary: &Summary) {
    let replied: BTreeSet<&str> = summary.replied.iter().map(String::as_str).collect();
    assert_eq!(replied.len(), summary.replied.len(), "a node replied twice");
    let mut both: Vec<&str> = replied.into_iter().collect();
    both.extend(summary.no_responses.iter().map(String::as_str));
    both.sort_unstable();
    assert_eq!(both, all_nodes(NODES), "each is replied or missing, once");
    assert_eq!(
        summary.drops.duplicate + summary.drops.unexpected,
        0,
        "{:?}",
        summary.drops
    );
    assert_eq!(
        summary.drops.bad_hash + summary.drops.malformed,
        0,
        "{:?}",
        summary.drops
    );
}

struct Scene {
    world: World,
    nodes: Vec<StationId>,
    client: StationId,
    rng: Rng,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let link = LinkModel {
            delay_max: 30 * MS,
            in_flight_max: 20_000,
            ..LinkModel::default()
        };
        let mut world = World::new(WorldConfig {
            link,
            ..WorldConfig::new(seed)
        });
        let nodes = world.add_fleet(NODES);
        let client = world.add_client();
        let all: Vec<StationId> = nodes.iter().copied().chain([client]).collect();
        world.assemble(&all, 10 * SECOND);
        let rng = world.rng();
        Self {
            world,
            nodes,
            client,
            rng,
        }
    }

    /// Breaks connections within the time in which a request and its replies are under way; says whose.
    fn break_some(&mut self, count: usize, client_too: bool) -> BTreeSet<usize> {
        let mut victims = self.rng.subset(count, NODES);
        self.rng.shuffle(&mut victims);
        let mut when: Vec<usize> = victims.iter().map(|_| self.rng.below(120)).collect();
        when.sort_unstable();
        let client_at = client_too.then(|| self.rng.below(120));
        let (mut at, mut broken) = (0, BTreeSet::new());
        for ms in 0..120 {
            while at < victims.len() && when[at] == ms {
                if self.world.sever(self.nodes[victims[at]]) {
                    broken.insert(victims[at]);
                }
                at += 1;
            }
            if client_at == Some(ms) {
                self.world.sever(self.client);
            }
            self.world.run_for(MS);
        }
        broken
    }
}

fn run(seed: u64, client_too: bool) -> Summary {
    let mut scene = Scene::new(seed);
    let count = scene.rng.within(1..=NODES / 2);
    let asked = ask(Target::Direct(all_nodes(NODES)), 4 * SECOND);
    scene.world.begin(scene.client, asked);
    let broken = scene.break_some(count, client_too);
    let summary = scene.world.finish(scene.client);
    assert_accounted(&summary);
    for (number, name) in all_nodes(NODES).iter().enumerate() {
        let replies = scene.world.node(scene.nodes[number]).counters().replies;
        assert!(replies <= 1, "{name} acted {replies} times on one request");
        // Nobody is missing whose connections all held.
        let held = !client_too && !broken.contains(&number);
        assert!(
            !held || summary.replied.contains(name),
            "{name} is missing for no reason"
        );
    }
    assert_eq!(
        summary.links_lost,
        u32::from(client_too && summary.links_lost > 0)
    );
    // All come back by themselves, and then all answer.
    let all: Vec<StationId> = scene.nodes.iter().copied().chain([scene.client]).collect();
    scene.world.assemble(&all, 60 * SECOND);
    let again = ask(Target::Direct(all_nodes(NODES)), 5 * SECOND);
    let after = scene.world.perform(scene.client, again);
    assert!(
        after.is_success(),
        "missing after all came back: {:?}",
        after.no_responses
    );
    scene.world.assert_at_rest();
    scene.world.assert_dissolves();
    summary
}

#[test]
fn nodes_whose_connections_break_are_named() {
    let missing = std::cell::Cell::new(0);
    let ran = for_seeds(
        "breaks::nodes_whose_connections_break_are_named",
        25,
        |seed| {
            let summary = run(seed, false);
            missing.set(missing.get() + summary.no_responses.len());
        },
    );
    assert!(
        ran < 10 || missing.get() > 0,
        "the seeds break nothing that matters"
    );
}

#[test]
fn a_client_whose_connection_breaks_names_whom_it_did_not_hear() {
    for_seeds(
        "breaks::a_client_whose_connection_breaks_names_whom_it_did_not_hear",
        25,
        |seed| {
            run(seed, true);
        },
    );
}
