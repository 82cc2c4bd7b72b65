//! The same seed takes the same way.

use muster_client::fleet::Target;
use muster_sim::{World, WorldConfig, all_nodes, ask};
use muster_testkit::for_seeds;

use super::{MS, SECOND};

fn trace(seed: u64) -> (u64, Vec<String>) {
    let mut world = World::new(WorldConfig::new(seed));
    let mut all = world.add_fleet(10);
    let client = world.add_client();
    all.push(client);
    world.assemble(&all, 10 * SECOND);
    world.begin(client, ask(Target::Direct(all_nodes(10)), 2 * SECOND));
    let victim = *world.rng().pick(&all);
    let wait = world.rng().time(MS..=20 * MS);
    world.run_for(wait);
    world.sever(victim);
    let summary = world.finish(client);
    (world.trace(), summary.replied)
}

#[test]
fn the_same_seed_takes_the_same_way() {
    for_seeds("replay::the_same_seed_takes_the_same_way", 10, |seed| {
        assert_eq!(trace(seed), trace(seed));
        assert_ne!(
            trace(seed).0,
            trace(seed + 1000).0,
            "the seed decides nothing"
        );
    });
}
