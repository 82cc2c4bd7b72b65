use super::*;
use std::path::Path;

use muster_protocol::filter::Filter;
use muster_protocol::reply::{ReplyForm, ReplyParts, encode_reply};
use muster_protocol::request::encode_signed_request;
use muster_protocol::secure_request::RequestProof;
use muster_protocol::transport::{Headers, encode_transport_as};
use proptest::prelude::*;

const ID: &str = "0b5c0b5c0b5c0b5c0b5c0b5c0b5c0b5c";

fn request<'a>(version: ProtocolVersion, message: &'a str, time: i64) -> Request<'a> {
    Request {
        version,
        message: message.into(),
        request_id: ID.into(),
        sender_id: "n1.example".into(),
        caller_id: "choria=n1".into(),
        collective: "mcollective".into(),
        agent: "registration".into(),
        ttl: 60,
        time,
        filter: Filter::default(),
    }
}

fn transport(document: &str, version: ProtocolVersion) -> Vec<u8> {
    let proof = match version {
        ProtocolVersion::V2 => RequestProof::Token {
            signature_b64: "c2ln",
            caller: "a.b.c",
            signer: None,
        },
        _ => RequestProof::X509 {
            signature_b64: "insecure",
            pubcert: "insecure",
        },
    };
    let mut out = Vec::new();
    encode_signed_request(
        &mut out,
        &mut Scratch::new(),
        document,
        &proof,
        &Headers::default(),
    );
    out
}

fn reply(form: ReplyForm<'_>, body: &[u8], time: i64) -> Vec<u8> {
    let parts = ReplyParts {
        request_id: ID,
        sender: "n1.example",
        agent: "rpcutil",
        time,
        body,
    };
    let mut out = Vec::new();
    encode_reply(
        &mut out,
        &mut Scratch::new(),
        form,
        &parts,
        &Headers::default(),
    );
    out
}

