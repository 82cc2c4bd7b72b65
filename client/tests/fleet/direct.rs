//! Direct requests: the same bytes to each node, in slices.

use muster_client::fleet::{Ended, FleetEvent, Operation, Target};

use crate::session::{SECOND, nodes, rpc};
use crate::support::{Stage, ok_body, with_request};

#[test]
fn each_node_gets_the_same_bytes_and_only_the_agent_as_filter() {
    let mut stage = Stage::connected();
    let id = stage.start(rpc(Target::Direct(nodes(&["n2.example.net", "n1", "n1"]))));
    let subjects: Vec<_> = stage
        .published
        .iter()
        .map(|(subject, _)| subject.as_str())
        .collect();
    assert_eq!(
        subjects,
        ["mcollective.node.n2.example.net", "mcollective.node.n1"]
    );
    assert_eq!(stage.published[0].1, stage.published[1].1);
    with_request(&stage.published[0].1, |request| {
        assert!(request.filter.class.is_empty());
        assert_eq!(request.filter.agent, ["rpcutil"]);
    });
    stage.reply(id, "n1", &ok_body("{}"));
    stage.reply(id, "n2.example.net", &ok_body("{}"));
    let summary = stage.finished().expect("a summary");
    assert_eq!(
        (summary.ended, summary.ok, summary.unsent),
        (Ended::Complete, 2, 0)
    );
}

#[test]
fn a_name_that_makes_no_subject_is_missing_and_keeps_nobody_else() {
    let mut stage = Stage::connected();
    let id = stage.start(rpc(Target::Direct(nodes(&["bad name", "n1"]))));
    stage.reply(id, "n1", &ok_body("{}"));
    stage.wait(5 * SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.no_responses, ["bad name"]);
    assert_eq!((summary.ok, summary.unsent), (1, 1));
}

fn fifty_thousand() -> Vec<String> {
    (0..50_000)
        .map(|i| format!("node{i:05}.example.net"))
        .collect()
}

#[test]
fn fifty_thousand_messages_are_published_in_slices_as_the_output_drains() {
    let mut stage = Stage::connected();
    let at = stage.at();
    stage
        .session
        .start(rpc(Target::Direct(fifty_thousand())), at)
        .unwrap();
    let mut largest = 0;
    let mut slices = 0;
    loop {
        largest = largest.max(stage.session.client().output().len());
        stage.serve();
        if stage
            .events()
            .iter()
            .any(|event| matches!(event, FleetEvent::Published { messages: 50_000 }))
        {
            break;
        }
        slices += 1;
        assert!(slices < 1000, "only {} published", stage.published.len());
        let due = stage.session.next_timeout().expect("a deadline");
        assert!(
            due - stage.now < SECOND,
            "the session asks to be called soon"
        );
        stage.now = due;
        let at = stage.at();
        stage.session.handle_timeout(at);
    }
    stage.serve();
    assert_eq!(stage.published.len(), 50_000);
    assert!(slices > 10, "{slices}");
    let payload = stage.published[0].1.len();
    assert!(largest <= 1024 * 1024 + payload + 200, "{largest}");
    assert_eq!(stage.session.client().stats().refused, 0);
}

#[test]
fn a_socket_that_takes_nothing_ends_at_the_deadline_with_the_rest_unsent() {
    let mut stage = Stage::connected();
    let at = stage.at();
    stage
        .session
        .start(rpc(Target::Direct(fifty_thousand())), at)
        .unwrap();
    // The subscription is confirmed, and from then on the socket takes nothing.
    stage.serve_once();
    let waiting = stage.session.client().output().len();
    assert!(waiting >= 1024 * 1024, "{waiting}");
    while !stage.session.is_idle() {
        stage.now = stage
            .session
            .next_timeout()
            .expect("a deadline")
            .max(stage.now);
        let at = stage.at();
        stage.session.handle_timeout(at);
        assert!(stage.session.client().output().len() < 2 * 1024 * 1024);
    }
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Deadline);
    assert_eq!(summary.no_responses.len(), 50_000);
    assert!(
        summary.unsent > 40_000 && summary.unsent < 50_000,
        "{}",
        summary.unsent
    );
}

#[test]
fn a_link_lost_while_publishing_goes_on_where_it_was_and_repeats_nothing() {
    let mut stage = Stage::connected();
    let at = stage.at();
    let id = stage
        .session
        .start(rpc(Target::Direct(fifty_thousand())), at)
        .unwrap();
    stage.serve_once();
    let handed_over = stage.session.client().stats().out_messages;
    // What waits in the output is lost with the link.
    stage.lose_link();
    assert_eq!(stage.session.client().output().len(), 0);
    stage.wait(SECOND);
    stage.connect();
    for _ in 0..1000 {
        stage.wait(std::time::Duration::from_millis(1));
    }
    let handed_over = usize::try_from(handed_over).unwrap();
    assert!(handed_over > 100, "{handed_over}");
    assert_eq!(stage.published.len(), 50_000 - handed_over);
    let first = format!("mcollective.node.node{handed_over:05}.example.net");
    assert_eq!(stage.published[0].0, first);
    stage.reply(id, "node49999.example.net", &ok_body("{}"));
    let operation_over = stage.session.is_idle();
    assert!(!operation_over);
    stage.wait(6 * SECOND);
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.replied, ["node49999.example.net"]);
    assert_eq!(
        (summary.no_responses.len(), summary.links_lost),
        (49_999, 1)
    );
}

#[test]
fn the_operation_type_is_cheap_to_move() {
    assert!(size_of::<Operation>() < 256, "{}", size_of::<Operation>());
}
