//! One thread plays all shards, their sockets and the time between.

mod due;
mod fleet;
mod held;
mod mesh;
mod races;
mod random;
mod rights;
mod routes;

use std::time::Duration;

use crate::close::CloseReason;

use fleet::{Client, Fleet};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const ASKING: &str = r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;

fn msg(subject: &str, sid: u64, payload: &str) -> String {
    format!("MSG {subject} {sid} {}\r\n{payload}\r\n", payload.len())
}

fn publish(subject: &str, payload: &str) -> String {
    format!("PUB {subject} {}\r\n{payload}\r\n", payload.len())
}

/// Clients on the shards in turn, each with `SUB foo 1`.
fn subscribers(fleet: &mut Fleet, count: usize) -> Vec<Client> {
    let shards = fleet.shards.len();
    let clients: Vec<Client> = (0..count).map(|at| fleet.client(at % shards)).collect();
    for client in &clients {
        fleet.send(*client, "SUB foo 1\r\n");
    }
    fleet.pump();
    clients
}

#[test]
fn a_slot_is_used_again_and_the_old_key_reaches_nothing() {
    let mut fleet = Fleet::new(1, |_| {});
    let first = fleet.client(0);
    fleet.leave(first);
    fleet.pump();
    assert!(fleet.is_closed(first) && fleet.shards[0].is_empty());
    assert_eq!(fleet.reason(first), Some(CloseReason::ClientClosed));
    let second = fleet.client(0);
    assert_eq!(second.key.index, first.key.index);
    assert_ne!(second.key, first.key);
    let now = fleet.now;
    fleet.shards[0].handle_bytes(first.key, b"SUB foo 1\r\nPING\r\n", now);
    fleet.shards[0].handle_timeout(first.key, now + 1000 * SECOND);
    fleet.shards[0].close(first.key, CloseReason::ClientClosed, now);
    fleet.shards[0].finish_close(first.key);
    fleet.pump();
    assert!(!fleet.is_closed(second));
    assert_eq!(fleet.take(second), "");
    let counters = fleet.counters();
    assert_eq!((counters.connections, counters.connections_total), (1, 2));
}

#[test]
fn a_subscription_counts_before_any_turn_of_its_shard_ends() {
    let mut fleet = Fleet::new(2, |_| {});
    let (receiver, sender) = (fleet.client(0), fleet.client(1));
    let now = fleet.now;
    // No turn lies between: what one thread does is there for the other at once.
    fleet.shards[0].handle_bytes(receiver.key, b"SUB foo 1\r\n", now);
    fleet.shards[1].handle_bytes(sender.key, publish("foo", "hi").as_bytes(), now);
    fleet.pump();
    assert_eq!(fleet.take(receiver), msg("foo", 1, "hi"));
}

#[test]
fn a_pong_comes_behind_what_was_delivered_before_it() {
    let mut fleet = Fleet::new(2, |_| {});
    let (receiver, sender) = (fleet.client(0), fleet.client(1));
    fleet.send(receiver, "SUB foo 1\r\n");
    fleet.pump();
    fleet.send(sender, &format!("{}PING\r\n", publish("foo", "hi")));
    fleet.turn(1);
    assert_eq!(fleet.take(sender), "PONG\r\n");
    fleet.send(receiver, "PING\r\n");
    fleet.turn(0);
    assert_eq!(
        fleet.take(receiver),
        format!("{}PONG\r\n", msg("foo", 1, "hi"))
    );
}

#[test]
fn a_broadcast_is_sliced_and_others_get_on_between() {
    let mut fleet = Fleet::new(3, |config| config.deliveries_a_turn = 4);
    let receivers = subscribers(&mut fleet, 20);
    let (sender, other) = (fleet.client(0), fleet.client(0));
    fleet.send(
        sender,
        &format!("{}PING\r\n{}", publish("foo", "a"), publish("foo", "b")),
    );
    fleet.turn(0);
    assert_eq!(fleet.counters().out_msgs, 4, "the bound of one turn");
    assert!(
        !fleet.shards[0].wants_input(sender.key),
        "a parked publisher is not read"
    );
    assert_eq!(fleet.take(sender), "");
    fleet.turn(0);
    assert_eq!(fleet.counters().out_msgs, 8);
    fleet.send(other, "PING\r\n");
    // Its turn comes before the broadcast has ended: what is parked goes behind what was read.
    for _ in 0..2 {
        fleet.turn(0);
    }
    assert_eq!(fleet.take(other), "PONG\r\n");
    assert!(
        fleet.counters().out_msgs < 20,
        "the broadcast is still under way"
    );
    fleet.pump();
    assert_eq!(fleet.take(sender), "PONG\r\n");
    for receiver in receivers {
        assert_eq!(
            fleet.take(receiver),
            msg("foo", 1, "a") + &msg("foo", 1, "b")
        );
    }
    let counters = fleet.counters();
    assert_eq!(
        (counters.in_msgs, counters.out_msgs, counters.unheard_msgs),
        (2, 40, 0)
    );
    assert!(
        counters.sliced_fanouts >= 2 * 4,
        "{}",
        counters.sliced_fanouts
    );
}

