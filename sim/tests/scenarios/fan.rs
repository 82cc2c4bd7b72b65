//! Receivers that are slow: one among several is cut and named, one alone is waited for.

use muster_broker_core::close::CloseReason;
use muster_sim::{StationId, World, WorldConfig};
use muster_testkit::{LinkModel, Rng, for_seeds};

use super::{MS, QUIET, SECOND, numbered, publish};

const SLOW: &str = r#"{"verbose":false,"pedantic":false,"name":"the slow one"}"#;

/// Raw clients that are connected, each having said this.
fn some(world: &mut World, count: usize, options: &str, first: &str) -> Vec<StationId> {
    let clients: Vec<StationId> = (0..count).map(|_| world.add_raw(options)).collect();
    for client in &clients {
        world.say(*client, first);
    }
    world.assemble(&clients, 10 * SECOND);
    clients
}

/// A numbered message of one publisher.
fn text(publisher: usize, number: usize, size: usize) -> String {
    format!("{publisher}:{number}:{}", "x".repeat(size))
}

/// The numbers a receiver got of one publisher, in the order they came.
fn numbers(world: &World, receiver: StationId, publisher: usize) -> Vec<usize> {
    let texts = world
        .raw(receiver)
        .messages()
        .map(|(_, text)| numbered(text));
    texts
        .filter(|(from, _)| *from == publisher)
        .map(|(_, number)| number)
        .collect()
}

/// A receiver got all of these numbers, in order, and then no others; or the first of them, if it was cut.
fn assert_got(world: &World, receiver: StationId, publisher: usize, count: usize) {
    assert_eq!(
        numbers(world, receiver, publisher),
        (0..count).collect::<Vec<_>>()
    );
}

/// Several receivers of which one does not read.
fn one_does_not_read(seed: u64) {
    let mut config = WorldConfig::new(seed);
    config.core.pending_max = 40_000;
    config.core.write_deadline = 2 * SECOND;
    config.core.deliveries_a_turn = *Rng::new(seed).pick(&[3, 20, 8192]);
    let mut world = World::new(config);
    let mut rng = world.rng();
    let receivers = some(&mut world, 4, QUIET, "SUB foo.* 1\r\n");
    let slow = world.add_raw(SLOW);
    world.set_link(
        slow,
        LinkModel {
            in_flight_max: 5000,
            ..LinkModel::default()
        },
    );
    world.say(slow, "SUB foo.* 1\r\n");
    world.assemble(&[slow], 10 * SECOND);
    let publishers = some(&mut world, 3, QUIET, "");
    world.stop_reading(slow);
    // Much passes the limit; what stays just below it, for long enough, the deadline, and stalls the last to publish.
    let much = rng.percent(50);
    let rounds = if much { 40 } else { 24 };
    for number in 0..rounds {
        for (publisher, station) in publishers.iter().enumerate() {
            let text = text(publisher, number, 500);
            world.say(*station, &publish(&format!("foo.{}", number % 3), &text));
        }
        world.run_for(rng.time(MS..=15 * MS));
    }
    world.run_for(4 * SECOND);
    for (publisher, receiver) in receivers.iter().flat_map(|r| (0..3).map(move |p| (p, *r))) {
        assert_got(&world, receiver, publisher, rounds);
        assert!(world.raw(receiver).closed_at().is_none());
    }
    let reason = if much {
        CloseReason::SlowConsumerPendingBytes
    } else {
        CloseReason::SlowConsumerWriteDeadline
    };
    let ended: Vec<_> = world
        .ended()
        .map(|info| (info.name.as_deref(), info.reason))
        .collect();
    assert_eq!(ended, [(Some("the slow one"), Some(reason))]);
    let counters = world.counters();
    assert_eq!((counters.slow_consumers(), counters.connections), (1, 7));
    assert!(counters.stalled_publishers > 0, "nobody was stalled");
    world.go_on_reading(slow);
    world.run_for(SECOND);
    assert!(world.raw(slow).closed_at().is_some(), "it hears of its end");
    for publisher in 0..3 {
        let got = numbers(&world, slow, publisher);
        assert_eq!(
            got,
            (0..got.len()).collect::<Vec<_>>(),
            "what it got has no holes"
        );
    }
    world.assert_at_rest();
    world.assert_dissolves();
}

#[test]
fn one_among_several_that_does_not_read_is_cut_and_named() {
    for_seeds(
        "fan::one_among_several_that_does_not_read_is_cut_and_named",
        30,
        one_does_not_read,
    );
}

/// Many publishers, one receiver, which pauses.
fn fan_in(seed: u64) -> u64 {
    let mut config = WorldConfig::new(seed);
    config.core.pending_max = 10_000;
    config.core.deliveries_a_turn = *Rng::new(seed).pick(&[1, 7, 8192]);
    let mut world = World::new(config);
    let mut rng = world.rng();
    let receiver = world.add_raw(QUIET);
    let in_flight_max = rng.within(2000..=20_000);
    world.set_link(
        receiver,
        LinkModel {
            in_flight_max,
            ..LinkModel::default()
        },
    );
    world.say(
        receiver,
        if rng.percent(50) {
            "SUB inbox 1\r\n"
        } else {
            "SUB inbox group 1\r\n"
        },
    );
    world.assemble(&[receiver], 10 * SECOND);
    let publishers = some(&mut world, 15, QUIET, "");
    let (mut sent, mut pauses) = ([0; 15], 0);
    for _ in 0..60 {
        let publisher = rng.below(15);
        for _ in 0..rng.within(1..=4) {
            let text = text(publisher, sent[publisher], rng.below(900));
            world.say(publishers[publisher], &publish("inbox", &text));
            sent[publisher] += 1;
        }
        if rng.percent(8) && pauses < 4 {
            world.stop_reading(receiver);
            pauses += 1;
        }
        if rng.percent(15) {
            world.go_on_reading(receiver);
        }
        world.run_for(rng.time(MS..=20 * MS));
    }
    world.go_on_reading(receiver);
    world.run_for(3 * SECOND);
    for (publisher, count) in sent.into_iter().enumerate() {
        assert_got(&world, receiver, publisher, count);
    }
    let counters = world.counters();
    assert_eq!((counters.slow_consumers(), counters.dropped_msgs), (0, 0));
    let total = sent.iter().sum::<usize>() as u64;
    assert_eq!(
        (counters.in_msgs, counters.out_msgs),
        (total, total),
        "each is counted once"
    );
    world.assert_at_rest();
    world.assert_dissolves();
    counters.held_publishers
}

#[test]
fn one_receiver_alone_is_waited_for_and_nothing_is_lost() {
    let held = std::cell::Cell::new(0);
    let ran = for_seeds(
        "fan::one_receiver_alone_is_waited_for_and_nothing_is_lost",
        40,
        |seed| {
            held.set(held.get() + fan_in(seed));
        },
    );
    assert!(ran < 10 || held.get() > 0, "nobody was ever held back");
}

/// Publishers that were held, and were released in a turn that had no deliveries left, were counted and acknowledged twice.
#[test]
fn held_publishers_released_without_budget_are_counted_once() {
    for seed in [10, 12] {
        fan_in(seed);
    }
}
