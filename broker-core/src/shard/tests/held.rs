//! Receivers that are behind: who is held, who is stalled, who is cut.

use super::fleet::{Client, Fleet};
use super::{ASKING, MS, SECOND, msg, publish, subscribers};
use crate::close::CloseReason;

/// Four messages of 217 bytes pass 75 % of 1000.
const THROUGH: usize = 4;

/// A receiver that takes at most 1000 bytes and does not read; senders of 200 bytes each. Nobody is stalled any more, some are held.
fn fan_in(shards: u16, senders: usize, options: &str) -> (Fleet, Client, Vec<Client>) {
    let mut fleet = Fleet::new(shards, |config| {
        config.pending_max = 1000;
        config.write_deadline = 5 * SECOND;
    });
    let receiver = fleet.client(0);
    fleet.send(receiver, "SUB foo 1\r\n");
    fleet.pump();
    fleet.block(receiver);
    let senders: Vec<Client> = (0..senders)
        .map(|at| fleet.client_with(at % usize::from(shards), options))
        .collect();
    for (number, sender) in senders.iter().enumerate() {
        fleet.send(*sender, &publish("foo", &format!("{number:0200}")));
    }
    fleet.pump();
    fleet.advance(10 * MS);
    (fleet, receiver, senders)
}

const QUIET: &str = r#"{"verbose":false,"pedantic":false}"#;

#[test]
fn fan_in_is_held_back_and_everything_arrives() {
    for shards in [1, 3] {
        let (mut fleet, receiver, senders) = fan_in(shards, 20, QUIET);
        assert!(!fleet.is_closed(receiver), "nobody is cut");
        let through = senders
            .iter()
            .filter(|sender| fleet.is_read(**sender))
            .count();
        assert_eq!(through, THROUGH);
        assert_eq!(fleet.counters().held_publishers, 16);
        fleet.advance(SECOND);
        fleet.unblock(receiver);
        fleet.advance(10 * MS);
        let received = fleet.take(receiver);
        for number in 0..20 {
            let wanted = msg("foo", 1, &format!("{number:0200}"));
            assert_eq!(
                received.matches(&wanted).count(),
                1,
                "message {number}, {shards} shards"
            );
        }
        assert!(senders.iter().all(|sender| fleet.is_read(*sender)));
        let counters = fleet.counters();
        assert_eq!(
            (counters.in_msgs, counters.out_msgs, counters.dropped_msgs),
            (20, 20, 0)
        );
        assert!(counters.held_us >= 16 * 1_000_000, "{}", counters.held_us);
        assert_eq!(counters.slow_consumers(), 0);
    }
}

