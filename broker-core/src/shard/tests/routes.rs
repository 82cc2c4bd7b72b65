//! Brokers of one cluster: interest, messages and queue groups between them.

use std::time::Duration;

use super::mesh::Mesh;
use super::{SECOND, msg, publish};
use crate::close::CloseReason;

/// Each scenario with one shard a broker and with three.
fn with_shards(check: impl Fn(u16)) {
    for shards in [1, 3] {
        check(shards);
    }
}

#[test]
fn brokers_that_meet_know_each_other_and_deliver() {
    with_shards(|shards| {
        let mut mesh = Mesh::apart(2, shards, |_| {});
        let (a, b) = (mesh.client(0, 0), mesh.client(1, 0));
        mesh.tell(a, "SUB before 1\r\n");
        mesh.dial(0, 1);
        mesh.pump();
        mesh.tell(a, "SUB after.* 2\r\n");
        mesh.tell(b, &(publish("before", "x") + &publish("after.y", "z")));
        assert_eq!(
            mesh.take(a),
            msg("before", 1, "x") + &msg("after.y", 2, "z")
        );
        let routes = mesh.routes(0);
        assert_eq!(routes.len(), 1);
        assert_eq!(&*routes[0].remote_name, "b1");
        assert!(routes[0].did_solicit && routes[0].is_configured && routes[0].registered);
        assert_eq!((routes[0].in_msgs, routes[0].in_bytes), (2, 2));
        let routes = mesh.routes(1);
        assert!(!routes[0].did_solicit && routes[0].subscriptions == 2);
        assert_eq!((routes[0].out_msgs, routes[0].out_bytes), (2, 2));
        mesh.assert_agreed();
    });
}

#[test]
fn the_order_of_the_handshake_is_that_of_the_dialect() {
    let mut mesh = Mesh::apart(2, 1, |_| {});
    let link = mesh.dial(0, 1);
    let (dialled, accepted) = mesh.ends(link);
    let (connect, info) = (mesh.take(dialled), mesh.take(accepted));
    assert!(connect.starts_with("CONNECT {") && connect.matches('\n').count() == 1);
    assert!(
        info.starts_with("INFO {"),
        "the accepting side speaks at once: {info}"
    );
    mesh.brokers[1].send(accepted.conn, &connect);
    mesh.brokers[1].pump();
    assert!(!mesh.routes(1)[0].registered, "CONNECT registers nothing");
    mesh.brokers[0].send(dialled.conn, &info);
    mesh.brokers[0].pump();
    assert!(mesh.take(dialled).starts_with("INFO {"));
}

