//! One thread plays all shards, their sockets and the time between.

mod fleet;
mod random;

use std::time::Duration;

use crate::close::CloseReason;
use crate::config::Credentials;

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
    assert_eq!(fleet.take(receiver), format!("{}PONG\r\n", msg("foo", 1, "hi")));
}

#[test]
fn a_broadcast_is_sliced_and_others_get_on_between() {
    let mut fleet = Fleet::new(3, |config| config.deliveries_a_turn = 4);
    let receivers = subscribers(&mut fleet, 20);
    let (sender, other) = (fleet.client(0), fleet.client(0));
    fleet.send(sender, &format!("{}PING\r\n{}", publish("foo", "a"), publish("foo", "b")));
    fleet.turn(0);
    assert_eq!(fleet.counters().out_msgs, 4, "the bound of one turn");
    assert!(!fleet.shards[0].wants_input(sender.key), "a parked publisher is not read");
    assert_eq!(fleet.take(sender), "");
    fleet.turn(0);
    assert_eq!(fleet.counters().out_msgs, 8);
    fleet.send(other, "PING\r\n");
    // Its turn comes before the broadcast has ended: what is parked goes behind what was read.
    for _ in 0..2 {
        fleet.turn(0);
    }
    assert_eq!(fleet.take(other), "PONG\r\n");
    assert!(fleet.counters().out_msgs < 20, "the broadcast is still under way");
    fleet.pump();
    assert_eq!(fleet.take(sender), "PONG\r\n");
    for receiver in receivers {
        assert_eq!(fleet.take(receiver), msg("foo", 1, "a") + &msg("foo", 1, "b"));
    }
    let counters = fleet.counters();
    assert_eq!((counters.in_msgs, counters.out_msgs, counters.unheard_msgs), (2, 40, 0));
    assert!(counters.sliced_fanouts >= 2 * 4, "{}", counters.sliced_fanouts);
}

#[test]
fn a_run_of_publishes_is_bounded_and_counted_once() {
    let mut fleet = Fleet::new(1, |config| config.deliveries_a_turn = 4);
    let receiver = subscribers(&mut fleet, 1)[0];
    let sender = fleet.client_with(0, r#"{"verbose":true,"pedantic":false}"#);
    let sent: String = (0..10).map(|number| publish("foo", &number.to_string())).collect();
    fleet.send(sender, &sent);
    fleet.turn(0);
    assert_eq!(fleet.take(receiver).matches("MSG").count(), 4);
    fleet.pump();
    let rest: String = (4..10).map(|number| msg("foo", 1, &number.to_string())).collect();
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
    let got: usize = receivers.iter().map(|at| fleet.take(*at).matches("MSG").count()).sum();
    assert_eq!(got, 2);
}

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
    let senders: Vec<Client> =
        (0..senders).map(|at| fleet.client_with(at % usize::from(shards), options)).collect();
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
        let through = senders.iter().filter(|sender| fleet.is_read(**sender)).count();
        assert_eq!(through, THROUGH);
        assert_eq!(fleet.counters().held_publishers, 16);
        fleet.advance(SECOND);
        fleet.unblock(receiver);
        fleet.advance(10 * MS);
        let received = fleet.take(receiver);
        for number in 0..20 {
            let wanted = msg("foo", 1, &format!("{number:0200}"));
            assert_eq!(received.matches(&wanted).count(), 1, "message {number}, {shards} shards");
        }
        assert!(senders.iter().all(|sender| fleet.is_read(*sender)));
        let counters = fleet.counters();
        assert_eq!((counters.in_msgs, counters.out_msgs, counters.dropped_msgs), (20, 20, 0));
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
            assert_eq!(fleet.take(sender), "+OK\r\n".repeat(3), "{deliveries} deliveries a turn");
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
    assert_eq!(fleet.reason(receiver), Some(CloseReason::SlowConsumerWriteDeadline));
    assert_eq!(fleet.counters().slow_consumers_deadline, 1);
    assert!(senders.iter().all(|sender| fleet.is_read(*sender)));
}

