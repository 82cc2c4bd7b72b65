//! Recorded traffic of protocol version 2: our requests are the recorded client's to the byte, its replies count here.

use std::sync::Arc;
use std::time::Duration;

use muster_client::fleet::{
    BuildError, Caller, CallerSecurity, Collector, Drops, Expect, Outcome, RequestParts,
    encode_request,
};
use muster_protocol::filter::Filter;
use muster_protocol::request_id::RequestId;
use muster_protocol::security::tokens::TokenSigner;
use muster_protocol::version::ProtocolVersion;
use serde_json::Value;

use crate::support::{caller, ok_body, recorded, reply, with_request};

const BROKER: &str = "nats://localhost:25222";
const EXCHANGES: [&str; 4] = ["discover_fact_eq", "ping", "req_inventory", "req_ping"];
const LIMIT: Duration = Duration::from_secs(2);

pub(crate) fn token_caller() -> Caller {
    let (token, seed) = (
        recorded("tokens/client.jwt"),
        recorded("tokens/client.seed"),
    );
    let signer = TokenSigner::new(&token, &seed).unwrap();
    Caller {
        sender: "ginger".to_owned(),
        caller_id: "up=ginger".to_owned(),
        security: CallerSecurity::Token(Arc::new(signer)),
        ..caller()
    }
}

/// Subject and payload of each message between client and nodes.
fn exchange(name: &str) -> Vec<(String, String)> {
    let lines = recorded(&format!("wire-v2/{name}.jsonl"));
    let message = |line: &str| -> (String, String) {
        let message: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| message[key].as_str().unwrap().to_owned();
        (text("subject"), text("data"))
    };
    let is_fleet = |(subject, _): &(String, String)| subject.starts_with("mcollective.");
    lines.lines().map(message).filter(is_fleet).collect()
}

fn is_reply(subject: &str) -> bool {
    subject.contains(".reply.")
}

#[test]
fn our_requests_are_the_recorded_ones_to_the_byte() {
    let (caller, mut compared) = (token_caller(), 0);
    for name in EXCHANGES {
        for (_, payload) in exchange(name).into_iter().filter(|(to, _)| !is_reply(to)) {
            let ours = with_request(payload.as_bytes(), |request| {
                let parts = RequestParts {
                    agent: &request.agent,
                    body: &request.message,
                    filter: &request.filter,
                };
                let id = RequestId::parse(&request.request_id).unwrap();
                let unix = Duration::from_nanos(request.time.unsigned_abs());
                encode_request(&caller, &parts, id, unix, BROKER).unwrap()
            });
            assert_eq!(String::from_utf8(ours).unwrap(), payload, "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
}

#[test]
fn every_recorded_reply_counts_once() {
    let mut counted = 0;
    for name in EXCHANGES {
        for (to, payload) in exchange(name).into_iter().filter(|(to, _)| is_reply(to)) {
            let id = RequestId::parse(to.rsplit('.').next().unwrap()).unwrap();
            let mut collector = Collector::new(id, Expect::Count(1), 3, Duration::ZERO, LIMIT);
            let mut time = 0;
            for outcome in [Outcome::Counted, Outcome::Duplicate] {
                let got = collector.handle_reply(payload.as_bytes(), LIMIT / 2, &mut |view| {
                    assert!(view.sender.starts_with("node"), "{name} {}", view.sender);
                    time = view.time;
                });
                assert_eq!(got, outcome, "{name}");
            }
            assert_eq!(
                time / 100,
                17_955_876 - i64::from(time < 1_795_587_600),
                "seconds"
            );
            counted += 1;
        }
    }
    assert_eq!(counted, 8);
}

#[test]
fn a_reply_of_the_other_version_is_none_to_this_request() {
    let (_, payload) = exchange("ping").pop().unwrap();
    let first = RequestId::from_random([1; 16]);
    let mut collector = Collector::new(first, Expect::Count(1), 3, Duration::ZERO, LIMIT);
    let outcome = collector.handle_reply(payload.as_bytes(), LIMIT, &mut |_| {});
    assert_eq!(outcome, Outcome::WrongRequest);
    // One of version 1 that names the id of version 2.
    let second = token_caller().security.request_id(LIMIT, [1; 16]);
    let mut collector = Collector::new(second, Expect::Count(1), 3, Duration::ZERO, LIMIT);
    let payload = reply(second, "node1", &ok_body("{}"));
    let outcome = collector.handle_reply(&payload, LIMIT, &mut |_| {});
    assert_eq!(outcome, Outcome::WrongRequest);
    assert_eq!(
        collector.drops(),
        Drops {
            wrong_request: 1,
            ..Drops::default()
        }
    );
}

#[test]
fn ids_are_of_the_version_and_the_second() {
    let unix = Duration::new(1_795_587_589, 999);
    let id = token_caller().security.request_id(unix, [7; 16]);
    assert_eq!(id.version(), ProtocolVersion::V2);
    let ksuid = muster_protocol::ksuid::Ksuid::parse(id.as_str()).unwrap();
    assert_eq!(ksuid.unix_seconds(), unix.as_secs());
    let id = caller().security.request_id(unix, [7; 16]);
    assert_eq!(id, RequestId::from_random([7; 16]));
}

#[test]
fn what_nodes_would_refuse_is_not_sent() {
    let (caller, filter) = (token_caller(), Filter::default());
    let parts = RequestParts {
        agent: "discovery",
        body: "cGluZw==",
        filter: &filter,
    };
    let at = |caller: &Caller, unix| {
        let unix = Duration::from_secs(unix);
        let id = caller.security.request_id(unix, [7; 16]);
        encode_request(caller, &parts, id, unix, BROKER).map(drop)
    };
    // The token is valid from the first to the last of these.
    assert_eq!(at(&caller, 1_795_587_507), Ok(()));
    assert_eq!(at(&caller, 2_110_947_506), Ok(()));
    for unix in [1_795_587_506, 2_110_947_507] {
        let error = at(&caller, unix).unwrap_err();
        assert!(
            matches!(&error, BuildError::Signature(why) if why.contains("token")),
            "{error}"
        );
    }
    let other = Caller {
        caller_id: "up=fred".to_owned(),
        ..caller.clone()
    };
    let error = at(&other, 1_795_587_600).unwrap_err().to_string();
    assert!(
        error.contains("shows the token of \"up=ginger\""),
        "{error}"
    );
    let brief = Caller {
        ttl: Duration::from_secs(1),
        ..caller.clone()
    };
    assert_eq!(at(&brief, 1_795_587_600), Ok(()));
    let none = Caller {
        ttl: Duration::from_millis(999),
        ..caller
    };
    assert!(matches!(
        at(&none, 1_795_587_600),
        Err(BuildError::Request(_))
    ));
}
