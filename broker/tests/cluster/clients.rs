//! What clients are told of the members.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use muster_wire::info::Info;
use serde_json::Value;

use crate::client::{Event, PATIENCE};
use crate::lab::{Lab, Plan};

/// A client that only listens to what it is told.
pub(crate) struct Told {
    lines: BufReader<TcpStream>,
    info: String,
}

impl Told {
    pub(crate) fn by(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut told = Self {
            lines: BufReader::new(stream),
            info: String::new(),
        };
        told.next();
        told.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\nPING\r\n");
        told
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.lines.get_mut().write_all(bytes).unwrap();
    }

    /// The INFO it saw last.
    pub(crate) fn line(&self) -> &str {
        &self.info
    }

    /// Reads to the next INFO. `false` at the end.
    pub(crate) fn next(&mut self) -> bool {
        loop {
            let mut line = String::new();
            match self.lines.read_line(&mut line) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("no further INFO after {}: {error}", self.info),
            }
            if line == "PING\r\n" {
                self.send(b"PONG\r\n");
            }
            if let Some(info) = line.strip_prefix("INFO ") {
                info.clone_into(&mut self.info);
                return true;
            }
        }
    }

    pub(crate) fn info(&self) -> Info {
        Info::parse(self.info.as_bytes()).unwrap()
    }

    /// Reads until it is told of exactly these, in this order.
    pub(crate) fn wait_for(&mut self, wanted: &[SocketAddr]) {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        while self.info().connect_urls != wanted {
            assert!(self.next(), "told only of {:?}", self.info().connect_urls);
        }
    }
}

pub(crate) fn clients_hear_of_the_others() {
    for shards in [1, 3] {
        let mut lab = Lab::new();
        let first = lab.add_muster(shards);
        let own = lab.members()[0].address();
        let mut told: Vec<_> = (0..10).map(|_| Told::by(own)).collect();
        lab.add_muster_with_routes(1, &[first]);
        let other = lab.members()[1].address();
        for told in &mut told {
            told.wait_for(&[own, other]);
        }
        // Who comes now knows at once.
        assert_eq!(Told::by(own).info().connect_urls.len(), 2);
        lab.stop(1);
        for told in &mut told {
            told.wait_for(&[own]);
        }
    }
}

pub(crate) fn nothing_is_advertised() {
    let mut lab = Lab::new();
    lab.add_muster(1);
    let Plan::Muster(mut silent) = lab.stop(0) else {
        unreachable!("it was ours")
    };
    if let Some(cluster) = &mut silent.cluster {
        cluster.core.no_advertise = true;
    }
    lab.restart(Plan::Muster(silent));
    let routes = [lab.members()[0].peer_address()];
    lab.add_muster_with_routes(1, &routes);
    lab.settle();
    let (silent, open) = (lab.members()[0].address(), lab.members()[1].address());
    assert_eq!(Told::by(silent).info().connect_urls, [""; 0]);
    assert_eq!(Told::by(open).info().connect_urls, [open.to_string()]);
}

pub(crate) fn monitoring_shows_the_routes() {
    let mut lab = Lab::new();
    let first = lab.add_muster(2);
    lab.add_muster_with_routes(1, &[first]);
    lab.settle();
    let page = |place: usize, path: &str| lab.page(place, path);
    let routez: Value = serde_json::from_str(&page(1, "/routez?subs=1")).unwrap();
    assert_eq!(routez["num_routes"], 1);
    let route = &routez["routes"][0];
    assert_eq!(route["remote_name"], "b0");
    assert_eq!(route["did_solicit"], true);
    assert_eq!(route["is_configured"], true);
    assert_eq!(route["port"], first.port());
    assert!(route["in_msgs"].as_u64() > Some(0), "{route}");
    let varz: Value = serde_json::from_str(&page(0, "/varz")).unwrap();
    assert_eq!((&varz["routes"], &varz["remotes"]), (&1.into(), &1.into()));
    assert_eq!(varz["cluster"]["name"], "C1");
    assert_eq!(varz["connect_urls"].as_array().map(Vec::len), Some(2));
    let metrics = page(0, "/metrics");
    for line in [
        "muster_broker_remotes 1",
        "choria_network_routes 1",
        "muster_broker_route_dial_failures_total{reason=\"refused\"} 0",
        "muster_broker_route_subscriptions{peer=\"b1\"}",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

pub(crate) fn a_lame_duck_sends_its_clients_away() {
    let mut lab = Lab::new();
    let first = lab.add_muster(2);
    lab.add_muster_with_routes(1, &[first]);
    let (own, other) = (lab.members()[0].address(), lab.members()[1].address());
    let mut told: Vec<_> = (0..20).map(|_| Told::by(own)).collect();
    for told in &mut told {
        told.wait_for(&[own, other]);
    }
    let mut elsewhere = Told::by(other);
    elsewhere.wait_for(&[other, own]);
    let mut subscriber = lab.members()[1].client();
    subscriber.send(b"SUB late 1\r\n");
    subscriber.round_trip();
    lab.settle();
    let broker = lab.members()[0].broker();
    broker.start_lame_duck(Duration::from_secs(3), Duration::from_millis(500));
    elsewhere.wait_for(&[other]);
    for told in &mut told {
        told.wait_for(&[other]);
        assert!(told.info().lame_duck);
    }
    assert!(
        TcpStream::connect(own).is_err(),
        "no more clients are taken"
    );
    told[0].send(b"PUB late 2\r\nhi\r\n");
    assert!(matches!(
        subscriber.next(),
        Event::Message { payload: b"hi", .. }
    ));
    for told in &mut told {
        // Whatever else it is told, it is sent away.
        while told.next() {}
    }
    lab.wait("nobody is left", |lab| {
        lab.members()[0].broker().is_drained()
    });
    assert_eq!(lab.members()[0].peers().len(), 1, "the route stays");
}
