use super::*;

/// What a real server greets with.
const REAL: &str = r#"{"server_id":"NBB6","server_name":"R1","version":"2.15.0","proto":3,"go":"go1.26","host":"127.0.0.1","port":21002,"headers":true,"max_payload":1048576,"nonce":"r3cz","cluster":"C1","connect_urls":["127.0.0.1:21001"],"compression":"accept","lnoc":true,"lnocu":true,"ln":true,"route_pool_size":3} "#;

fn ours() -> RouteInfo {
    RouteInfo {
        server_id: "OURS".into(),
        server_name: "ours".into(),
        version: "0.1".into(),
        proto: 2,
        host: "127.0.0.1".into(),
        port: 21100,
        headers: true,
        max_payload: 1_048_576,
        cluster: Some("C1".into()),
        connect_urls: vec!["127.0.0.1:21999".into()],
        ..RouteInfo::default()
    }
}

#[test]
fn a_real_servers_greeting_is_read() {
    let info = RouteInfo::parse(REAL.as_bytes()).unwrap();
    let expected = RouteInfo {
        server_id: "NBB6".into(),
        server_name: "R1".into(),
        version: "2.15.0".into(),
        proto: 3,
        go: "go1.26".into(),
        port: 21002,
        nonce: Some("r3cz".into()),
        connect_urls: vec!["127.0.0.1:21001".into()],
        compression: Some("accept".into()),
        lnoc: true,
        lnocu: true,
        route_pool_size: 3,
        ..ours()
    };
    assert_eq!(info, expected);
}

#[test]
fn gossip_of_a_real_server_is_read() {
    let json = r#"{"server_id":"NDPN","server_name":"R2","host":"127.0.0.1","port":21004,"ip":"nats-route://127.0.0.1:21004/","cluster":"C1","connect_urls":["127.0.0.1:21003"],"gossip_mode":1}"#;
    let info = RouteInfo::parse(json.as_bytes()).unwrap();
    assert_eq!(info.ip.as_deref(), Some("nats-route://127.0.0.1:21004/"));
    assert_eq!(info.gossip_mode, GossipMode::Disabled);
    let mut out = Vec::new();
    put_route_info(&mut out, &info);
    assert!(out.ends_with(b"\"gossip_mode\":1} \r\n"));
}

#[test]
fn what_is_not_set_is_not_sent() {
    let mut out = Vec::new();
    put_route_info(&mut out, &ours());
    let expected = concat!(
        r#"INFO {"server_id":"OURS","server_name":"ours","version":"0.1","proto":2,"#,
        r#""host":"127.0.0.1","port":21100,"headers":true,"max_payload":1048576,"cluster":"C1","#,
        r#""connect_urls":["127.0.0.1:21999"]} "#,
        "\r\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn what_is_written_reads_back() {
    let lists = || SubjectLists {
        allow: Some(vec!["a.>".into()]),
        deny: None,
    };
    let full = RouteInfo {
        auth_required: true,
        tls_required: true,
        tls_verify: true,
        jetstream: true,
        cluster_dynamic: true,
        domain: Some("d".into()),
        ws_connect_urls: vec!["w:1".into()],
        lame_duck: true,
        import: Some(lists()),
        export: Some(lists()),
        route_pool_idx: 2,
        route_account: Some("A".into()),
        route_acc_add_reqid: Some("q".into()),
        gossip_mode: GossipMode::Override,
        gateway: Some("g".into()),
        gateway_url: Some("h:1".into()),
        muster: Some("0.1.0".into()),
        ..ours()
    };
    for info in [full, ours(), RouteInfo::default()] {
        let mut out = Vec::new();
        put_route_info(&mut out, &info);
        let json = out.strip_prefix(b"INFO ").unwrap();
        assert_eq!(RouteInfo::parse(json), Ok(info));
    }
}

#[test]
fn connect_of_a_real_server_is_read() {
    let json = r#"{"echo":true,"verbose":false,"pedantic":false,"tls_required":false,"headers":true,"name":"NDK4","cluster":"C1","lnoc":true}"#;
    let connect = RouteConnect::parse(json.as_bytes()).unwrap();
    let expected = RouteConnect {
        headers: true,
        name: "NDK4".into(),
        cluster: Some("C1".into()),
        ..RouteConnect::default()
    };
    assert_eq!(connect, expected);
}

#[test]
fn our_connect_reads_back_and_has_no_lang() {
    let connect = RouteConnect {
        user: Some("u".into()),
        pass: Some("hunter2".into()),
        name: "OURS".into(),
        cluster: Some("C1".into()),
        headers: true,
        lang: Some("rust".into()),
        ..RouteConnect::default()
    };
    let mut out = Vec::new();
    put_route_connect(&mut out, &connect);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("lang"), "{text}");
    let json = text.strip_prefix("CONNECT ").unwrap();
    let read = RouteConnect::parse(json.as_bytes()).unwrap();
    assert_eq!(
        read,
        RouteConnect {
            lang: None,
            ..connect.clone()
        }
    );
    assert!(!format!("{connect:?}").contains("hunter2"));
    let stranger = RouteConnect::parse(br#"{"lang":"go"}"#).unwrap();
    assert_eq!(stranger.lang.as_deref(), Some("go"));
}

#[test]
fn loose_where_the_dialect_is() {
    let json = br#"{"Server_ID":"A","server_id":"B","port":null,"connect_urls":null,"cluster":"","x":[{}]}"#;
    let info = RouteInfo::parse(json).unwrap();
    assert!(["A", "B"].contains(&&*info.server_id));
    assert_eq!((info.port, info.cluster), (0, None));
    assert_eq!(RouteInfo::parse(b"{}"), Ok(RouteInfo::default()));
    assert_eq!(RouteConnect::parse(b"{}"), Ok(RouteConnect::default()));
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = |key| Err(RouteJsonError::WrongType { key });
    assert_eq!(RouteInfo::parse(br#"{"port":"1"}"#), wrong("port"));
    assert_eq!(RouteInfo::parse(br#"{"port":65536}"#), wrong("port"));
    assert_eq!(RouteInfo::parse(br#"{"import":[1]}"#), wrong("import"));
    assert_eq!(RouteInfo::parse(b"[]"), Err(RouteJsonError::NotAnObject));
    assert!(matches!(
        RouteConnect::parse(b"{"),
        Err(RouteJsonError::Syntax { .. })
    ));
    let deep = "[".repeat(100_000);
    assert!(RouteInfo::parse(deep.as_bytes()).is_err());
}
