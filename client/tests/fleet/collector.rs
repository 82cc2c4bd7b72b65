//! The books of one request.

use std::time::Duration;

use muster_client::fleet::{Collector, Drops, Expect, Outcome};
use muster_protocol::request_id::RequestId;

use crate::support::reply;

const SENT: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(12);

fn id() -> RequestId {
    RequestId::from_random([1; 16])
}

fn nodes(names: &[&str]) -> Expect {
    Expect::Nodes(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Books a payload at a moment; says what became of it and what was handed on.
fn book(collector: &mut Collector, payload: &[u8], ms: u64) -> (Outcome, Option<String>) {
    let mut seen = None;
    let outcome = collector.handle_reply(payload, SENT + Duration::from_millis(ms), &mut |view| {
        assert_eq!(view.elapsed, Duration::from_millis(ms));
        assert!(seen.is_none(), "handed on twice");
        seen = Some(format!(
            "{} {}",
            view.sender,
            String::from_utf8_lossy(view.body)
        ));
    });
    (outcome, seen)
}

#[test]
fn every_node_is_replied_or_missing_and_the_rest_is_counted_by_reason() {
    let expect = nodes(&["c", "a", "b", "a"]);
    let mut collector = Collector::new(id(), expect, 1, SENT, LIMIT);
    assert_eq!(
        collector.expected(),
        Some(3),
        "a name that comes twice is one node"
    );
    assert_eq!(collector.missing(), ["a", "b", "c"]);

    let of_b = reply(id(), "b", b"pong");
    let counted = book(&mut collector, &of_b, 5);
    assert_eq!(counted, (Outcome::Counted, Some("b pong".to_owned())));
    assert_eq!(book(&mut collector, &of_b, 6), (Outcome::Duplicate, None));
    for _ in 0..2 {
        let stranger = reply(id(), "x", b"pong");
        assert_eq!(
            book(&mut collector, &stranger, 7),
            (Outcome::Unexpected, None)
        );
    }
    let other = reply(RequestId::from_random([2; 16]), "a", b"pong");
    assert_eq!(
        book(&mut collector, &other, 8),
        (Outcome::WrongRequest, None)
    );
    assert_eq!(book(&mut collector, b"{}", 9), (Outcome::Malformed, None));
    assert_eq!(
        book(&mut collector, &damaged("a"), 9),
        (Outcome::BadHash, None)
    );

    assert_eq!(collector.missing(), ["a", "c"]);
    assert_eq!(collector.replied().collect::<Vec<_>>(), ["b"]);
    assert_eq!(collector.unexpected(), ["x"]);
    assert!(!collector.is_complete());
    let drops = Drops {
        duplicate: 1,
        unexpected: 2,
        bad_hash: 1,
        malformed: 1,
        wrong_request: 1,
    };
    assert_eq!(collector.drops(), drops);

    for node in ["c", "a"] {
        assert_eq!(
            book(&mut collector, &reply(id(), node, b""), 10).0,
            Outcome::Counted
        );
    }
    assert!(collector.is_complete());
    assert_eq!(collector.missing(), [""; 0]);
    assert_eq!(collector.replied().collect::<Vec<_>>(), ["b", "c", "a"]);
}

/// A reply with a body that is not the one that was hashed.
fn damaged(node: &str) -> Vec<u8> {
    use muster_protocol::transport::{Headers, Transport, encode_transport};
    let sound = reply(id(), node, b"pong");
    let mut secure = Vec::new();
    Transport::parse(&sound)
        .unwrap()
        .decode_data(&mut secure)
        .unwrap();
    let text = String::from_utf8(secure).unwrap().replace("pong", "gnop");
    let mut payload = Vec::new();
    encode_transport(&mut payload, text.as_bytes(), &Headers::default());
    payload
}

#[test]
fn a_count_is_complete_with_whoever_replies_first() {
    let mut collector = Collector::new(id(), Expect::Count(2), 1, SENT, LIMIT);
    assert_eq!(collector.expected(), Some(2));
    for (node, outcome, complete) in [
        ("a", Outcome::Counted, false),
        ("a", Outcome::Duplicate, false),
        ("b", Outcome::Counted, true),
    ] {
        assert_eq!(book(&mut collector, &reply(id(), node, b""), 1).0, outcome);
        assert_eq!(collector.is_complete(), complete);
    }
    assert_eq!(collector.deadline(), LIMIT);
    assert_eq!(collector.missing(), [""; 0], "nobody knows who was asked");
}

#[test]
fn the_window_opens_with_the_first_reply_and_moves_with_each() {
    let window = Duration::from_millis(300);
    let expect = Expect::Unknown {
        window: Some(window),
    };
    let mut collector = Collector::new(id(), expect, 1, SENT, LIMIT);
    assert_eq!(collector.deadline(), LIMIT);
    assert!(!collector.ends_by_window());
    for ms in [500, 700] {
        book(&mut collector, &reply(id(), &format!("n{ms}"), b""), ms);
        assert_eq!(
            collector.deadline(),
            SENT + Duration::from_millis(ms) + window
        );
        assert!(collector.ends_by_window());
    }
    // A duplicate is no sign that more nodes are to come.
    book(&mut collector, &reply(id(), "n500", b""), 800);
    assert_eq!(
        collector.deadline(),
        SENT + Duration::from_millis(700) + window
    );
    book(&mut collector, &reply(id(), "late", b""), 1900);
    assert_eq!(collector.deadline(), LIMIT, "never beyond the last moment");
    assert!(!collector.ends_by_window());
}

#[test]
fn garbage_never_panics() {
    let sound = reply(id(), "a", br#"{"x":"\u00e9\\"}"#);
    let mut collector = Collector::new(id(), nodes(&["a"]), 1, SENT, LIMIT);
    for len in 0..sound.len() {
        assert_eq!(
            book(&mut collector, &sound[..len], 0),
            (Outcome::Malformed, None),
            "{len}"
        );
    }
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x5f;
        collector.handle_reply(&bytes, SENT, &mut |_| {});
    }
}
