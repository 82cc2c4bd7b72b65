//! Every recorded version 1 message, taken apart and put together again at every layer.
//!
//! All of it comes out byte for byte: the peers' encoder and ours agree in key order and escapes. (Base64 wrapped by
//! other peers, and documents of peers that write their keys in another order, would not; none is in the recording.)

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

use std::path::Path;

use muster_protocol::Scratch;
use muster_protocol::caller::CallerId;
use muster_protocol::filter::{FactsView, NoData, NodeView};
use muster_protocol::reply::{Reply, ReplyParts, encode_reply_transport, parse_reply};
use muster_protocol::request::{Request, encode_request_transport};
use muster_protocol::rpc::{
    RpcReply, RpcRequest, StatusCode, is_discovery_ping, is_discovery_pong,
};
use muster_protocol::secure_reply::SecureReply;
use muster_protocol::secure_request::SecureRequest;
use muster_protocol::subject;
use muster_protocol::transport::{Transport, encode_transport};
use muster_protocol::version::{ProtocolVersion, detect_version};

struct Recorded {
    file: String,
    subject: String,
    payload: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "a test reads its recordings")]
fn recordings() -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/choria-0.30.2/wire-v1");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut recorded = Vec::new();
    for path in paths {
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            recorded.push(Recorded {
                file: path.file_name().unwrap().to_str().unwrap().to_owned(),
                subject: line["subject"].as_str().unwrap().to_owned(),
                payload: line["data"].as_str().unwrap().as_bytes().to_vec(),
            });
        }
    }
    recorded
}

fn fleet_messages() -> Vec<Recorded> {
    let messages: Vec<_> = recordings()
        .into_iter()
        .filter(|recorded| detect_version(&recorded.payload) == Some(ProtocolVersion::V1))
        .collect();
    assert!(messages.len() > 80, "{} messages", messages.len());
    messages
}

#[track_caller]
fn same(ours: &[u8], theirs: &[u8]) {
    assert_eq!(
        std::str::from_utf8(ours).unwrap(),
        std::str::from_utf8(theirs).unwrap()
    );
}

fn secure_document(payload: &[u8]) -> Vec<u8> {
    let mut secure = Vec::new();
    Transport::parse(payload)
        .unwrap()
        .decode_data(&mut secure)
        .unwrap();
    secure
}

#[test]
fn transports_come_out_as_they_went_in() {
    let mut federated = 0;
    for recorded in fleet_messages() {
        let transport = Transport::parse(&recorded.payload).unwrap();
        let mut out = Vec::new();
        transport.encode_into(&mut out);
        same(&out, &recorded.payload);
        out.clear();
        encode_transport(
            &mut out,
            &secure_document(&recorded.payload),
            &transport.headers,
        );
        same(&out, &recorded.payload);
        assert!(transport.headers.sender.is_some());
        assert!(!transport.headers.seen_by.is_empty());
        federated += usize::from(transport.headers.federation.is_some());
    }
    assert!(federated > 10, "{federated} federated messages");
}

#[test]
fn requests_come_out_as_they_went_in() {
    let (mut scratch, mut out, mut requests, mut filtered) = (Scratch::new(), Vec::new(), 0, 0);
    for recorded in fleet_messages() {
        let secure = secure_document(&recorded.payload);
        let Ok(parsed) = SecureRequest::parse(&secure) else {
            continue;
        };
        requests += 1;
        out.clear();
        SecureRequest::encode_into(
            &mut out,
            &parsed.message,
            &parsed.signature,
            &parsed.pubcert,
        );
        same(&out, &secure);

        let request = Request::parse(parsed.message.as_bytes()).unwrap();
        assert_eq!(request.to_document(), parsed.message, "{}", recorded.file);
        assert_eq!(request.validate(), Ok(()));
        filtered += usize::from(!request.filter.is_empty());

        let transport = Transport::parse(&recorded.payload).unwrap();
        out.clear();
        encode_request_transport(
            &mut out,
            &mut scratch,
            &request.to_document(),
            &parsed.signature,
            &parsed.pubcert,
            &transport.headers,
        );
        same(&out, &recorded.payload);
        check_request(&recorded, &request, &transport);
    }
    assert!(
        requests > 30 && filtered > 30,
        "{requests} requests, {filtered} with a filter"
    );
}

fn check_request(recorded: &Recorded, request: &Request<'_>, transport: &Transport<'_>) {
    assert!(CallerId::parse(&request.caller_id).is_some() || request.agent == "registration");
    let reply_to = transport.headers.reply_to.as_deref().unwrap();
    let federation = transport.headers.federation.as_ref();
    let reply_to = federation
        .and_then(|f| f.reply_to.as_deref())
        .unwrap_or(reply_to);
    match &*request.agent {
        "registration" => assert_eq!(reply_to, subject::NO_REPLY),
        _ => assert_eq!(
            reply_to,
            subject::reply_subject(&request.collective, &request.caller_id, &request.request_id)
        ),
    }
    match &*request.agent {
        "registration" => {
            assert_eq!(recorded.subject, subject::registration(&request.collective));
        }
        "discovery" => assert!(is_discovery_ping(&request.body())),
        agent => {
            let body = request.body();
            let rpc = RpcRequest::parse(&body).unwrap();
            assert_eq!(rpc.agent, agent);
            assert_eq!(
                RpcRequest::encode(&rpc.agent, &rpc.action, rpc.data),
                request.message
            );
        }
    }
}

