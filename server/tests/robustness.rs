//! A node never dies of a message: whatever comes is answered as documented, or dropped and counted.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::cell::RefCell;
use std::sync::LazyLock;

use muster_protocol::Scratch;
use muster_protocol::filter::Filter;
use muster_protocol::reply::parse_reply;
use muster_protocol::request::Request;
use muster_protocol::rpc::{RpcReply, RpcRequest, StatusCode};
use proptest::prelude::*;

use support::{
    Connected, ID, Recorded, UNIX, exchange, options, payload_with, ping, recorded, request, setup,
    signed, signer,
};

const DISCOVERY: &str = "mcollective.broadcast.agent.discovery";
const RPCUTIL: &str = "mcollective.broadcast.agent.rpcutil";
const NODE: &str = "node1.example.net";

fn node() -> Connected {
    Connected::new(&setup(options()), NODE)
}

/// Every message is in exactly one of the counters, and every valid one has an end.
#[track_caller]
fn check_sums(node: &Connected) {
    let c = node.node.counters();
    let refused: u64 = c.refused().iter().map(|(_, count)| count).sum();
    assert_eq!(refused, c.unvalidated, "{c:?}");
    assert_eq!(
        c.total,
        c.unvalidated
            + c.filtered
            + c.unknown_collective
            + c.ttl_expired
            + c.replayed
            + c.validated,
        "{c:?}"
    );
    assert_eq!(
        c.passed,
        c.unknown_collective + c.ttl_expired + c.replayed + c.validated,
        "{c:?}"
    );
    assert_eq!(
        c.validated,
        c.replies + c.unanswered + c.unknown_agent + c.unsent,
        "{c:?}"
    );
}

/// The request messages that real servers were sent.
static REQUESTS: LazyLock<Vec<Recorded>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for folder in ["wire-v1", "wire-v2"] {
        for entry in std::fs::read_dir(recorded(folder)).unwrap() {
            all.extend(exchange(&entry.unwrap().path()));
        }
    }
    all.sort_by(|a, b| a.data.cmp(&b.data));
    assert!(all.len() > 100, "{}", all.len());
    all
});

