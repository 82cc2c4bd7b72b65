use proptest::prelude::*;

use super::*;
use crate::filter::parse_fact_filter;
use crate::transport::Transport;

/// The published sample.
const SAMPLE: &str = r#"{"protocol":"choria:request:1","message":"{\"agent\":\"rpcutil\",\"action\":\"get_fact\",\"data\":{\"fact\":\"os.name\"}}","envelope":{"requestid":"5e1d2c3b4a5968778695a4b3c2d1e0f9","senderid":"admin1.example.net","callerid":"choria=rip.mcollective","collective":"mcollective","agent":"rpcutil","ttl":60,"time":1700000000,"filter":{"fact":[],"cf_class":[],"agent":["rpcutil"],"identity":[],"compound":[]}}}"#;

#[track_caller]
fn refused(from: &str, to: &str, expected: &str) {
    let text = SAMPLE.replace(from, to);
    assert_ne!(text, SAMPLE, "{from} is not in the sample");
    let error = Request::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), format!("request: {expected}"));
}

fn sample() -> Request<'static> {
    Request::parse(SAMPLE.as_bytes()).unwrap()
}

#[test]
fn the_sample_round_trips() {
    let request = sample();
    assert_eq!(request.caller_id, "choria=rip.mcollective");
    assert_eq!(request.filter.agent, ["rpcutil"]);
    assert_eq!(request.ttl, 60);
    assert_eq!(
        &*request.body(),
        br#"{"agent":"rpcutil","action":"get_fact","data":{"fact":"os.name"}}"#
    );
    assert_eq!(request.to_document(), SAMPLE);
    assert_eq!(request.validate(), Ok(()));
}

#[test]
fn a_full_filter_round_trips() {
    let mut request = sample();
    request
        .filter
        .fact
        .push(parse_fact_filter("a.b<=1").unwrap());
    request
        .filter
        .fact
        .push(parse_fact_filter("c=/<x>/").unwrap());
    request
        .filter
        .class
        .extend(["apache".to_owned(), "/^db&/".to_owned()]);
    request.filter.identity.push("n\"1".to_owned());
    request.filter.add_compound("with('a') and fact('b') > 8");
    request.filter.add_compound("x");
    let document = request.to_document();
    assert!(
        document.contains(
            r#""compound":[[{"expr":"with('a') and fact('b') \u003e 8"}],[{"expr":"x"}]]"#
        )
    );
    assert_eq!(Request::parse(document.as_bytes()).unwrap(), request);
}

#[test]
fn limits_are_those_of_the_servers() {
    refused(
        "\"ttl\":60",
        "\"ttl\":29",
        "field envelope.ttl is 29, below 30",
    );
    refused(
        "\"ttl\":60",
        "\"ttl\":-60",
        "field envelope.ttl is -60, below 30",
    );
    let text = SAMPLE.replace("\"ttl\":60", "\"ttl\":30");
    assert_eq!(Request::parse(text.as_bytes()).unwrap().ttl, 30);
    refused(
        "5e1d2c3b4a5968778695a4b3c2d1e0f9",
        "5e1d2c3b-4a59-6877-8695-a4b3c2d1e0f9",
        "field envelope.requestid has 36 characters, not 32",
    );
    refused(
        "5e1d2c3b4a5968778695a4b3c2d1e0f9",
        "",
        "field envelope.requestid has 0 characters, not 32",
    );
}

#[test]
fn every_required_field_is_missed() {
    for (text, field) in [
        ("\"protocol\":\"choria:request:1\",", "protocol"),
        ("\"senderid\":\"admin1.example.net\",", "envelope.senderid"),
        (
            "\"callerid\":\"choria=rip.mcollective\",",
            "envelope.callerid",
        ),
        ("\"collective\":\"mcollective\",", "envelope.collective"),
        ("\"agent\":\"rpcutil\",", "envelope.agent"),
        ("\"ttl\":60,", "envelope.ttl"),
        ("\"time\":1700000000,", "envelope.time"),
        ("\"fact\":[],", "filter.fact"),
        ("\"cf_class\":[],", "filter.cf_class"),
        ("\"identity\":[],", "filter.identity"),
        (",\"compound\":[]", "filter.compound"),
    ] {
        refused(text, "", &format!("field {field} is missing"));
    }
    let without_agent = SAMPLE.replace("\"agent\":[\"rpcutil\"],", "");
    assert!(
        Request::parse(without_agent.as_bytes())
            .unwrap()
            .filter
            .agent
            .is_empty()
    );
}

