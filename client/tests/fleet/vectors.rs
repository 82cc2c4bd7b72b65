//! Recorded traffic of another implementation: its requests are ours to the byte, its replies give what its command line showed.

use std::sync::Arc;
use std::time::Duration;

use muster_client::fleet::{
    Aggregates, Caller, CallerSecurity, Collector, Discover, Drops, Ended, Expect, Operation,
    Outcome, RequestParts, Rpc, Target, encode_request,
};
use muster_protocol::ddl::Ddl;
use muster_protocol::filter::Filter;
use muster_protocol::reply::parse_reply;
use muster_protocol::request_id::RequestId;
use muster_protocol::rpc::RpcReply;
use muster_protocol::security::Signer;
use muster_protocol::{Scratch, subject};
use serde_json::Value;

use crate::support::{Stage, caller, recorded, with_request};

const BROKER: &str = "nats://localhost:24222";

/// Exchanges of the client with the fleet, without a federation between.
const EXCHANGES: [&str; 17] = [
    "discover_agent",
    "discover_compound",
    "discover_fact_eq",
    "discover_fact_ge",
    "discover_fact_re",
    "discover_identity_re",
    "ping",
    "ping_class",
    "req_agent_inventory",
    "req_batch",
    "req_collective_info",
    "req_daemon_stats",
    "req_get_config_item",
    "req_get_data",
    "req_get_fact",
    "req_get_facts",
    "req_inventory",
];

fn signing_caller() -> Caller {
    let (cert, key) = (
        recorded("pki/rip.mcollective.pem"),
        recorded("pki/rip.mcollective.key"),
    );
    let signer = Signer::from_pem(&cert, &key).unwrap();
    Caller {
        security: CallerSecurity::X509(Arc::new(signer)),
        ..caller()
    }
}

/// Subject and payload of each message of an exchange.
fn exchange(name: &str) -> Vec<(String, String)> {
    let lines = recorded(&format!("wire-v1/{name}.jsonl"));
    let message = |line: &str| -> (String, String) {
        let message: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| message[key].as_str().unwrap().to_owned();
        (text("subject"), text("data"))
    };
    lines.lines().map(message).collect()
}

fn is_reply(subject: &str) -> bool {
    subject.contains(".reply.")
}

