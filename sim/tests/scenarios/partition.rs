//! Parts of the fleet that are cut off for a while, and come back.

use muster_client::fleet::Target;
use muster_sim::{StationId, World, WorldConfig, all_nodes, ask, node_name};
use muster_testkit::for_seeds;

use super::SECOND;

const NODES: usize = 30;

fn run(seed: u64) {
    let mut config = WorldConfig::new(seed);
    config.core.ping_interval = 5 * SECOND;
    let mut world = World::new(config);
    let nodes = world.add_fleet(NODES);
    let client = world.add_client();
    let all: Vec<StationId> = nodes.iter().copied().chain([client]).collect();
    world.assemble(&all, 10 * SECOND);
    let mut rng = world.rng();
    for _ in 0..2 {
        let count = rng.within(1..=NODES);
        let cut_off = rng.subset(count, NODES);
        for number in &cut_off {
            world.part(nodes[*number]);
        }
        let asked = ask(Target::Direct(all_nodes(NODES)), 3 * SECOND);
        let summary = world.perform(client, asked);
        let names: Vec<String> = cut_off.iter().map(|number| node_name(*number)).collect();
        assert_eq!(
            summary.no_responses, names,
            "exactly those that were cut off are missing"
        );
        // From a hiccup, over which connections live, to an outage, in which both sides give them up.
        let outage = *rng.pick(&[0, 10, 40, 100]);
        if rng.percent(30) {
            world.part(client);
        }
        world.run_for(outage * SECOND);
        world.heal(client);
        let mut healing = cut_off.clone();
        rng.shuffle(&mut healing);
        for number in healing {
            world.heal(nodes[number]);
            world.run_for(rng.time(super::MS..=SECOND));
        }
        // Ends of links that died of the outage are heard now, and those who lost them dial anew.
        world.run_for(5 * SECOND);
        world.assemble(&all, 90 * SECOND);
        let again = ask(Target::Direct(all_nodes(NODES)), 5 * SECOND);
        let after = world.perform(client, again);
        assert!(
            after.is_success(),
            "missing after the healing: {:?}",
            after.no_responses
        );
        assert_eq!(
            after.drops.wrong_request, 0,
            "late replies went to a subject that is gone"
        );
    }
    world.assert_at_rest();
    world.assert_dissolves();
}

#[test]
fn after_the_healing_all_nodes_answer_again() {
    for_seeds(
        "partition::after_the_healing_all_nodes_answer_again",
        20,
        run,
    );
}