#[test]
fn wrong_types_and_empty_names_are_refused() {
    refused(
        "\"ttl\":60",
        "\"ttl\":\"60\"",
        "field envelope.ttl is not a whole number",
    );
    refused(
        "\"ttl\":60",
        "\"ttl\":60.5",
        "field envelope.ttl is not a whole number",
    );
    refused(
        "choria=rip.mcollective",
        "",
        "field envelope.callerid is empty",
    );
    refused(
        "\"collective\":\"mcollective\"",
        "\"collective\":\"\"",
        "field envelope.collective is empty",
    );
    refused(
        "\"agent\":\"rpcutil\",\"ttl\"",
        "\"agent\":\"\",\"ttl\"",
        "field envelope.agent is empty",
    );
    refused(
        "\"fact\":[]",
        "\"fact\":{}",
        "field filter.fact is not an array",
    );
    refused(
        "\"cf_class\":[]",
        "\"cf_class\":[1]",
        "field filter.cf_class is not an array of strings",
    );
    refused(
        "\"identity\":[]",
        "\"identity\":null",
        "field filter.identity is not an array",
    );
    let operator = r#""fact":[{"fact":"a","operator":"like","value":"b"}]"#;
    refused(
        "\"fact\":[]",
        operator,
        "field filter.fact has unknown operator \"like\"",
    );
    let empty = r#""fact":[{"fact":"a","operator":"==","value":""}]"#;
    refused("\"fact\":[]", empty, "field filter.fact.value is empty");
}

#[test]
fn validate_refuses_what_parse_would() {
    let mut request = sample();
    request.ttl = 29;
    assert_eq!(
        request.validate(),
        Err(RequestError::TtlTooSmall { ttl: 29, min: 30 })
    );
    let mut request = sample();
    request.request_id = "x".into();
    assert_eq!(
        request.validate(),
        Err(RequestError::RequestIdLength { chars: 1 })
    );
    let mut request = sample();
    request.agent = "".into();
    assert_eq!(
        request.validate(),
        Err(LayerError::Empty("envelope.agent").into())
    );
}

#[test]
fn a_request_lives_less_than_its_ttl_either_way() {
    for document in [SAMPLE, SAMPLE_V2] {
        let request = Request::parse(document.as_bytes()).unwrap();
        let sent = match request.version {
            ProtocolVersion::V1 => Duration::from_secs(1_700_000_000),
            ProtocolVersion::V2 => Duration::from_nanos(1_700_000_000_123_456_789),
        };
        let (ttl, ns) = (Duration::from_secs(60), Duration::from_nanos(1));
        for (now, live) in [
            (sent, true),
            (sent + ttl - ns, true),
            (sent + ttl, false),
            (sent - ttl + ns, true),
            (sent - ttl, false),
        ] {
            assert_eq!(request.is_live(now), live, "{now:?}");
        }
        let request = Request {
            ttl: i64::MAX,
            ..request
        };
        assert!(request.is_live(Duration::ZERO) && request.is_live(sent * 3));
        assert!(!request.is_live(Duration::MAX));
    }
}

/// The published sample of version 2.
const SAMPLE_V2: &str = r#"{"protocol":"io.choria.protocol.v2.request","message":"eyJhZ2VudCI6InJwY3V0aWwiLCJhY3Rpb24iOiJnZXRfZmFjdCIsImRhdGEiOnsiZmFjdCI6Im9zLm5hbWUifX0=","id":"2hYxQzKfTn4b7LwVdR9mJ3sPq1C","sender":"admin1.example.net","caller":"up=tester","collective":"choria","agent":"rpcutil","ttl":60,"time":1700000000123456789,"filter":{"fact":[],"cf_class":[],"agent":["rpcutil"],"identity":[],"compound":[]}}"#;

#[track_caller]
fn refused_v2(from: &str, to: &str, expected: &str) {
    let text = SAMPLE_V2.replace(from, to);
    assert_ne!(text, SAMPLE_V2, "{from} is not in the sample");
    let error = Request::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), format!("request: {expected}"));
}

#[test]
fn the_version_2_sample_round_trips() {
    let request = Request::parse(SAMPLE_V2.as_bytes()).unwrap();
    assert_eq!(request.version, ProtocolVersion::V2);
    assert_eq!(request.caller_id, "up=tester");
    assert_eq!(request.time, 1_700_000_000_123_456_789);
    assert_eq!(
        request.message,
        r#"{"agent":"rpcutil","action":"get_fact","data":{"fact":"os.name"}}"#
    );
    assert_eq!(request.body(), request.message.as_bytes());
    assert_eq!(request.to_document(), SAMPLE_V2);
    assert_eq!(request.validate(), Ok(()));
    let error = Request::parse_as(ProtocolVersion::V1, SAMPLE_V2.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "request: protocol is \"io.choria.protocol.v2.request\", not \"choria:request:1\""
    );
}

