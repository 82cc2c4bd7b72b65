//! What a node does with a message, step by step, and how it counts.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::ddl::Ddl;
use muster_protocol::filter::{FactFilter, FactOperator};
use muster_protocol::reply::parse_reply;
use muster_protocol::request::Request;
use muster_protocol::rpc::{RpcReply, RpcRequest, StatusCode};
use muster_protocol::security::{RequestSecurity, TrustPolicy, Verifier};
use muster_server::{Authorisation, Counters, Gate, VerifyEach, VerifyShared};

use support::{
    CALLER, Connected, ID, REPLY_TO, UNIX, options, payload_with, ping, read, request, security,
    setup, signed, signer,
};

const DISCOVERY: &str = "mcollective.broadcast.agent.discovery";
const RPCUTIL: &str = "mcollective.broadcast.agent.rpcutil";
const NODE1: &str = "node1.example.net";

fn node() -> Connected {
    Connected::new(&setup(options()), NODE1)
}

fn counted(node: &Connected) -> &Counters {
    node.node.counters()
}

/// Status, message and data of an RPC call.
fn call(node: &mut Connected, id: &str, body: &str) -> (StatusCode, String, String) {
    let payload = signed(&request(id, "rpcutil", body));
    let published = node.deliver(RPCUTIL, &payload, UNIX);
    assert_eq!(published.len(), 1, "{body}");
    let mut scratch = Scratch::new();
    let parsed = parse_reply(&published[0].payload, &mut scratch).unwrap();
    let reply = RpcReply::parse(parsed.body).unwrap();
    (
        reply.statuscode,
        reply.statusmsg.into_owned(),
        reply.data.to_owned(),
    )
}

fn id(n: usize) -> String {
    format!("{n:032x}")
}

#[test]
fn a_node_subscribes_once_a_collective_and_agent() {
    let mut options = options();
    options.collectives = vec!["eu".to_owned(), "mcollective".to_owned()];
    let node = Connected::new(&setup(options), NODE1);
    assert_eq!(
        node.subjects(),
        [
            "eu.broadcast.agent.choria_util",
            "eu.broadcast.agent.discovery",
            "eu.broadcast.agent.rpcutil",
            "eu.node.node1.example.net",
            "mcollective.broadcast.agent.choria_util",
            "mcollective.broadcast.agent.discovery",
            "mcollective.broadcast.agent.rpcutil",
            "mcollective.node.node1.example.net",
        ]
    );
}

#[test]
fn both_collectives_are_answered_and_no_third() {
    let mut options = options();
    options.collectives = vec!["mcollective".to_owned(), "eu".to_owned()];
    let mut node = Connected::new(&setup(options), NODE1);
    for (n, (collective, answers)) in [("mcollective", 1), ("eu", 1), ("us", 0)]
        .iter()
        .enumerate()
    {
        let id = id(n);
        let payload = signed(&Request {
            collective: (*collective).into(),
            ..ping(&id)
        });
        assert_eq!(
            node.deliver(DISCOVERY, &payload, UNIX).len(),
            *answers,
            "{collective}"
        );
    }
    let counters = counted(&node);
    assert_eq!(
        (counters.total, counters.passed, counters.validated),
        (3, 3, 2)
    );
    assert_eq!((counters.unknown_collective, counters.replies), (1, 2));
}

#[test]
fn a_request_is_answered_once() {
    let mut node = node();
    let payload = signed(&ping(ID));
    let published = node.deliver(DISCOVERY, &payload, UNIX);
    assert_eq!(published[0].subject, REPLY_TO);
    assert!(node.deliver(DISCOVERY, &payload, UNIX + 59).is_empty());
    assert!(
        node.deliver("mcollective.node.node1.example.net", &payload, UNIX)
            .is_empty()
    );
    // The same id under another signature and time is the same request.
    assert!(
        node.deliver(
            DISCOVERY,
            &signed(&Request {
                time: UNIX + 1,
                ..ping(ID)
            }),
            UNIX
        )
        .is_empty()
    );
    let counters = counted(&node);
    assert_eq!(
        (counters.total, counters.validated, counters.replayed),
        (4, 1, 3)
    );
    assert_eq!(counters.replies, 1);
}

