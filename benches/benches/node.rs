//! How many requests a second does one core of nodes verify, filter and answer?
//!
//! `each` is one node that verifies every request: other ids, other signatures. `shared` is a broadcast to a thousand nodes of
//! one process that share its verification, as `loadgen` has them. Bytes go in as the broker's MSG and come out as the node's PUB.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use muster_client::Moment;
use muster_client::fleet::{Caller, CallerSecurity, RequestParts, encode_request};
use muster_client::nats::{ClientConfig, ServerAddr};
use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_protocol::filter::Filter;
use muster_protocol::request_id::RequestId;
use muster_protocol::security::{RequestSecurity, Signer, TrustPolicy, Verifier};
use muster_server::facts::Facts;
use muster_server::setup::{NodeOptions, NodeSetup};
use muster_server::{Gate, Node, NodeScratch, VerifyEach, VerifyShared};

const NAME: &str = "bench.mcollective";
const SUBJECT: &str = "mcollective.broadcast.agent.rpcutil";
const BODY: &str = r#"{"agent":"rpcutil","action":"ping","data":{}}"#;
const UNIX: u64 = 1_800_000_000;
const NODES: usize = 1_000;
const REQUESTS: u64 = 200;

struct Lab {
    authority: Authority,
    caller: Caller,
    number: u128,
}

impl Lab {
    fn new() -> Self {
        let validity = Validity::days_from(UNIX - 86_400, 30);
        let authority =
            Authority::new("bench", KeyKind::EcdsaP256, validity).expect("an authority");
        let issued = authority
            .issue(&Profile::new(Role::Client, NAME, validity))
            .expect("a certificate");
        let signer = Signer::from_pem(&issued.cert_pem, &issued.key_pem).expect("a signer");
        let caller = Caller {
            sender: NAME.to_owned(),
            caller_id: format!("choria={NAME}"),
            security: CallerSecurity::X509(Arc::new(signer)),
            main_collective: "mcollective".to_owned(),
            collective: "mcollective".to_owned(),
            ttl: Duration::from_secs(60),
        };
        Self {
            authority,
            caller,
            number: 0,
        }
    }

    fn security(&self) -> RequestSecurity {
        let policy = TrustPolicy::new(self.authority.cert_pem());
        RequestSecurity::X509(Box::new(Verifier::new(policy).expect("a verifier")))
    }

    /// One request as the broker delivers it; each has an id of its own.
    fn message(&mut self) -> Vec<u8> {
        self.number += 1;
        let id = RequestId::from_random(self.number.to_be_bytes());
        let mut filter = Filter::default();
        filter.add_agent("rpcutil");
        let parts = RequestParts {
            agent: "rpcutil",
            body: BODY,
            filter: &filter,
        };
        let payload = encode_request(&self.caller, &parts, id, moment().unix, "nats://b:4222")
            .expect("a request");
        let mut message = format!("MSG {SUBJECT} 2 {}\r\n", payload.len()).into_bytes();
        message.extend_from_slice(&payload);
        message.extend_from_slice(b"\r\n");
        message
    }
}

fn moment() -> Moment {
    Moment {
        now: Duration::from_secs(1),
        unix: Duration::from_secs(UNIX),
    }
}

fn node(setup: &Arc<NodeSetup>, number: usize, scratch: &mut NodeScratch) -> Node {
    let config = Arc::new(ClientConfig::new(vec![ServerAddr::new("b", 4222)]));
    let name = format!("node{number}.example.net");
    let facts = Facts::parse(r#"{"country":"mt"}"#).expect("facts");
    let mut node = Node::new(
        Arc::clone(setup),
        name,
        facts,
        Arc::new([]),
        config,
        1,
        Duration::ZERO,
    );
    while node.client().poll_action().is_some() {}
    node.client().handle_connected(Duration::ZERO);
    let greeting = b"INFO {\"server_id\":\"N\",\"version\":\"2.15.0\",\"headers\":true,\"max_payload\":1048576} \r\nPONG\r\n";
    node.handle_bytes(greeting, moment(), scratch)
        .expect("a greeting");
    node.client().take_output(&mut Vec::new());
    node
}

fn setup(gate: Arc<dyn Gate>) -> Arc<NodeSetup> {
    Arc::new(NodeSetup::new(NodeOptions::new(gate)).expect("a setup"))
}

fn answer(node: &mut Node, message: &[u8], scratch: &mut NodeScratch, out: &mut Vec<u8>) {
    node.handle_bytes(message, moment(), scratch)
        .expect("a message");
    out.clear();
    assert!(node.client().take_output(out), "the node answers");
    black_box(&out);
}

fn nodes(criterion: &mut Criterion) {
    let mut lab = Lab::new();
    let mut scratch = NodeScratch::new();
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("node");
    group.sample_size(20);

    let each = setup(Arc::new(VerifyEach::new(lab.security())));
    let mut one = node(&each, 0, &mut scratch);
    group.throughput(Throughput::Elements(REQUESTS));
    group.bench_function("each", |bencher| {
        bencher.iter_batched(
            || (0..REQUESTS).map(|_| lab.message()).collect::<Vec<_>>(),
            |messages| {
                for message in &messages {
                    answer(&mut one, message, &mut scratch, &mut out);
                }
            },
            BatchSize::PerIteration,
        );
    });

    let shared = setup(Arc::new(VerifyShared::new(lab.security())));
    let mut all: Vec<Node> = (0..NODES)
        .map(|number| node(&shared, number, &mut scratch))
        .collect();
    group.throughput(Throughput::Elements(NODES as u64));
    group.bench_function("shared", |bencher| {
        bencher.iter_batched(
            || lab.message(),
            |message| {
                for node in &mut all {
                    answer(node, &message, &mut scratch, &mut out);
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, nodes);
criterion_main!(benches);
