//! Direct requests in groups.

use std::num::NonZeroUsize;
use std::time::Duration;

use muster_client::fleet::{
    Batch, Ended, Expect, FleetEvent, Operation, Results, RpcOptions, StartError, Target,
};

use crate::session::{SECOND, nodes, rpc};
use crate::support::{Stage, ok_body, with_request};

fn batched(target: Target, size: usize, sleep: Duration) -> Operation {
    let Operation::Rpc(mut operation) = rpc(target) else {
        unreachable!()
    };
    operation.options = RpcOptions {
        batch: Some(Batch {
            size: NonZeroUsize::new(size).unwrap(),
            sleep,
        }),
        ..RpcOptions::default()
    };
    Operation::Rpc(operation)
}

fn five() -> Target {
    Target::Direct(nodes(&["n5", "n1", "n2", "n3", "n4"]))
}

fn asked(stage: &Stage) -> Vec<&str> {
    let names = stage.published.iter();
    names
        .map(|(subject, _)| subject.trim_start_matches("mcollective.node."))
        .collect()
}

#[test]
fn groups_go_out_in_order_each_after_the_replies_of_the_last_and_a_sleep() {
    let mut stage = Stage::connected();
    let id = stage.start(batched(five(), 2, SECOND));
    assert_eq!(asked(&stage), ["n5", "n1"]);
    stage.reply(id, "n1", &ok_body("{}"));
    stage.wait(SECOND);
    assert_eq!(asked(&stage).len(), 2, "n5 has not replied");
    stage.reply(id, "n5", &ok_body("{}"));
    stage.wait(SECOND - Duration::from_millis(1));
    assert_eq!(asked(&stage).len(), 2, "the sleep is not over");
    stage.wait(Duration::from_millis(1));
    assert_eq!(asked(&stage)[2..], ["n2", "n3"]);

    let request = |index: usize| {
        with_request(&stage.published[index].1, |request| {
            (request.request_id.to_string(), request.time)
        })
    };
    assert_eq!(request(0).0, request(2).0, "one id for all groups");
    assert_eq!(
        request(2).1 - request(0).1,
        2,
        "each group has its own time"
    );

    stage.reply(id, "n2", &ok_body("{}"));
    stage.reply(id, "n3", &ok_body("{}"));
    stage.wait(SECOND);
    assert_eq!(asked(&stage)[4..], ["n4"]);
    let published = stage.events();
    assert!(
        published
            .iter()
            .any(|event| matches!(event, FleetEvent::Published { messages: 5 }))
    );
    stage.reply(id, "n4", &ok_body("{}"));
    let summary = stage.finished().expect("a summary");
    assert_eq!((summary.ended, summary.ok), (Ended::Complete, 5));
}

#[test]
fn a_group_waits_no_longer_than_its_time_and_a_late_answer_counts() {
    let mut stage = Stage::connected();
    let id = stage.start(batched(five(), 2, Duration::ZERO));
    stage.reply(id, "n5", &ok_body("{}"));
    stage.wait(5 * SECOND);
    assert_eq!(asked(&stage)[2..], ["n2", "n3"], "n1 was given up");
    stage.reply(id, "n1", &ok_body("{}"));
    stage.reply(id, "n2", &ok_body("{}"));
    stage.reply(id, "n3", &ok_body("{}"));
    stage.wait(Duration::ZERO);
    assert_eq!(asked(&stage)[4..], ["n4"]);
    stage.wait(5 * SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Deadline);
    assert_eq!(summary.replied, ["n5", "n1", "n2", "n3"]);
    assert_eq!((summary.no_responses, summary.unsent), (nodes(&["n4"]), 0));
}

#[test]
fn a_batch_that_is_cancelled_names_the_nodes_nobody_asked() {
    let mut stage = Stage::connected();
    let id = stage.start(batched(five(), 2, SECOND));
    stage.reply(id, "n5", &ok_body("{}"));
    stage.reply(id, "n1", &ok_body("{}"));
    let at = stage.at();
    stage.session.cancel(at);
    let summary = stage.finished().expect("a summary");
    assert_eq!((summary.ended, summary.unsent), (Ended::Cancelled, 3));
    assert_eq!(summary.no_responses, ["n2", "n3", "n4"]);
}

#[test]
fn a_batch_without_results_only_sleeps_between_its_groups() {
    let mut stage = Stage::connected();
    let Operation::Rpc(mut operation) = batched(five(), 3, SECOND) else {
        unreachable!()
    };
    operation.options.results = Results::Discard;
    stage.start(Operation::Rpc(operation));
    assert_eq!(asked(&stage).len(), 3);
    stage.wait(SECOND);
    assert_eq!(asked(&stage).len(), 5);
    assert_eq!(stage.finished().map(|over| over.ended), Some(Ended::Sent));
}

#[test]
fn only_named_nodes_make_batches() {
    let mut stage = Stage::connected();
    let at = stage.at();
    for target in [Target::Service, Target::Broadcast(Expect::Count(1))] {
        let started = stage.session.start(batched(target, 2, SECOND), at);
        assert_eq!(started, Err(StartError::BatchWithoutNodes));
    }
}
