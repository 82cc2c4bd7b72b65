//! What does one fleet message cost in each direction?
//!
//! A node must answer in a fraction of its 0.15 ms, signature check aside; a client must take 200,000 replies a second
//! on one core. The reply body is 600 bytes of JSON in the shape of `rpcutil`; the request is one with a filter in each
//! category and a signature and certificate of the usual size (their content does not matter here).

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_protocol::Scratch;
use muster_protocol::filter::{
    CompiledFilter, FactsView, Filter, NoData, NodeView, parse_fact_filter,
};
use muster_protocol::reply::{ReplyParts, encode_reply_transport, parse_reply};
use muster_protocol::request::{Request, encode_request_transport};
use muster_protocol::rpc::{RpcReply, RpcRequest, StatusCode};
use muster_protocol::secure_request::SecureRequest;
use muster_protocol::transport::{Headers, Transport};
use muster_protocol::version::ProtocolVersion;

const BODY_BYTES: usize = 600;
const FACTS: &str = r#"{"country":"de","os":{"family":"Debian","release":12},"memory":{"gb":16}}"#;

fn headers() -> Headers<'static> {
    let mut headers = Headers {
        sender: Some("node12345.example.net".into()),
        ..Headers::default()
    };
    headers.push_hop(
        "nats://broker1.example.net:4222",
        "node12345.example.net",
        "nats://broker1.example.net:4222",
    );
    headers
}

fn body() -> Vec<u8> {
    let mut data = String::from("{\"values\":{");
    let mut key = 0;
    while data.len() < BODY_BYTES - 80 {
        data.push_str(&format!("\"fact{key}\":\"some value\","));
        key += 1;
    }
    data.push_str("\"last\":1}}");
    let mut body = Vec::new();
    RpcReply::encode_into(&mut body, "get_facts", StatusCode::Ok, "OK", &data);
    body
}

fn reply(body: &[u8]) -> ReplyParts<'_> {
    ReplyParts {
        request_id: "5e1d2c3b4a5968778695a4b3c2d1e0f9",
        sender: "node12345.example.net",
        agent: "rpcutil",
        time: 1_700_000_001,
        body,
    }
}

fn filter() -> Filter {
    let mut filter = Filter::default();
    filter.add_agent("rpcutil");
    filter.class.push("role::web".to_owned());
    filter.identity.push("/^node/".to_owned());
    filter
        .fact
        .push(parse_fact_filter("os.release>=12").expect("a fact filter"));
    filter
}

fn request() -> Vec<u8> {
    let request = Request {
        version: ProtocolVersion::V1,
        message: RpcRequest::encode("rpcutil", "get_fact", r#"{"fact":"os.family"}"#).into(),
        request_id: "5e1d2c3b4a5968778695a4b3c2d1e0f9".into(),
        sender_id: "admin1.example.net".into(),
        caller_id: "choria=rip.mcollective".into(),
        collective: "mcollective".into(),
        agent: "rpcutil".into(),
        ttl: 60,
        time: 1_700_000_000,
        filter: filter(),
    };
    let pubcert = "MIIDVzCCAj+gAwIBAgIUflOIIvwBb4HKF8GsJqMkWM0Xxlgw\n".repeat(24);
    let mut payload = Vec::new();
    encode_request_transport(
        &mut payload,
        &mut Scratch::new(),
        &request.to_document(),
        &"A".repeat(344),
        &pubcert,
        &headers(),
    );
    payload
}

fn replies(criterion: &mut Criterion) {
    let body = body();
    let (mut payload, mut scratch) = (Vec::new(), Scratch::new());
    encode_reply_transport(&mut payload, &mut scratch, &reply(&body), &headers());
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode", |bencher| {
        let headers = headers();
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            encode_reply_transport(&mut out, &mut scratch, black_box(&reply(&body)), &headers);
            out.len()
        });
    });
    let mut scratch = Scratch::new();
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            let parsed = parse_reply(black_box(&payload), &mut scratch).expect("a reply");
            assert!(parsed.hash_ok);
            parsed.body.len()
        });
    });
    group.finish();
}

fn requests(criterion: &mut Criterion) {
    let payload = request();
    let mut group = criterion.benchmark_group("request");
    group.throughput(Throughput::Elements(1));
    group.bench_function("parse", |bencher| {
        let mut secure = Vec::new();
        bencher.iter(|| {
            let transport = Transport::parse(black_box(&payload)).expect("a transport");
            secure.clear();
            transport.decode_data(&mut secure).expect("base64");
            let secure = SecureRequest::parse(&secure).expect("a secure request");
            let request = Request::parse(secure.message.as_bytes()).expect("a request");
            request.ttl
        });
    });
    let filter = filter();
    group.bench_function("compile_filter", |bencher| {
        bencher.iter(|| CompiledFilter::new(black_box(&filter)));
    });
    let compiled = CompiledFilter::new(&filter);
    let facts = FactsView::parse(FACTS).expect("facts");
    let node = NodeView {
        identity: "node12345.example.net",
        agents: &["discovery", "rpcutil"],
        classes: &["base", "role::web"],
        facts: &facts,
        data: &NoData,
    };
    assert!(compiled.matches(&node));
    group.bench_function("match_filter", |bencher| {
        bencher.iter(|| compiled.matches(black_box(&node)));
    });
    group.finish();
}

criterion_group!(benches, replies, requests);
criterion_main!(benches);