#[test]
fn the_time_to_live_bounds_both_ways() {
    for (offset, ttl, live) in [
        (0, 60, true),
        (59, 60, true),
        (60, 60, false),
        (-59, 60, true),
        (-60, 60, false),
        (3_000, i64::MAX, true),
        (86_400, i64::MAX, false),
    ] {
        let mut node = node();
        let payload = signed(&Request { ttl, ..ping(ID) });
        let answered = !node.deliver(DISCOVERY, &payload, UNIX + offset).is_empty();
        assert_eq!(answered, live, "{offset} {ttl}");
        let counters = counted(&node);
        assert_eq!(counters.ttl_expired, u64::from(!live));
        assert_eq!((counters.passed, counters.unvalidated), (1, 0));
    }
}

#[test]
fn a_filter_that_means_others_stops_a_request_first() {
    let mut node = node();
    let mut request = ping(ID);
    // Expired and for an unknown collective too: the filter comes before both.
    request.time = UNIX - 100;
    request.collective = "us".into();
    request.filter.fact.push(FactFilter {
        fact: "country".to_owned(),
        operator: FactOperator::Equal,
        value: "c2".to_owned(),
    });
    assert!(node.deliver(DISCOVERY, &signed(&request), UNIX).is_empty());
    assert_eq!((counted(&node).filtered, counted(&node).passed), (1, 0));
    assert_eq!(
        (
            counted(&node).ttl_expired,
            counted(&node).unknown_collective
        ),
        (0, 0)
    );
    let other = id(2);
    let mut request = ping(&other);
    request.filter.class = vec!["role::web".to_owned(), "/^BA/".to_owned()];
    request.filter.identity = vec!["x".to_owned(), "/node1/".to_owned()];
    request.filter.agent = vec!["rpcutil".to_owned()];
    assert_eq!(node.deliver(DISCOVERY, &signed(&request), UNIX).len(), 1);
}

#[test]
fn what_the_gate_refuses_is_counted_by_reason_and_not_answered() {
    let mut node = node();
    let document = ping(ID).to_document();
    let other = signer().sign_base64(b"something else").unwrap();
    let foreign = Request {
        caller_id: "choria=bob.mcollective".into(),
        ..ping(ID)
    };
    let nameless = Request {
        caller_id: "rip".into(),
        ..ping(ID)
    };
    let payloads = [
        ("bad_transport", b"{}".to_vec()),
        ("bad_transport", b"\xff\x00".to_vec()),
        (
            "unsupported_version",
            br#"{"protocol":"io.choria.protocol.v2.transport","data":"e30="}"#.to_vec(),
        ),
        ("bad_secure_request", transport_of(b"{}")),
        ("bad_request", payload_with("{}", &signer(), None)),
        (
            "bad_request",
            payload_with(
                &Request {
                    ttl: 29,
                    ..ping(ID)
                }
                .to_document(),
                &signer(),
                None,
            ),
        ),
        (
            "bad_signature",
            payload_with(&document, &signer(), Some(&other)),
        ),
        (
            "bad_signature_encoding",
            payload_with(&document, &signer(), Some("%")),
        ),
        ("caller_not_in_certificate", signed(&foreign)),
        ("bad_caller_id", signed(&nameless)),
    ];
    for (reason, payload) in &payloads {
        let before = counted(&node).refused_for(reason);
        assert!(
            node.deliver(DISCOVERY, payload, UNIX).is_empty(),
            "{reason}"
        );
        assert_eq!(
            counted(&node).refused_for(reason),
            before + 1,
            "{:?}",
            counted(&node)
        );
    }
    // A certificate is judged by the clock of the check.
    node.deliver(DISCOVERY, &signed(&ping(ID)), 4_000_000_000);
    assert_eq!(counted(&node).refused_for("expired"), 1);
    let counters = counted(&node);
    assert_eq!(counters.unvalidated, payloads.len() as u64 + 1);
    assert_eq!((counters.total, counters.passed), (counters.unvalidated, 0));
}

fn transport_of(document: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    muster_protocol::transport::encode_transport(&mut out, document, &Default::default());
    out
}