#[test]
fn our_requests_are_the_recorded_ones_to_the_byte() {
    let caller = signing_caller();
    let mut compared = 0;
    for name in EXCHANGES {
        for (to, payload) in exchange(name).into_iter().filter(|(to, _)| !is_reply(to)) {
            let (ours, expected_subject) = with_request(payload.as_bytes(), |request| {
                let parts = RequestParts {
                    agent: &request.agent,
                    body: &request.message,
                    filter: &request.filter,
                };
                let id = RequestId::parse(&request.request_id).unwrap();
                let unix = Duration::from_secs(request.time.unsigned_abs());
                let ours = encode_request(&caller, &parts, id, unix, BROKER).unwrap();
                (ours, subject::broadcast("mcollective", &request.agent))
            });
            assert_eq!(String::from_utf8(ours).unwrap(), payload, "{name}");
            assert!(
                to == expected_subject || to.starts_with("mcollective.node."),
                "{name} {to}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 26);
}

/// The requests of an exchange with the replies to each, in order.
fn requests(name: &str) -> Vec<(RequestId, Vec<String>)> {
    let mut requests: Vec<(RequestId, Vec<String>)> = Vec::new();
    for (to, payload) in exchange(name) {
        if is_reply(&to) {
            let id = to
                .rsplit('.')
                .next()
                .and_then(|id| RequestId::parse(id).ok())
                .unwrap();
            let request = requests.iter_mut().find(|(known, _)| *known == id);
            request.expect("the request comes first").1.push(payload);
        } else {
            let id = with_request(payload.as_bytes(), |request| {
                RequestId::parse(&request.request_id).unwrap()
            });
            if requests.iter().all(|(known, _)| *known != id) {
                requests.push((id, Vec::new()));
            }
        }
    }
    requests
}

#[test]
fn every_recorded_reply_counts_once() {
    let mut replies_seen = 0;
    for name in EXCHANGES {
        for (id, replies) in requests(name) {
            let limit = Duration::from_secs(2);
            let expect = Expect::Count(replies.len());
            let mut collector = Collector::new(id, expect, 3, Duration::ZERO, limit);
            for payload in &replies {
                let outcome = collector.handle_reply(payload.as_bytes(), limit / 2, &mut |view| {
                    assert!(view.sender.starts_with("node"), "{name} {}", view.sender);
                    replies_seen += 1;
                });
                assert_eq!(outcome, Outcome::Counted, "{name}");
            }
            assert!(collector.is_complete(), "{name}");
            assert_eq!(collector.drops(), Drops::default(), "{name}");
            for payload in &replies {
                let again = collector.handle_reply(payload.as_bytes(), limit, &mut |_| {
                    panic!("{name}: counted twice");
                });
                assert_eq!(again, Outcome::Duplicate);
            }
        }
    }
    assert_eq!(replies_seen, 42);
}

/// The names the command line printed, one a line.
fn names_shown(text: &str) -> Vec<String> {
    let first_word = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut names: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("node"))
        .map(first_word)
        .collect();
    names.sort();
    names
}

#[test]
fn discoveries_find_the_nodes_the_command_line_showed() {
    for name in EXCHANGES.iter().filter(|name| !name.starts_with("req_")) {
        let shown = names_shown(&recorded(&format!("cli/{name}.txt")));
        let (_, replies) = requests(name).swap_remove(0);
        let mut stage = Stage::connected();
        let id = stage.start(Operation::Discover(Discover::default()));
        play(&mut stage, id, &replies);
        stage.wait(Duration::from_secs(2));
        let mut found = stage.finished().expect("a summary").replied;
        found.sort();
        assert_eq!(found, shown, "{name}");
    }
}

/// Delivers recorded replies as replies to another request: only the id differs.
fn play(stage: &mut Stage, id: RequestId, replies: &[String]) {
    let mut scratch = Scratch::new();
    for payload in replies {
        let reply = parse_reply(payload.as_bytes(), &mut scratch).unwrap();
        let (sender, body) = (reply.sender.to_string(), reply.body.to_vec());
        stage.reply(id, &sender, &body);
    }
}

#[test]
fn a_session_gives_what_the_recorded_client_gave() {
    let shown = recorded("cli/req_get_fact_json.txt");
    let shown = &shown[shown.find('{').unwrap()..=shown.rfind('}').unwrap()];
    let shown: Value = serde_json::from_str(shown).unwrap();
    let recorded = requests("req_get_fact");
    let [(_, pongs), (_, replies)] = &recorded[..] else {
        panic!("{} requests", recorded.len())
    };

    let mut stage = Stage::connected();
    let agent = Some("rpcutil".to_owned());
    let id = stage.start(Operation::Discover(Discover {
        agent,
        ..Discover::default()
    }));
    play(&mut stage, id, pongs);
    stage.wait(Duration::from_secs(2));
    let discovered = stage.finished().expect("a discovery").replied;

    let action = Ddl::builtin("rpcutil").unwrap().action("get_fact").unwrap();
    let id = stage.start(Operation::Rpc(Box::new(Rpc {
        agent: "rpcutil".to_owned(),
        action: "get_fact".to_owned(),
        data: r#"{"fact":"country"}"#.to_owned(),
        filter: Filter::default(),
        target: Target::Direct(discovered),
        timeout: Duration::from_secs(12),
        aggregates: Aggregates::of(action),
        options: Default::default(),
    })));
    play(&mut stage, id, replies);
    let summary = stage.finished().expect("a summary");

    assert_eq!(summary.ended, Ended::Complete);
    assert_eq!(
        serde_json::to_value(&summary.aggregates).unwrap(),
        shown["summaries"]
    );
    let stats = serde_json::to_string(&summary.stats(Duration::from_secs(2))).unwrap();
    let ours: Value = serde_json::from_str(&stats).unwrap();
    for key in [
        "no_responses",
        "unexpected_responses",
        "discovered",
        "failed",
        "ok",
        "responses",
    ] {
        assert_eq!(ours[key], shown["request_stats"][key], "{key}");
    }
    let theirs = shown["request_stats"].as_object().unwrap();
    assert_eq!(
        ours.as_object().unwrap().keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
}

#[test]
fn recorded_rpc_replies_are_read_as_the_command_line_showed_them() {
    let shown = recorded("cli/req_get_fact_json.txt");
    let shown = &shown[shown.find('{').unwrap()..=shown.rfind('}').unwrap()];
    let shown: Value = serde_json::from_str(shown).unwrap();
    let (_, replies) = requests("req_get_fact").pop().unwrap();
    let mut scratch = Scratch::new();
    assert_eq!(replies.len(), 3);
    for payload in &replies {
        let reply = parse_reply(payload.as_bytes(), &mut scratch).unwrap();
        let rpc = RpcReply::parse(reply.body).unwrap();
        let all = shown["replies"].as_array().unwrap();
        let theirs = all
            .iter()
            .find(|theirs| theirs["sender"] == *reply.sender)
            .unwrap();
        let data: Value = serde_json::from_str(rpc.data).unwrap();
        assert_eq!(data, theirs["data"]);
        assert_eq!(theirs["statuscode"], rpc.statuscode.number());
        assert_eq!(theirs["statusmsg"], *rpc.statusmsg);
        assert_eq!(theirs["action"], rpc.action.as_deref().unwrap());
    }
}