#[test]
fn a_held_publish_is_acknowledged_and_counted_once() {
    for deliveries in [1, 2, 3, 8192] {
        let mut fleet = Fleet::new(1, |config| {
            config.pending_max = 1000;
            config.deliveries_a_turn = deliveries;
        });
        let receiver = subscribers(&mut fleet, 1)[0];
        fleet.block(receiver);
        let senders: Vec<Client> = (0..12)
            .map(|_| fleet.client_with(0, r#"{"verbose":true,"pedantic":false}"#))
            .collect();
        for sender in &senders {
            fleet.send(*sender, &publish("foo", &"x".repeat(200)).repeat(3));
        }
        fleet.pump();
        fleet.unblock(receiver);
        fleet.advance(SECOND);
        assert_eq!(fleet.take(receiver).matches("MSG").count(), 36);
        for sender in senders {
            assert_eq!(
                fleet.take(sender),
                "+OK\r\n".repeat(3),
                "{deliveries} deliveries a turn"
            );
        }
        assert_eq!(fleet.counters().in_msgs, 36);
    }
}

#[test]
fn held_publishers_go_on_when_the_receiver_goes() {
    let (mut fleet, receiver, senders) = fan_in(3, 20, ASKING);
    for sender in &senders {
        fleet.send(*sender, "PING\r\n");
    }
    fleet.pump();
    fleet.leave(receiver);
    fleet.pump();
    for sender in &senders {
        assert!(fleet.is_read(*sender));
        assert_eq!(fleet.take(*sender), "PONG\r\n");
    }
    assert_eq!(fleet.counters().unheard_msgs, 16);
}

#[test]
fn held_publishers_go_on_when_the_receiver_is_cut_by_the_write_deadline() {
    let (mut fleet, receiver, senders) = fan_in(2, 20, QUIET);
    fleet.advance(5 * SECOND - 11 * MS);
    assert!(!fleet.is_closed(receiver));
    fleet.advance(MS);
    assert!(fleet.is_closed(receiver));
    assert_eq!(
        fleet.reason(receiver),
        Some(CloseReason::SlowConsumerWriteDeadline)
    );
    assert_eq!(fleet.counters().slow_consumers_deadline, 1);
    assert!(senders.iter().all(|sender| fleet.is_read(*sender)));
}

#[test]
fn a_held_publisher_that_leaves_is_forgotten() {
    let (mut fleet, receiver, senders) = fan_in(2, 20, QUIET);
    let held: Vec<Client> = senders
        .into_iter()
        .filter(|sender| !fleet.is_read(*sender))
        .collect();
    assert_eq!(held.len(), 20 - THROUGH);
    for sender in &held {
        fleet.leave(*sender);
    }
    fleet.pump();
    assert!(held.iter().all(|sender| fleet.is_closed(*sender)));
    fleet.unblock(receiver);
    fleet.pump();
    assert_eq!(fleet.take(receiver).matches("MSG").count(), THROUGH);
}

#[test]
fn a_receiver_among_several_is_cut_named_and_counted() {
    let mut fleet = Fleet::new(3, |config| config.pending_max = 1000);
    let receivers = subscribers(&mut fleet, 4);
    let sender = fleet.client(1);
    let slow = receivers[2];
    fleet.send(
        slow,
        "CONNECT {\"verbose\":false,\"name\":\"slow one\"}\r\nSUB foo 1\r\n",
    );
    fleet.pump();
    fleet.block(slow);
    let mut rounds = 0;
    while !fleet.is_closed(slow) {
        fleet.send(sender, &publish("foo", &"x".repeat(200)));
        fleet.pump();
        fleet.advance(10 * MS);
        rounds += 1;
        assert!(rounds <= 10, "the slow one was not cut");
    }
    assert_eq!(rounds, 5, "the fifth message of 217 bytes passes 1000");
    let ended: Vec<_> = fleet
        .ended
        .iter()
        .map(|info| (info.name.as_deref(), info.reason))
        .collect();
    assert_eq!(
        ended,
        [(
            Some("slow one"),
            Some(CloseReason::SlowConsumerPendingBytes)
        )]
    );
    let counters = fleet.counters();
    assert_eq!(
        (counters.slow_consumers_pending, counters.dropped_msgs),
        (1, 1)
    );
    for receiver in receivers.into_iter().filter(|receiver| *receiver != slow) {
        assert_eq!(fleet.take(receiver).matches("MSG").count(), rounds);
    }
    fleet.send(sender, &format!("{}PING\r\n", publish("foo", "x")));
    fleet.pump();
    assert_eq!(fleet.take(sender), "PONG\r\n");
}

#[test]
fn a_client_that_asks_but_does_not_read_is_cut() {
    let mut fleet = Fleet::new(1, |config| config.pending_max = 1000);
    let client = fleet.client(0);
    fleet.block(client);
    fleet.send(client, &"PING\r\n".repeat(100));
    fleet.pump();
    assert!(!fleet.is_closed(client));
    fleet.send(client, &"PING\r\n".repeat(100));
    fleet.pump();
    assert_eq!(
        fleet.reason(client),
        Some(CloseReason::SlowConsumerPendingBytes)
    );
    assert!(fleet.is_closed(client));
}

#[test]
fn a_publisher_to_several_is_stalled_for_a_moment_only() {
    let mut fleet = Fleet::new(2, |config| {
        config.pending_max = 1000;
        config.stall = 10 * MS;
    });
    let receivers = subscribers(&mut fleet, 2);
    let sender = fleet.client(0);
    fleet.block(receivers[1]);
    fleet.send(
        sender,
        &(publish("foo", &"x".repeat(200)).repeat(4) + "PING\r\n"),
    );
    fleet.pump();
    assert_eq!(fleet.take(receivers[0]).matches("MSG").count(), 4);
    assert_eq!(fleet.take(sender), "");
    assert_eq!(fleet.counters().stalled_publishers, 1);
    fleet.advance(9 * MS);
    assert_eq!(fleet.take(sender), "");
    fleet.advance(MS);
    assert_eq!(fleet.take(sender), "PONG\r\n");
}

#[test]
fn a_queue_group_passes_over_a_member_that_is_behind() {
    let mut fleet = Fleet::new(2, |config| config.pending_max = 1000);
    let members = [fleet.client(0), fleet.client(1)];
    for member in members {
        fleet.send(member, "SUB foo q 1\r\n");
    }
    let sender = fleet.client(0);
    fleet.pump();
    fleet.block(members[0]);
    for _ in 0..100 {
        fleet.send(sender, &publish("foo", &"x".repeat(200)));
        fleet.advance(10 * MS);
    }
    assert!(fleet.is_read(sender) && !fleet.is_closed(members[0]));
    fleet.unblock(members[0]);
    fleet.pump();
    let got = members.map(|member| fleet.take(member).matches("MSG").count());
    assert_eq!((got[0], got[1]), (4, 96));
}
