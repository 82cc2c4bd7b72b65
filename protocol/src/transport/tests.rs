use super::*;

const DATA: &str = "eyJhIjoxfQ==";

fn document(rest: &str) -> String {
    format!(r#"{{"protocol":"choria:transport:1","data":"{DATA}"{rest}}}"#)
}

#[track_caller]
fn refused(payload: &str, expected: &str) {
    let error = Transport::parse(payload.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), expected, "{payload}");
}

#[test]
fn headers_are_written_in_order_and_empty_ones_left_out() {
    let mut headers = Headers {
        reply_to: Some("c.reply.x".into()),
        sender: Some("n<1>".into()),
        seen_by: Vec::new(),
        federation: Some(Federation {
            request_id: Some("id".into()),
            reply_to: Some("r".into()),
            targets: vec!["a".into(), "b".into()],
        }),
    };
    headers.push_hop("in", "n", "out");
    headers.seen_by.push(vec!["two".into(), "parts".into()]);
    let mut out = Vec::new();
    encode_transport(&mut out, b"{\"a\":1}", &headers);
    let expected = document(
        r#","headers":{"reply-to":"c.reply.x","mc_sender":"n\u003c1\u003e","seen-by":[["in","n","out"],["two","parts"]],"federation":{"req":"id","reply-to":"r","target":["a","b"]}}"#,
    );
    assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
    assert_eq!(Transport::parse(&out).unwrap().headers, headers);

    out.clear();
    let empty = Headers {
        reply_to: Some("".into()),
        ..Headers::default()
    };
    encode_transport(&mut out, b"{\"a\":1}", &empty);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        document(r#","headers":{}"#)
    );
}

#[test]
fn wrapped_data_is_decoded_and_sent_on_as_it_came() {
    let payload = r#"{"protocol":"choria:transport:1","data":"eyJh\nIjox\r\nfQ==\n","headers":{}}"#;
    let transport = Transport::parse(payload.as_bytes()).unwrap();
    let mut data = b"kept".to_vec();
    transport.decode_data(&mut data).unwrap();
    assert_eq!(data, b"kept{\"a\":1}");
    let mut out = Vec::new();
    transport.encode_into(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), payload);
}

#[test]
fn unknown_keys_and_nulls_are_tolerated() {
    for rest in [
        "",
        r#","headers":null"#,
        r#","headers":{"seen-by":null,"federation":null,"mc_sender":null,"x":[{}]}"#,
        r#","x":{"headers":1},"headers":{}"#,
    ] {
        let text = document(rest);
        let transport = Transport::parse(text.as_bytes()).unwrap();
        assert_eq!(transport.headers, Headers::default(), "{rest}");
        assert_eq!(transport.data(), DATA);
    }
}

#[test]
fn refusals_name_the_field() {
    refused(
        "",
        "transport: invalid json: text ends inside a value at offset 0",
    );
    refused("{}", "transport: field protocol is missing");
    refused(
        r#"{"protocol":"io.choria.protocol.v3.transport","data":"x"}"#,
        "transport: protocol is \"io.choria.protocol.v3.transport\", not \"choria:transport:1\"",
    );
    refused(
        r#"{"protocol":"choria:transport:1"}"#,
        "transport: field data is missing",
    );
    refused(
        r#"{"protocol":"choria:transport:1","data":""}"#,
        "transport: field data is empty",
    );
    refused(
        &document(r#","headers":[]"#),
        "transport: field headers is not an object",
    );
    refused(
        &document(r#","headers":{"seen-by":["x"]}"#),
        "transport: field headers.seen-by is not an array",
    );
    refused(
        &document(r#","headers":{"federation":{"target":[1]}}"#),
        "transport: field headers.federation.target is not an array of strings",
    );
    let text = document("").replace(DATA, "!!!!");
    let transport = Transport::parse(text.as_bytes()).unwrap();
    let error = transport.decode_data(&mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "transport: field data is not standard base64"
    );
}

#[test]
fn a_reply_goes_back_with_the_federation_header_and_its_hops() {
    let mut request = Headers {
        reply_to: Some("choria.federation.f.collective".into()),
        sender: Some("client".into()),
        ..Headers::default()
    };
    request.push_hop("b", "client", "b");
    assert_eq!(request.reply_from(), Headers::default());
    request.federation = Some(Federation {
        request_id: Some("id".into()),
        ..Federation::default()
    });
    let reply = request.reply_from();
    assert_eq!(reply.reply_to, None);
    assert_eq!(reply.sender, None);
    assert_eq!(reply.seen_by, request.seen_by);
    assert_eq!(reply.federation, request.federation);
    assert_eq!(request.clone().into_owned(), request);
}

#[test]
fn version_2_headers_have_their_own_names() {
    let mut headers = Headers {
        reply_to: Some("c.reply.x".into()),
        sender: Some("n1".into()),
        seen_by: Vec::new(),
        federation: Some(Federation {
            request_id: Some("id".into()),
            reply_to: Some("r".into()),
            targets: vec!["a".into()],
        }),
    };
    headers.push_hop("in", "n", "out");
    let mut out = Vec::new();
    encode_transport_as(&mut out, ProtocolVersion::V2, b"{\"a\":1}", &headers);
    let expected = r#"{"protocol":"io.choria.protocol.v2.transport","data":"eyJhIjoxfQ==","headers":{"reply":"c.reply.x","sender":"n1","trace":[["in","n","out"]],"federation":{"request":"id","reply":"r","targets":["a"]}}}"#;
    assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
    let transport = Transport::parse(&out).unwrap();
    assert_eq!(transport.version, ProtocolVersion::V2);
    assert_eq!(transport.headers, headers);
    let mut again = Vec::new();
    transport.encode_into(&mut again);
    assert_eq!(again, out);
}

#[test]
fn the_names_of_the_other_version_are_not_heeded() {
    let headers = r#""headers":{"reply-to":"r1","reply":"r2","mc_sender":"s1","sender":"s2","seen-by":[["1"]],"trace":[["2"]],"federation":{"req":"1","request":"2"}}"#;
    for (name, own, sender) in [
        ("choria:transport:1", "1", "s1"),
        ("io.choria.protocol.v2.transport", "2", "s2"),
    ] {
        // The version may stand behind the headers.
        let text = format!(r#"{{{headers},"data":"e30=","protocol":"{name}"}}"#);
        let transport = Transport::parse(text.as_bytes()).unwrap();
        let headers = transport.headers;
        assert_eq!(headers.reply_to.unwrap(), format!("r{own}"));
        assert_eq!(headers.sender.unwrap(), sender);
        assert_eq!(headers.seen_by, [[own]]);
        assert_eq!(headers.federation.unwrap().request_id.unwrap(), own);
        let digest = Digest::read(text.as_bytes()).unwrap();
        assert_eq!(digest.sender.unwrap(), sender);
    }
}
