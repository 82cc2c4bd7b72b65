//! Requests to a service, with replies for somebody else, and with replies that are held back.

use muster_client::fleet::{
    Ended, Expect, FleetEvent, Operation, ReplyFilter, Results, RpcOptions, StartError, Target,
};
use muster_protocol::transport::Transport;

use crate::session::{SECOND, nodes, rpc};
use crate::support::{Stage, ok_body, with_request};

fn with_options(target: Target, options: RpcOptions) -> Operation {
    let Operation::Rpc(mut operation) = rpc(target) else {
        unreachable!()
    };
    operation.options = options;
    Operation::Rpc(operation)
}

#[test]
fn a_service_request_goes_out_once_without_a_filter_and_one_reply_is_all() {
    let mut stage = Stage::connected();
    let id = stage.start(rpc(Target::Service));
    let [(subject, payload)] = &stage.published[..] else {
        panic!("{:?}", stage.published.len())
    };
    assert_eq!(subject, "mcollective.broadcast.service.rpcutil");
    with_request(payload, |request| {
        assert!(request.filter.is_empty(), "{:?}", request.filter);
    });
    stage.reply(id, "n7", &ok_body("{}"));
    let summary = stage.finished().expect("a summary");
    assert_eq!(
        (summary.ended, summary.expected, &summary.replied[..]),
        (Ended::Complete, Some(1), &nodes(&["n7"])[..])
    );
}

#[test]
fn a_service_nobody_offers_is_missed_at_the_deadline() {
    let mut stage = Stage::connected();
    stage.start(rpc(Target::Service));
    stage.wait(5 * SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Deadline);
    assert!(!summary.is_success());
}

#[test]
fn replies_for_somebody_else_are_neither_subscribed_nor_waited_for() {
    let mut stage = Stage::connected();
    let target = Target::Broadcast(Expect::Unknown { window: None });
    let options = RpcOptions {
        results: Results::SendTo("app.results".to_owned()),
        ..RpcOptions::default()
    };
    let id = stage.start(with_options(target, options));
    let (_, payload) = &stage.published[0];
    let transport = Transport::parse(payload).unwrap();
    assert_eq!(transport.headers.reply_to.as_deref(), Some("app.results"));
    assert_eq!(transport.headers.sender.as_deref(), Some("rip.mcollective"));
    with_request(payload, |request| {
        assert_eq!(request.filter.class, ["base"]);
        assert_eq!(request.request_id, id.as_str());
    });
    let summary = stage.finished().expect("it is over as the broker has it");
    assert_eq!((summary.ended, summary.request_id), (Ended::Sent, id));
    assert!(summary.is_success() && summary.replied.is_empty());
    assert!(!stage.ops().iter().any(|op| op.contains("SUB")));
}

#[test]
fn a_request_nobody_waits_for_is_over_when_the_broker_has_it_and_not_before() {
    let mut stage = Stage::connected();
    let options = RpcOptions {
        results: Results::Discard,
        ..RpcOptions::default()
    };
    let target = Target::Direct(nodes(&["n1", "n2"]));
    stage.start(with_options(target, options.clone()));
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Sent);
    assert_eq!((summary.expected, summary.unsent), (None, 0));
    assert!(summary.no_responses.is_empty() && stage.published.len() == 2);

    stage.pongs = false;
    stage.start(with_options(Target::Direct(nodes(&["n1"])), options));
    stage.feed(b"PONG\r\n");
    stage.serve();
    assert_eq!(stage.published.len(), 3);
    assert!(
        !stage.session.is_idle(),
        "the broker has not said it has it"
    );
    stage.feed(b"PONG\r\n");
    assert_eq!(stage.finished().map(|over| over.ended), Some(Ended::Sent));
}

#[test]
fn a_subject_no_message_can_have_is_refused() {
    let mut stage = Stage::connected();
    let options = RpcOptions {
        results: Results::SendTo("two words".to_owned()),
        ..RpcOptions::default()
    };
    let at = stage.at();
    let started = stage
        .session
        .start(with_options(Target::Service, options), at);
    assert_eq!(started, Err(StartError::BadSubject("two words".into())));
}

#[test]
fn replies_that_are_held_back_count_as_received_and_are_not_told() {
    let mut stage = Stage::connected();
    let options = RpcOptions {
        reply_filter: Some(ReplyFilter::new(|reply| &*reply.sender != "n1")),
        ..RpcOptions::default()
    };
    let target = Target::Direct(nodes(&["n1", "n2"]));
    let id = stage.start(with_options(target, options));
    stage.reply(id, "n1", &ok_body("{}"));
    stage.reply(id, "n2", &ok_body("{}"));
    let events = stage.events();
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            FleetEvent::Reply(reply) => Some(&*reply.sender),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["n2"]);
    let Some(FleetEvent::Finished(summary)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!((summary.ok, summary.filtered), (2, 1));
    assert_eq!(summary.replied, ["n1", "n2"]);
}
