//! Monitoring of a running broker, asked over real sockets as its tools ask.

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use muster_broker::monitor::serve;
use muster_broker::{Broker, BrokerConfig};
use muster_broker_core::config::{CoreConfig, Credentials};
use muster_broker_core::ids::ShardId;
use muster_reactor::http::HttpServer;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(20);

/// A broker and its monitoring. The server goes first: it holds the broker.
struct Fixture {
    server: HttpServer,
    broker: Arc<Broker>,
}

impl Fixture {
    fn new(shards: u16) -> Self {
        Self::with(
            shards,
            CoreConfig {
                connections_max: 1000,
                ..CoreConfig::default()
            },
        )
    }

    fn with(shards: u16, core: CoreConfig) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = BrokerConfig {
            listen: loopback,
            shards: Some(shards),
            server_name: Some("b1".to_owned()),
            core,
            ..BrokerConfig::default()
        };
        let broker = Arc::new(Broker::start(config).unwrap());
        let server = serve(Arc::clone(&broker), loopback).unwrap();
        Self { server, broker }
    }

    fn get(&self, target: &str) -> Answer {
        let mut stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: b1\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn json(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        assert!(
            answer.head.contains("Content-Type: application/json"),
            "{}",
            answer.head
        );
        assert!(
            answer.head.contains("Access-Control-Allow-Origin: *"),
            "{}",
            answer.head
        );
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Asks until the answer is as wanted. Each round is a request, so it does not spin.
    fn until(&self, target: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let value = self.json(target);
            if wanted(&value) {
                return value;
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "{target} never became as wanted: {value:#}"
            );
        }
    }

    fn cids(&self, target: &str) -> Vec<u64> {
        connections(&self.json(target))
            .iter()
            .map(|conn| conn["cid"].as_u64().unwrap())
            .collect()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn connections(connz: &Value) -> &Vec<Value> {
    connz["connections"].as_array().unwrap()
}

/// A client at the level of lines.
struct Client {
    stream: BufReader<TcpStream>,
    cid: u64,
}

impl Client {
    fn new(fixture: &Fixture, connect: &str) -> Self {
        let stream = TcpStream::connect(fixture.broker.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Self {
            stream: BufReader::new(stream),
            cid: 0,
        };
        let info = client.line();
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        client.cid = info["client_id"].as_u64().unwrap();
        client.send(&format!("CONNECT {connect}\r\n"));
        client
    }

    fn named(fixture: &Fixture, name: &str) -> Self {
        let connect = format!(
            r#"{{"verbose":false,"name":"{name}","lang":"raw","version":"1.2.3","protocol":0}}"#
        );
        Self::new(fixture, &connect)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends, and returns once the broker has done all of it.
    fn done(&mut self, text: &str) {
        self.send(&format!("{text}PING\r\n"));
        while self.line() != "PONG\r\n" {}
    }
}

/// `count` clients, of which number `n` has `n` subscriptions to `s.<n>.<i>`, beginning with 1.
fn clients(fixture: &Fixture, count: u64) -> Vec<Client> {
    let client = |number| {
        let mut client = Client::named(fixture, &format!("c{number}"));
        let subs: String = (0..number)
            .map(|sid| format!("SUB s.{number}.{sid} {sid}\r\n"))
            .collect();
        client.done(&subs);
        client
    };
    (1..=count).map(client).collect()
}

/// The keys stand in the text in this order, each once at the outermost level.
fn assert_key_order(body: &str, keys: &[&str]) {
    let indent = if body.contains("\n      \"cid\"") {
        ""
    } else {
        "\n  "
    };
    let mut from = 0;
    for key in keys {
        let at = body[from..].find(&format!("{indent}\"{key}\":"));
        from += at.unwrap_or_else(|| panic!("no {key} after byte {from}: {body}"));
    }
}

const VARZ_KEYS: &str = "server_id server_name version proto go host port max_connections ping_interval ping_max \
    http_host http_port http_base_path https_port auth_timeout max_control_line max_payload max_pending cluster \
    gateway leaf mqtt websocket jetstream tls_timeout write_deadline start now uptime mem cores gomaxprocs cpu \
    connections total_connections routes remotes leafnodes in_msgs in_bytes in_client_msgs in_client_bytes out_msgs \
    out_bytes out_client_msgs out_client_bytes slow_consumers stale_connections stalled_clients subscriptions \
    http_req_stats config_load_time config_digest slow_consumer_stats stale_connection_stats disk_io_wait_stats";

#[test]
fn varz_has_the_keys_and_counts() {
    for shards in [1, 3] {
        let fixture = Fixture::new(shards);
        let mut clients = clients(&fixture, 3);
        clients[0].done("PUB s.3.0 5\r\nhello\r\nPUB nobody 2\r\nhi\r\n");
        let varz = fixture.until("/varz", |varz| {
            varz["in_msgs"] == 2 && varz["connections"] == 3
        });
        let keys: Vec<&str> = VARZ_KEYS.split_whitespace().collect();
        assert_eq!(varz.as_object().unwrap().len(), keys.len());
        assert_key_order(&fixture.get("/varz").body, &keys);
        for (key, expected) in [
            ("total_connections", 3),
            ("in_bytes", 7),
            ("out_msgs", 1),
            ("out_bytes", 5),
            ("subscriptions", 6),
            ("slow_consumers", 0),
            ("max_connections", 1000),
            ("ping_interval", 120_000_000_000),
            ("auth_timeout", 2),
            ("port", u64::from(fixture.broker.address().port())),
            ("http_port", u64::from(fixture.server.address().port())),
        ] {
            assert_eq!(varz[key], expected, "{key}");
        }
        assert_eq!(varz["server_name"], "b1");
        assert_eq!(varz["cluster"], serde_json::json!({}));
        assert!(varz["mem"].as_u64().unwrap() > 1 << 20);
        assert!(varz["http_req_stats"]["/varz"].as_u64().unwrap() >= 1);
        assert_eq!(varz["http_req_stats"]["/subsz"], 0);
    }
}

const CONN_KEYS: &str = "cid kind type ip port start last_activity uptime idle pending_bytes in_msgs out_msgs \
    in_bytes out_bytes subscriptions name lang version";

#[test]
fn connz_shows_connections_by_cid() {
    for shards in [1, 3] {
        let fixture = Fixture::new(shards);
        let mut clients = clients(&fixture, 5);
        clients[4].done("PUB s.2.0 3\r\nabc\r\n");
        let connz = fixture.until("/connz", |connz| connections(connz)[1]["out_msgs"] == 1);
        let body = fixture.get("/connz").body;
        assert_key_order(
            &body,
            &[
                "server_id",
                "now",
                "num_connections",
                "total",
                "offset",
                "limit",
                "connections",
            ],
        );
        assert_key_order(&body, &CONN_KEYS.split_whitespace().collect::<Vec<_>>());
        assert_eq!(
            (&connz["num_connections"], &connz["total"]),
            (&5.into(), &5.into())
        );
        assert_eq!(
            (&connz["offset"], &connz["limit"]),
            (&0.into(), &1024.into())
        );
        assert!(connz.get("muster_silent_shards").is_none());
        for (client, conn) in clients.iter().zip(connections(&connz)) {
            let number = client.cid;
            assert_eq!(conn["cid"], number);
            assert_eq!(conn["subscriptions"], number);
            assert_eq!(conn["name"], format!("c{number}"));
            assert_eq!(
                (&conn["lang"], &conn["version"]),
                (&"raw".into(), &"1.2.3".into())
            );
            assert_eq!(
                conn["port"],
                client.stream.get_ref().local_addr().unwrap().port()
            );
            for absent in [
                "stop",
                "reason",
                "account",
                "subscriptions_list",
                "subscriptions_list_detail",
            ] {
                assert!(conn.get(absent).is_none(), "{absent}");
            }
        }
        let last = &connections(&connz)[4];
        assert_eq!(
            (&last["in_msgs"], &last["in_bytes"]),
            (&1.into(), &3.into())
        );
    }
}

#[test]
fn connz_sorts_and_pages_over_all_shards() {
    for shards in [1, 3] {
        let fixture = Fixture::new(shards);
        let mut clients = clients(&fixture, 6);
        for (client, messages) in clients.iter_mut().zip([3, 1, 2, 0, 5, 4]) {
            client.done(&"PUB s.6.0 1\r\nx\r\n".repeat(messages));
        }
        assert_eq!(fixture.cids("/connz?sort=subs"), [6, 5, 4, 3, 2, 1]);
        assert_eq!(fixture.cids("/connz?sort=msgs_from"), [5, 6, 1, 3, 2, 4]);
        assert_eq!(fixture.cids("/connz?sort=bytes_from&limit=3"), [5, 6, 1]);
        assert_eq!(fixture.cids("/connz?sort=msgs_to&limit=1"), [6]);
        assert_eq!(fixture.cids("/connz?sort=start"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(fixture.cids("/connz?sort=uptime"), [6, 5, 4, 3, 2, 1]);
        assert_eq!(fixture.cids("/connz?sort=last&limit=1"), [6]);
        assert_eq!(fixture.cids("/connz?sort=idle&limit=1"), [1]);
        assert_eq!(fixture.cids("/connz?sort=subs&offset=2&limit=3"), [4, 3, 2]);
        assert_eq!(fixture.cids("/connz?offset=5&limit=100"), [6]);
        assert!(fixture.cids("/connz?offset=6").is_empty());
        assert_eq!(fixture.cids("/connz?cid=4"), [4]);
        assert!(fixture.cids("/connz?cid=40").is_empty());
        let page = fixture.json("/connz?sort=subs&offset=2&limit=3");
        assert_eq!(
            (&page["num_connections"], &page["total"]),
            (&3.into(), &6.into())
        );
        assert_eq!((&page["offset"], &page["limit"]), (&2.into(), &3.into()));
    }
}

#[test]
fn connz_lists_subscriptions() {
    let fixture = Fixture::new(3);
    let mut client = Client::named(&fixture, "subscriber");
    client.done("SUB a.* 1\r\nSUB b.> workers 2\r\nSUB c x7\r\nUNSUB x7 9\r\nPUB a.b 0\r\n\r\n");
    let connz = fixture.json("/connz?subs=1");
    let mut subjects: Vec<&str> = connections(&connz)[0]["subscriptions_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| subject.as_str().unwrap())
        .collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["a.*", "b.>", "c"]);
    let connz = fixture.json("/connz?subs=detail&auth=true");
    let conn = &connections(&connz)[0];
    assert_eq!(conn["account"], "$G");
    let detail = |subject: &str| {
        let list = conn["subscriptions_list_detail"].as_array().unwrap();
        list.iter()
            .find(|sub| sub["subject"] == subject)
            .unwrap()
            .clone()
    };
    let expected =
        serde_json::json!({"account": "$G", "subject": "a.*", "sid": "1", "msgs": 1, "cid": 1});
    assert_eq!(detail("a.*"), expected);
    assert_eq!(detail("b.>")["qgroup"], "workers");
    assert_eq!(
        (&detail("c")["sid"], &detail("c")["max"]),
        (&"x7".into(), &9.into())
    );
}

#[test]
fn closed_connections_keep_their_reason() {
    for shards in [1, 3] {
        let fixture = Fixture::new(shards);
        let mut clients = clients(&fixture, 3);
        clients[1].send("NONSENSE\r\n");
        drop(clients.remove(2));
        let closed = fixture.until("/connz?state=closed", |connz| connz["total"] == 2);
        let reasons: Vec<&str> = connections(&closed)
            .iter()
            .map(|conn| conn["reason"].as_str().unwrap())
            .collect();
        assert_eq!(reasons, ["Protocol Violation", "Client Closed"]);
        assert!(
            connections(&closed)
                .iter()
                .all(|conn| conn["stop"].is_string())
        );
        assert_eq!(connections(&closed)[1]["name"], "c3");
        assert_eq!(connections(&closed)[1]["subscriptions"], 3);
        assert_eq!(fixture.cids("/connz"), [1]);
        assert_eq!(fixture.cids("/connz?state=any"), [1, 2, 3]);
        assert_eq!(fixture.cids("/connz?state=ALL&cid=3"), [3]);
        assert_eq!(fixture.cids("/connz?state=closed&sort=reason"), [3, 2]);
        assert_eq!(fixture.cids("/connz?state=closed&sort=stop").len(), 2);
        fixture.until("/varz", |varz| {
            varz["connections"] == 1 && varz["subscriptions"] == 1
        });
    }
}

#[test]
fn connz_knows_users_and_accounts() {
    let credentials = Credentials::User {
        user: "ann".into(),
        password: "secret".into(),
    };
    let core = CoreConfig {
        connections_max: 1000,
        authenticator: Some(Arc::new(credentials)),
        auth_timeout: DEADLINE,
        ..CoreConfig::default()
    };
    let fixture = Fixture::with(2, core);
    let stranger = TcpStream::connect(fixture.broker.address()).unwrap();
    let mut client = Client::new(
        &fixture,
        r#"{"verbose":false,"user":"ann","pass":"secret"}"#,
    );
    client.done("");
    fixture.until("/connz", |connz| connz["total"] == 2);
    assert_eq!(fixture.cids("/connz?user=ann"), [client.cid]);
    assert!(fixture.cids("/connz?user=bob").is_empty());
    assert_eq!(fixture.cids("/connz?acc=$G").len(), 2);
    assert!(fixture.cids("/connz?acc=other").is_empty());
    let connz = fixture.json("/connz?user=ann");
    assert_eq!(connections(&connz)[0]["authorized_user"], "ann");
    assert!(fixture.json("/varz")["auth_required"] == true);
    drop(stranger);
}

#[test]
fn subsz_lists_and_tests_subscriptions() {
    for shards in [1, 3] {
        let fixture = Fixture::new(shards);
        let mut clients = clients(&fixture, 4);
        clients[0].done("SUB s.*.0 workers 90\r\nUNSUB 0\r\n");
        for path in ["/subsz", "/subscriptionsz"] {
            let subsz = fixture.json(path);
            assert_eq!(subsz["num_subscriptions"], 10, "{path}");
            assert_eq!(
                (&subsz["num_inserts"], &subsz["num_removes"]),
                (&11.into(), &1.into())
            );
            assert_eq!(subsz["total"], 0);
            assert!(subsz.get("subscriptions_list").is_none());
        }
        let keys = "server_id now num_subscriptions num_cache num_inserts num_removes num_matches cache_hit_rate \
            max_fanout avg_fanout total offset limit subscriptions_list";
        assert_key_order(
            &fixture.get("/subsz?subs=1&acc=none").body,
            &keys.split_whitespace().collect::<Vec<_>>(),
        );
        let listed = |target: &str| {
            let subsz = fixture.json(target);
            let list = subsz["subscriptions_list"].as_array().unwrap().clone();
            assert_eq!(subsz["total"], list.len(), "{target}");
            let text = |sub: &Value| {
                (
                    sub["subject"].as_str().unwrap().to_owned(),
                    sub["cid"].as_u64().unwrap(),
                )
            };
            list.iter().map(text).collect::<Vec<_>>()
        };
        let of = |subject: &str, cid: u64| (subject.to_owned(), cid);
        let all = listed("/subsz?subs=1");
        assert_eq!(all.len(), 10);
        assert_eq!(all[0], of("s.*.0", 1));
        assert!(all.is_sorted());
        assert_eq!(listed("/subsz?subs=1&offset=3&limit=4"), all[3..7]);
        assert_eq!(listed("/subsz?subs=1&offset=9&limit=4"), all[9..]);
        assert!(listed("/subsz?subs=1&offset=10").is_empty());
        assert_eq!(
            listed("/subsz?subs=1&test=s.3.0"),
            [of("s.*.0", 1), of("s.3.0", 3)]
        );
        assert_eq!(
            listed("/subsz?subs=1&test=s.3.0&offset=1&limit=1"),
            [of("s.3.0", 3)]
        );
        assert_eq!(listed("/subsz?subs=1&acc=$G&limit=2"), all[..2]);
        assert!(listed("/subsz?subs=1&acc=none").is_empty());
        let first = &fixture.json("/subsz?subs=1")["subscriptions_list"][0];
        let expected = serde_json::json!(
            {"account": "$G", "subject": "s.*.0", "qgroup": "workers", "sid": "90", "msgs": 0, "cid": 1}
        );
        assert_eq!(*first, expected);
    }
}

#[test]
fn bad_parameters_are_named() {
    let fixture = Fixture::new(1);
    for (target, expected) in [
        (
            "/connz?auth=x",
            "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "/connz?subs=maybe",
            "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            "/connz?limit=x",
            "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            "/connz?offset=1.5",
            "Error decoding int for 'offset': strconv.Atoi: parsing \"1.5\": invalid syntax",
        ),
        (
            "/connz?cid=-1",
            "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        ("/connz?state=half", "Error decoding state for half"),
        ("/connz?sort=x", "invalid sorting option: x"),
        (
            "/connz?sort=stop",
            "sort by stop only valid on closed connections",
        ),
        (
            "/connz?sort=reason&state=any",
            "sort by reason only valid on closed connections",
        ),
        (
            "/subsz?subs=x",
            "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "/subsz?test=a.*",
            "invalid test subject, must be valid publish subject: a.*",
        ),
        (
            "/routez?subs=x",
            "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "/healthz?details=x",
            "Error decoding boolean for 'details': strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
    ] {
        let answer = fixture.get(target);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, expected),
            "{target}"
        );
        assert!(
            answer.head.contains("Content-Type: text/plain"),
            "{}",
            answer.head
        );
    }
}

#[test]
fn the_small_endpoints() {
    let fixture = Fixture::new(1);
    let health = |target: &str| {
        let answer = fixture.get(target);
        (answer.status, answer.body)
    };
    assert_eq!(health("/healthz"), (200, r#"{"status":"ok"}"#.to_owned()));
    assert_eq!(
        health("/healthz?js-server-only=true"),
        (200, r#"{"status":"ok"}"#.to_owned())
    );
    let unavailable = r#"{"status":"unavailable","error":"JetStream not enabled"}"#;
    assert_eq!(
        health("/healthz?js-enabled-only=1"),
        (503, unavailable.to_owned())
    );
    assert_eq!(health("/healthz?stream=s").0, 400);
    let routez = fixture.json("/routez?subs=detail");
    assert_eq!(
        (&routez["num_routes"], &routez["routes"]),
        (&0.into(), &serde_json::json!([]))
    );
    let index = fixture.get("/");
    assert!(index.head.contains("Content-Type: text/html"));
    for path in [
        "/varz", "/connz", "/subsz", "/routez", "/healthz", "/metrics",
    ] {
        assert!(index.body.contains(&format!("href=\"{path}\"")), "{path}");
    }
    assert_eq!(fixture.get("/jsz").status, 404);
    assert_eq!(connections(&fixture.json("/connz")).len(), 0);
}

#[test]
fn metrics_are_documented_bounded_and_right() {
    for shards in [1, 3] {
        let fixture = Fixture::new(shards);
        let mut clients = clients(&fixture, 3);
        clients[0].done("PUB s.3.0 5\r\nhello\r\n");
        fixture.until("/varz", |varz| {
            varz["in_msgs"] == 1 && varz["connections"] == 3
        });
        let answer = fixture.get("/metrics");
        assert!(
            answer
                .head
                .contains("Content-Type: text/plain; version=0.0.4"),
            "{}",
            answer.head
        );
        let value = |series: &str| -> f64 {
            let found = answer
                .body
                .lines()
                .find_map(|line| line.strip_prefix(&format!("muster_broker_{series} ")));
            found
                .unwrap_or_else(|| panic!("no {series}"))
                .parse()
                .unwrap()
        };
        for (series, expected) in [
            ("connections", 3.0),
            ("connections_accepted_total", 3.0),
            ("in_msgs_total", 1.0),
            ("in_bytes_total", 5.0),
            ("out_msgs_total", 1.0),
            ("subscriptions", 6.0),
            ("slow_consumers_total{reason=\"pending_bytes\"}", 0.0),
            ("slow_consumers_total{reason=\"write_deadline\"}", 0.0),
            ("held_seconds_total", 0.0),
        ] {
            assert_eq!(value(series), expected, "{series}");
        }
        assert!(value("resident_bytes") > 1e6 && value("start_time_seconds") > 1.6e9);
        let per_shard: f64 = (0..shards)
            .map(|shard| value(&format!("shard_connections{{shard=\"{shard}\"}}")))
            .sum();
        assert_eq!(per_shard, 3.0);
        assert_documented(&answer.body);
    }
}

/// Each series stands behind one HELP and one TYPE line of its family, and counters say so in their name.
fn assert_documented(text: &str) {
    let mut families = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line
            .strip_prefix("# HELP ")
            .unwrap()
            .split_once(' ')
            .unwrap();
        assert!(help.ends_with('.'), "{line}");
        let kind = lines
            .next()
            .unwrap()
            .strip_prefix(&format!("# TYPE {name} "))
            .unwrap();
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        let series = std::iter::from_fn(|| lines.next_if(|line| !line.starts_with('#')));
        assert!(
            series
                .inspect(|line| assert!(line.starts_with(name), "{line}"))
                .count()
                > 0,
            "{name}"
        );
        families.push(name);
    }
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), count, "a family stands twice");
    assert!(count > 20);
}

#[test]
fn a_silent_shard_is_named_and_does_not_hide_the_others() {
    let fixture = Fixture::new(2);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::named(&fixture, "c")).collect();
    clients
        .iter_mut()
        .for_each(|client| client.done("SUB a 1\r\n"));
    let gate = Arc::new(Mutex::new(()));
    let shut = gate.lock().unwrap();
    let (sender, blocked) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let gate = Arc::clone(&gate);
            fixture.broker.ask(move |core, _| {
                if core.id() == ShardId(0) {
                    sender.send(core.len()).unwrap();
                    drop(gate.lock().unwrap());
                }
            })
        });
        let hidden = blocked.recv().unwrap();
        let connz = fixture.json("/connz");
        assert_eq!(connz["muster_silent_shards"], serde_json::json!([0]));
        assert_eq!(connections(&connz).len(), clients.len() - hidden);
        let subsz = fixture.json("/subsz?subs=1");
        assert_eq!(subsz["muster_silent_shards"], serde_json::json!([0]));
        assert_eq!(subsz["total"], clients.len() - hidden);
        // What needs no shard does not wait for one.
        assert_eq!(fixture.json("/varz")["connections"], clients.len());
        drop(shut);
    });
    let connz = fixture.until("/connz", |connz| {
        connz.get("muster_silent_shards").is_none()
    });
    assert_eq!(connections(&connz).len(), clients.len());
}

#[test]
fn operators_are_told_what_each_series_means() {
    let manual = include_str!("../../docs/operations.md");
    let metrics = Fixture::new(1).get("/metrics").body;
    let names = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"muster_broker_connections"), "{names:?}");
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| !manual.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
}