#[test]
fn a_run_of_publishes_is_bounded_and_counted_once() {
    let mut fleet = Fleet::new(1, |config| config.deliveries_a_turn = 4);
    let receiver = subscribers(&mut fleet, 1)[0];
    let sender = fleet.client_with(0, r#"{"verbose":true,"pedantic":false}"#);
    let sent: String = (0..10)
        .map(|number| publish("foo", &number.to_string()))
        .collect();
    fleet.send(sender, &sent);
    fleet.turn(0);
    assert_eq!(fleet.take(receiver).matches("MSG").count(), 4);
    fleet.pump();
    let rest: String = (4..10)
        .map(|number| msg("foo", 1, &number.to_string()))
        .collect();
    assert_eq!(fleet.take(receiver), rest);
    assert_eq!(fleet.take(sender), "+OK\r\n".repeat(10));
    assert_eq!(fleet.counters().in_msgs, 10);
}

#[test]
fn a_message_in_the_middle_of_its_slices_passes_over_who_left() {
    let mut fleet = Fleet::new(1, |config| config.deliveries_a_turn = 2);
    let receivers = subscribers(&mut fleet, 6);
    let sender = fleet.client(0);
    fleet.send(sender, &publish("foo", "a"));
    fleet.turn(0);
    for receiver in &receivers {
        fleet.leave(*receiver);
    }
    // A newcomer in a slot that was in the match gets nothing of a message older than its subscription.
    fleet.turn(0);
    let newcomer = fleet.client(0);
    fleet.send(newcomer, "SUB foo 1\r\n");
    fleet.pump();
    assert_eq!(fleet.take(newcomer), "");
    assert_eq!(fleet.counters().out_msgs, 2);
}

#[test]
fn a_publisher_that_leaves_in_the_middle_ends_its_broadcast() {
    let mut fleet = Fleet::new(1, |config| config.deliveries_a_turn = 2);
    let receivers = subscribers(&mut fleet, 6);
    let sender = fleet.client(0);
    fleet.send(sender, &publish("foo", "a"));
    fleet.turn(0);
    fleet.leave(sender);
    fleet.pump();
    assert!(fleet.is_closed(sender));
    let got: usize = receivers
        .iter()
        .map(|at| fleet.take(*at).matches("MSG").count())
        .sum();
    assert_eq!(got, 2);
}

#[test]
fn what_had_its_last_message_leaves_the_sublist() {
    let mut fleet = Fleet::new(3, |_| {});
    let receivers = subscribers(&mut fleet, 3);
    for receiver in &receivers {
        fleet.send(*receiver, "UNSUB 1 2\r\n");
    }
    fleet.pump();
    let sender = fleet.client_with(0, ASKING);
    fleet.send(
        sender,
        &format!("SUB inbox 1\r\n{}", "PUB foo inbox 1\r\nx\r\n".repeat(3)),
    );
    // Within one turn of one shard the owners had no chance to remove anything: the third is unheard all the same.
    fleet.turn(0);
    assert_eq!(fleet.take(sender).matches("503").count(), 1);
    fleet.pump();
    for receiver in receivers {
        assert_eq!(fleet.take(receiver).matches("MSG").count(), 2);
    }
    assert_eq!(
        fleet.broker.accounts()[0].sublist.stats().subscriptions,
        1,
        "the inbox"
    );
    fleet.broker.accounts()[0].sublist.assert_invariants();
}

#[test]
fn a_full_broker_refuses_and_counts() {
    let mut fleet = Fleet::new(2, |config| config.connections_max = 2);
    let first = fleet.client(0);
    fleet.client(1);
    assert!(fleet.accept(0).is_none() && fleet.accept(1).is_none());
    fleet.pump();
    assert_eq!(fleet.counters().connections_refused, 2);
    fleet.leave(first);
    fleet.pump();
    assert!(fleet.accept(1).is_some());
}

#[test]
fn everything_is_withdrawn_when_the_broker_stops() {
    let mut fleet = Fleet::new(3, |_| {});
    let clients = subscribers(&mut fleet, 9);
    let now = fleet.now;
    for shard in &mut fleet.shards {
        shard.close_all(now);
    }
    fleet.pump();
    assert!(clients.iter().all(|client| fleet.is_closed(*client)));
    assert!(
        fleet
            .ended
            .iter()
            .all(|info| info.reason == Some(CloseReason::ServerShutdown))
    );
    assert_eq!(fleet.broker.accounts()[0].sublist.stats().subscriptions, 0);
    assert_eq!(fleet.counters().connections, 0);
}

#[test]
fn closed_connections_are_remembered_up_to_a_bound() {
    let mut fleet = Fleet::new(1, |config| config.closed_kept = 3);
    for _ in 0..5 {
        let client = fleet.client(0);
        fleet.leave(client);
        fleet.pump();
    }
    let cids: Vec<u64> = fleet.shards[0]
        .closed_connections()
        .map(|info| info.cid.0)
        .collect();
    assert_eq!(cids, [3, 4, 5]);
}

#[test]
fn a_sid_used_again_gets_nothing_of_its_earlier_subject() {
    let mut fleet = Fleet::new(1, |config| config.deliveries_a_turn = 2);
    let clients: Vec<_> = (0..3).map(|_| fleet.client(0)).collect();
    let publisher = fleet.client(0);
    for client in &clients {
        fleet.send(*client, "SUB foo 1\r\n");
        fleet.pump();
    }
    fleet.send(publisher, "PUB foo 2\r\nhi\r\n");
    fleet.turn(0);
    fleet.send(clients[2], "UNSUB 1\r\nSUB bar 1\r\n");
    fleet.pump();
    assert_eq!(fleet.take(clients[0]), "MSG foo 1 2\r\nhi\r\n");
    assert_eq!(
        fleet.take(clients[2]),
        "",
        "the message was for the earlier subscription"
    );
    fleet.send(publisher, "PUB bar 2\r\nho\r\n");
    fleet.pump();
    assert_eq!(fleet.take(clients[2]), "MSG bar 1 2\r\nho\r\n");
}