#[test]
fn who_does_not_introduce_itself_is_closed() {
    let mut mesh = Mesh::apart(1, 1, |_| {});
    let expect = |mesh: &mut Mesh, text: &str, answer: &str| {
        let end = mesh.accept_route(0, 0);
        mesh.take(end);
        mesh.tell(end, text);
        assert_eq!(mesh.take(end), answer, "{text}");
        assert!(mesh.brokers[0].is_closed(end.conn), "{text}");
    };
    let violation = "-ERR 'Authorization Violation'\r\n";
    expect(&mut mesh, "PING\r\n", violation);
    expect(&mut mesh, "INFO {}\r\n", violation);
    expect(&mut mesh, "RS+ $G a\r\n", violation);
    expect(
        &mut mesh,
        "CONNECT {\"cluster\":\"C1\"}\r\nRS+ $G a\r\n",
        violation,
    );
    expect(
        &mut mesh,
        "PUB a 1\r\n",
        "-ERR 'Unknown Protocol Operation'\r\n",
    );
    expect(&mut mesh, "CONNECT {\r\n", "");
    let silent = mesh.accept_route(0, 0);
    mesh.take(silent);
    mesh.advance(3 * SECOND);
    assert_eq!(mesh.take(silent), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(mesh.brokers[0].counters().routes, 0);
    assert_eq!(mesh.brokers[0].ended_routes.len(), 7);
}

#[test]
fn interest_is_told_at_its_edges() {
    with_shards(|shards| {
        let mut mesh = Mesh::apart(1, shards, |_| {});
        let peer = mesh.peer(0, "P");
        let clients: Vec<_> = (0..4)
            .map(|at| mesh.client(0, at % usize::from(shards)))
            .collect();
        for client in &clients {
            mesh.tell(*client, "SUB foo 1\r\nSUB w q 2\r\n");
        }
        let told = mesh.take(peer);
        assert_eq!(told.matches("RS+ $G foo\r\n").count(), 1, "{told}");
        for weight in 1..=4 {
            let line = format!("RS+ $G w q {weight}\r\n");
            assert_eq!(told.matches(&line).count(), 1, "{told}");
        }
        for client in &clients[..3] {
            mesh.tell(*client, "UNSUB 1\r\nUNSUB 2\r\n");
        }
        assert_eq!(
            mesh.take(peer),
            "RS+ $G w q 3\r\nRS+ $G w q 2\r\nRS+ $G w q 1\r\n"
        );
        mesh.leave(clients[3]);
        mesh.pump();
        assert_eq!(mesh.take(peer), "RS- $G foo\r\nRS- $G w q\r\n");
    });
}

#[test]
fn a_subscription_that_had_its_last_message_is_taken_back() {
    let mut mesh = Mesh::full(2, 1);
    let (a, b) = (mesh.client(0, 0), mesh.asking(1, 0));
    mesh.tell(a, "SUB foo 1\r\nUNSUB 1 2\r\n");
    for _ in 0..2 {
        mesh.tell(b, &publish("foo", "x"));
    }
    assert_eq!(mesh.take(a).matches("MSG").count(), 2);
    mesh.tell(b, "SUB inbox 9\r\nPUB foo inbox 1\r\nx\r\n");
    assert_eq!(mesh.take(b).matches("503").count(), 1);
    mesh.assert_agreed();
}

#[test]
fn a_peer_gets_one_message_whatever_matches() {
    let mut mesh = Mesh::apart(1, 1, |_| {});
    let peer = mesh.peer(0, "P");
    mesh.tell(
        peer,
        "RS+ $G a.*\r\nRS+ $G a.>\r\nRS+ $G a.b\r\nRS+ $G a.b A 2\r\nRS+ $G a.* B 1\r\n",
    );
    let client = mesh.client(0, 0);
    mesh.tell(client, "PUB a.b rp 2\r\nhi\r\n");
    assert_eq!(mesh.take(peer), "RMSG $G a.b + rp A B 2\r\nhi\r\n");
    mesh.tell(client, &publish("a.c", "x"));
    assert_eq!(mesh.take(peer), "RMSG $G a.c | B 1\r\nx\r\n");
    mesh.tell(
        peer,
        "RS- $G a.* B\r\nRS- $G a.*\r\nRS- $G a.>\r\nRS- $G none\r\n",
    );
    mesh.tell(client, &(publish("a.c", "x") + &publish("a.b", "y")));
    assert_eq!(mesh.take(peer), "RMSG $G a.b | A 1\r\ny\r\n");
}

#[test]
fn headers_payloads_and_replies_arrive_as_they_were() {
    let mut mesh = Mesh::full(2, 3);
    let (a, b) = (mesh.asking(0, 1), mesh.asking(1, 2));
    mesh.tell(a, "SUB t.1 1\r\n");
    let tricky = "PING\r\nRMSG $G t.1 3\r\nabc\r\n";
    let large = "x".repeat(70_000);
    let mut expected = String::new();
    for body in ["", "hi", tricky, &large] {
        let total = 12 + body.len();
        mesh.tell(
            b,
            &format!("HPUB t.1 rr 12 {total}\r\nNATS/1.0\r\n\r\n{body}\r\n"),
        );
        expected += &format!("HMSG t.1 1 rr 12 {total}\r\nNATS/1.0\r\n\r\n{body}\r\n");
        mesh.tell(b, &publish("t.1", body));
        expected += &msg("t.1", 1, body);
    }
    assert!(mesh.take(a) == expected);
    // A peer without headers gets the body alone.
    let end = mesh.accept_route(1, 0);
    mesh.tell(
        end,
        "CONNECT {\"cluster\":\"C1\"}\r\nINFO {\"server_id\":\"P\",\"cluster\":\"C1\"}\r\nRS+ $G h\r\n",
    );
    mesh.take(end);
    mesh.tell(b, "HPUB h 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    assert_eq!(mesh.take(end), "RMSG $G h 2\r\nhi\r\n");
}

#[test]
fn messages_go_one_hop() {
    let mut mesh = Mesh::apart(3, 1, |_| {});
    mesh.dial(0, 1);
    mesh.dial(1, 2);
    let clients: Vec<_> = (0..3).map(|at| mesh.client(at, 0)).collect();
    for client in &clients {
        mesh.tell(*client, "SUB foo 1\r\n");
    }
    mesh.tell(clients[0], &publish("foo", "x"));
    let got: Vec<usize> = clients
        .iter()
        .map(|c| mesh.take(*c).matches("MSG").count())
        .collect();
    assert_eq!(got, [1, 1, 0]);
}

#[test]
fn no_responders_is_right_across_brokers() {
    with_shards(|shards| {
        let mut mesh = Mesh::full(2, shards);
        let (service, asker) = (mesh.client(0, 0), mesh.asking(1, 0));
        mesh.tell(asker, "SUB inbox.* 1\r\n");
        mesh.tell(service, "SUB svc 1\r\n");
        mesh.tell(asker, "PUB svc inbox.1 1\r\nq\r\n");
        assert_eq!(mesh.take(service), "MSG svc 1 inbox.1 1\r\nq\r\n");
        mesh.tell(service, &publish("inbox.1", "a"));
        assert_eq!(mesh.take(asker), msg("inbox.1", 1, "a"));
        mesh.tell(service, "UNSUB 1\r\n");
        mesh.tell(asker, "PUB svc inbox.2 1\r\nq\r\n");
        assert!(mesh.take(asker).contains("503"));
    });
}

#[test]
fn an_inbox_is_known_before_the_request_that_names_it() {
    let mut mesh = Mesh::full(2, 3);
    let (service, asker) = (mesh.client(0, 2), mesh.asking(1, 1));
    mesh.tell(service, "SUB svc 1\r\n");
    let mut told = String::new();
    for round in 0..50 {
        mesh.send(
            asker,
            &format!("SUB in.{round} {round}\r\nPUB svc in.{round} 1\r\nq\r\n"),
        );
        // Turn by turn: the answer is published in the first turn in which the request is there.
        for _ in 0..8 {
            mesh.step();
            for line in mesh
                .take(service)
                .lines()
                .filter(|line| line.starts_with("MSG"))
            {
                let reply = line.split(' ').nth(3).unwrap();
                mesh.send(service, &publish(reply, "a"));
            }
        }
        told += &mesh.take(asker);
    }
    assert_eq!(told.matches("MSG in.").count(), 50, "{told}");
}

#[test]
fn queue_members_have_equal_chances_wherever_they_are() {
    let mut mesh = Mesh::full(3, 1);
    let weights = [4, 3, 1];
    let members: Vec<Vec<_>> = (0..3)
        .map(|broker| {
            (0..weights[broker])
                .map(|_| mesh.client(broker, 0))
                .collect()
        })
        .collect();
    for member in members.iter().flatten() {
        mesh.tell(*member, "SUB w q 1\r\n");
    }
    let publisher = mesh.client(0, 0);
    for _ in 0..100 {
        mesh.tell(publisher, &publish("w", "x").repeat(40));
    }
    let got: Vec<usize> = members
        .iter()
        .map(|all| {
            all.iter()
                .map(|m| mesh.take(*m).matches("MSG").count())
                .sum()
        })
        .collect();
    assert_eq!(got.iter().sum::<usize>(), 4000);
    for (got, expected) in got.iter().zip([2000, 1500, 500]) {
        assert!(got.abs_diff(expected) < 120, "{got} of {expected}");
    }
    mesh.assert_agreed();
}

#[test]
fn groups_and_plain_members_each_get_it_once() {
    let mut mesh = Mesh::full(3, 3);
    let mut all = Vec::new();
    for broker in 0..3 {
        for (shard, line) in [
            "SUB s 1\r\n",
            "SUB s g1 2\r\n",
            "SUB s.> g2 4\r\nSUB * g2 3\r\n",
        ]
        .iter()
        .enumerate()
        {
            let client = mesh.client(broker, shard);
            mesh.tell(client, line);
            all.push(client);
        }
    }
    let publisher = mesh.client(1, 0);
    mesh.tell(publisher, &publish("s", "x").repeat(60));
    let got: String = all.iter().map(|c| mesh.take(*c)).collect();
    let count = |sid: u64| got.matches(&format!("MSG s {sid} ")).count();
    assert_eq!((count(1), count(2), count(3)), (180, 60, 60));
}

#[test]
fn a_message_for_a_group_that_has_left_is_sent_on() {
    let mut mesh = Mesh::apart(1, 1, |_| {});
    let (p, q) = (mesh.peer(0, "P"), mesh.peer(0, "Q"));
    mesh.tell(p, "RS+ $G w g 1\r\n");
    // Only the sender has members: it comes back, for they may have come meanwhile.
    mesh.tell(p, "RMSG $G w | g 2\r\nhi\r\n");
    assert_eq!(mesh.take(p), "RMSG $G w | g 2\r\nhi\r\n");
    // Another peer is preferred.
    mesh.tell(q, "RS+ $G w g 3\r\n");
    mesh.tell(p, "RMSG $G w + rp g 2\r\nhi\r\n");
    assert_eq!(
        (mesh.take(p), mesh.take(q)),
        (String::new(), "RMSG $G w + rp g 2\r\nhi\r\n".to_owned())
    );
    // A member here is preferred to both, and a message without a list is not for groups.
    let member = mesh.client(0, 0);
    mesh.tell(member, "SUB w g 1\r\n");
    mesh.take(p);
    mesh.take(q);
    mesh.tell(p, "RMSG $G w | g 2\r\nhi\r\nRMSG $G w 2\r\nno\r\n");
    assert_eq!(mesh.take(member), msg("w", 1, "hi"));
    assert_eq!((mesh.take(p), mesh.take(q)), (String::new(), String::new()));
    let counters = mesh.brokers[0].counters();
    assert_eq!(counters.route_bounced_queues, 2);
    // Who wants no echo gets none.
    mesh.tell(member, "UNSUB 1\r\n");
    mesh.leave(q);
    let silent = mesh.accept_route(0, 0);
    mesh.tell(
        silent,
        "CONNECT {\"cluster\":\"C1\",\"echo\":false}\r\nINFO {\"server_id\":\"S\",\"cluster\":\"C1\"}\r\nRS+ $G v g 1\r\n",
    );
    mesh.take(silent);
    mesh.tell(silent, "RMSG $G v | g 2\r\nhi\r\n");
    assert_eq!(mesh.take(silent), "");
    assert_eq!(mesh.brokers[0].counters().route_unserved_queues, 1);
}

#[test]
fn a_lost_race_for_a_queue_group_loses_nothing() {
    let mut mesh = Mesh::full(2, 1);
    let far: Vec<_> = (0..100).map(|_| mesh.client(0, 0)).collect();
    for member in &far {
        mesh.send(*member, "SUB svc g 1\r\n");
    }
    let near = mesh.client(1, 0);
    mesh.tell(near, "SUB svc g 1\r\n");
    let asker = mesh.client(1, 0);
    let mut got = 0;
    for round in 0..500 {
        mesh.send(asker, &publish("svc", "x"));
        if round == 100 {
            for member in &far {
                got += mesh.take(*member).matches("MSG").count();
                mesh.leave(*member);
            }
        }
        mesh.step();
    }
    mesh.pump();
    let all = far.iter().chain([&near]);
    got += all
        .map(|c| mesh.take(*c).matches("MSG").count())
        .sum::<usize>();
    assert_eq!(got, 500);
    mesh.assert_agreed();
}

#[test]
fn an_account_that_is_not_here_is_ignored() {
    let mut mesh = Mesh::apart(1, 1, |_| {});
    let peer = mesh.peer(0, "P");
    let client = mesh.client(0, 0);
    mesh.tell(client, "SUB a 1\r\n");
    mesh.take(peer);
    mesh.tell(peer, "RS+ OTHER a\r\nRMSG OTHER a 1\r\nx\r\nRS- OTHER a\r\nRS+ $G a..b\r\nA+ $G\r\n+OK\r\nRMSG $G a 1\r\ny\r\nPING\r\n");
    assert_eq!(mesh.take(client), msg("a", 1, "y"));
    assert_eq!(
        mesh.take(peer),
        "PONG\r\n",
        "no error, and no message comes back"
    );
    let counters = mesh.brokers[0].counters();
    assert_eq!(
        (
            counters.route_unknown_account,
            counters.route_invalid_subjects
        ),
        (3, 1)
    );
}

#[test]
fn a_route_that_ends_takes_its_interest_along() {
    with_shards(|shards| {
        let mut mesh = Mesh::full(2, shards);
        let (a, b) = (mesh.client(0, 0), mesh.asking(1, 0));
        mesh.tell(b, "SUB inbox 1\r\n");
        let many: String = (0..20_000)
            .map(|sid| format!("SUB s.{sid} {sid}\r\n"))
            .collect();
        mesh.tell(a, &many);
        mesh.assert_agreed();
        mesh.sever(0);
        // Deliveries stop at once, though the interest goes in slices.
        mesh.send(b, "PUB s.7 inbox 1\r\nx\r\n");
        mesh.brokers[1].turn(b.conn.shard);
        assert!(mesh.take(b).contains("503"));
        let remotes = |mesh: &Mesh| mesh.brokers[1].broker.accounts()[0].sublist.stats().remotes;
        assert!(remotes(&mesh) > 0, "in slices");
        mesh.pump();
        assert_eq!(remotes(&mesh), 0);
        assert_eq!(
            mesh.brokers[1].ended_routes[0].reason,
            Some(CloseReason::ClientClosed)
        );
        mesh.dial(1, 0);
        mesh.pump();
        mesh.assert_agreed();
        mesh.tell(b, &publish("s.7", "y"));
        assert_eq!(mesh.take(a), msg("s.7", 7, "y"));
    });
}

#[test]
fn only_an_answer_keeps_a_route() {
    let mut mesh = Mesh::apart(1, 1, |_| {});
    let peer = mesh.peer(0, "P");
    mesh.advance(Duration::from_millis(1250));
    assert_eq!(mesh.take(peer), "PING\r\n");
    mesh.tell(peer, "PONG\r\n");
    assert!(mesh.routes(0)[0].rtt.is_some());
    for _ in 0..2 {
        mesh.advance(30 * SECOND);
        assert_eq!(mesh.take(peer), "PING\r\n");
        mesh.tell(peer, "RS+ $G a\r\nPING\r\n");
        mesh.take(peer);
    }
    mesh.advance(30 * SECOND);
    assert_eq!(mesh.take(peer), "-ERR 'Stale Connection'\r\n");
    assert!(mesh.routes(0).is_empty());
}

#[test]
fn a_peer_that_does_not_read_holds_publishers_and_is_cut_at_its_bound() {
    let mut mesh = Mesh::apart(1, 1, |config| {
        config.pending_max = 100_000;
        config.write_deadline = Duration::from_secs(1000);
        config.route.ping_interval = Duration::from_secs(1000);
    });
    let peer = mesh.peer(0, "P");
    mesh.tell(peer, "RS+ $G a\r\nRS+ $G b\r\n");
    let (one, several, local) = (mesh.client(0, 0), mesh.client(0, 0), mesh.client(0, 0));
    mesh.tell(local, "SUB b 1\r\n");
    mesh.take(peer);
    mesh.brokers[0].block(peer.conn);
    let body = "x".repeat(1000);
    mesh.tell(one, &publish("a", &body).repeat(200));
    assert!(
        !mesh.brokers[0].is_read(one.conn),
        "its only receiver is behind"
    );
    assert!(mesh.routes(0)[0].pending_bytes < 80_000);
    // With another receiver it goes on, slowly, until the bound of the route.
    for _ in 0..600 {
        mesh.send(several, &publish("b", &body));
        mesh.advance(Duration::from_millis(11));
    }
    assert!(mesh.routes(0).is_empty());
    assert_eq!(mesh.brokers[0].counters().routes_cut, 1);
    assert_eq!(
        mesh.take(local).matches("MSG").count(),
        600,
        "others do not suffer"
    );
    assert!(
        mesh.brokers[0].is_read(one.conn),
        "nobody waits for who is gone"
    );
}

#[test]
fn a_slow_client_stalls_a_route_for_moments_only() {
    let mut mesh = Mesh::apart(1, 1, |config| {
        config.pending_max = 100_000;
        config.write_deadline = Duration::from_secs(1000);
    });
    let peer = mesh.peer(0, "P");
    let (slow, quick) = (mesh.client(0, 0), mesh.client(0, 0));
    mesh.tell(slow, "SUB a 1\r\n");
    mesh.tell(quick, "SUB b 1\r\n");
    mesh.brokers[0].block(slow.conn);
    let body = "x".repeat(1000);
    for _ in 0..70 {
        mesh.tell(peer, &format!("RMSG $G a 1000\r\n{body}\r\n"));
    }
    for _ in 0..10 {
        mesh.send(
            peer,
            &format!("RMSG $G a 1000\r\n{body}\r\nRMSG $G b 1\r\ny\r\n"),
        );
        mesh.advance(Duration::from_millis(10));
    }
    assert_eq!(mesh.take(quick).matches("MSG b").count(), 10);
    assert!(mesh.brokers[0].counters().stalled_publishers > 0);
    assert!(!mesh.routes(0).is_empty());
}

#[test]
fn a_broadcast_of_a_peer_is_sliced() {
    let mut mesh = Mesh::apart(1, 3, |config| config.deliveries_a_turn = 4);
    let peer = mesh.peer(0, "P");
    let receivers: Vec<_> = (0..20).map(|at| mesh.client(0, at % 3)).collect();
    for receiver in &receivers {
        mesh.tell(*receiver, "SUB foo 1\r\n");
    }
    let member = mesh.client(0, 1);
    mesh.tell(member, "SUB foo g 2\r\n");
    mesh.take(peer);
    mesh.send(
        peer,
        "RMSG $G foo | g 1\r\na\r\nRMSG $G foo 1\r\nb\r\nPING\r\n",
    );
    mesh.step();
    let first = mesh.brokers[0].counters();
    assert!(
        first.out_msgs <= 4,
        "the bound of one turn: {}",
        first.out_msgs
    );
    mesh.pump();
    for receiver in &receivers {
        assert_eq!(
            mesh.take(*receiver),
            msg("foo", 1, "a") + &msg("foo", 1, "b")
        );
    }
    assert_eq!(mesh.take(member), msg("foo", 2, "a"));
    assert_eq!(mesh.take(peer), "PONG\r\n");
    let counters = mesh.brokers[0].counters();
    assert_eq!((counters.route_in_msgs, counters.out_msgs), (2, 41));
    assert!(counters.sliced_fanouts > 0);
}

#[test]
fn a_new_route_is_told_in_slices_and_misses_nothing() {
    with_shards(|shards| {
        let mut mesh = Mesh::apart(2, shards, |_| {});
        let (a, b) = (mesh.client(0, 0), mesh.client(0, usize::from(shards) - 1));
        let many: String = (0..30_000)
            .map(|sid| format!("SUB s.{}.{sid} {sid}\r\n", sid % 7))
            .collect();
        mesh.tell(a, &(many + "SUB w.* 40000\r\nSUB q g 40001\r\n"));
        let link = mesh.dial(0, 1);
        // What comes and goes while it is told.
        for round in 0..12 {
            let sid = 50_000 + round;
            mesh.send(
                b,
                &format!("SUB late.{round} {sid}\r\nSUB q g {}\r\n", sid + 1000),
            );
            // Whatever part lies half told at the moment, some of it goes.
            let gone = (0..30_000).filter(|sid| sid % 16 == round);
            let gone: String = gone.map(|sid| format!("UNSUB {sid}\r\n")).collect();
            mesh.send(a, &gone);
            mesh.step();
        }
        mesh.pump();
        mesh.assert_agreed();
        let (dialled, _) = mesh.ends(link);
        assert!(!mesh.brokers[0].is_closed(dialled.conn));
    });
}

#[test]
fn a_second_route_stands_by_and_takes_over() {
    let mut mesh = Mesh::full(2, 3);
    let second = mesh.dial(1, 0);
    let (a, b) = (mesh.client(0, 0), mesh.client(1, 0));
    mesh.tell(a, "SUB foo 1\r\n");
    mesh.tell(b, &publish("foo", "x"));
    assert_eq!(
        mesh.take(a),
        msg("foo", 1, "x"),
        "once, though there are two routes"
    );
    let standby = |mesh: &Mesh| mesh.routes(0).iter().filter(|r| !r.registered).count();
    assert_eq!(standby(&mesh), 1);
    mesh.sever(0);
    mesh.pump();
    assert_eq!(standby(&mesh), 0);
    mesh.tell(b, &publish("foo", "y"));
    assert_eq!(mesh.take(a), msg("foo", 1, "y"));
    mesh.assert_agreed();
    mesh.sever(second);
    mesh.pump();
    mesh.tell(b, &publish("foo", "z"));
    assert_eq!(mesh.take(a), "");
}

#[test]
fn a_client_that_is_no_member_sees_no_routes() {
    let mut mesh = Mesh::full(2, 1);
    mesh.client(0, 0);
    let fleet = &mesh.brokers[0];
    assert_eq!(fleet.counters().connections, 1);
    assert_eq!(fleet.shards[0].open_connections(true).count(), 1);
    assert_eq!(
        (fleet.counters().routes, fleet.counters().routes_total),
        (1, 1)
    );
    let now = fleet.now;
    mesh.brokers[0].shards[0].close_all(now);
    mesh.pump();
    assert!(mesh.routes(0).is_empty() && mesh.routes(1).is_empty());
    assert_eq!(mesh.brokers[0].counters().routes, 0);
}
