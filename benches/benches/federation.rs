//! What does a federation broker's transform cost a message?
//!
//! The wave of replies to one request of 50,000 nodes has to pass one process in a second on two cores, sockets included.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_federation::bridge::{Bridge, Way};

const WAY: Way<'static> = Way {
    came_by: "nats://fed1.example.net:4222",
    leaves_by: "nats://broker1.example.net:4222",
};
/// The secure document of a reply with 600 bytes of JSON, in base64.
const DOCUMENT_BYTES: usize = 1400;

fn reply() -> Vec<u8> {
    let data = "QUJD".repeat(DOCUMENT_BYTES / 4);
    format!(
        "{{\"protocol\":\"choria:transport:1\",\"data\":\"{data}\",\"headers\":{{\"mc_sender\":\"node12345.example.net\",\
         \"seen-by\":[[\"nats://fed1.example.net:4222\",\"rip.mcollective\",\"nats://fed1.example.net:4222\"],\
         [\"nats://fed1.example.net:4222\",\"fb1.example.net (choria_nats_ingest:1, choria_request_transformer:9, \
         choria_nats_egest:9)\",\"nats://broker1.example.net:4222\"]],\"federation\":{{\"req\":\"6e1f\",\
         \"reply-to\":\"mcollective.reply.37bdf08389145a56c13096c178802d3b.bd87781a04c142f9b0c7b008f8617e92\"}}}}}}"
    )
    .into_bytes()
}

fn request(targets: usize) -> Vec<u8> {
    let data = "QUJD".repeat(DOCUMENT_BYTES);
    let names: Vec<String> = (0..targets)
        .map(|n| format!("\"mcollective.node.node{n}.example.net\""))
        .collect();
    format!(
        "{{\"protocol\":\"choria:transport:1\",\"data\":\"{data}\",\"headers\":{{\"mc_sender\":\"rip.mcollective\",\
         \"reply-to\":\"mcollective.reply.ab12.6e1f\",\"federation\":{{\"req\":\"6e1f\",\"target\":[{}]}}}}}}",
        names.join(",")
    )
    .into_bytes()
}

fn transform(c: &mut Criterion) {
    let bridge = Bridge::new("mcollective", "fb1.example.net", 1, true);
    let mut out = Vec::new();
    let mut group = c.benchmark_group("federation");
    let payload = reply();
    group.throughput(Throughput::Elements(1));
    group.bench_function("reply", |b| {
        b.iter(|| {
            out.clear();
            bridge.reply(black_box(&payload), WAY, &mut out)
        });
    });
    let payload = request(200);
    group.bench_function("request_of_200_nodes", |b| {
        b.iter(|| {
            out.clear();
            bridge.request(black_box(&payload), WAY, &mut out)
        });
    });
    group.finish();
}

criterion_group!(benches, transform);
criterion_main!(benches);
