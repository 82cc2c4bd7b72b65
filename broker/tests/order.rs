//! What the broker promises about order, counts and those who do not keep up, by real sockets over one shard and over three.

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

#[path = "order/client.rs"]
mod client;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use muster_broker::{Broker, BrokerConfig};
use muster_broker_core::close::CloseReason;
use muster_broker_core::config::CoreConfig;

use client::{Client, Event, PATIENCE};

/// More connections than it takes until the kernel has put some on each of three shards.
const TRIES_MAX: usize = 400;

fn start(shards: u16, adjust: impl FnOnce(&mut CoreConfig)) -> Broker {
    let mut core = CoreConfig {
        connections_max: 5000,
        ..CoreConfig::default()
    };
    adjust(&mut core);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = BrokerConfig {
        listen,
        shards: Some(shards),
        core,
        ..BrokerConfig::default()
    };
    Broker::start(config).unwrap()
}

/// So many clients on each shard.
fn spread(broker: &Broker, each: usize) -> Vec<Vec<Client>> {
    let shards = broker.ask(|_, _| ()).len();
    let mut placed: Vec<Vec<Client>> = (0..shards).map(|_| Vec::new()).collect();
    for _ in 0..TRIES_MAX {
        if placed.iter().all(|clients| clients.len() >= each) {
            return placed;
        }
        let client = Client::connect(broker.address());
        let mine = client.stream.local_addr().unwrap();
        let holds =
            broker.ask(move |core, _| core.open_connections(false).any(|conn| conn.peer == mine));
        let shard = holds
            .iter()
            .position(|holds| *holds == Some(true))
            .expect("a shard holds it");
        if placed[shard].len() < each {
            placed[shard].push(client);
        }
    }
    panic!("the kernel put no connection on some shard");
}

/// Waits for a figure of the broker to become true, with round trips for a clock.
fn wait_for(broker: &Broker, client: &mut Client, what: &str, done: impl Fn(&Broker) -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !done(broker) {
        assert!(Instant::now() < give_up, "in vain: {what}");
        client.round_trip();
        thread::yield_now();
    }
}

#[test]
fn a_subscription_counts_from_its_pong_and_a_message_from_its_publishers() {
    for shards in [1, 3] {
        let broker = start(shards, |_| {});
        let mut subscribers = spread(&broker, 1);
        let mut publishers = spread(&broker, 1);
        for subscriber in subscribers.iter_mut().flatten() {
            for publisher in publishers.iter_mut().flatten() {
                for round in 0..200 {
                    let subject = format!("round.{round}");
                    let filter = if round % 2 == 0 {
                        subject.clone()
                    } else {
                        "*.*".to_owned()
                    };
                    subscriber.send(format!("SUB {filter} {round}\r\n").as_bytes());
                    subscriber.round_trip();
                    publisher.send(format!("PUB {subject} 2\r\nhi\r\n").as_bytes());
                    publisher.round_trip();
                    subscriber.send(format!("UNSUB {round}\r\nPING\r\n").as_bytes());
                    assert_eq!(
                        subscriber.next(),
                        Event::Message {
                            sid: round,
                            payload: b"hi"
                        }
                    );
                    assert_eq!(subscriber.next(), Event::Pong);
                }
            }
        }
    }
}

#[test]
fn no_responders_is_exact() {
    for shards in [1, 3] {
        let broker = start(shards, |_| {});
        let mut responders = spread(&broker, 1);
        let mut requesters = spread(&broker, 1);
        for requester in requesters.iter_mut().flatten() {
            requester.send(b"SUB inbox 1\r\n");
            for responder in responders.iter_mut().flatten() {
                for round in 0..100 {
                    let queue = if round % 2 == 0 { "" } else { "group " };
                    responder.send(format!("SUB service {queue}5\r\n").as_bytes());
                    responder.round_trip();
                    requester.send(b"PUB service inbox 1\r\nx\r\n");
                    requester.round_trip();
                    responder.send(b"UNSUB 5\r\nPING\r\n");
                    assert_eq!(
                        responder.next(),
                        Event::Message {
                            sid: 5,
                            payload: b"x"
                        }
                    );
                    assert_eq!(responder.next(), Event::Pong);
                    requester.send(b"PUB service inbox 1\r\nx\r\n");
                    assert_eq!(requester.next(), Event::NoResponders { sid: 1 });
                    requester.round_trip();
                }
            }
            requester.send(b"UNSUB 1\r\n");
            requester.round_trip();
        }
    }
}