#[test]
fn a_held_publisher_that_leaves_is_forgotten() {
    let (mut fleet, receiver, senders) = fan_in(2, 20, QUIET);
    let held: Vec<Client> =
        senders.into_iter().filter(|sender| !fleet.is_read(*sender)).collect();
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
    fleet.send(slow, "CONNECT {\"verbose\":false,\"name\":\"slow one\"}\r\n");
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
    let ended: Vec<_> = fleet.ended.iter().map(|info| (info.name.as_deref(), info.reason)).collect();
    assert_eq!(ended, [(Some("slow one"), Some(CloseReason::SlowConsumerPendingBytes))]);
    let counters = fleet.counters();
    assert_eq!((counters.slow_consumers_pending, counters.dropped_msgs), (1, 1));
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
    assert_eq!(fleet.reason(client), Some(CloseReason::SlowConsumerPendingBytes));
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
    fleet.send(sender, &(publish("foo", &"x".repeat(200)).repeat(4) + "PING\r\n"));
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

#[test]
fn the_first_keep_alive_comes_soon_and_then_at_the_interval() {
    let mut fleet = Fleet::new(1, |config| config.ping_interval = 60 * SECOND);
    let client = fleet.client(0);
    fleet.advance(2 * SECOND - MS);
    assert_eq!(fleet.take(client), "");
    fleet.advance(401 * MS);
    assert_eq!(fleet.take(client), "PING\r\n");
    fleet.advance(30 * MS);
    fleet.send(client, "PONG\r\n");
    fleet.pump();
    let rtt = fleet.shards[0].connection(client.key, false).unwrap().rtt.unwrap();
    assert!(rtt >= 30 * MS && rtt <= 431 * MS, "{rtt:?}");
    // Its round trip is known and it spoke within the interval.
    fleet.advance(50 * SECOND);
    fleet.send(client, "PUB nobody 0\r\n\r\n");
    fleet.advance(15 * SECOND);
    assert_eq!(fleet.take(client), "");
    fleet.advance(60 * SECOND);
    assert_eq!(fleet.take(client), "PING\r\n");
}

#[test]
fn unanswered_keep_alives_end_a_connection() {
    let mut fleet = Fleet::new(1, |config| {
        config.ping_interval = 10 * SECOND;
        config.pings_out_max = 2;
    });
    let client = fleet.client(0);
    fleet.advance(21 * SECOND);
    assert!(!fleet.is_closed(client));
    assert_eq!(fleet.take(client), "PING\r\nPING\r\n");
    fleet.advance(2 * SECOND);
    assert_eq!(fleet.take(client), "-ERR 'Stale Connection'\r\n");
    assert!(fleet.is_closed(client));
    assert_eq!(fleet.reason(client), Some(CloseReason::StaleConnection));
    assert_eq!(fleet.counters().stale_connections, 1);
}

#[test]
fn no_keep_alive_before_the_first_pong() {
    let mut fleet = Fleet::new(1, |config| config.ping_interval = 100 * MS);
    let client = fleet.accept(0).unwrap();
    fleet.send(client, "CONNECT {\"verbose\":false}\r\n");
    fleet.advance(1999 * MS);
    assert_eq!(fleet.take(client), "");
    fleet.advance(2 * MS);
    assert_eq!(fleet.take(client), "PING\r\n");
}

#[test]
fn credentials_are_wanted_in_time() {
    let with_token = |config: &mut crate::config::CoreConfig| {
        config.credentials = Some(Credentials::Token("secret".into()));
        config.auth_timeout = SECOND;
    };
    let mut fleet = Fleet::new(1, with_token);
    let late = fleet.accept(0).unwrap();
    let wrong = fleet.accept(0).unwrap();
    let right = fleet.accept(0).unwrap();
    fleet.send(wrong, "CONNECT {\"auth_token\":\"public\"}\r\nSUB foo 1\r\n");
    fleet.send(right, "CONNECT {\"auth_token\":\"secret\",\"verbose\":false}\r\n");
    fleet.advance(SECOND - MS);
    assert_eq!(fleet.take(wrong), "-ERR 'Authorization Violation'\r\n");
    assert!(fleet.is_closed(wrong) && !fleet.is_closed(late));
    fleet.advance(MS);
    assert_eq!(fleet.take(late), "-ERR 'Authentication Timeout'\r\n");
    assert!(fleet.is_closed(late));
    fleet.advance(SECOND / 2);
    assert!(!fleet.is_closed(right));
    assert_eq!(fleet.counters().auth_failures, 2);
    assert_eq!(fleet.broker.accounts()[0].sublist.stats().subscriptions, 0);
}

#[test]
fn the_write_deadline_counts_from_the_last_byte_taken() {
    let mut fleet = Fleet::new(1, |config| config.write_deadline = 10 * SECOND);
    let client = fleet.client(0);
    fleet.block(client);
    fleet.send(client, "PING\r\n");
    fleet.advance(9 * SECOND);
    fleet.unblock(client);
    fleet.block(client);
    fleet.send(client, "PING\r\n");
    fleet.advance(9 * SECOND);
    assert!(!fleet.is_closed(client));
    fleet.advance(SECOND);
    assert!(fleet.is_closed(client));
    assert_eq!(fleet.reason(client), Some(CloseReason::SlowConsumerWriteDeadline));
}

#[test]
fn a_farewell_that_is_not_read_is_given_up() {
    let mut fleet = Fleet::new(1, |_| {});
    let client = fleet.client(0);
    fleet.block(client);
    fleet.send(client, "ZZZ");
    fleet.advance(SECOND);
    assert!(!fleet.is_closed(client));
    fleet.advance(2 * SECOND);
    assert!(fleet.is_closed(client));
    assert_eq!(fleet.reason(client), Some(CloseReason::UnknownOperation));
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
    fleet.send(sender, &format!("SUB inbox 1\r\n{}", "PUB foo inbox 1\r\nx\r\n".repeat(3)));
    // Within one turn of one shard the owners had no chance to remove anything: the third is unheard all the same.
    fleet.turn(0);
    assert_eq!(fleet.take(sender).matches("503").count(), 1);
    fleet.pump();
    for receiver in receivers {
        assert_eq!(fleet.take(receiver).matches("MSG").count(), 2);
    }
    assert_eq!(fleet.broker.accounts()[0].sublist.stats().subscriptions, 1, "the inbox");
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
    assert!(fleet.ended.iter().all(|info| info.reason == Some(CloseReason::ServerShutdown)));
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
    let cids: Vec<u64> = fleet.shards[0].closed_connections().map(|info| info.cid.0).collect();
    assert_eq!(cids, [3, 4, 5]);
}
