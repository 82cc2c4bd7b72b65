//! Clusters of running brokers on real sockets: of ours alone, and with a real nats-server where there is one.

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

#[path = "order/client.rs"]
mod client;
#[path = "cluster/lab.rs"]
mod lab;

use std::time::Duration;

use lab::{Lab, Member};

/// A subscriber on each member, a publisher on each: every message once to every subscriber.
fn all_to_all(lab: &Lab) {
    lab.settle();
    let members = lab.members();
    let mut subscribers: Vec<_> = members.iter().map(|member| member.client()).collect();
    for subscriber in &mut subscribers {
        subscriber.send(b"SUB news.> 1\r\n");
        subscriber.round_trip();
    }
    lab.settle();
    for (place, member) in members.iter().enumerate() {
        let mut publisher = member.client();
        for number in 0..20 {
            let body = format!("{place}-{number}");
            let line = format!("PUB news.{place} {}\r\n{body}\r\n", body.len());
            publisher.send(line.as_bytes());
        }
        publisher.round_trip();
    }
    for subscriber in &mut subscribers {
        let got = lab::messages(subscriber, 20 * members.len());
        for place in 0..members.len() {
            let of_one: Vec<_> = got
                .iter()
                .filter_map(|body| body.strip_prefix(&format!("{place}-")))
                .map(|number| number.parse::<u32>().unwrap())
                .collect();
            assert_eq!(of_one, (0..20).collect::<Vec<_>>(), "in order and once");
        }
    }
    lab.settle();
    for subscriber in &mut subscribers {
        subscriber.round_trip();
    }
}

#[test]
fn three_of_ours_are_one() {
    for shards in [1, 3] {
        let mut lab = Lab::new();
        for _ in 0..3 {
            lab.add_muster(shards);
        }
        all_to_all(&lab);
        for member in lab.members() {
            assert_eq!(member.peers().len(), 2);
        }
    }
}

#[test]
fn one_seed_is_enough_for_a_mesh() {
    let mut lab = Lab::new();
    let seed = lab.add_muster(2);
    for _ in 0..3 {
        lab.add_muster_with_routes(1, &[seed]);
    }
    lab.wait("a full mesh", |lab| {
        lab.members().iter().all(|member| member.peers().len() == 3)
    });
    all_to_all(&lab);
}

#[test]
fn a_member_that_stops_and_comes_back_is_taken_at_once() {
    let mut lab = Lab::new();
    for _ in 0..3 {
        lab.add_muster(1);
    }
    lab.settle();
    let setting = lab.stop(1);
    lab.wait("two are left", |lab| {
        lab.members().iter().all(|member| member.peers().len() == 1)
    });
    lab.restart(setting);
    lab.wait("all are back", |lab| {
        lab.members().iter().all(|member| member.peers().len() == 2)
    });
    all_to_all(&lab);
}

#[test]
fn both_dial_and_one_route_is_left() {
    let mut lab = Lab::new();
    let first = lab.add_muster(1);
    lab.add_muster_with_routes(1, &[first]);
    let second = lab.members()[1].peer_address();
    lab.dial_from(0, second);
    lab.wait("one route each", |lab| {
        let one = |member: &Member| member.routes() == 1 && member.peers().len() == 1;
        lab.members().iter().all(one)
    });
    lab.stays("one route each", Duration::from_millis(1500), |lab| {
        lab.members().iter().all(|member| member.peers().len() == 1)
    });
    all_to_all(&lab);
}