#[test]
fn garbage_is_refused_with_its_reason() {
    let deep = vec![b'['; 100_000];
    let deep_object = [br#"{"a":"#.repeat(50_000), b"1".to_vec()].concat();
    let large = format!(
        r#"{{"protocol":"choria:transport:1","data":"{}","headers":{{}}}}"#,
        "A".repeat(1 << 20)
    );
    let wrong_types = br#"{"protocol":"choria:transport:1","data":{"x":1},"headers":[]}"#;
    let mut node = node();
    for payload in [
        &b""[..],
        b"{}",
        b"null",
        b"\xff\xfe\x00",
        b"{\"protocol\":",
        wrong_types,
        &deep,
        &deep_object,
        large.as_bytes(),
    ] {
        assert!(node.deliver(DISCOVERY, payload, UNIX).is_empty());
        check_sums(&node);
    }
    assert_eq!(node.node.counters().unvalidated, 9);
    // It still lives.
    assert_eq!(node.deliver(DISCOVERY, &signed(&ping(ID)), UNIX).len(), 1);
}

#[test]
fn a_signature_over_something_else_is_refused() {
    let mut node = node();
    let document = ping(ID).to_document();
    for signature in ["", "AAAA", "not base64", "insecure"] {
        let payload = payload_with(&document, &signer(), Some(signature));
        assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
    }
    let stolen = signer().sign_base64(b"something else").unwrap();
    let payload = payload_with(&document, &signer(), Some(&stolen));
    assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
    assert_eq!(node.node.counters().unvalidated, 5);
    check_sums(&node);
}

#[test]
fn a_hostile_filter_takes_no_time_and_means_nobody() {
    let mut node = node();
    let hostile = [
        "/(a+)+$/".to_owned(),
        format!("/{}/", "(".repeat(10_000)),
        format!("/{}/", "a{1000}".repeat(1_000)),
        format!("/{}/", "x*".repeat(50_000)),
        "/(?P<n>a)(?=b)/".to_owned(),
    ];
    for (n, pattern) in hostile.iter().enumerate() {
        let id = format!("{n:032x}");
        let filter = Filter {
            class: vec![pattern.clone()],
            ..Filter::default()
        };
        let payload = signed(&Request {
            filter,
            ..ping(&id)
        });
        assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
        let mut filter = Filter::default();
        filter.add_compound(&format!("{}1", "(".repeat(20_000 + n)));
        let id = format!("{:032x}", 100 + n);
        let payload = signed(&Request {
            filter,
            ..ping(&id)
        });
        assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
    }
    let counters = node.node.counters();
    assert_eq!(counters.filtered + counters.unvalidated, 10);
    check_sums(&node);
}

#[test]
fn a_body_of_any_shape_gets_the_documented_answer() {
    let mut node = node();
    let deep = "[".repeat(200_000);
    let encoded = RpcRequest::encode("rpcutil", "get_fact", r#"{"fact":7}"#);
    for (n, (body, status)) in [
        ("{", StatusCode::InvalidData),
        ("[]", StatusCode::InvalidData),
        ("7", StatusCode::InvalidData),
        (&*deep, StatusCode::InvalidData),
        ("{}", StatusCode::InvalidData),
        (r#"{"action":"x"}"#, StatusCode::UnknownAction),
        (r#"{"action":{}}"#, StatusCode::InvalidData),
        (r#"{"action":"ping","data":[]}"#, StatusCode::InvalidData),
        (r#"{"action":"ping","data":"x"}"#, StatusCode::InvalidData),
        (&*encoded, StatusCode::InvalidData),
    ]
    .into_iter()
    .enumerate()
    {
        let payload = signed(&request(&format!("{n:032x}"), "rpcutil", body));
        let published = node.deliver(RPCUTIL, &payload, UNIX);
        assert_eq!(published.len(), 1, "{}", &body[..body.len().min(40)]);
        let mut scratch = Scratch::new();
        let reply = parse_reply(&published[0].payload, &mut scratch).unwrap();
        let reply = RpcReply::parse(reply.body).unwrap();
        assert_eq!(reply.statuscode, status, "{}", reply.statusmsg);
        check_sums(&node);
    }
}

#[test]
fn an_agent_that_is_not_there_is_counted() {
    let mut node = node();
    let payload = signed(&request(ID, "nobody", "{}"));
    assert!(node.deliver(DISCOVERY, &payload, UNIX).is_empty());
    assert_eq!(node.node.counters().unknown_agent, 1);
    check_sums(&node);
}

thread_local! {
    /// One node lives through all cases.
    static NODE_OF_ALL: RefCell<Option<Connected>> = const { RefCell::new(None) };
}

fn survives(payload: &[u8]) {
    NODE_OF_ALL.with_borrow_mut(|slot| {
        let node = slot.get_or_insert_with(node);
        let before = node.node.counters().total;
        node.deliver(DISCOVERY, payload, UNIX);
        assert_eq!(node.node.counters().total, before + 1);
        check_sums(node);
    });
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(payload in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        survives(&payload);
    }

    #[test]
    fn mutations_of_recorded_messages_do_no_harm(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6),
    ) {
        let mut payload = which.get(&REQUESTS).data.clone().into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(payload.len().max(1));
            match kind {
                0 if at < payload.len() => payload[at] = byte,
                1 if at < payload.len() => payload.truncate(at),
                _ => payload.insert(at.min(payload.len()), byte),
            }
        }
        survives(&payload);
    }

    #[test]
    fn signed_bodies_of_any_kind_do_no_harm(body in "\\PC{1,300}", n in 1_000_u32..) {
        let id = format!("{n:032x}");
        survives(&signed(&request(&id, "rpcutil", &body)));
    }
}
