use super::*;

const WAY: Way<'static> = Way {
    came_by: "nats://fed1:4222",
    leaves_by: "nats://m1:4222",
};

fn bridge() -> Bridge {
    Bridge::new("mcollective", "fb1", 3, true)
}

fn request(headers: &str) -> Result<(String, Vec<Box<str>>), Refusal> {
    let payload =
        format!(r#"{{"protocol":"choria:transport:1","data":"YWJj","headers":{headers}}}"#);
    let mut out = b"before".to_vec();
    let request = bridge().request(payload.as_bytes(), WAY, &mut out);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before").unwrap();
    match request {
        Ok(request) => Ok((text.to_owned(), request.targets)),
        Err(refusal) => {
            assert_eq!(text, "", "a refusal writes nothing");
            Err(refusal)
        }
    }
}

#[test]
fn a_request_goes_to_every_target_with_the_brokers_reply_subject() {
    let (text, targets) = request(
        r#"{"mc_sender":"client.example","reply-to":"mcollective.reply.ab12.6e1f","federation":{"req":"6e1f","target":["mcollective.node.n1","mcollective.node.n2"]}}"#,
    )
    .unwrap();
    assert_eq!(
        targets,
        ["mcollective.node.n1".into(), "mcollective.node.n2".into()] as [Box<str>; 2]
    );
    assert_eq!(
        text,
        concat!(
            r#"{"protocol":"choria:transport:1","data":"YWJj","headers":{"reply-to":"choria.federation.mcollective.collective","#,
            r#""mc_sender":"client.example","seen-by":[["nats://fed1:4222","fb1 (choria_nats_ingest:3, choria_request_transformer:3, "#,
            r#"choria_nats_egest:3)","nats://m1:4222"]],"federation":{"req":"6e1f","reply-to":"mcollective.reply.ab12.6e1f"}}}"#
        )
    );
}

#[test]
fn a_reply_loses_the_federation_header() {
    for (version, names) in [
        (1, ["mc_sender", "seen-by", "req", "reply-to"]),
        (2, ["sender", "trace", "request", "reply"]),
    ] {
        let [sender, hops, req, reply] = names;
        let payload = format!(
            r#"{{"protocol":"{}","data":"YWJj","headers":{{"{sender}":"n1","{hops}":[["a","b","c"]],"federation":{{"{req}":"6e1f","{reply}":"mcollective.reply.ab12.6e1f"}}}}}}"#,
            protocol(version),
        );
        let mut out = Vec::new();
        let subject = bridge().reply(payload.as_bytes(), WAY, &mut out).unwrap();
        assert_eq!(&*subject, "mcollective.reply.ab12.6e1f");
        let expected = format!(
            r#"{{"protocol":"{}","data":"YWJj","headers":{{"{sender}":"n1","{hops}":[["a","b","c"],["nats://fed1:4222","fb1 (choria_nats_ingest:3, choria_reply_transformer:3, choria_nats_egest:3)","nats://m1:4222"]]}}}}"#,
            protocol(version),
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

fn protocol(version: u8) -> &'static str {
    match version {
        1 => "choria:transport:1",
        _ => "io.choria.protocol.v2.transport",
    }
}

#[test]
fn what_is_not_for_a_fleet_is_refused() {
    let with = |reply: &str, targets: &str| {
        request(&format!(
            r#"{{"reply-to":"{reply}","federation":{{"req":"1","target":[{targets}]}}}}"#
        ))
        .map(|_| ())
    };
    let node = r#""c.node.n1""#;
    assert_eq!(with("c.reply.x.y", node), Ok(()));
    assert_eq!(with("c.reply.x.y", r#""c.broadcast.service.a""#), Ok(()));
    for target in [
        "c",
        "c.node",
        "c.node.",
        "c.node.a..b",
        ".node.a",
        "c.node.*",
        "c.broadcast.agent.>",
        "c.broadcast.other.a",
        "$SYS.node.x",
        "c.x.node.y",
        "choria.federation.b.federation",
        "_INBOX.node.x",
        "c.node.a b",
    ] {
        assert_eq!(
            with("c.reply.x.y", &format!("{target:?}")),
            Err(Refusal::Target),
            "{target}"
        );
    }
    for reply in [
        "c",
        "c.reply",
        "c.reply.",
        "c.node.n1",
        "choria.federation.b.collective",
        "c.reply.*",
    ] {
        assert_eq!(with(reply, node), Err(Refusal::ReplySubject), "{reply}");
    }
    assert_eq!(with("", node), Err(Refusal::NoReplySubject));
    assert_eq!(with("c.reply.x.y", ""), Err(Refusal::NoTargets));
    let many = vec![node; TARGETS_MAX + 1].join(",");
    assert_eq!(with("c.reply.x.y", &many), Err(Refusal::TooManyTargets));
    assert_eq!(
        request(r#"{"reply-to":"c.reply.x.y"}"#),
        Err(Refusal::NotFederated)
    );
    let mut out = Vec::new();
    assert_eq!(
        bridge().request(b"{}", WAY, &mut out),
        Err(Refusal::NotATransport)
    );
}

#[test]
fn without_checks_any_subject_is_passed_on() {
    let payload = br#"{"protocol":"choria:transport:1","data":"YWJj","headers":{"reply-to":"here","federation":{"req":"1","target":["there"]}}}"#;
    let unchecked = Bridge::new("c", "fb1", 0, false);
    assert!(unchecked.request(payload, WAY, &mut Vec::new()).is_ok());
}

#[test]
fn a_request_does_not_pass_the_same_broker_twice() {
    let seen = |by: &str| {
        let headers = format!(
            r#"{{"reply-to":"c.reply.x.y","seen-by":[["a","{by}","b"]],"federation":{{"req":"1","target":["c.node.n1"]}}}}"#
        );
        request(&headers).map(|_| ())
    };
    let own = "fb1 (choria_nats_ingest:9, choria_request_transformer:1, choria_nats_egest:1)";
    assert_eq!(
        seen(own),
        Err(Refusal::Loop),
        "another worker of the same broker"
    );
    assert_eq!(seen("fb12 (choria_nats_ingest:9, x)"), Ok(()));
    assert_eq!(seen("fb1"), Ok(()), "a client of the same name");
}

#[test]
fn the_numbers_of_refusals_are_their_places() {
    for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
        assert_eq!(refusal as usize, place);
    }
}
