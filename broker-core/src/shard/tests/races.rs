//! Interest that changes on one thread while a route is registered on another.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::mesh::membership;
use crate::broker::BrokerCore;
use crate::config::CoreConfig;
use crate::ids::{Key, ShardId};
use crate::outbound::Segment;
use crate::shard::{Accepted, ShardCore};

const ROUNDS: usize = 300;
const SUBJECTS: usize = 40;
const NOW: Duration = Duration::from_secs(1);

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4000))
}

/// Every subject comes, every third goes again; what stays is the same in each round.
fn changes(round: usize) -> Vec<String> {
    let mut lines: Vec<String> = (0..SUBJECTS)
        .map(|at| format!("SUB s{at}.* {at}\r\nSUB l{at} g {}\r\n", at + 1000))
        .collect();
    let gone = (0..SUBJECTS).step_by(3);
    lines.extend(gone.map(|at| format!("UNSUB {at}\r\nUNSUB {}\r\n", at + 1000)));
    let by = round % lines.len();
    // Another part of it meets the registration each time.
    lines.insert(0, "PING\r\n".repeat(by));
    lines
}

fn told(core: &mut ShardCore, key: Key) -> BTreeSet<String> {
    let (mut segments, mut bytes) = (VecDeque::<Segment>::new(), Vec::new());
    core.take_output(key, &mut segments, NOW);
    for segment in segments {
        bytes.extend_from_slice(segment.as_ref());
    }
    let mut known = BTreeSet::new();
    for line in String::from_utf8(bytes).unwrap().lines() {
        let mut words = line.split(' ');
        match (words.next(), words.nth(1)) {
            (Some("RS+"), Some(subject)) => drop(known.insert(subject.to_owned())),
            (Some("RS-"), Some(subject)) => drop(known.remove(subject)),
            _ => {}
        }
    }
    known
}

#[expect(
    clippy::disallowed_methods,
    reason = "two shards at the same time are what is tried"
)]
#[test]
fn no_change_is_missed_while_a_route_is_registered() {
    let expected: BTreeSet<String> = (0..SUBJECTS)
        .filter(|at| at % 3 != 0)
        .flat_map(|at| [format!("s{at}.*"), format!("l{at}")])
        .collect();
    for round in 0..ROUNDS {
        let core = BrokerCore::clustered(CoreConfig::default(), 2, membership("one"));
        let (broker, start) = (Arc::new(core), Arc::new(Barrier::new(2)));
        let client = {
            let (broker, start) = (Arc::clone(&broker), Arc::clone(&start));
            std::thread::spawn(move || {
                let mut shard = ShardCore::new(broker, ShardId(0));
                let Accepted::Open { key, .. } = shard.accept(peer(), NOW) else {
                    panic!("there is room")
                };
                shard.handle_bytes(key, b"CONNECT {\"verbose\":false}\r\n", NOW);
                start.wait();
                for line in changes(round) {
                    shard.handle_bytes(key, line.as_bytes(), NOW);
                }
            })
        };
        let mut shard = ShardCore::new(broker, ShardId(1));
        let Accepted::Open { key, .. } = shard.accept_route(peer(), NOW) else {
            panic!("a member of a cluster")
        };
        shard.handle_bytes(key, b"CONNECT {\"cluster\":\"C1\"}\r\n", NOW);
        start.wait();
        let info = b"INFO {\"server_id\":\"P\",\"cluster\":\"C1\"}\r\n";
        shard.handle_bytes(key, info, NOW);
        while shard.has_work() {
            shard.begin_turn();
            shard.resume(NOW);
            if shard.poll_dirty().is_none() {
                break;
            }
        }
        client.join().unwrap();
        shard.resume(NOW);
        assert_eq!(told(&mut shard, key), expected, "round {round}");
    }
}