#[test]
fn the_order_of_each_publisher_is_kept_under_load() {
    const MESSAGES: u64 = 20_000;
    for shards in [1, 3] {
        let broker = start(shards, |_| {});
        let mut subscribers: Vec<Client> = spread(&broker, 1).into_iter().flatten().collect();
        let publishers: Vec<Client> = spread(&broker, 1).into_iter().flatten().collect();
        let total = MESSAGES * publishers.len() as u64;
        for subscriber in &mut subscribers {
            subscriber.send(b"SUB load.* 1\r\n");
            subscriber.round_trip();
        }
        thread::scope(|scope| {
            for (number, mut publisher) in publishers.into_iter().enumerate() {
                scope.spawn(move || {
                    for message in 0..MESSAGES {
                        let text = format!("{number} {message:06}");
                        publisher.send(format!("PUB load.{message} 8\r\n{text}\r\n").as_bytes());
                    }
                    publisher.round_trip();
                });
            }
            for subscriber in &mut subscribers {
                scope.spawn(move || {
                    let mut next: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
                    for _ in 0..total {
                        let Event::Message { payload, .. } = subscriber.next() else {
                            panic!("not a message");
                        };
                        let message: u64 =
                            std::str::from_utf8(&payload[2..]).unwrap().parse().unwrap();
                        let next = next.entry(payload[..1].to_vec()).or_default();
                        assert_eq!(message, *next);
                        *next += 1;
                    }
                });
            }
        });
    }
}

