//! What a client may conclude from a `PONG`, the order of messages, and exact counts of deliveries.

use muster_sim::{StationId, Word, World, WorldConfig};
use muster_testkit::{Rng, for_seeds};

use super::{MS, QUIET, SECOND, publish};

/// A world in small slices, with so many raw clients.
fn scene(seed: u64, clients: usize) -> (World, Rng, Vec<StationId>) {
    let mut config = WorldConfig::new(seed);
    config.core.deliveries_a_turn = *Rng::new(seed).pick(&[1, 2, 5, 8192]);
    let mut world = World::new(config);
    let rng = world.rng();
    let clients: Vec<StationId> = (0..clients).map(|_| world.add_raw(QUIET)).collect();
    world.assemble(&clients, 10 * SECOND);
    (world, rng, clients)
}

/// Waits for so many pongs.
fn await_pongs(world: &mut World, client: StationId, count: usize) {
    let came = world.run_until(5 * SECOND, |world| world.raw(client).pongs() >= count);
    assert!(came, "pong {count} does not come");
}

fn got(world: &World, client: StationId, text: &str) -> usize {
    world
        .raw(client)
        .messages()
        .filter(|(_, got)| *got == text)
        .count()
}

/// Keeps publishers busy, so that what is looked at happens in the middle of other work.
fn make_noise(world: &mut World, rng: &mut Rng, publishers: &[StationId]) {
    let noise = publish(&format!("noise.{}", rng.below(4)), "!").repeat(rng.within(1..=20));
    world.say(*rng.pick(publishers), &noise);
}

#[test]
fn what_is_published_after_the_pong_of_a_subscriber_reaches_it() {
    let name = "order::what_is_published_after_the_pong_of_a_subscriber_reaches_it";
    for_seeds(name, 30, |seed| {
        let (mut world, mut rng, clients) = scene(seed, 6);
        world.say(clients[5], "SUB noise.> 1\r\n");
        for round in 1..=12 {
            let (subscriber, publisher) = (clients[rng.below(2)], clients[2 + rng.below(3)]);
            let number = rng.below(3);
            let subject = format!("a.b{number}.c");
            // The subject is known to the caches of the shards, as one nobody or somebody else wants.
            for cached in &clients[2..5] {
                world.say(*cached, &publish(&subject, "before").repeat(rng.below(3)));
            }
            make_noise(&mut world, &mut rng, &clients[2..5]);
            world.run_for(rng.time(MS / 100..=8 * MS));
            let wanted = match rng.below(4) {
                0 => "a.>".to_owned(),
                1 => "a.*.c".to_owned(),
                2 => format!("a.b{number}.*"),
                _ => subject.clone(),
            };
            let pongs = world.raw(subscriber).pongs() + 1;
            world.say(subscriber, &format!("SUB {wanted} {round}\r\nPING\r\n"));
            await_pongs(&mut world, subscriber, pongs);
            let text = format!("round {round}");
            world.say(publisher, &publish(&subject, &text));
            world.run_for(SECOND);
            assert_eq!(got(&world, subscriber, &text), 1, "{wanted} gets {subject}");
            world.say(subscriber, &format!("UNSUB {round}\r\nPING\r\n"));
            await_pongs(&mut world, subscriber, pongs + 1);
            world.say(publisher, &publish(&subject, &format!("{text} later")));
            world.run_for(50 * MS);
            assert_eq!(
                got(&world, subscriber, &format!("{text} later")),
                0,
                "{wanted} is given up"
            );
        }
        world.assert_at_rest();
        world.assert_dissolves();
    });
}