#[test]
fn replies_come_out_as_they_went_in() {
    let (mut scratch, mut out, mut replies) = (Scratch::new(), Vec::new(), 0);
    for recorded in fleet_messages() {
        let secure = secure_document(&recorded.payload);
        let Ok(parsed) = SecureReply::parse(&secure) else {
            continue;
        };
        replies += 1;
        assert!(parsed.verify_hash(), "{}", recorded.file);
        out.clear();
        SecureReply::encode_into(&mut out, &parsed.message);
        same(&out, &secure);

        let reply = Reply::parse(parsed.message.as_bytes()).unwrap();
        out.clear();
        reply.encode_into(&mut out);
        same(&out, parsed.message.as_bytes());

        let transport = Transport::parse(&recorded.payload).unwrap();
        let parts = ReplyParts {
            request_id: &reply.request_id,
            sender: &reply.sender,
            agent: &reply.agent,
            time: reply.time,
            body: reply.message.as_bytes(),
        };
        out.clear();
        encode_reply_transport(&mut out, &mut scratch, &parts, &transport.headers);
        same(&out, &recorded.payload);

        let flat = parse_reply(&recorded.payload, &mut scratch).unwrap();
        assert!(flat.hash_ok);
        assert_eq!(flat.sender, reply.sender);
        assert_eq!(flat.transport_sender, transport.headers.sender);
        assert_eq!(flat.request_id, reply.request_id);
        assert_eq!((flat.agent, flat.time), (reply.agent.clone(), reply.time));
        assert_eq!(flat.body, reply.message.as_bytes());
        check_body(&reply);
    }
    assert!(replies > 50, "{replies} replies");
}

fn check_body(reply: &Reply<'_>) {
    if reply.agent == "discovery" {
        assert!(is_discovery_pong(reply.message.as_bytes()));
        return;
    }
    let rpc = RpcReply::parse(reply.message.as_bytes()).unwrap();
    assert_eq!(rpc.statuscode, StatusCode::Ok);
    let action = rpc.action.as_deref().unwrap();
    let mut out = Vec::new();
    RpcReply::encode_into(&mut out, action, rpc.statuscode, &rpc.statusmsg, rpc.data);
    same(&out, reply.message.as_bytes());
}

/// What a node makes of a federated request's headers is what the recorded nodes made of it.
#[test]
fn federated_replies_echo_what_the_request_brought() {
    let messages: Vec<_> = fleet_messages()
        .into_iter()
        .filter(|recorded| recorded.file == "federated_req_ping.jsonl")
        .collect();
    let mut checked = 0;
    for recorded in &messages {
        let reply = Transport::parse(&recorded.payload).unwrap();
        let Some(federation) = &reply.headers.federation else {
            continue;
        };
        if recorded.subject != subject::federation_reply("mt1") {
            continue;
        }
        let request = messages
            .iter()
            .filter(|other| other.subject.starts_with("mcollective."))
            .map(|other| Transport::parse(&other.payload).unwrap())
            .find(|other| other.headers.federation.as_ref() == Some(federation))
            .unwrap();
        let mut ours = request.headers.reply_from();
        ours.sender.clone_from(&reply.headers.sender);
        ours.seen_by
            .push(reply.headers.seen_by.last().unwrap().clone());
        assert_eq!(ours, reply.headers);
        checked += 1;
    }
    assert_eq!(checked, 6);
}

/// The nodes that answered a recorded discovery are the nodes our filters pick.
#[test]
fn filters_pick_the_nodes_that_answered() {
    let messages = fleet_messages();
    let (mut checked, mut some, mut compound) = (0, 0, 0);
    for recorded in &messages {
        let secure = secure_document(&recorded.payload);
        let Ok(parsed) = SecureRequest::parse(&secure) else {
            continue;
        };
        let request = Request::parse(parsed.message.as_bytes()).unwrap();
        if recorded.subject != "mcollective.broadcast.agent.discovery" {
            continue;
        }
        compound += usize::from(!request.filter.compound.is_empty());
        let answered = nodes_that_answered(&messages, &request.request_id);
        let picked: Vec<_> = NODES
            .iter()
            .filter(|(identity, facts)| {
                request.filter.matches(&NodeView {
                    identity,
                    agents: &["choria_util", "discovery", "rpcutil", "scout"],
                    classes: &["role::web", "base"],
                    facts: &FactsView::parse(facts).unwrap(),
                    data: &NoData,
                })
            })
            .map(|(identity, _)| (*identity).to_owned())
            .collect();
        assert_eq!(picked, answered, "{}: {:?}", recorded.file, request.filter);
        checked += 1;
        some += usize::from(picked.len() < NODES.len());
    }
    assert!(
        checked > 10 && some > 0 && compound == 1,
        "{checked} {some} {compound}"
    );
}

const NODES: [(&str, &str); 3] = [
    (
        "node1.example.net",
        r#"{"country":"c1","os":{"family":"Debian","release":12}}"#,
    ),
    (
        "node2.example.net",
        r#"{"country":"c2","os":{"family":"Debian","release":12}}"#,
    ),
    (
        "node3.example.net",
        r#"{"country":"c3","os":{"family":"Debian","release":12}}"#,
    ),
];

fn nodes_that_answered(messages: &[Recorded], request_id: &str) -> Vec<String> {
    let mut scratch = Scratch::new();
    let mut nodes: Vec<_> = messages
        .iter()
        .filter(|recorded| recorded.subject.contains(".reply."))
        .filter_map(|recorded| {
            let reply = parse_reply(&recorded.payload, &mut scratch).ok()?;
            (reply.request_id == request_id).then(|| reply.sender.into_owned())
        })
        .collect();
    nodes.sort();
    nodes
}
