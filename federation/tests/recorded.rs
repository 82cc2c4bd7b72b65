//! Our transform beside a real federation broker's: the recorded fleet's requests and replies, byte for byte but for the processor's name in the last hop.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;

use muster_federation::bridge::{Bridge, Way};
use muster_protocol::transport::Transport;
use serde::Deserialize;

const CLUSTER: &str = "mt1";
/// Both sides of the recorded broker were one.
const WAY: Way<'static> = Way {
    came_by: "nats://localhost:24222",
    leaves_by: "nats://localhost:24222",
};

#[derive(Deserialize)]
struct Recorded {
    subject: String,
    data: String,
}

fn recorded(name: &str) -> Vec<Recorded> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/choria-0.30.2/wire-v1")
        .join(name);
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The payload with the name of the last hop's processor replaced by `name`.
fn named(payload: &str, name: &str) -> String {
    let mut transport = Transport::parse(payload.as_bytes()).unwrap();
    let hop = transport.headers.seen_by.last_mut().unwrap();
    let processor = std::mem::replace(&mut hop[1], name.to_owned().into());
    // The text is replaced, not the document: everything else must be the same bytes.
    assert!(
        processor.starts_with("broker1.example.net ("),
        "{processor}"
    );
    let at = payload.rfind(&*processor).unwrap();
    format!(
        "{}{name}{}",
        &payload[..at],
        &payload[at + processor.len()..]
    )
}

#[test]
fn requests_become_what_the_real_broker_made_of_them() {
    let bridge = Bridge::new(CLUSTER, "broker1.example.net", 4, true);
    let processor = "broker1.example.net (choria_nats_ingest:4, choria_request_transformer:4, choria_nats_egest:4)";
    let mut requests = 0;
    for name in ["federated_ping.jsonl", "federated_req_ping.jsonl"] {
        let messages = recorded(name);
        for (place, message) in messages.iter().enumerate() {
            if message.subject != bridge.request_subject() {
                continue;
            }
            let mut out = Vec::new();
            let request = bridge
                .request(message.data.as_bytes(), WAY, &mut out)
                .unwrap();
            for (target, made) in request.targets.iter().zip(&messages[place + 1..]) {
                assert_eq!(**target, made.subject);
                assert_eq!(String::from_utf8_lossy(&out), named(&made.data, processor));
            }
            requests += 1;
        }
    }
    assert_eq!(
        requests, 3,
        "two discoveries and one request of three nodes"
    );
}

#[test]
fn replies_become_what_the_real_broker_made_of_them() {
    let bridge = Bridge::new(CLUSTER, "broker1.example.net", 4, true);
    let processor = "broker1.example.net (choria_nats_ingest:4, choria_reply_transformer:4, choria_nats_egest:4)";
    let mut replies = 0;
    for name in ["federated_ping.jsonl", "federated_req_ping.jsonl"] {
        let messages = recorded(name);
        for message in &messages {
            if message.subject != bridge.reply_subject() {
                continue;
            }
            let mut out = Vec::new();
            let subject = bridge
                .reply(message.data.as_bytes(), WAY, &mut out)
                .unwrap();
            let ours = String::from_utf8(out).unwrap();
            let made = messages
                .iter()
                .filter(|made| made.subject == *subject)
                .any(|made| named(&made.data, processor) == ours);
            assert!(made, "the real broker made no such reply: {ours}");
            replies += 1;
        }
    }
    assert_eq!(replies, 9, "three nodes answered three times");
}
