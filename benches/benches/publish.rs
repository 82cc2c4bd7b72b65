//! What does a message cost on its way through a shard, without permissions and with a server's?
//!
//! One shard, one publisher and one receiver, both served here as the loop of a shard serves them; no sockets.
//! A run is 256 messages of 64 bytes, parsed, matched, delivered and taken. `known` says the same subject again and again, `changing`
//! one of its own each time, as replies to many requests are. `filtered` is a receiver with a subscription wider than it may hear.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_broker_core::auth::{Authenticator, Denial, Grant, Login};
use muster_broker_core::broker::BrokerCore;
use muster_broker_core::config::CoreConfig;
use muster_broker_core::ids::{Key, ShardId};
use muster_broker_core::permissions::{Permissions, PublishRules, SubscribeRules};
use muster_broker_core::shard::{Accepted, Flush, ShardCore};

const MESSAGES: u64 = 256;
const NOW: Duration = Duration::from_secs(1);

/// What a server of two collectives may publish, its replies last but one.
const SERVER: [&str; 9] = [
    "choria.lifecycle.>",
    "choria.machine.transition",
    "choria.machine.watcher.>",
    "eu.reply.>",
    "eu.broadcast.agent.registration",
    "choria.federation.eu.collective",
    "choria.federation.mcollective.collective",
    "mcollective.reply.>",
    "mcollective.broadcast.agent.registration",
];

/// Gives each user what its name says.
#[derive(Debug)]
struct Users;

impl Authenticator for Users {
    fn authenticate(&self, login: &Login<'_>) -> Result<Grant, Denial> {
        let permissions = match login.connect.user.as_deref() {
            Some("server") => Some(Permissions::new(
                Arc::new(PublishRules::new(Some(&SERVER), &[])),
                SubscribeRules::default(),
            )),
            Some("filtered") => Some(Permissions::new(
                Arc::default(),
                SubscribeRules::new(
                    None,
                    &["choria.lifecycle.>", "choria.federation.>", "*.node.>"],
                ),
            )),
            _ => None,
        };
        Ok(Grant {
            permissions: permissions.map(Arc::new),
            ..Grant::unrestricted()
        })
    }
}

struct Lab {
    shard: ShardCore,
    publisher: Key,
    receiver: Key,
}

impl Lab {
    fn new(publisher: &str, receiver: &str) -> Self {
        let config = CoreConfig {
            authenticator: Some(Arc::new(Users)),
            seed: 1,
            ..CoreConfig::default()
        };
        let broker = Arc::new(BrokerCore::new(config, 1));
        let mut shard = ShardCore::new(broker, ShardId(0));
        let [publisher, receiver] = [publisher, receiver].map(|user| login(&mut shard, user));
        shard.handle_bytes(receiver, b"SUB > 1\r\n", NOW);
        Self {
            shard,
            publisher,
            receiver,
        }
    }

    /// One run; returns the bytes the receiver was sent.
    fn run(&mut self, input: &[u8]) -> usize {
        self.shard.begin_turn();
        self.shard.handle_bytes(self.publisher, input, NOW);
        let mut out = VecDeque::new();
        while let Some(key) = self.shard.poll_dirty() {
            let flush = self.shard.take_output(key, &mut out, NOW);
            assert_eq!(flush, Flush::Write);
        }
        let bytes = out.iter().map(|segment| segment.as_ref().len()).sum();
        self.shard.handle_written(self.receiver, bytes as u64);
        bytes
    }
}

fn login(shard: &mut ShardCore, user: &str) -> Key {
    let Accepted::Open { key, .. } = shard.accept(SocketAddr::from(([127, 0, 0, 1], 1)), NOW)
    else {
        panic!("there is room");
    };
    let connect =
        format!("CONNECT {{\"verbose\":false,\"pedantic\":false,\"user\":\"{user}\"}}\r\n");
    shard.handle_bytes(key, connect.as_bytes(), NOW);
    key
}

/// The messages of one run; `changing` gives each a subject of its own.
fn input(changing: bool) -> Vec<u8> {
    let mut input = Vec::new();
    for number in 0..MESSAGES {
        let last = if changing { number } else { 0 };
        let subject = format!("mcollective.reply.37bdf08389145a56c13096c178802d3b.{last:032x}");
        let payload = "x".repeat(64);
        input.extend_from_slice(format!("PUB {subject} 64\r\n{payload}\r\n").as_bytes());
    }
    input
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    group.throughput(Throughput::Elements(MESSAGES));
    for (name, publisher, receiver, changing) in [
        ("open/known", "open", "open", false),
        ("server/known", "server", "open", false),
        ("open/changing", "open", "open", true),
        ("server/changing", "server", "open", true),
        ("filtered/known", "open", "filtered", false),
    ] {
        let (mut lab, input) = (Lab::new(publisher, receiver), input(changing));
        assert!(lab.run(&input) > 256 * 64, "all are delivered");
        group.bench_function(name, |bencher| bencher.iter(|| black_box(lab.run(&input))));
    }
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
