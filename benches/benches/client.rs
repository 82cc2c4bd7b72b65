//! How many replies a second does one core of a client parse, verify and attribute?
//!
//! `collector` is the books alone: transport, base64, hash, envelope, look-up. `session` is all from the bytes of the socket on: the operations of
//! the broker are parsed, RPC bodies read, and an event made of each reply.
//! 50,000 replies of some 750 bytes are made beforehand, in an order that strides over the fleet.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use muster_client::Moment;
use muster_client::fleet::{
    Aggregates, Caller, CallerSecurity, Collector, Expect, FleetEvent, FleetSession, Operation,
    Rpc, Target,
};
use muster_client::nats::{ClientConfig, ServerAddr};
use muster_protocol::Scratch;
use muster_protocol::filter::Filter;
use muster_protocol::reply::{ReplyParts, encode_reply_transport};
use muster_protocol::request_id::RequestId;
use muster_protocol::transport::Headers;

const NODES: u32 = 50_000;
/// Prime, and so coprime to the number of nodes.
const STRIDE: u32 = 7_919;
const INFO: &[u8] = b"INFO {\"server_id\":\"A\",\"max_payload\":1048576}\r\nPONG\r\n";
/// What one read of the driver brings.
const READ: usize = 64 * 1024;

fn node(i: u32) -> String {
    format!("node{i}.example.net")
}

fn nodes() -> Vec<String> {
    (0..NODES).map(node).collect()
}

/// The replies of the fleet to a request.
fn replies(id: RequestId) -> Vec<Vec<u8>> {
    let mut scratch = Scratch::new();
    let body = br#"{"action":"ping","statuscode":0,"statusmsg":"OK","data":{"pong":1795587737}}"#;
    let broker = "nats://broker1.example.net:4222";
    let reply = |i: u32| {
        let sender = node((i * STRIDE) % NODES);
        let mut headers = Headers {
            sender: Some(sender.as_str().into()),
            ..Headers::default()
        };
        headers.push_hop(broker, sender.as_str(), broker);
        let parts = ReplyParts {
            request_id: id.as_str(),
            sender: &sender,
            agent: "rpcutil",
            time: 1_795_587_737,
            body,
        };
        let mut payload = Vec::new();
        encode_reply_transport(&mut payload, &mut scratch, &parts, &headers);
        payload
    };
    (0..NODES).map(reply).collect()
}

fn collector(c: &mut Criterion) {
    let id = RequestId::from_random([7; 16]);
    let payloads = replies(id);
    let bytes: usize = payloads.iter().map(Vec::len).sum();
    let mut group = c.benchmark_group(format!("replies of {} bytes", bytes / payloads.len()));
    group
        .throughput(Throughput::Elements(u64::from(NODES)))
        .sample_size(20);
    group.bench_function("collector", |b| {
        let expect = || Expect::Nodes(nodes());
        let fresh = || Collector::new(id, expect(), 1, Duration::ZERO, Duration::from_secs(9));
        b.iter_batched_ref(
            fresh,
            |collector| {
                for payload in &payloads {
                    collector.handle_reply(payload, Duration::ZERO, &mut |view| {
                        black_box(view);
                    });
                }
                assert!(collector.is_complete());
            },
            BatchSize::PerIteration,
        );
    });
    // Sessions of one seed make the same request id, so the bytes fit each of them.
    let (_, id) = asked();
    let input = delivered(id);
    group.bench_function("session", |b| {
        b.iter_batched_ref(
            asked,
            |(session, _)| {
                let at = Moment::default();
                for read in input.chunks(READ) {
                    session
                        .handle_bytes(read, at)
                        .expect("the broker keeps to the protocol");
                    while let Some(event) = session.poll_event() {
                        black_box(&event);
                    }
                }
                assert!(session.is_idle());
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A session that has asked the fleet.
fn asked() -> (FleetSession, RequestId) {
    let at = Moment::default();
    let client = ClientConfig::new(vec![ServerAddr::new("broker1.example.net", 4222)]);
    let mut session = FleetSession::new(Arc::new(caller()), Arc::new(client), 7, at.now);
    let _ = session.client().poll_action();
    session.client().handle_connected(at.now);
    session
        .handle_bytes(INFO, at)
        .expect("the broker keeps to the protocol");
    let rpc = Rpc {
        agent: "rpcutil".to_owned(),
        action: "ping".to_owned(),
        data: "{}".to_owned(),
        filter: Filter::default(),
        target: Target::Broadcast(Expect::Nodes(nodes())),
        timeout: Duration::from_secs(5),
        aggregates: Aggregates::default(),
        options: Default::default(),
    };
    let id = session
        .start(Operation::Rpc(Box::new(rpc)), at)
        .expect("the operation begins");
    session
        .handle_bytes(b"PONG\r\n", at)
        .expect("the broker keeps to the protocol");
    while let Some(event) = session.poll_event() {
        assert!(!matches!(event, FleetEvent::Failed(_)), "{event:?}");
    }
    (session, id)
}

/// The bytes with which a broker delivers the replies.
fn delivered(id: RequestId) -> Vec<u8> {
    let mut input = Vec::new();
    for payload in replies(id) {
        let line = format!(
            "MSG mcollective.reply.37bdf083.{id} 1 {}\r\n",
            payload.len()
        );
        input.extend_from_slice(line.as_bytes());
        input.extend_from_slice(&payload);
        input.extend_from_slice(b"\r\n");
    }
    input
}

fn caller() -> Caller {
    Caller {
        sender: "rip.mcollective".to_owned(),
        caller_id: "choria=rip.mcollective".to_owned(),
        security: CallerSecurity::Insecure,
        main_collective: "mcollective".to_owned(),
        collective: "mcollective".to_owned(),
        ttl: Duration::from_secs(60),
    }
}

criterion_group!(benches, collector);
criterion_main!(benches);