#[test]
fn a_name_that_is_not_on_the_list_is_refused() {
    let mut policy = TrustPolicy::new(read("pki/ca.pem"));
    policy.allow = vec!["^bob$".to_owned()];
    let security = RequestSecurity::X509(Box::new(Verifier::new(policy).unwrap()));
    let gate = VerifyEach::new(security);
    let refusal = gate.open(&signed(&ping(ID)), unix(0)).unwrap_err();
    assert_eq!(refusal.reason(), "not_allowed");
    let insecure = VerifyEach::new(RequestSecurity::InsecureAcceptAll);
    assert_eq!(
        &*insecure
            .open(&signed(&ping(ID)), unix(0))
            .unwrap()
            .caller_id,
        CALLER
    );
}

fn unix(offset: i64) -> Duration {
    Duration::from_secs((UNIX + offset).try_into().unwrap())
}

#[test]
fn many_nodes_verify_once() {
    let gate = Arc::new(VerifyShared::new(security()));
    let mut options = options();
    options.gate = gate.clone();
    let setup = setup(options);
    let payload = signed(&ping(ID));
    for _ in 0..100 {
        assert_eq!(
            Connected::new(&setup, NODE1)
                .deliver(DISCOVERY, &payload, UNIX)
                .len(),
            1
        );
    }
    assert_eq!((gate.misses(), gate.hits()), (1, 99));
    // In another second, and for other bytes, the word of before does not count.
    gate.open(&payload, unix(1)).unwrap();
    assert_eq!(
        gate.open(&payload, unix(3_000_000_000))
            .unwrap_err()
            .reason(),
        "expired"
    );
    let mut damaged = payload;
    let at = damaged.len() / 2;
    damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
    for _ in 0..2 {
        gate.open(&damaged, unix(0)).unwrap_err();
    }
    assert_eq!((gate.misses(), gate.hits()), (4, 100));
}

#[test]
fn the_memory_of_a_shared_gate_is_bounded() {
    let gate = VerifyShared::new(RequestSecurity::InsecureAcceptAll);
    let payloads: Vec<_> = (0..=muster_server::gate::CACHED_REQUESTS_MAX)
        .map(|n| payload_with(&ping(&id(n)).to_document(), &signer(), Some("eA==")))
        .collect();
    for payload in &payloads {
        gate.open(payload, unix(0)).unwrap();
    }
    gate.open(&payloads[1], unix(0)).unwrap();
    assert_eq!(gate.hits(), 1);
    gate.open(&payloads[0], unix(0)).unwrap();
    assert_eq!(gate.hits(), 1, "the oldest is gone");
}

#[test]
fn agents_that_are_not_there_or_have_nothing_to_say_are_counted() {
    let mut node = node();
    let (a, b) = (id(1), id(2));
    let payload = signed(&request(&a, "package", "{}"));
    assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
    // A bare word is base64 by accident, and no ping any more.
    let payload = signed(&request(&b, "discovery", "ping"));
    assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
    let counters = counted(&node);
    assert_eq!(
        (
            counters.validated,
            counters.unknown_agent,
            counters.unanswered
        ),
        (2, 1, 1)
    );
    assert_eq!(counters.replies, 0);
}

