//! Connections that do not come, and connections that break.

use std::time::Duration;

use muster_client::fleet::{
    Ended, Expect, Failure, FleetEvent, Operation, PREPARE_TIMEOUT, Ping, Target,
};
use muster_client::nats::{Action, Event, LinkEnd};

use crate::session::{SECOND, nodes, rpc};
use crate::support::{Stage, ok_body};

#[test]
fn an_operation_begun_before_the_connection_stands_runs_when_it_does() {
    let mut stage = Stage::new();
    let id = stage.start(Operation::Ping(Ping {
        expect: Some(1),
        ..Ping::default()
    }));
    stage.wait(SECOND);
    assert!(stage.published.is_empty());
    stage.connect();
    assert_eq!(stage.published.len(), 1);
    stage.reply(id, "n1", b"pong");
    let summary = stage.finished().expect("a summary");
    assert_eq!(summary.ended, Ended::Complete);
    assert_eq!(
        summary.request_time,
        Duration::ZERO,
        "waiting for the broker is not the nodes' time"
    );
}

#[test]
fn without_a_broker_it_fails_in_time_and_says_why() {
    let mut stage = Stage::new();
    let began = stage.now;
    stage.start(Operation::Ping(Ping::default()));
    while !stage.session.is_idle() {
        match stage.session.client().poll_action() {
            Some(Action::Connect(_)) => {
                let at = stage.at();
                stage.session.handle_connect_failed(at);
            }
            Some(other) => panic!("{other:?}"),
            None => {
                stage.now = stage.session.next_timeout().expect("a deadline");
                let at = stage.at();
                stage.session.handle_timeout(at);
            }
        }
    }
    assert_eq!(stage.now - began, PREPARE_TIMEOUT);
    let failure = stage.events().into_iter().find_map(|event| match event {
        FleetEvent::Failed(failure) => Some(failure),
        _ => None,
    });
    let last = Some(LinkEnd::ConnectFailed);
    assert_eq!(
        failure,
        Some(Failure::NotConnected {
            waited: PREPARE_TIMEOUT,
            last
        })
    );
}

#[test]
fn a_link_lost_while_collecting_comes_back_and_the_deadline_stays() {
    let mut stage = Stage::connected();
    let target = Target::Broadcast(Expect::Nodes(nodes(&["n1", "n2", "n3"])));
    let id = stage.start(rpc(target));
    stage.reply(id, "n1", &ok_body("{}"));
    stage.wait(SECOND);
    stage.lose_link();
    stage.wait(SECOND);
    stage.ops();
    stage.connect();
    let reply_to = format!("mcollective.reply.37bdf08389145a56c13096c178802d3b.{id}");
    assert!(
        stage.ops().contains(&format!("SUB {reply_to} 1")),
        "the subscription is replayed"
    );
    assert_eq!(stage.published.len(), 1, "the request is not");
    stage.reply(id, "n3", &ok_body("{}"));
    // What n2 said meanwhile is lost.
    stage.wait(3 * SECOND);
    let events = stage.events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, FleetEvent::Link(Event::Disconnected(_))))
    );
    let Some(FleetEvent::Finished(summary)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(summary.ended, Ended::Deadline);
    assert_eq!(summary.request_time, 5 * SECOND);
    assert_eq!(summary.replied, ["n1", "n3"]);
    assert_eq!(summary.no_responses, ["n2"]);
    assert_eq!(summary.links_lost, 1);
}

#[test]
fn a_link_lost_before_the_subscription_is_confirmed_costs_nothing() {
    let mut stage = Stage::connected();
    stage.pongs = false;
    let id = stage.start(Operation::Ping(Ping {
        expect: Some(1),
        ..Ping::default()
    }));
    stage.lose_link();
    stage.pongs = true;
    stage.wait(SECOND);
    stage.connect();
    assert_eq!(stage.published.len(), 1);
    stage.reply(id, "n1", b"pong");
    assert_eq!(
        stage.finished().map(|summary| summary.ended),
        Some(Ended::Complete)
    );
}
