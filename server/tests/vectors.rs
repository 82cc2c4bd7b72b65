//! Nodes fed the requests that real servers were fed answer what those answered, but for figures of their own.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use muster_protocol::Scratch;
use muster_protocol::ddl::Metadata;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::RpcReply;
use muster_protocol::transport::{Headers, Transport};
use muster_server::agent::{Agent, AgentReply, AgentRequest, HostView};
use muster_server::{NodeSetup, VerifyShared};
use serde_json::value::Value;

use support::{Connected, Recorded, exchange, options_with, recorded, security, setup};

const NODES: [&str; 3] = [
    "node1.example.net",
    "node2.example.net",
    "node3.example.net",
];

/// Members whose values are a server's own: figures, versions, what only a server of that kind has.
const OWN: [&str; 21] = [
    "data_plugins",
    "events",
    "filtered",
    "go_version",
    "goroutines",
    "passed",
    "replies",
    "threads",
    "total",
    "ttlexpired",
    "unvalidated",
    "validated",
    "author",
    "description",
    "license",
    "url",
    "uptime",
    "built",
    "commit",
    "timeout",
    "version",
];

/// An agent the recorded servers had and ours have not: only its name is needed.
#[derive(Debug)]
struct Named(Metadata);

impl Agent for Named {
    fn metadata(&self) -> &Metadata {
        &self.0
    }

    fn handle<'r>(&self, _request: &AgentRequest<'r>, _host: &HostView<'_>) -> AgentReply<'r> {
        AgentReply::None
    }
}

fn recorded_setup() -> Arc<NodeSetup> {
    let mut options = options_with(Arc::new(VerifyShared::new(security())));
    let metadata = Metadata {
        name: "scout".to_owned(),
        ..Metadata::default()
    };
    options.agents.insert(Arc::new(Named(metadata)));
    options
        .config_items
        .insert("collectives".to_owned(), serde_json::json!(["mcollective"]));
    options.config_file = "/etc/choria/node1.conf".to_owned();
    options.version = "0.29.4".to_owned();
    options.pid = 17960;
    options.cpus = 2;
    options.start_unix = 1_795_587_658;
    setup(options)
}

/// A reply in comparable parts.
#[derive(Debug, PartialEq)]
struct Answer {
    headers: Headers<'static>,
    sender: String,
    request_id: String,
    agent: String,
    body: String,
}

fn answer(payload: &[u8]) -> Answer {
    let mut scratch = Scratch::new();
    let reply = parse_reply(payload, &mut scratch).unwrap();
    assert!(reply.hash_ok);
    assert_eq!(reply.transport_sender.as_deref(), Some(&*reply.sender));
    Answer {
        headers: Transport::parse(payload).unwrap().headers.into_owned(),
        sender: reply.sender.clone().into_owned(),
        request_id: reply.request_id.clone().into_owned(),
        agent: reply.agent.clone().into_owned(),
        body: without_figures(reply.body),
    }
}

/// The body with the values of a server's own blotted out; the order of members stays.
fn without_figures(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    match RpcReply::parse(body) {
        Ok(reply) => text.replace(reply.data, &blot(reply.data)),
        Err(_) => text.to_owned(),
    }
}

/// Goes through the text by hand: a map would lose the order of members.
fn blot(json: &str) -> String {
    let mut out = String::new();
    let mut rest = json;
    while let Some((key, value, after)) = next_own_member(rest) {
        out.push_str(&rest[..key]);
        out.push('_');
        assert!(serde_json::from_str::<Value>(value).is_ok(), "{value}");
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The place behind the next own key's colon, its value, and what comes after the value.
fn next_own_member(text: &str) -> Option<(usize, &str, &str)> {
    let places = OWN.iter().filter_map(|key| {
        let quoted = format!("\"{key}\":");
        text.find(&quoted).map(|at| at + quoted.len())
    });
    let start = places.min()?;
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
    values.next()?.unwrap();
    let end = start + values.byte_offset();
    Some((start, &text[start..end], &text[end..]))
}

fn is_request(message: &Recorded) -> bool {
    message.subject.contains(".broadcast.") || message.subject.contains(".node.")
}

/// Replays one exchange; how many requests and replies there were.
fn replay(path: &Path) -> (usize, usize) {
    let setup = recorded_setup();
    let mut nodes = NODES.map(|identity| Connected::new(&setup, identity));
    let messages = exchange(path);
    let (mut requests, mut ours, mut theirs) = (0, BTreeMap::new(), BTreeMap::new());
    for message in &messages {
        let payload = message.data.as_bytes();
        if is_request(message) {
            requests += 1;
            let time = request_time(payload);
            for node in &mut nodes {
                for published in node.deliver(&message.subject, payload, time) {
                    let answer = answer(&published.payload);
                    let key = (
                        published.subject,
                        answer.request_id.clone(),
                        answer.sender.clone(),
                    );
                    assert!(ours.insert(key, answer).is_none());
                }
            }
        }
    }
    // In a federation replies are recorded twice; the ones nodes sent still have the federation header.
    let federated = messages
        .iter()
        .any(|message| message.subject.starts_with("choria.federation"));
    for message in &messages {
        let is_reply = if federated {
            message.subject.ends_with(".collective")
        } else {
            message.subject.contains(".reply.")
        };
        if is_reply {
            let answer = answer(message.data.as_bytes());
            let key = (
                message.subject.clone(),
                answer.request_id.clone(),
                answer.sender.clone(),
            );
            assert!(theirs.insert(key, answer).is_none());
        }
    }
    assert_eq!(ours, theirs, "{}", path.display());
    (requests, ours.len())
}

fn request_time(payload: &[u8]) -> i64 {
    let mut document = Vec::new();
    Transport::parse(payload)
        .unwrap()
        .decode_data(&mut document)
        .unwrap();
    let secure = muster_protocol::secure_request::SecureRequest::parse(&document).unwrap();
    muster_protocol::request::Request::parse(secure.message.as_bytes())
        .unwrap()
        .time
}

#[test]
fn recorded_requests_get_the_recorded_replies() {
    let mut files: Vec<_> = std::fs::read_dir(recorded("wire-v1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("startup_registration.jsonl"))
        .collect();
    files.sort();
    let totals: Vec<_> = files.iter().map(|path| replay(path)).collect();
    assert_eq!(files.len(), 20, "{files:?}");
    assert!(
        totals
            .iter()
            .all(|(requests, replies)| *requests > 0 && *replies > 0),
        "{totals:?}"
    );
    assert!(
        totals.iter().map(|(_, replies)| replies).sum::<usize>() >= 40,
        "{totals:?}"
    );
}

#[test]
fn version_2_is_refused_by_name() {
    let setup = recorded_setup();
    let mut node = Connected::new(&setup, NODES[0]);
    let messages = exchange(&recorded("wire-v2/ping.jsonl"));
    let request = messages.iter().find(|message| is_request(message)).unwrap();
    let subject = "mcollective.broadcast.agent.discovery";
    assert!(
        node.deliver(subject, request.data.as_bytes(), support::UNIX)
            .is_empty()
    );
    assert_eq!(node.node.counters().refused(), [("unsupported_version", 1)]);
}
