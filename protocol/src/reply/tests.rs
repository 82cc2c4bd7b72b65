use proptest::prelude::*;

use super::*;
use crate::transport::{Transport, encode_transport};

/// The published sample of a secure reply, whose hash is real.
const SAMPLE: &str = r#"{"protocol":"choria:secure:reply:1","message":"{\"protocol\":\"choria:reply:1\",\"message\":\"{\\\"action\\\":\\\"get_fact\\\",\\\"statuscode\\\":0,\\\"statusmsg\\\":\\\"OK\\\",\\\"data\\\":{\\\"fact\\\":\\\"os.name\\\",\\\"value\\\":\\\"Debian\\\"}}\",\"envelope\":{\"requestid\":\"5e1d2c3b4a5968778695a4b3c2d1e0f9\",\"senderid\":\"node1.example.net\",\"agent\":\"rpcutil\",\"time\":1700000001}}","hash":"IJ1+8bccfeHIgwW8tGcKT3LJbgpH9G2+UcE/YP5VIb4="}"#;

fn parts(body: &[u8]) -> ReplyParts<'_> {
    ReplyParts {
        request_id: "5e1d2c3b4a5968778695a4b3c2d1e0f9",
        sender: "node1.example.net",
        agent: "rpcutil",
        time: 1_700_000_001,
        body,
    }
}

fn headers() -> Headers<'static> {
    let mut headers = Headers {
        sender: Some("node1.example.net".into()),
        ..Headers::default()
    };
    headers.push_hop("nats://b:4222", "node1.example.net", "nats://b:4222");
    headers
}

#[test]
fn the_hash_of_the_sample_is_reproduced() {
    let secure = SecureReply::parse(SAMPLE.as_bytes()).unwrap();
    assert!(secure.verify_hash());
    let reply = Reply::parse(secure.message.as_bytes()).unwrap();
    assert_eq!(reply.sender, "node1.example.net");
    assert_eq!(reply.time, 1_700_000_001);

    let mut document = Vec::new();
    reply.encode_into(&mut document);
    assert_eq!(String::from_utf8(document).unwrap(), secure.message);
    let mut out = Vec::new();
    SecureReply::encode_into(&mut out, &secure.message);
    assert_eq!(String::from_utf8(out).unwrap(), SAMPLE);

    let mut out = Vec::new();
    encode_reply_transport(
        &mut out,
        &mut Scratch::new(),
        &parts(reply.message.as_bytes()),
        &headers(),
    );
    let mut data = Vec::new();
    Transport::parse(&out)
        .unwrap()
        .decode_data(&mut data)
        .unwrap();
    assert_eq!(String::from_utf8(data).unwrap(), SAMPLE);
}

#[test]
fn a_damaged_reply_says_so() {
    let mut payload = Vec::new();
    let damaged = SAMPLE.replace("Debian", "Fedora");
    encode_transport(&mut payload, damaged.as_bytes(), &headers());
    let mut scratch = Scratch::new();
    let parsed = parse_reply(&payload, &mut scratch).unwrap();
    assert!(!parsed.hash_ok);
    assert!(parsed.body.windows(6).any(|window| window == b"Fedora"));
}

#[test]
fn bodies_that_are_not_utf8_are_sent_with_replacement_characters() {
    let (mut payload, mut scratch) = (Vec::new(), Scratch::new());
    encode_reply_transport(&mut payload, &mut scratch, &parts(b"a\xffb"), &headers());
    assert_eq!(
        parse_reply(&payload, &mut scratch).unwrap().body,
        "a\u{fffd}b".as_bytes()
    );
}

