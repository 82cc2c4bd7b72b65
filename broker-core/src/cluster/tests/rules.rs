//! One machine and scripted peers: each rule of the handshake, of duplicates, of gossip and of time.

use super::super::*;

const SECOND: Duration = Duration::from_secs(1);

fn info(id: &str, name: &str, port: u16) -> RouteInfo {
    RouteInfo {
        server_id: id.into(),
        server_name: name.into(),
        host: "127.0.0.1".into(),
        port,
        cluster: Some("C".into()),
        connect_urls: vec![format!("{name}:4222")],
        ..RouteInfo::default()
    }
}

fn ours(id: &str, name: &str, port: u16) -> RouteInfo {
    RouteInfo {
        muster: Some("0".into()),
        ..info(id, name, port)
    }
}

fn cluster(routes: &[&str]) -> Cluster {
    let config = ClusterConfig {
        name: "C".into(),
        listen: RouteUrl::new("127.0.0.1", 5000),
        routes: routes
            .iter()
            .map(|url| RouteUrl::parse(url, 5222).unwrap())
            .collect(),
        connect_urls: vec!["own:4222".into()],
        ..ClusterConfig::default()
    };
    let own = Info {
        server_id: "M".into(),
        server_name: "own".into(),
        ..Info::default()
    };
    Cluster::new(config, &own, 7)
}

fn conn(slot: u32) -> ConnRef {
    ConnRef {
        slot,
        generation: 1,
    }
}

