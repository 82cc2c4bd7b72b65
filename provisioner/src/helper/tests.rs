use super::*;

fn parse(text: &str) -> Result<Decision, HelperError> {
    Decision::parse(text.as_bytes())
}

#[test]
fn the_minimal_answer_of_the_field_is_taken() {
    let decision = parse(
        r#"{"defer":false,"msg":"","certificate":"","ca":"","configuration":{"identity":"n1.example",
            "plugin.choria.server.provision":"false"}}"#,
    );
    let Ok(Decision::Configure(setup)) = decision else {
        panic!("{decision:?}");
    };
    assert_eq!(setup.configuration["identity"], "n1.example");
    assert_eq!(setup.key, None);
}

#[test]
fn everything_is_read_and_keys_are_hidden() {
    let decision = parse(
        r#"{"configuration":{"a":"b"},"certificate":"CERT","ca":"CA","key":"SECRET","ssldir":"/ssl","upgrade":"1.2.3",
            "server_claims":{"collectives":["x"]},"action_policies":{"a.policy":"p"},"opa_policies":{"a.rego":"o"},
            "unknown":1,"msg":null}"#,
    );
    let shown = format!("{decision:?}");
    let Ok(Decision::Configure(setup)) = decision else {
        panic!("{shown}");
    };
    assert_eq!(setup.key.as_ref().unwrap().expose(), "SECRET");
    assert!(!shown.contains("SECRET"), "{shown}");
    assert_eq!((&*setup.ssldir, &*setup.upgrade), ("/ssl", "1.2.3"));
    assert_eq!(setup.action_policies["a.policy"], "p");
    assert_eq!(setup.opa_policies["a.rego"], "o");
    assert_eq!(setup.server_claims.unwrap()["collectives"][0], "x");
}

#[test]
fn a_deferral_and_a_shutdown_need_no_configuration() {
    assert_eq!(
        parse(r#"{"defer":true,"msg":"no\nroom"}"#),
        Ok(Decision::Defer("no room".to_owned()))
    );
    assert_eq!(parse(r#"{"shutdown":true}"#), Ok(Decision::Shutdown));
    assert_eq!(
        parse(r#"{"defer":true,"shutdown":true}"#),
        Ok(Decision::Defer(String::new()))
    );
}

#[test]
fn bad_answers_are_told_apart_without_being_repeated() {
    for (text, expected) in [
        ("", "helper wrote nothing"),
        (" \n", "helper wrote nothing"),
        (
            "hello",
            "helper's answer cannot be read: it is no json in line 1, column 1",
        ),
        (
            r#"{"defer":false"#,
            "helper's answer cannot be read: the json is cut off in line 1, column 14",
        ),
        (
            r#"{"key":["SECRET"]}"#,
            "helper's answer cannot be read: a member has a wrong type in line 1, column 7",
        ),
        ("[]", "helper gave an empty configuration"),
        ("{}", "helper gave an empty configuration"),
        (
            r#"{"configuration":{"a":"b","port":4222}}"#,
            "helper's answer has configuration.port, which is no text",
        ),
        (
            r#"{"configuration":{"a":"b"},"opa_policies":{"x":null}}"#,
            "helper's answer has opa_policies.x, which is no text",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
    }
    let long = vec![b' '; OUTPUT_BYTES_MAX + 1];
    assert!(matches!(
        Decision::parse(&long),
        Err(HelperError::TooMuch { .. })
    ));
}

#[test]
fn the_input_has_every_member() {
    let csr = json!({"csr": "PEM", "ssldir": "/ssl", "public_key": "K"});
    let input = HelperInput {
        identity: "n1",
        csr: Some(&csr),
        ed25519: None,
        inventory: r#"{"version":"1"}"#,
        jwt: None,
    };
    let document: Value = serde_json::from_slice(&input.encode()).unwrap();
    assert_eq!(document["csr"], csr);
    assert_eq!(document["ed25519_pubkey"], Value::Null);
    assert_eq!(document["inventory"], r#"{"version":"1"}"#);
    assert_eq!(document.as_object().unwrap().len(), 5);
}