/// A member of the group that comes and goes until it is told to stop; it stays if it is the first.
fn work(mut member: Client, number: usize, seen: &[AtomicU8], ready: &Barrier) -> u64 {
    member.send(b"SUB stop 1\r\nSUB work group 2\r\n");
    member.round_trip();
    ready.wait();
    let (mut sid, mut got, mut stopped, mut leaves) = (2, 0_u64, false, 0_u64);
    // How long it stays this time, and whether the broker or the member itself ends the stay.
    let mut stay = 500 + 300 * number as u64;
    let mut counted = false;
    loop {
        match member.next() {
            Event::Message { sid: 1, .. } => {
                stopped = true;
                member.send(format!("UNSUB {sid}\r\nPING\r\n").as_bytes());
            }
            Event::Message { sid: at, payload } => {
                assert_eq!(at, sid, "a message for a subscription that ended");
                let message: usize = std::str::from_utf8(payload).unwrap().parse().unwrap();
                assert_eq!(
                    seen[message].fetch_add(1, Ordering::Relaxed),
                    0,
                    "message {message} twice"
                );
                got += 1;
                assert!(!counted || got <= stay, "more than the maximum");
                if got == stay && number != 0 && !stopped {
                    let drain = if counted {
                        ""
                    } else {
                        &format!("UNSUB {sid}\r\n")
                    };
                    member.send(format!("{drain}PING\r\n").as_bytes());
                }
            }
            Event::Pong if stopped => return leaves,
            Event::Pong => {
                leaves += 1;
                (sid, got) = (sid + 1, 0);
                counted = leaves % 2 == 1;
                let maximum = if counted {
                    format!("UNSUB {sid} {stay}\r\n")
                } else {
                    String::new()
                };
                member.send(format!("SUB work group {sid}\r\n{maximum}").as_bytes());
                stay = if counted {
                    stay
                } else {
                    500 + (stay * 7 + 13) % 3000
                };
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_queue_group_loses_and_doubles_nothing_while_members_come_and_go() {
    const MESSAGES: usize = 1_000_000;
    const BATCH: usize = 500;
    let broker = start(3, |_| {});
    let members: Vec<Client> = spread(&broker, 2).into_iter().flatten().collect();
    let publishers: Vec<Client> = spread(&broker, 1).into_iter().flatten().collect();
    let mut control = Client::connect(broker.address());
    let seen: Vec<AtomicU8> = (0..MESSAGES).map(|_| AtomicU8::new(0)).collect();
    let ready = Barrier::new(members.len() + publishers.len());
    let batches = AtomicU64::new(0);
    let leaves: u64 = thread::scope(|scope| {
        let members: Vec<_> = members
            .into_iter()
            .enumerate()
            .map(|(number, member)| {
                let (seen, ready) = (&seen, &ready);
                scope.spawn(move || work(member, number, seen, ready))
            })
            .collect();
        let publishers: Vec<_> = publishers
            .into_iter()
            .map(|mut publisher| {
                let (ready, batches) = (&ready, &batches);
                scope.spawn(move || {
                    ready.wait();
                    loop {
                        let batch = batches.fetch_add(1, Ordering::Relaxed);
                        let from = usize::try_from(batch).unwrap() * BATCH;
                        if from >= MESSAGES {
                            return publisher.round_trip();
                        }
                        let text: String = (from..from + BATCH)
                            .map(|message| format!("PUB work 7\r\n{message:07}\r\n"))
                            .collect();
                        publisher.send(text.as_bytes());
                    }
                })
            })
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        control.send(b"PUB stop 0\r\n\r\n");
        control.round_trip();
        members
            .into_iter()
            .map(|member| member.join().unwrap())
            .sum()
    });
    let lost = seen
        .iter()
        .filter(|seen| seen.load(Ordering::Relaxed) == 0)
        .count();
    assert_eq!(lost, 0, "lost messages");
    assert!(leaves > 50, "members hardly ever left: {leaves}");
}

#[test]
fn auto_unsubscribe_counts_exactly_with_publishers_on_every_shard() {
    for shards in [1, 3] {
        let broker = start(shards, |_| {});
        let mut subscribers = spread(&broker, 1);
        let mut publishers: Vec<Client> = spread(&broker, 2).into_iter().flatten().collect();
        for (round, at) in
            (1..=40).flat_map(|round| (0..usize::from(shards)).map(move |at| (round, at)))
        {
            let subscriber = &mut subscribers[at][0];
            subscriber.send(format!("SUB burst {round}\r\nUNSUB {round} {round}\r\n").as_bytes());
            subscriber.round_trip();
            thread::scope(|scope| {
                for publisher in &mut publishers {
                    scope.spawn(move || {
                        publisher.send(&b"PUB burst 1\r\nx\r\n".repeat(50));
                        publisher.round_trip();
                    });
                }
            });
            subscriber.send(b"PING\r\n");
            for _ in 0..round {
                assert_eq!(
                    subscriber.next(),
                    Event::Message {
                        sid: round,
                        payload: b"x"
                    }
                );
            }
            assert_eq!(subscriber.next(), Event::Pong);
        }
    }
}

#[test]
fn a_slow_consumer_is_cut_by_its_pending_bytes_and_others_go_on() {
    const BATCH: usize = 64;
    for shards in [1, 3] {
        let broker = start(shards, |core| {
            core.pending_max = 256 * 1024;
            core.limits.payload_max = 64 * 1024;
            core.stall = Duration::from_millis(1);
        });
        let mut slow = Client::connect(broker.address());
        let mut fast = Client::connect(broker.address());
        let mut publisher = Client::connect(broker.address());
        slow.send(b"CONNECT {\"verbose\":false,\"name\":\"the slow one\"}\r\nSUB foo 1\r\n");
        slow.round_trip();
        fast.send(b"SUB foo 1\r\n");
        fast.round_trip();
        let batch = format!("PUB foo 4096\r\n{}\r\n", "x".repeat(4096)).repeat(BATCH);
        let give_up = Instant::now() + PATIENCE;
        // Sockets between the two hold some megabytes; the queue of the broker fills behind them.
        while broker.core().counters().slow_consumers_pending == 0 {
            assert!(Instant::now() < give_up, "nobody was cut");
            publisher.send(batch.as_bytes());
            for _ in 0..BATCH {
                assert!(matches!(fast.next(), Event::Message { sid: 1, .. }));
            }
            publisher.round_trip();
        }
        let closed = broker.ask(|core, _| {
            let closed = core.closed_connections();
            closed
                .map(|info| (info.name.clone(), info.reason))
                .collect::<Vec<_>>()
        });
        let closed: Vec<_> = closed.into_iter().flatten().flatten().collect();
        let wanted = (
            Some("the slow one".into()),
            Some(CloseReason::SlowConsumerPendingBytes),
        );
        assert_eq!(closed, [wanted]);
        let counters = broker.core().counters();
        assert!(counters.dropped_msgs >= 1);
        assert!(counters.stalled_publishers >= 1);
        publisher.send(b"PUB foo 1\r\ny\r\n");
        publisher.round_trip();
        assert_eq!(
            fast.next(),
            Event::Message {
                sid: 1,
                payload: b"y"
            }
        );
        // What was in the sockets is still there, and then the end: cut, not left waiting.
        if let Err(error) = std::io::copy(&mut slow.stream, &mut std::io::sink()) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_consumer_that_takes_nothing_is_cut_at_the_write_deadline() {
    for shards in [1, 3] {
        let broker = start(shards, |core| {
            core.write_deadline = Duration::from_millis(300);
        });
        let mut slow = Client::connect(broker.address());
        let mut publisher = Client::connect(broker.address());
        slow.send(b"SUB foo 1\r\n");
        slow.round_trip();
        let message = format!("PUB foo 500000\r\n{}\r\n", "x".repeat(500_000));
        for _ in 0..40 {
            publisher.send(message.as_bytes());
        }
        wait_for(&broker, &mut publisher, "a cut by the deadline", |broker| {
            broker.core().counters().slow_consumers_deadline == 1
        });
        let reasons = broker.ask(|core, _| {
            core.closed_connections()
                .map(|info| info.reason)
                .collect::<Vec<_>>()
        });
        let reasons: Vec<_> = reasons.into_iter().flatten().flatten().collect();
        assert_eq!(reasons, [Some(CloseReason::SlowConsumerWriteDeadline)]);
        assert_eq!(broker.core().counters().slow_consumers_pending, 0);
    }
}

/// Many publishers, one inbox with little room, and a reader that begins late. With `leave` each publisher is gone before it reads.
fn fan_in(shards: u16, leave: bool) {
    const PUBLISHERS: usize = 2000;
    const SIZE: usize = 20_000;
    let broker = start(shards, |core| {
        core.pending_max = 1 << 20;
        core.limits.payload_max = 64 * 1024;
    });
    let mut reader = Client::connect(broker.address());
    reader.send(b"SUB inbox 1\r\n");
    reader.round_trip();
    let padding = "x".repeat(SIZE - 4);
    let mut publishers = Vec::new();
    for number in 0..PUBLISHERS {
        let mut publisher = Client::open(broker.address());
        let options = "CONNECT {\"verbose\":false,\"pedantic\":false}";
        let text = format!("{options}\r\nPUB inbox {SIZE}\r\n{number:04}{padding}\r\n");
        publisher.send(text.as_bytes());
        if !leave {
            publishers.push(publisher);
        }
    }
    let mut seen = vec![false; PUBLISHERS];
    for _ in 0..PUBLISHERS {
        let Event::Message { sid: 1, payload } = reader.next() else {
            panic!("not a message")
        };
        assert_eq!(payload.len(), SIZE);
        let number: usize = std::str::from_utf8(&payload[..4]).unwrap().parse().unwrap();
        assert!(
            !std::mem::replace(&mut seen[number], true),
            "message {number} twice"
        );
    }
    reader.round_trip();
    let counters = broker.core().counters();
    assert!(
        counters.held_publishers > 100,
        "{} were held",
        counters.held_publishers
    );
    assert_eq!((counters.slow_consumers(), counters.dropped_msgs), (0, 0));
}

#[test]
fn fan_in_to_one_inbox_all_arrives() {
    for shards in [1, 3] {
        fan_in(shards, false);
    }
}

#[test]
fn fan_in_from_publishers_that_leave_all_arrives() {
    for shards in [1, 3] {
        fan_in(shards, true);
    }
}

#[test]
fn a_second_broker_on_the_port_says_so() {
    for shards in [1, 3] {
        let broker = start(shards, |_| {});
        let config = BrokerConfig {
            listen: broker.address(),
            shards: Some(shards),
            ..BrokerConfig::default()
        };
        let error = Broker::start(config)
            .expect_err("the port is taken")
            .to_string();
        assert_eq!(
            error,
            format!(
                "cannot listen on {}: address already in use",
                broker.address()
            )
        );
        Client::connect(broker.address()).round_trip();
    }
}

#[test]
fn the_port_is_free_again_once_a_broker_stopped() {
    let broker = start(3, |_| {});
    let address = broker.address();
    let mut client = Client::connect(address);
    broker.stop();
    assert_eq!(client.next(), Event::End);
    let config = BrokerConfig {
        listen: address,
        shards: Some(3),
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).unwrap();
    Client::connect(broker.address()).round_trip();
}

#[test]
fn a_full_broker_says_so_and_counts() {
    for shards in [1, 3] {
        let broker = start(shards, |core| core.connections_max = 3);
        let mut held: Vec<Client> = (0..3).map(|_| Client::connect(broker.address())).collect();
        for _ in 0..10 {
            let mut refused = Client::open(broker.address());
            assert_eq!(
                refused.next(),
                Event::Error(b"-ERR 'maximum connections exceeded'")
            );
            assert_eq!(refused.next(), Event::End);
        }
        for client in &mut held {
            client.round_trip();
        }
        wait_for(&broker, &mut held[0], "ten refusals counted", |broker| {
            broker.core().counters().connections_refused == 10
        });
        drop(held.pop());
        wait_for(&broker, &mut held[0], "one left", |broker| {
            broker.core().counters().connections == 2
        });
        Client::connect(broker.address()).round_trip();
    }
}
