//! Operations from start to summary.

use std::time::Duration;

use muster_client::fleet::{
    Discover, Ended, Expect, Failure, FleetEvent, Operation, Ping, Rpc, StartError, Target,
};
use muster_protocol::filter::Filter;

use crate::support::{Stage, ok_body, with_request};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn rpc(target: Target) -> Operation {
    Operation::Rpc(Box::new(Rpc {
        agent: "rpcutil".to_owned(),
        action: "ping".to_owned(),
        data: "{}".to_owned(),
        filter: Filter {
            class: vec!["base".to_owned()],
            ..Filter::default()
        },
        target,
        timeout: 5 * SECOND,
        aggregates: Default::default(),
        options: Default::default(),
    }))
}

pub(crate) fn nodes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_discovery_subscribes_confirms_publishes_collects_and_unsubscribes() {
    let mut stage = Stage::connected();
    stage.pongs = false;
    let agent = Some("rpcutil".to_owned());
    let id = stage.start(Operation::Discover(Discover {
        agent,
        ..Discover::default()
    }));
    let reply_to = format!("mcollective.reply.37bdf08389145a56c13096c178802d3b.{id}");
    assert_eq!(
        stage.ops(),
        [format!("SUB {reply_to} 1"), "PING".to_owned()]
    );
    assert!(
        stage.published.is_empty(),
        "nothing before the subscription is live"
    );

    stage.feed(b"PONG\r\n");
    stage.serve();
    let (subject, payload) = &stage.published[0];
    assert_eq!(subject, "mcollective.broadcast.agent.discovery");
    with_request(payload, |request| {
        assert_eq!(request.message, "cGluZw==");
        assert_eq!(request.filter.agent, ["rpcutil"]);
        assert_eq!(request.request_id, id.as_str());
        assert_eq!(
            request.time,
            i64::try_from(stage.at().unix.as_secs()).unwrap()
        );
    });

    stage.wait(Duration::from_millis(20));
    stage.reply(id, "n2", b"pong");
    stage.wait(Duration::from_millis(200));
    stage.reply(id, "n1", b"pong");
    stage.wait(Duration::from_millis(299));
    assert!(!stage.session.is_idle());
    stage.wait(Duration::from_millis(1));
    assert!(stage.session.is_idle());
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Window);
    assert_eq!(summary.replied, ["n2", "n1"]);
    assert_eq!(summary.request_time, Duration::from_millis(520));
    assert_eq!(summary.last_reply, Some(Duration::from_millis(220)));
    assert_eq!(stage.ops().last().map(String::as_str), Some("UNSUB 1"));
}

#[test]
fn a_discovery_with_a_count_ends_at_once_when_it_is_reached() {
    let mut stage = Stage::connected();
    let discover = Discover {
        expect: Some(2),
        ..Discover::default()
    };
    let id = stage.start(Operation::Discover(discover));
    stage.reply(id, "n1", b"pong");
    stage.wait(SECOND);
    assert!(
        !stage.session.is_idle(),
        "the window does not cut a known count short"
    );
    stage.reply(id, "n2", b"pong");
    let summary = stage.finished().expect("a summary");
    assert_eq!((summary.ended, summary.replied.len()), (Ended::Complete, 2));
}

#[test]
fn a_ping_waits_for_the_slow_ones_and_gives_times() {
    let mut stage = Stage::connected();
    let id = stage.start(Operation::Ping(Ping::default()));
    let mut times = Vec::new();
    for (node, ms) in [("n1", 30), ("n2", 1500)] {
        stage.wait(Duration::from_millis(ms));
        stage.reply(id, node, b"pong");
        times.extend(stage.events().into_iter().filter_map(|event| match event {
            FleetEvent::Reply(reply) => Some((reply.sender.to_string(), reply.elapsed)),
            _ => None,
        }));
    }
    let expected = [
        ("n1".to_owned(), Duration::from_millis(30)),
        ("n2".to_owned(), Duration::from_millis(1530)),
    ];
    assert_eq!(times, expected);
    stage.wait(SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Deadline);
    assert_eq!(summary.request_time, 2 * SECOND);
}