#[test]
fn after_the_pong_of_the_publisher_and_then_that_of_the_subscriber_it_has_the_message() {
    let name =
        "order::after_the_pong_of_the_publisher_and_then_that_of_the_subscriber_it_has_the_message";
    for_seeds(name, 30, |seed| {
        let (mut world, mut rng, clients) = scene(seed, 8);
        for client in &clients {
            world.say(*client, "SUB foo 1\r\nSUB noise.* 2\r\n");
        }
        world.run_for(SECOND);
        for round in 1..=10 {
            let (publisher, subscriber) = (clients[rng.below(4)], clients[4 + rng.below(4)]);
            make_noise(&mut world, &mut rng, &clients);
            let pongs = world.raw(publisher).pongs() + 1;
            world.say(
                publisher,
                &(publish("foo", &format!("round {round}")) + "PING\r\n"),
            );
            await_pongs(&mut world, publisher, pongs);
            let pongs = world.raw(subscriber).pongs() + 1;
            world.say(subscriber, "PING\r\n");
            await_pongs(&mut world, subscriber, pongs);
            // Behind its pong there may be anything; what counts lies before it.
            let heard = world.raw(subscriber).heard();
            let pong = heard
                .iter()
                .rposition(|heard| heard.word == Word::Pong)
                .unwrap();
            let text = format!("round {round}");
            let before = heard[..pong]
                .iter()
                .any(|heard| matches!(&heard.word, Word::Msg { payload, .. } if *payload == text));
            assert!(
                before,
                "the message of round {round} is not before the pong"
            );
        }
        world.run_for(SECOND);
        world.assert_at_rest();
        world.assert_dissolves();
    });
}

#[test]
fn the_messages_of_a_publisher_keep_their_order() {
    for_seeds(
        "order::the_messages_of_a_publisher_keep_their_order",
        20,
        |seed| {
            let (mut world, mut rng, clients) = scene(seed, 9);
            let (publishers, subscribers) = clients.split_at(4);
            for (at, subscriber) in subscribers.iter().enumerate() {
                let subjects = [
                    "SUB > 1\r\n",
                    "SUB t.* 1\r\n",
                    "SUB t.0 1\r\nSUB t.1 2\r\nSUB t.2 3\r\n",
                ];
                world.say(*subscriber, subjects[at % 3]);
            }
            world.run_for(SECOND);
            let mut sent = [0; 4];
            for _ in 0..60 {
                let publisher = rng.below(4);
                for _ in 0..rng.within(1..=5) {
                    let subject = format!("t.{}", rng.below(3));
                    let text = format!(
                        "{publisher} {:05} {}",
                        sent[publisher],
                        "x".repeat(rng.below(700))
                    );
                    world.say(publishers[publisher], &publish(&subject, &text));
                    sent[publisher] += 1;
                }
                world.run_for(rng.time(MS / 100..=3 * MS));
            }
            world.run_for(2 * SECOND);
            for subscriber in subscribers {
                for (publisher, count) in sent.iter().enumerate() {
                    let mine = format!("{publisher} ");
                    let texts = world.raw(*subscriber).messages().map(|(_, text)| text);
                    let numbers = texts
                        .filter(|text| text.starts_with(&mine))
                        .map(|text| &text[2..7]);
                    let numbers: Vec<usize> =
                        numbers.map(|number| number.parse().unwrap()).collect();
                    assert_eq!(numbers, (0..*count).collect::<Vec<usize>>());
                }
            }
            world.assert_at_rest();
            world.assert_dissolves();
        },
    );
}

#[test]
fn a_subscription_with_a_maximum_gets_exactly_that_many() {
    for_seeds(
        "order::a_subscription_with_a_maximum_gets_exactly_that_many",
        30,
        |seed| {
            let (mut world, mut rng, clients) = scene(seed, 9);
            let (publishers, subscribers) = clients.split_at(4);
            let mut maxima = Vec::new();
            for subscriber in subscribers {
                for sid in 1..=4 {
                    let max = rng.within(1..=30);
                    let subject = *rng.pick(&["foo", "*", ">"]);
                    world.say(
                        *subscriber,
                        &format!("SUB {subject} {sid}\r\nUNSUB {sid} {max}\r\n"),
                    );
                    maxima.push((*subscriber, sid, max));
                }
            }
            world.run_for(SECOND);
            assert_eq!(world.subscriptions(), 20);
            let total = rng.within(15..=40);
            for number in 0..total {
                world.say(*rng.pick(publishers), &publish("foo", &number.to_string()));
                if rng.percent(50) {
                    world.run_for(rng.time(MS / 100..=4 * MS));
                }
            }
            world.run_for(SECOND);
            for (subscriber, sid, max) in &maxima {
                let messages = world.raw(*subscriber).messages();
                let count = messages.filter(|(of, _)| of == sid).count();
                assert_eq!(count, total.min(*max), "of {total} for a maximum of {max}");
            }
            let left = maxima.iter().filter(|(_, _, max)| *max > total).count();
            assert_eq!(
                world.subscriptions(),
                left as u64,
                "the others left the sublist"
            );
            world.assert_at_rest();
            world.assert_dissolves();
        },
    );
}
