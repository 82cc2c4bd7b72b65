//! Clusters of running brokers on real sockets: of ours alone, and with a real nats-server where there is one.

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

#[path = "order/client.rs"]
mod client;
#[path = "cluster/clients.rs"]
mod clients;
#[path = "cluster/lab.rs"]
mod lab;
#[path = "cluster/mixed.rs"]
mod mixed;
#[path = "cluster/real.rs"]
mod real;
#[path = "cluster/secured.rs"]
mod secured;

use std::time::Duration;

use libtest_mimic::{Arguments, Trial};

use lab::{Lab, Member};

type Check = (&'static str, fn());

/// Checks of brokers of ours.
const OURS: &[Check] = &[
    ("three_of_ours_are_one", three_of_ours_are_one),
    (
        "one_seed_is_enough_for_a_mesh",
        one_seed_is_enough_for_a_mesh,
    ),
    (
        "a_member_that_stops_and_comes_back_is_taken_at_once",
        a_member_that_stops_and_comes_back_is_taken_at_once,
    ),
    (
        "both_dial_and_one_route_is_left",
        both_dial_and_one_route_is_left,
    ),
    (
        "clients_hear_of_the_others",
        clients::clients_hear_of_the_others,
    ),
    (
        "nothing_is_advertised_where_it_must_not",
        clients::nothing_is_advertised,
    ),
    (
        "a_lame_duck_sends_its_clients_away",
        clients::a_lame_duck_sends_its_clients_away,
    ),
    (
        "monitoring_shows_the_routes",
        clients::monitoring_shows_the_routes,
    ),
    ("routes_speak_tls", secured::routes_speak_tls),
    (
        "nobody_joins_without_a_certificate",
        secured::nobody_joins_without_a_certificate,
    ),
    (
        "a_peer_of_another_name_is_refused",
        secured::a_peer_of_another_name_is_refused,
    ),
    (
        "a_peer_without_the_user_is_refused",
        secured::a_peer_without_the_user_is_refused,
    ),
];

/// Checks with a real server among the members.
const MIXED: &[Check] = &[
    ("ours_dial_a_real_one", mixed::ours_dial_a_real_one),
    ("a_real_one_dials_ours", mixed::a_real_one_dials_ours),
    ("all_dial_all", mixed::all_dial_all),
    (
        "two_real_ones_and_one_seed",
        mixed::two_real_ones_and_one_seed,
    ),
    (
        "news_of_a_real_newcomer_leads_to_a_dial",
        mixed::news_of_a_real_newcomer_leads_to_a_dial,
    ),
    (
        "a_real_one_is_killed_and_comes_back",
        mixed::a_real_one_is_killed_and_comes_back,
    ),
    (
        "ours_restarts_and_real_ones_take_it_at_once",
        mixed::ours_restarts_and_real_ones_take_it_at_once,
    ),
    (
        "real_ones_with_other_settings",
        mixed::real_ones_with_other_settings,
    ),
    ("a_made_up_name_gives_way", mixed::a_made_up_name_gives_way),
    (
        "clients_of_both_hear_of_each_other",
        mixed::clients_of_both_hear_of_each_other,
    ),
    ("a_real_lame_duck", mixed::a_real_lame_duck),
];

fn main() {
    let arguments = Arguments::from_args();
    let trial = |(name, check): Check, absent: bool| {
        let run = move || {
            check();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(absent)
    };
    let ours = OURS.iter().map(|check| trial(*check, false));
    let absent = real::nats_server().is_none();
    let mixed = MIXED.iter().map(|(name, check)| {
        let name: &'static str = name;
        trial((name, *check), absent)
    });
    libtest_mimic::run(&arguments, ours.chain(mixed).collect()).exit();
}

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