fn from(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn actions(cluster: &mut Cluster, now: Duration) -> Vec<ClusterAction> {
    let all = std::iter::from_fn(|| cluster.poll_action(now));
    all.filter(|action| !matches!(action, ClusterAction::Note(_)))
        .collect()
}

fn dials(cluster: &mut Cluster, now: Duration) -> Vec<Target> {
    let dials = actions(cluster, now).into_iter();
    dials
        .filter_map(|action| match action {
            ClusterAction::Dial(target) => Some(target),
            _ => None,
        })
        .collect()
}

fn accept(cluster: &mut Cluster, slot: u32, info: &RouteInfo, now: Duration) -> Verdict {
    cluster.handle_first_info(conn(slot), &Origin::Accepted, from(9), info, now)
}

#[test]
fn explicit_routes_are_dialled_for_ever() {
    let mut cluster = cluster(&["nats://h1:1"]);
    let mut now = Duration::ZERO;
    for _ in 0..50 {
        let target = dials(&mut cluster, now).pop().expect("it is due");
        assert_eq!(target.url.to_string(), "h1:1");
        assert_eq!(dials(&mut cluster, now), [], "one at a time");
        cluster.handle_dial_failed(target.id, DialFailure::Refused, now);
        let next = cluster.aims.values().next().unwrap().standing;
        let Standing::Due(due) = next else {
            panic!("{next:?}")
        };
        assert!(due >= now + SECOND && due <= now + SECOND + target::JITTER);
        now = due;
    }
    let figures = cluster.figures();
    assert_eq!((figures.dials, figures.dial_failures[1]), (50, 50));
}

#[test]
fn backoff_ends_at_thirty_seconds() {
    let mut cluster = cluster(&["h1:1"]);
    cluster.config.backoff = true;
    let mut now = Duration::ZERO;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let target = dials(&mut cluster, now).pop().expect("it is due");
        cluster.handle_dial_failed(target.id, DialFailure::Timeout, now);
        let Standing::Due(due) = cluster.aims[&target.id].standing else {
            panic!()
        };
        pauses.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[test]
fn a_peer_learnt_of_is_given_up_after_its_retries() {
    let mut cluster = cluster(&[]);
    cluster.config.connect_retries = 2;
    assert_eq!(
        accept(&mut cluster, 1, &info("A", "a", 1), Duration::ZERO),
        Verdict::Registered
    );
    let news = RouteInfo {
        ip: Some("nats-route://127.0.0.1:2/".into()),
        gossip_mode: GossipMode::Disabled,
        ..info("B", "b", 2)
    };
    cluster.handle_info(conn(1), &news, Duration::ZERO);
    let mut attempts = 0;
    let mut now = Duration::ZERO;
    while let Some(target) = dials(&mut cluster, now).pop() {
        assert!(!target.explicit);
        assert_eq!(
            target.gossip,
            GossipMode::Disabled,
            "the dialler repeats it"
        );
        attempts += 1;
        cluster.handle_dial_failed(target.id, DialFailure::Refused, now);
        now += 5 * SECOND;
    }
    assert_eq!(attempts, 3);
    assert_eq!(cluster.aims.len(), 0);
}

#[test]
fn what_is_refused_and_why() {
    let mut cluster = cluster(&[]);
    let zero = Duration::ZERO;
    let mut check = |info: &RouteInfo, reason| {
        assert_eq!(accept(&mut cluster, 1, info, zero), Verdict::Close(reason));
    };
    check(&info("M", "x", 1), CloseReason::SelfRoute);
    check(&info("A", "own", 1), CloseReason::DuplicateServerName);
    check(&info("", "x", 1), CloseReason::BadArguments);
    let cluster_named = |name: &str, dynamic| RouteInfo {
        cluster: Some(name.into()),
        cluster_dynamic: dynamic,
        ..info("A", "a", 1)
    };
    check(&cluster_named("D", false), CloseReason::ClusterNameConflict);
    let pooled = RouteInfo {
        route_account: Some("$SYS".into()),
        ..info("A", "a", 1)
    };
    check(&pooled, CloseReason::DuplicateRoute);
    assert_eq!(
        accept(&mut cluster, 1, &cluster_named("D", true), zero),
        Verdict::Registered,
        "a made-up name gives way to ours"
    );
}

#[test]
fn connect_must_show_cluster_and_credentials() {
    let mut cluster = cluster(&[]);
    let connect = RouteConnect {
        cluster: Some("C".into()),
        ..RouteConnect::default()
    };
    assert_eq!(cluster.check_connect(&connect), Ok(()));
    let none = RouteConnect::default();
    assert_eq!(
        cluster.check_connect(&none),
        Err(CloseReason::ClusterNameConflict)
    );
    let client = RouteConnect {
        lang: Some("go".into()),
        ..connect.clone()
    };
    assert_eq!(cluster.check_connect(&client), Err(CloseReason::WrongPort));
    cluster.config.credentials = Some(("u".into(), "p".into()));
    assert_eq!(
        cluster.check_connect(&connect),
        Err(CloseReason::AuthenticationFailure)
    );
    let target = Target {
        id: TargetId(0),
        url: RouteUrl::new("h", 1),
        explicit: false,
        gossip: GossipMode::Usual,
    };
    assert_eq!(cluster.check_connect(&cluster.connect_for(&target)), Ok(()));
}

#[test]
fn a_second_connection_of_a_real_server_stands_by_until_the_peer_chooses() {
    let mut cluster = cluster(&[]);
    let real = info("A", "a", 1);
    assert_eq!(accept(&mut cluster, 1, &real, SECOND), Verdict::Registered);
    assert_eq!(accept(&mut cluster, 2, &real, SECOND), Verdict::Standby);
    assert_eq!(
        actions(&mut cluster, 3 * SECOND),
        [ClusterAction::ConnectUrls]
    );
    let promoted = cluster.handle_closed(conn(1), &Origin::Accepted, 3 * SECOND);
    assert_eq!(promoted, Some(conn(2)));
    assert_eq!(cluster.peers().next().unwrap().primary, conn(2));
    assert_eq!(actions(&mut cluster, 60 * SECOND), []);
}

#[test]
fn after_five_seconds_the_older_connection_is_taken_for_dead() {
    let mut cluster = cluster(&[]);
    let real = info("A", "a", 1);
    accept(&mut cluster, 1, &real, SECOND);
    accept(&mut cluster, 2, &real, SECOND);
    actions(&mut cluster, 5 * SECOND);
    assert_eq!(cluster.next_deadline(), Some(6 * SECOND));
    let close = ClusterAction::Close {
        conn: conn(1),
        reason: CloseReason::DuplicateRoute,
    };
    assert_eq!(actions(&mut cluster, 6 * SECOND), [close]);
}

#[test]
fn two_of_ours_keep_what_the_greater_id_dialled() {
    // Our id is M: greater than A, so what we dialled stays.
    let mut cluster = cluster(&["127.0.0.1:1"]);
    let target = dials(&mut cluster, Duration::ZERO).pop().unwrap();
    let dialled = Origin::Dialled(target);
    assert_eq!(
        accept(&mut cluster, 1, &ours("A", "a", 1), SECOND),
        Verdict::Registered
    );
    let verdict = cluster.handle_first_info(conn(2), &dialled, from(1), &ours("A", "a", 1), SECOND);
    assert_eq!(verdict, Verdict::Standby);
    actions(&mut cluster, 2 * SECOND);
    assert_eq!(
        cluster.peers().next().unwrap().standbys,
        1,
        "its dialler closes it"
    );
    let promoted = cluster.handle_closed(conn(1), &Origin::Accepted, 2 * SECOND);
    assert_eq!(promoted, Some(conn(2)));

    // Less than Z: what we dialled goes, after a second and by our hand.
    let target = Target {
        id: TargetId(99),
        url: RouteUrl::new("127.0.0.1", 2),
        explicit: false,
        gossip: GossipMode::Usual,
    };
    let dialled = Origin::Dialled(target);
    let peer = ours("Z", "z", 2);
    cluster.handle_first_info(conn(3), &dialled, from(2), &peer, 2 * SECOND);
    assert_eq!(accept(&mut cluster, 4, &peer, 2 * SECOND), Verdict::Standby);
    let all = actions(&mut cluster, 3 * SECOND);
    assert!(all.contains(&ClusterAction::Close {
        conn: conn(3),
        reason: CloseReason::DuplicateRoute
    }));
}

#[test]
fn a_peer_started_anew_is_taken_at_once_and_a_stranger_of_its_name_is_not() {
    let mut cluster = cluster(&[]);
    accept(&mut cluster, 1, &info("A", "a", 1), SECOND);
    assert_eq!(
        accept(&mut cluster, 2, &info("B", "a", 2), SECOND),
        Verdict::Close(CloseReason::DuplicateServerName)
    );
    assert_eq!(
        accept(&mut cluster, 3, &info("B", "a", 1), SECOND),
        Verdict::Registered
    );
    let close = ClusterAction::Close {
        conn: conn(1),
        reason: CloseReason::StaleConnection,
    };
    assert!(actions(&mut cluster, SECOND).contains(&close));
}

#[test]
fn a_route_to_oneself_is_left_alone() {
    let mut cluster = cluster(&["h1:1"]);
    let target = dials(&mut cluster, Duration::ZERO).pop().unwrap();
    let origin = Origin::Dialled(target);
    let verdict =
        cluster.handle_first_info(conn(1), &origin, from(1), &info("M", "own", 1), SECOND);
    assert_eq!(verdict, Verdict::Close(CloseReason::SelfRoute));
    cluster.handle_closed(conn(1), &origin, SECOND);
    assert_eq!(dials(&mut cluster, 1000 * SECOND), []);
    assert_eq!(cluster.next_deadline(), None);
}

#[test]
fn a_lost_explicit_route_is_dialled_a_second_later() {
    let mut cluster = cluster(&["127.0.0.1:1"]);
    let target = dials(&mut cluster, Duration::ZERO).pop().unwrap();
    let origin = Origin::Dialled(target);
    cluster.handle_first_info(conn(1), &origin, from(1), &info("A", "a", 1), SECOND);
    assert!(cluster.peers().next().unwrap().explicit);
    cluster.handle_closed(conn(1), &origin, 10 * SECOND);
    assert_eq!(dials(&mut cluster, 11 * SECOND - target::JITTER), []);
    assert_eq!(dials(&mut cluster, 11 * SECOND + target::JITTER).len(), 1);
}

#[test]
fn a_configured_peer_that_dialled_us_is_not_dialled_until_it_is_lost() {
    let mut cluster = cluster(&["127.0.0.1:1"]);
    accept(&mut cluster, 1, &info("A", "a", 1), Duration::ZERO);
    assert_eq!(dials(&mut cluster, SECOND), []);
    cluster.handle_closed(conn(1), &Origin::Accepted, SECOND);
    assert_eq!(dials(&mut cluster, 3 * SECOND).len(), 1);
}

#[test]
fn news_of_a_newcomer_goes_to_the_others() {
    let mut cluster = cluster(&[]);
    accept(&mut cluster, 1, &info("A", "a", 1), SECOND);
    let newcomer = RouteInfo {
        nonce: Some("n".into()),
        ..info("B", "b", 2)
    };
    accept(&mut cluster, 2, &newcomer, SECOND);
    let told: Vec<_> = actions(&mut cluster, SECOND)
        .into_iter()
        .filter_map(|action| match action {
            ClusterAction::Tell { conn, info } => Some((conn, info)),
            _ => None,
        })
        .collect();
    let [(to, news)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(*to, conn(1));
    assert_eq!(news.server_id, "B");
    assert_eq!(news.ip.as_deref(), Some("nats-route://127.0.0.1:2/"));
    assert_eq!(
        (news.nonce.as_deref(), news.gossip_mode),
        (None, GossipMode::Disabled)
    );

    let silent = RouteInfo {
        gossip_mode: GossipMode::Disabled,
        ..info("D", "d", 4)
    };
    accept(&mut cluster, 4, &silent, SECOND);
    let none = |action: &ClusterAction| !matches!(action, ClusterAction::Tell { .. });
    assert!(actions(&mut cluster, SECOND).iter().all(none));
}

#[test]
fn known_servers_are_no_news() {
    let mut cluster = cluster(&["127.0.0.1:7"]);
    dials(&mut cluster, Duration::ZERO);
    accept(&mut cluster, 1, &info("A", "a", 1), SECOND);
    accept(&mut cluster, 2, &info("B", "b", 3), SECOND);
    for (id, port) in [("B", 3), ("M", 2), ("G", 7), ("N", 0)] {
        let ip = format!("nats-route://127.0.0.1:{port}/");
        let news = RouteInfo {
            ip: Some(ip),
            ..info(id, "n", port)
        };
        cluster.handle_info(conn(1), &news, SECOND);
    }
    assert_eq!(dials(&mut cluster, 2 * SECOND), []);
    assert_eq!(cluster.figures().gossip_ignored, 4);
}

#[test]
fn clients_hear_of_peers_in_time_and_not_too_often() {
    let mut cluster = cluster(&[]);
    assert_eq!(cluster.connect_urls(), ["own:4222"]);
    accept(&mut cluster, 1, &info("A", "a", 1), SECOND);
    assert_eq!(actions(&mut cluster, SECOND), []);
    let soon = SECOND + URLS_AFTER;
    assert_eq!(actions(&mut cluster, soon), [ClusterAction::ConnectUrls]);
    assert_eq!(cluster.connect_urls(), ["own:4222", "a:4222"]);
    // It flaps: nothing is said more than once a second, nor what is as it was.
    for tenth in 0..20 {
        let now = soon + Duration::from_millis(50) * tenth;
        cluster.handle_closed(conn(1), &Origin::Accepted, now);
        accept(&mut cluster, 1, &info("A", "a", 1), now);
        assert_eq!(actions(&mut cluster, now), []);
    }
    let lame = RouteInfo {
        lame_duck: true,
        ..info("A", "a", 1)
    };
    cluster.handle_info(conn(1), &lame, 5 * SECOND);
    assert_eq!(
        actions(&mut cluster, 6 * SECOND),
        [ClusterAction::ConnectUrls]
    );
    assert_eq!(cluster.connect_urls(), ["own:4222"]);
    assert_eq!(cluster.peers().count(), 1, "the route stays");
}

#[test]
fn without_advertising_nobody_hears_of_anybody() {
    let mut cluster = cluster(&[]);
    cluster.config.no_advertise = true;
    cluster.urls_told = cluster.connect_urls();
    accept(&mut cluster, 1, &info("A", "a", 1), SECOND);
    assert_eq!(cluster.connect_urls(), [""; 0]);
    assert_eq!(actions(&mut cluster, 60 * SECOND), []);
}

#[test]
fn lame_duck_is_told_to_each_peer_once() {
    let mut cluster = cluster(&[]);
    accept(&mut cluster, 1, &info("A", "a", 1), SECOND);
    actions(&mut cluster, 10 * SECOND);
    cluster.start_lame_duck(10 * SECOND);
    cluster.start_lame_duck(10 * SECOND);
    let told = actions(&mut cluster, 12 * SECOND);
    let [ClusterAction::Tell { info, .. }, ClusterAction::ConnectUrls] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(info.lame_duck && info.connect_urls == ["own:4222"]);
    assert_eq!(cluster.connect_urls(), ["a:4222"]);
}

#[test]
fn the_same_trouble_fills_no_log() {
    let mut cluster = cluster(&["h1:1"]);
    let mut lines = 0;
    for second in 0..120 {
        let now = 2 * SECOND * second;
        while let Some(action) = cluster.poll_action(now) {
            match action {
                ClusterAction::Dial(target) => {
                    cluster.handle_dial_failed(target.id, DialFailure::Refused, now);
                }
                ClusterAction::Note(_) => lines += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(lines, 4, "once a minute in four minutes");
}

#[test]
fn peers_do_not_fill_memory_with_addresses() {
    let mut cluster = cluster(&[]);
    let mut greedy = info("A", "a", 1);
    greedy.connect_urls = (1..=1000).map(|port| format!("h:{port}")).collect();
    greedy.connect_urls.insert(0, "not an address".into());
    accept(&mut cluster, 1, &greedy, SECOND);
    assert_eq!(cluster.connect_urls().len(), 17);
    for port in 1..2000 {
        let news = RouteInfo {
            ip: Some(format!("nats-route://10.0.0.1:{port}/")),
            ..info(&format!("I{port}"), "n", port)
        };
        cluster.handle_info(conn(1), &news, SECOND);
    }
    assert_eq!(cluster.aims.len(), target::IMPLICIT_MAX);
}