#[test]
fn a_broadcast_names_who_is_missing_and_counts_the_rest() {
    let mut stage = Stage::connected();
    let target = Target::Broadcast(Expect::Nodes(nodes(&["n3", "n1", "n2", "n4"])));
    let id = stage.start(rpc(target));
    assert_eq!(stage.published.len(), 1);
    let (subject, payload) = &stage.published[0];
    assert_eq!(subject, "mcollective.broadcast.agent.rpcutil");
    with_request(payload, |request| {
        assert_eq!(
            request.filter.class,
            ["base"],
            "a broadcast carries the whole filter"
        );
        assert_eq!(request.filter.agent, ["rpcutil"]);
        assert_eq!(
            request.message,
            r#"{"agent":"rpcutil","action":"ping","data":{}}"#
        );
    });
    stage.reply(id, "n1", &ok_body("{}"));
    stage.reply(id, "n1", &ok_body("{}"));
    stage.reply(id, "x", &ok_body("{}"));
    stage.reply(id, "n2", br#"{"statuscode":1,"statusmsg":"no","data":{}}"#);
    stage.reply(id, "n3", b"no rpc body");
    stage.wait(5 * SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Deadline);
    assert_eq!((summary.ok, summary.failed), (1, 2));
    assert_eq!(summary.no_responses, ["n4"]);
    assert_eq!(summary.unexpected, ["x"]);
    assert_eq!((summary.drops.duplicate, summary.drops.unexpected), (1, 1));
    assert!(!summary.is_success());
    let stats = serde_json::to_value(summary.stats(2 * SECOND)).unwrap();
    assert_eq!(stats["discovered"], 4);
    assert_eq!(stats["responses"], 3);
    assert_eq!(stats["discover_time"], 2_000_000_000_u64);
    assert_eq!(stats["request_time"], 5_000_000_000_u64);
}

#[test]
fn it_is_over_with_the_last_reply_not_with_the_timeout() {
    let mut stage = Stage::connected();
    let id = stage.start(rpc(Target::Broadcast(Expect::Nodes(nodes(&["n1"])))));
    stage.wait(Duration::from_millis(40));
    stage.reply(id, "n1", &ok_body("{}"));
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Complete);
    assert_eq!(summary.request_time, Duration::from_millis(40));
    assert!(summary.is_success());
}

#[test]
fn one_operation_at_a_time_and_a_late_reply_belongs_to_none() {
    let mut stage = Stage::connected();
    let first = stage.start(Operation::Ping(Ping::default()));
    let at = stage.at();
    let second = stage.session.start(Operation::Ping(Ping::default()), at);
    assert_eq!(second, Err(StartError::Busy));
    stage.session.cancel(at);
    assert_eq!(
        stage.finished().map(|summary| summary.ended),
        Some(Ended::Cancelled)
    );
    stage.serve();
    stage.reply(first, "n1", b"pong");
    assert!(stage.events().is_empty());
    assert_eq!(stage.session.client().stats().unknown_sid, 1);

    let second = stage.start(Operation::Ping(Ping {
        expect: Some(1),
        ..Ping::default()
    }));
    assert_ne!(first, second);
    stage.reply(first, "n1", b"pong");
    stage.reply(second, "n2", b"pong");
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.replied, ["n2"]);
    assert_eq!(summary.drops.wrong_request, 1);
}

#[test]
fn what_no_node_would_take_is_refused_at_the_start() {
    let mut stage = Stage::connected();
    let at = stage.at();
    let refused = |stage: &mut Stage, data: &str, agent: &str, target: Target| {
        let Operation::Rpc(mut operation) = rpc(target) else {
            unreachable!()
        };
        operation.data = data.to_owned();
        operation.agent = agent.to_owned();
        stage
            .session
            .start(Operation::Rpc(operation), at)
            .unwrap_err()
    };
    let all = || Target::Broadcast(Expect::Unknown { window: None });
    for data in ["", "[]", "{", "{} {}"] {
        let error = refused(&mut stage, data, "rpcutil", all());
        assert!(matches!(error, StartError::BadData(_)), "{data} {error}");
    }
    assert!(matches!(
        refused(&mut stage, "{}", "", all()),
        StartError::Build(_)
    ));
    assert!(matches!(
        refused(&mut stage, "{}", "rpc util", all()),
        StartError::BadSubject(_)
    ));
    let nobody = Target::Direct(Vec::new());
    assert_eq!(
        refused(&mut stage, "{}", "rpcutil", nobody),
        StartError::NoTargets
    );
    stage.serve();
    assert!(stage.ops().is_empty() && stage.session.is_idle());
}

#[test]
fn a_request_too_large_for_the_broker_fails_and_asks_nobody() {
    let mut stage = Stage::connected();
    let Operation::Rpc(mut operation) = rpc(Target::Direct(nodes(&["n1"]))) else {
        unreachable!()
    };
    operation.data = format!(r#"{{"x":"{}"}}"#, "x".repeat(1024 * 1024));
    stage.start(Operation::Rpc(operation));
    let events = stage.events();
    assert!(
        matches!(events[..], [FleetEvent::Failed(Failure::Publish(_))]),
        "{events:?}"
    );
    assert!(stage.published.is_empty() && stage.session.is_idle());
}
