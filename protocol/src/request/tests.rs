use super::*;
use crate::filter::parse_fact_filter;

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
        ("\"fact\":[],", "envelope.filter.fact"),
        ("\"cf_class\":[],", "envelope.filter.cf_class"),
        ("\"identity\":[],", "envelope.filter.identity"),
        (",\"compound\":[]", "envelope.filter.compound"),
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
        "field envelope.filter.fact is not an array",
    );
    refused(
        "\"cf_class\":[]",
        "\"cf_class\":[1]",
        "field envelope.filter.cf_class is not an array of strings",
    );
    refused(
        "\"identity\":[]",
        "\"identity\":null",
        "field envelope.filter.identity is not an array",
    );
    let operator = r#""fact":[{"fact":"a","operator":"like","value":"b"}]"#;
    refused(
        "\"fact\":[]",
        operator,
        "field envelope.filter.fact has unknown operator \"like\"",
    );
    let empty = r#""fact":[{"fact":"a","operator":"==","value":""}]"#;
    refused(
        "\"fact\":[]",
        empty,
        "field envelope.filter.fact.value is empty",
    );
}

#[test]
fn validate_refuses_what_parse_would() {
    let mut request = sample();
    request.ttl = 29;
    assert_eq!(
        request.validate(),
        Err(RequestError::TtlTooSmall { ttl: 29 })
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
    let request = sample();
    let sent = request.time;
    for (now, live) in [
        (sent, true),
        (sent + 59, true),
        (sent + 60, false),
        (sent - 59, true),
        (sent - 60, false),
    ] {
        assert_eq!(request.is_live(now), live, "{}", now - sent);
    }
    let request = Request {
        ttl: i64::MAX,
        ..request
    };
    assert!(request.is_live(i64::MIN + 1) || request.is_live(i64::MAX - 1));
}