#[test]
fn rpc_failures_have_the_codes_and_texts_of_the_fleet() {
    let mut node = node();
    let body = |action: &str, data: &str| RpcRequest::encode("rpcutil", action, data);
    for (n, (body, code, message)) in [
        (
            body("nosuch", "{}"),
            2,
            "Unknown action nosuch for agent rpcutil",
        ),
        ("{".to_owned(), 4, "Could not process request: "),
        (body("ping", "[]"), 4, "Could not process request: "),
        (body("get_fact", "{}"), 3, "input fact is required"),
        (body("get_fact", r#"{"fact":1}"#), 4, "input fact is "),
        (
            body("get_fact", r#"{"fact":"a","x":1}"#),
            4,
            "the action has no input x",
        ),
        (
            body("get_config_item", r#"{"item":"x"}"#),
            1,
            "Unknown configuration property x",
        ),
        (
            body("get_data", r#"{"source":"x"}"#),
            1,
            "Unknown data source x",
        ),
        (
            body("get_fact", r#"{"fact":"x","process_results":true}"#),
            0,
            "OK",
        ),
    ]
    .iter()
    .enumerate()
    {
        let (status, text, data) = call(&mut node, &id(n), body);
        assert_eq!(i64::from(status.number()), *code, "{body} {text}");
        assert!(text.starts_with(message), "{body} {text}");
        assert_eq!(data == "{}", *code != 0, "{data}");
    }
}

#[test]
fn nobody_may_call_where_nobody_is_allowed() {
    let mut options = options();
    options.authorise = Arc::new(Authorisation::DenyAll);
    let mut node = Connected::new(&setup(options), NODE1);
    let (status, text, data) = call(
        &mut node,
        &id(1),
        &RpcRequest::encode("rpcutil", "ping", "{}"),
    );
    assert_eq!(status, StatusCode::Aborted);
    assert_eq!(text, "You are not authorized to call this agent or action");
    assert_eq!(data, "{}");
    // An action that does not exist is named as such before that, and discovery is open to all.
    let (status, ..) = call(&mut node, &id(2), &RpcRequest::encode("rpcutil", "x", "{}"));
    assert_eq!(status, StatusCode::UnknownAction);
    assert_eq!(node.deliver(DISCOVERY, &signed(&ping(ID)), UNIX).len(), 1);
}

#[test]
fn every_action_of_the_ddl_gives_the_outputs_of_the_ddl() {
    let mut options = options();
    options.config_items.insert("ttl".to_owned(), 60.into());
    let mut node = Connected::new(&setup(options), NODE1);
    let inputs = |action: &str| match action {
        "get_config_item" => r#"{"item":"ttl"}"#,
        "get_data" => r#"{"source":"choria"}"#,
        "get_fact" => r#"{"fact":"os.release"}"#,
        "get_facts" => r#"{"facts":"os.family, country ,nosuch"}"#,
        _ => "{}",
    };
    let ddl = Ddl::builtin("rpcutil").unwrap();
    assert_eq!(ddl.actions.len(), 9);
    for (n, action) in ddl.actions.iter().enumerate() {
        let body = RpcRequest::encode("rpcutil", &action.name, inputs(&action.name));
        let (status, text, data) = call(&mut node, &id(n), &body);
        assert_eq!(status, StatusCode::Ok, "{} {text}", action.name);
        let data: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&data).unwrap();
        assert!(!data.is_empty());
        if action.name == "get_data" {
            assert_eq!(data.len(), 26);
            continue;
        }
        for output in action.output.keys() {
            assert!(data.contains_key(output), "{} {output}", action.name);
        }
        assert_eq!(data.len(), action.output.len(), "{}", action.name);
        if action.name == "get_facts" {
            let values = serde_json::json!({"country":"c1","nosuch":null,"os.family":"Debian"});
            assert_eq!(data["values"], values);
        }
    }
}

#[test]
fn messages_in_one_read_are_answered_in_their_order() {
    let mut node = node();
    let payloads: Vec<_> = (0..5).map(|n| signed(&ping(&id(n)))).collect();
    let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
    let published = node.deliver_all(DISCOVERY, &payloads, UNIX);
    let ids: Vec<_> = published
        .iter()
        .map(|reply| {
            let mut scratch = Scratch::new();
            parse_reply(&reply.payload, &mut scratch)
                .unwrap()
                .request_id
                .into_owned()
        })
        .collect();
    assert_eq!(ids, (0..5).map(id).collect::<Vec<_>>());
}

#[test]
fn a_reply_that_cannot_be_sent_is_counted() {
    let mut node = node();
    let headers = muster_protocol::transport::Headers::default();
    let (document, signer) = (ping(ID).to_document(), signer());
    let signature = signer.sign_base64(document.as_bytes()).unwrap();
    let mut payload = Vec::new();
    muster_protocol::request::encode_request_transport(
        &mut payload,
        &mut Scratch::new(),
        &document,
        &signature,
        signer.pubcert(),
        &headers,
    );
    assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
    assert_eq!(
        (
            counted(&node).validated,
            counted(&node).unsent,
            counted(&node).replies
        ),
        (1, 1, 0)
    );
}