fn envelope(kind: Kind, payload: &[u8]) -> Result<String, EnvelopeError> {
    let mut work = Workspace::default();
    let parts = open(kind, payload, &mut work)?;
    let mut out = Vec::new();
    parts.encode_into("choria_streams", &mut out);
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_registration_becomes_the_documented_sample() {
    let body = r#"{"protocol":"choria:registration:filecontent:1","mtime":1533895000,"file":"/etc/choria/<a>&b.json","updated":false,"zcontent":"H4sI"}"#;
    let document = request(ProtocolVersion::V1, body, 1_533_896_802).to_document();
    let expected = concat!(
        r#"{"protocol":"choria:adapters:choria_streams:output:1","data":"{\"protocol\":\"choria:registration:filecontent:1\","#,
        r#"\"mtime\":1533895000,\"file\":\"/etc/choria/\u003ca\u003e\u0026b.json\",\"updated\":false,\"zcontent\":\"H4sI\"}","#,
        r#""sender":"n1.example","time":"2018-08-10T10:26:42Z","requestid":"0b5c0b5c0b5c0b5c0b5c0b5c0b5c0b5c"}"#
    );
    let got = envelope(Kind::Request, &transport(&document, ProtocolVersion::V1));
    assert_eq!(got.unwrap(), expected);
}

#[test]
fn base64_of_the_first_era_stays_as_it_was_carried() {
    let document = request(ProtocolVersion::V1, "eyJhIjoxfQ==", 1).to_document();
    let got = envelope(Kind::Request, &transport(&document, ProtocolVersion::V1)).unwrap();
    assert!(got.contains(r#""data":"eyJhIjoxfQ==""#), "{got}");
}

#[test]
fn version_2_has_nanoseconds_and_bytes() {
    let document = request(ProtocolVersion::V2, "{\"a\":1}", 1_533_896_802_500_000_000);
    let payload = transport(&document.to_document(), ProtocolVersion::V2);
    let got = envelope(Kind::Request, &payload).unwrap();
    assert!(got.contains(r#""data":"{\"a\":1}","#), "{got}");
    assert!(got.contains(r#""time":"2018-08-10T10:26:42.5Z","#), "{got}");

    let got = envelope(
        Kind::Reply,
        &reply(
            ReplyForm::V2 { signer: None },
            b"a\xff\xe2\x82<\xef\xbf\xbd",
            1,
        ),
    );
    let got = got.unwrap();
    assert!(
        got.contains("\"data\":\"a\\ufffd\\ufffd\\ufffd\\u003c\u{fffd}\","),
        "{got}"
    );
}

#[test]
fn a_binary_body_of_version_2_is_told_from_one_that_is_base64() {
    // The encoder writes the text's bytes; a document with binary is made by hand.
    let text = request(ProtocolVersion::V2, "/w==", 1).to_document();
    let got = envelope(Kind::Request, &transport(&text, ProtocolVersion::V2)).unwrap();
    assert!(got.contains(r#""data":"/w==""#), "{got}");
    let binary = text.replace("Ly93PQ==", "/w==").replace("L3c9PQ==", "/w==");
    assert_ne!(binary, text);
    let got = envelope(Kind::Request, &transport(&binary, ProtocolVersion::V2)).unwrap();
    assert!(got.contains(r#""data":"\ufffd""#), "{got}");
}

#[test]
fn refusals_say_why() {
    let check = |kind, payload: &[u8], expected: &str| {
        let error = envelope(kind, payload).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    };
    check(Kind::Request, b"", "transport: invalid json");
    check(Kind::Reply, b"{}", "field protocol is missing");
    let answer = reply(ReplyForm::V1, b"x", 1);
    check(
        Kind::Request,
        &answer,
        "secure request: protocol is \"choria:secure:reply:1\"",
    );
    let ask = transport(
        &request(ProtocolVersion::V1, "x", 1).to_document(),
        ProtocolVersion::V1,
    );
    check(Kind::Reply, &ask, "secure reply: protocol");
    check(
        Kind::Reply,
        &reply(ReplyForm::V1, b"x", -1),
        "time is -1, not from 1970",
    );
    check(
        Kind::Reply,
        &reply(ReplyForm::V1, b"x", TIME_MAX + 1),
        "to 9999",
    );
    let mut secure = Vec::new();
    let mut damaged = answer.clone();
    Transport::parse(&answer)
        .unwrap()
        .decode_data(&mut secure)
        .unwrap();
    let text = String::from_utf8(secure)
        .unwrap()
        .replace("rpcutil", "rpcutiL");
    damaged.clear();
    encode_transport_as(
        &mut damaged,
        ProtocolVersion::V1,
        text.as_bytes(),
        &Headers::default(),
    );
    check(Kind::Reply, &damaged, "the hash is not that of the message");
}

/// What consumers of today read, as serde would have it, but for escapes.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Read {
    protocol: String,
    data: String,
    sender: String,
    time: String,
    requestid: String,
}

#[test]
fn recorded_registrations_and_replies_become_envelopes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/choria-0.30.2");
    let mut seen = [0, 0];
    for (file, kind, place) in [
        ("wire-v1/startup_registration.jsonl", Kind::Request, 0),
        ("wire-v1/req_inventory.jsonl", Kind::Reply, 1),
        ("wire-v2/req_inventory.jsonl", Kind::Reply, 1),
        ("wire-v2/req_inventory.jsonl", Kind::Request, 0),
    ] {
        for line in std::fs::read_to_string(folder.join(file)).unwrap().lines() {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            let payload = message["data"].as_str().unwrap().as_bytes();
            let mut work = Workspace::default();
            let Ok(parts) = open(kind, payload, &mut work) else {
                continue;
            };
            let mut out = Vec::new();
            parts.encode_into("jetstream", &mut out);
            let read: Read = serde_json::from_slice(&out).unwrap();
            assert_eq!(read.protocol, "choria:adapters:jetstream:output:1");
            assert_eq!(read.data.as_bytes(), &*parts.body);
            assert!(read.time.starts_with("2026-11-25T06:2"), "{read:?}");
            assert_eq!(read.requestid, parts.request_id);
            assert_eq!(read.sender, parts.sender);
            seen[place] += 1;
        }
    }
    assert_eq!(seen, [7, 2]);
}

proptest! {
    #[test]
    fn any_reply_is_carried_whole(body in any::<Vec<u8>>(), time in 0..TIME_MAX) {
        let payload = reply(ReplyForm::V2 { signer: None }, &body, time);
        prop_assume!(!body.is_empty());
        let got = envelope(Kind::Reply, &payload).unwrap();
        let read: Read = serde_json::from_str(&got).unwrap();
        let mut expected = String::new();
        for chunk in body.utf8_chunks() {
            expected.push_str(chunk.valid());
            expected.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
        }
        prop_assert_eq!(read.data, expected);
    }
}
