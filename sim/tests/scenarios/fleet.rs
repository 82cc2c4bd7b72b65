//! Links that delay and cut bytes, and nothing worse: everybody answers.

use muster_client::fleet::{Drops, Ended, Expect, Summary, Target};
use muster_sim::{World, WorldConfig, all_nodes, ask, discover};
use muster_testkit::{LinkModel, for_seeds};

use super::{MS, SECOND};

/// Everybody replied once, and nothing else came.
fn assert_complete(summary: &Summary, nodes: usize) {
    let mut replied = summary.replied.clone();
    replied.sort_unstable();
    assert_eq!(
        replied,
        all_nodes(nodes),
        "{} of {nodes} replied",
        replied.len()
    );
    assert_eq!((summary.ok, summary.failed), (nodes, 0));
    assert_eq!(summary.drops, Drops::default());
    assert!(summary.no_responses.is_empty() && summary.unexpected.is_empty());
}

fn run(seed: u64, nodes: usize, link: LinkModel) {
    let mut world = World::new(WorldConfig {
        link,
        ..WorldConfig::new(seed)
    });
    let mut all = world.add_fleet(nodes);
    let client = world.add_client();
    all.push(client);
    world.assemble(&all, 10 * SECOND);
    let found = world.perform(client, discover(None));
    assert_complete(&found, nodes);
    assert_eq!(found.ended, Ended::Window);
    let asked = Target::Direct(found.replied);
    let direct = world.perform(client, ask(asked, 5 * SECOND));
    assert_complete(&direct, nodes);
    assert_eq!(direct.ended, Ended::Complete);
    let to_all = Target::Broadcast(Expect::Nodes(all_nodes(nodes)));
    let broadcast = world.perform(client, ask(to_all, 5 * SECOND));
    assert_complete(&broadcast, nodes);
    for node in &all[..nodes] {
        let counters = world.node(*node).counters();
        assert_eq!((counters.total, counters.replies), (3, 3));
    }
    world.assert_at_rest();
    world.assert_dissolves();
}

#[test]
fn two_hundred_nodes_all_answer() {
    for_seeds("fleet::two_hundred_nodes_all_answer", 12, |seed| {
        let delay_max = 40 * MS;
        run(
            seed,
            200,
            LinkModel {
                delay_max,
                ..LinkModel::default()
            },
        );
    });
}

#[test]
fn nodes_on_narrow_links_all_answer() {
    for_seeds("fleet::nodes_on_narrow_links_all_answer", 20, |seed| {
        let link = LinkModel {
            delay_max: 80 * MS,
            bytes_per_second: Some(100_000),
            in_flight_max: 2000,
            chunk_max: 200,
            ..LinkModel::default()
        };
        run(seed, 30, link);
    });
}