#[test]
fn refusals_name_layer_and_field() {
    let mut scratch = Scratch::new();
    let mut check = |payload: &[u8], expected: &str| {
        let error = parse_reply(payload, &mut scratch).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let wrap = |secure: &str| {
        let mut payload = Vec::new();
        encode_transport(&mut payload, secure.as_bytes(), &Headers::default());
        payload
    };
    let reply = |document: &str| {
        let mut secure = Vec::new();
        SecureReply::encode_into(&mut secure, document);
        wrap(std::str::from_utf8(&secure).unwrap())
    };
    check(b"{}", "transport: field protocol is missing");
    check(&wrap("{}"), "secure reply: field protocol is missing");
    check(&reply("{}"), "reply: field protocol is missing");
    let head = r#"{"protocol":"choria:reply:1","message":"m""#;
    check(
        &reply(&format!("{head}}}")),
        "reply: field envelope is missing",
    );
    check(
        &reply(&format!(
            r#"{head},"envelope":{{"senderid":"n","agent":"a","time":1}}}}"#
        )),
        "reply: field envelope.requestid is missing",
    );
    check(
        &reply(&format!(
            r#"{head},"envelope":{{"requestid":"r","senderid":"n","agent":"a","time":1.5}}}}"#
        )),
        "reply: field envelope.time is not a whole number",
    );
}

proptest! {
    #[test]
    fn replies_round_trip(body in ".{0,300}", sender in "[a-z<\"\\\\é.]{1,20}", time: i64) {
        let parts = ReplyParts { sender: &sender, time, ..parts(body.as_bytes()) };
        let (mut payload, mut scratch) = (Vec::new(), Scratch::new());
        encode_reply_transport(&mut payload, &mut scratch, &parts, &headers());
        let parsed = parse_reply(&payload, &mut scratch).unwrap();
        prop_assert!(parsed.hash_ok);
        prop_assert_eq!(parsed.body, body.as_bytes());
        prop_assert_eq!(parsed.sender, sender.as_str());
        prop_assert_eq!(parsed.transport_sender.as_deref(), Some("node1.example.net"));
        prop_assert_eq!(parsed.request_id, parts.request_id);
        prop_assert_eq!(parsed.agent, parts.agent);
        prop_assert_eq!(parsed.time, time);
    }

    #[test]
    fn any_damage_is_survived(at in 0_usize..900, byte: u8) {
        let (mut payload, mut scratch) = (Vec::new(), Scratch::new());
        encode_reply_transport(&mut payload, &mut scratch, &parts(b"{\"a\":\"b\"}"), &headers());
        let at = at % payload.len();
        payload[at] = byte;
        let _ = parse_reply(&payload, &mut scratch);
    }
}

/// The published sample of version 2, and its hash.
const SAMPLE_V2: &str = r#"{"protocol":"io.choria.protocol.v2.reply","message":"eyJhY3Rpb24iOiJnZXRfZmFjdCIsInN0YXR1c2NvZGUiOjAsInN0YXR1c21zZyI6Ik9LIiwiZGF0YSI6eyJmYWN0Ijoib3MubmFtZSIsInZhbHVlIjoiRGViaWFuIn19","request":"2hYxQzKfTn4b7LwVdR9mJ3sPq1C","sender":"node1.example.net","agent":"rpcutil","time":1700000000987654321}"#;
const HASH_V2: &str = "526HPVh3Ab929qH+eW36ZWtftjH88V/QbtpuOh0qQfE=";

#[test]
fn the_version_2_sample_round_trips() {
    let reply = Reply::parse(SAMPLE_V2.as_bytes()).unwrap();
    assert_eq!(reply.version, ProtocolVersion::V2);
    assert_eq!(reply.time, 1_700_000_000_987_654_321);
    let mut document = Vec::new();
    reply.encode_into(&mut document);
    assert_eq!(String::from_utf8(document).unwrap(), SAMPLE_V2);

    let parts = ReplyParts {
        request_id: &reply.request_id,
        time: reply.time,
        ..parts(reply.message.as_bytes())
    };
    let (mut payload, mut scratch) = (Vec::new(), Scratch::new());
    let form = ReplyForm::V2 { signer: None };
    encode_reply(&mut payload, &mut scratch, form, &parts, &headers());
    let mut secure = Vec::new();
    let transport = Transport::parse(&payload).unwrap();
    transport.decode_data(&mut secure).unwrap();
    let secure = SecureReply::parse(&secure).unwrap();
    assert_eq!(secure.message, SAMPLE_V2);
    assert_eq!(secure.hash, HASH_V2);
    assert_eq!(
        (secure.signature.as_ref(), secure.sender.as_ref()),
        (None, None)
    );
    let parsed = parse_reply(&payload, &mut scratch).unwrap();
    assert!(parsed.hash_ok);
    assert_eq!(parsed.version, ProtocolVersion::V2);
    assert_eq!(parsed.body, reply.message.as_bytes());
}

#[test]
fn layers_of_two_versions_do_not_mix() {
    let mut secure = Vec::new();
    SecureReply::encode_into(&mut secure, "{}");
    let mut payload = Vec::new();
    encode_transport_as(&mut payload, ProtocolVersion::V2, &secure, &headers());
    let mut scratch = Scratch::new();
    let error = parse_reply(&payload, &mut scratch).unwrap_err();
    assert!(matches!(error, ReplyError::Secure(_)), "{error}");
    secure.clear();
    payload.clear();
    let inner = SAMPLE_V2.replace("io.choria.protocol.v2.reply", "choria:reply:1");
    SecureReply::encode_v2_into(&mut secure, inner.as_bytes(), None);
    encode_transport_as(&mut payload, ProtocolVersion::V2, &secure, &headers());
    let error = parse_reply(&payload, &mut scratch).unwrap_err();
    assert!(matches!(error, ReplyError::Reply(_)), "{error}");
}

proptest! {
    #[test]
    fn version_2_carries_any_bytes(
        body in prop::collection::vec(any::<u8>(), 0..200),
        sender in "[a-z.\"<\u{e9}]{1,20}",
        time in any::<i64>(),
    ) {
        let parts = ReplyParts { sender: &sender, time, ..parts(&body) };
        let (mut payload, mut scratch) = (Vec::new(), Scratch::new());
        encode_reply(&mut payload, &mut scratch, ReplyForm::V2 { signer: None }, &parts, &headers());
        let parsed = parse_reply(&payload, &mut scratch).unwrap();
        prop_assert!(parsed.hash_ok);
        prop_assert_eq!(parsed.body, &body);
        prop_assert_eq!((&*parsed.sender, parsed.time), (&*sender, time));
        for at in (0..payload.len()).step_by(7) {
            let mut damaged = payload.clone();
            damaged[at] ^= 1;
            let _ = parse_reply(&damaged, &mut scratch);
        }
    }
}
