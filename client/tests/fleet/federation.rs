//! Requests through federations, beside what another client sent through one.

use std::sync::Arc;
use std::time::Duration;

use muster_client::fleet::{Caller, Discover, Ended, FleetSession, Operation, StartError, Target};
use muster_client::nats::{ClientConfig, ServerAddr};
use muster_protocol::request_id::RequestId;
use muster_protocol::transport::Transport;
use serde_json::Value;

use crate::session::{SECOND, nodes, rpc};
use crate::support::{Stage, caller, ok_body, recorded};
use crate::vectors_v2::token_caller;

fn federated(names: &[&str]) -> Stage {
    federated_as(caller(), names)
}

fn federated_as(caller: Caller, names: &[&str]) -> Stage {
    let mut stage = Stage::new();
    let client = ClientConfig::new(vec![ServerAddr::new("broker1.example.net", 4222)]);
    stage.session = FleetSession::new(Arc::new(caller), Arc::new(client), 7, stage.now)
        .with_federations(&nodes(names));
    stage.connect();
    stage.events();
    stage.ops.clear();
    stage
}

fn targets(payload: &[u8]) -> Vec<String> {
    let transport = Transport::parse(payload).unwrap();
    let federation = transport.headers.federation.expect("a federation header");
    assert!(federation.request_id.is_some() && federation.reply_to.is_none());
    federation.targets.iter().map(ToString::to_string).collect()
}

/// The federation requests and the replies to the client that were recorded.
fn exchange(name: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let lines = recorded(&format!("wire-v1/{name}.jsonl"));
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let data = message["data"].as_str().unwrap().as_bytes().to_vec();
        match message["subject"].as_str().unwrap() {
            "choria.federation.mt1.federation" => requests.push(data),
            subject if subject.starts_with("mcollective.reply.") => replies.push(data),
            _ => {}
        }
    }
    (requests, replies)
}

#[test]
fn a_broadcast_names_one_target_to_each_federation() {
    let mut stage = federated(&["mt1", "mt2"]);
    let agent = Some("rpcutil".to_owned());
    stage.start(Operation::Discover(Discover {
        agent,
        ..Discover::default()
    }));
    let subjects: Vec<_> = stage.published.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(
        subjects,
        [
            "choria.federation.mt1.federation",
            "choria.federation.mt2.federation"
        ]
    );
    for (_, payload) in &stage.published {
        assert_eq!(targets(payload), ["mcollective.broadcast.agent.discovery"]);
    }
}

#[test]
fn direct_requests_go_two_hundred_nodes_to_a_message_with_one_signed_document() {
    let mut stage = federated(&["mt1"]);
    let names: Vec<_> = (0..450).map(|i| format!("n{i}.example.net")).collect();
    let id = stage.start(rpc(Target::Direct(names)));
    let counts: Vec<_> = stage
        .published
        .iter()
        .map(|(_, payload)| targets(payload).len())
        .collect();
    assert_eq!(counts, [200, 200, 50]);
    assert_eq!(
        targets(&stage.published[2].1)[49],
        "mcollective.node.n449.example.net"
    );
    let data: Vec<_> = stage
        .published
        .iter()
        .map(|(_, payload)| Transport::parse(payload).unwrap().data().to_owned())
        .collect();
    assert!(data.windows(2).all(|pair| pair[0] == pair[1]));
    stage.reply(id, "n7.example.net", &ok_body("{}"));
    stage.wait(6 * SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(
        (summary.ended, summary.no_responses.len(), summary.unsent),
        (Ended::Deadline, 449, 0)
    );
}

#[test]
fn a_name_that_makes_no_subject_keeps_nobody_else_from_being_asked() {
    let mut stage = federated(&["mt1"]);
    stage.start(rpc(Target::Direct(nodes(&["bad name", "n1"]))));
    assert_eq!(targets(&stage.published[0].1), ["mcollective.node.n1"]);
    stage.wait(6 * SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.unsent, 1);
    assert_eq!(summary.no_responses, ["bad name", "n1"]);
}

#[test]
fn a_federation_that_makes_no_subject_is_refused() {
    let mut stage = federated(&["mt 1"]);
    let at = stage.at();
    let started = stage.session.start(rpc(Target::Service), at);
    let subject = "choria.federation.mt 1.federation";
    assert_eq!(started, Err(StartError::BadSubject(subject.into())));
}

#[test]
fn version_2_has_its_own_names_for_the_header() {
    let mut stage = federated_as(token_caller(), &["mt1"]);
    let id = stage.start(rpc(Target::Direct(nodes(&["n1"]))));
    let (_, payload) = &stage.published[0];
    assert_eq!(targets(payload), ["mcollective.node.n1"]);
    let document: Value = serde_json::from_slice(payload).unwrap();
    assert_eq!(document["protocol"], "io.choria.protocol.v2.transport");
    let federation = &document["headers"]["federation"];
    let expected = serde_json::json!({"request": id.as_str(), "targets": ["mcollective.node.n1"]});
    assert_eq!(federation, &expected);
    assert_eq!(document["headers"]["reply"], stage.subscription.unwrap().0);
}

#[test]
fn headers_are_the_recorded_ones_but_for_the_id() {
    let (requests, _) = exchange("federated_req_ping");
    let recorded: Vec<Vec<String>> = requests.iter().map(|payload| targets(payload)).collect();
    assert_eq!(recorded.len(), 2, "a discovery, and a request");

    let mut stage = federated(&["mt1"]);
    stage.start(Operation::Discover(Discover {
        agent: Some("rpcutil".to_owned()),
        ..Discover::default()
    }));
    stage.wait(3 * SECOND);
    let asked = recorded[1]
        .iter()
        .map(|target| target.trim_start_matches("mcollective.node.").to_owned())
        .collect();
    stage.start(rpc(Target::Direct(asked)));
    let ours: Vec<_> = stage.published.iter().map(|(_, p)| targets(p)).collect();
    assert_eq!(ours, recorded);

    // Key for key, as the peers' encoder writes it.
    for (theirs, ours) in requests.iter().zip(stage.published.iter().map(|(_, p)| p)) {
        let shape = |payload: &[u8]| {
            let text = String::from_utf8(payload.to_vec()).unwrap();
            let start = text.find("\"federation\":").unwrap();
            let id = Transport::parse(payload)
                .unwrap()
                .headers
                .federation
                .unwrap();
            text[start..].replace(&*id.request_id.unwrap(), "ID")
        };
        assert_eq!(shape(ours), shape(theirs));
    }
}

#[test]
fn replies_that_came_through_a_federation_are_booked_as_any() {
    use muster_client::fleet::{Collector, Expect};
    let (requests, replies) = exchange("federated_req_ping");
    let mut counted = 0;
    for payload in requests {
        let transport = Transport::parse(&payload).unwrap();
        let id = transport.headers.federation.unwrap().request_id.unwrap();
        let id = RequestId::parse(&id).unwrap();
        let unknown = Expect::Unknown { window: None };
        let limit = Duration::from_secs(9);
        let mut books = Collector::new(id, unknown, 1, Duration::ZERO, limit);
        for reply in &replies {
            books.handle_reply(reply, Duration::ZERO, &mut |_| counted += 1);
        }
        assert_eq!(books.received(), 3);
        assert_eq!((books.drops().bad_hash, books.drops().malformed), (0, 0));
    }
    assert_eq!(counted, 6);
}