#[test]
fn version_2_limits_are_those_of_the_servers() {
    refused_v2("\"ttl\":60", "\"ttl\":0", "field ttl is 0, below 1");
    refused_v2(
        "\"time\":1700000000123456789",
        "\"time\":0",
        "field time is 0, below 1",
    );
    for (text, field) in [
        (
            "\"protocol\":\"io.choria.protocol.v2.request\",",
            "protocol",
        ),
        ("\"id\":\"2hYxQzKfTn4b7LwVdR9mJ3sPq1C\",", "id"),
        ("\"sender\":\"admin1.example.net\",", "sender"),
        ("\"caller\":\"up=tester\",", "caller"),
        ("\"collective\":\"choria\",", "collective"),
        ("\"agent\":\"rpcutil\",", "agent"),
        ("\"ttl\":60,", "ttl"),
        ("\"time\":1700000000123456789,", "time"),
        ("\"fact\":[],", "filter.fact"),
    ] {
        refused_v2(text, "", &format!("field {field} is missing"));
    }
    for (text, field) in [
        ("2hYxQzKfTn4b7LwVdR9mJ3sPq1C", "id"),
        ("admin1.example.net", "sender"),
        ("up=tester", "caller"),
    ] {
        refused_v2(text, "", &format!("field {field} is empty"));
    }
    refused_v2("Im9z", "!!!!", "field message is not standard base64");
    let without = SAMPLE_V2.replace(
        ",\"filter\":{\"fact\":[],\"cf_class\":[],\"agent\":[\"rpcutil\"],\"identity\":[],\"compound\":[]}",
        "",
    );
    let request = Request::parse(without.as_bytes()).unwrap();
    assert!(request.filter.is_empty() && request.filter.agent.is_empty());
}

#[test]
fn a_version_2_body_is_decoded_once_more_where_it_decodes() {
    for (field, body) in [
        // `ping` in base64 twice, as clients send it; a body that is no text; plain JSON.
        ("Y0dsdVp3PT0=", &b"ping"[..]),
        ("/wD+", b"\xff\x00\xfe"),
        ("e30=", b"{}"),
    ] {
        let text = SAMPLE_V2.replace(
            "eyJhZ2VudCI6InJwY3V0aWwiLCJhY3Rpb24iOiJnZXRfZmFjdCIsImRhdGEiOnsiZmFjdCI6Im9zLm5hbWUifX0=",
            field,
        );
        let request = Request::parse(text.as_bytes()).unwrap();
        assert_eq!(&*request.body(), body, "{field}");
    }
}

proptest! {
    /// A request of either version comes out of its three layers as it went in.
    #[test]
    fn requests_survive_their_layers(
        is_v2 in any::<bool>(),
        message in "\\PC{1,60}",
        id in "[0-9a-f]{32}",
        names in prop::array::uniform4("[a-z.=\"\\\\<\u{e9}\u{2028}]{1,12}"),
        ttl in 30..1_000_000_i64,
        time in 1..i64::MAX,
        identity in prop::collection::vec("\\PC{0,8}", 0..3),
    ) {
        let [sender, caller, collective, agent] = &names;
        let version = if is_v2 { ProtocolVersion::V2 } else { ProtocolVersion::V1 };
        let request = Request {
            version,
            message: message.as_str().into(),
            request_id: id.as_str().into(),
            sender_id: sender.into(),
            caller_id: caller.into(),
            collective: collective.into(),
            agent: agent.into(),
            ttl,
            time,
            filter: Filter { identity, ..Filter::default() },
        };
        prop_assert_eq!(request.validate(), Ok(()));
        let proof = match version {
            ProtocolVersion::V1 => RequestProof::X509 { signature_b64: "c2ln", pubcert: &message },
            ProtocolVersion::V2 => RequestProof::Token {
                signature_b64: "c2ln",
                caller: "a.b.c",
                signer: Some(sender),
            },
        };
        let headers = Headers { reply_to: Some(caller.into()), ..Headers::default() };
        let (mut payload, mut secure) = (Vec::new(), Vec::new());
        let document = request.to_document();
        encode_signed_request(&mut payload, &mut Scratch::new(), &document, &proof, &headers);
        let transport = Transport::parse(&payload).unwrap();
        prop_assert_eq!(transport.version, version);
        prop_assert_eq!(&transport.headers, &headers);
        transport.decode_data(&mut secure).unwrap();
        let parsed = SecureRequest::parse_as(version, &secure).unwrap();
        prop_assert_eq!(parsed.proof(), proof);
        prop_assert_eq!(&*parsed.message, &*document);
        prop_assert_eq!(Request::parse_as(version, parsed.message.as_bytes()).unwrap(), request);
    }
}
