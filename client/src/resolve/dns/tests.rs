//! Lookups against a name server of the test's own, on loopback.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use muster_settings::Settings;
use simple_dns::ResourceRecord;
use simple_dns::rdata::SRV;

use super::*;
use crate::resolve::{Found, How, Seeker, SrvQuery, SrvSurroundings, search};

/// How the server behaves, beside the records it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Plain,
    /// By UDP, only that the answer is too large.
    Truncates,
    /// First two answers that are not ours: of another number, and to another question.
    Misleads,
    Fails,
    Silent,
}

/// Records: name, priority, weight, port, target.
type Records = &'static [(&'static str, u16, u16, u16, &'static str)];

struct Server {
    addr: SocketAddr,
    asked: Arc<AtomicUsize>,
}

/// A name server that lives as long as the test process.
fn server(manner: Manner, records: Records) -> Server {
    // The same port for both, which somebody else may have got meanwhile.
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let addr = udp.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = udp.recv_from(&mut buffer) {
            counter.fetch_add(1, Ordering::SeqCst);
            for answer in udp_answers(&buffer[..len], manner, records) {
                udp.send_to(&answer, from).unwrap();
            }
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let mut stream = stream;
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut query = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut query).unwrap();
            let answer = answer(&query, records);
            let len = u16::try_from(answer.len()).unwrap().to_be_bytes();
            // In two pieces, as a network may.
            stream.write_all(&len[..1]).unwrap();
            stream.write_all(&[&len[1..], &answer].concat()).unwrap();
        }
    });
    Server { addr, asked }
}

fn udp_answers(query: &[u8], manner: Manner, records: Records) -> Vec<Vec<u8>> {
    let good = answer(query, records);
    let mut packet = Packet::parse(query).unwrap().into_reply();
    match manner {
        Manner::Plain => vec![good],
        Manner::Silent => Vec::new(),
        Manner::Truncates => {
            packet.set_flags(PacketFlag::TRUNCATION);
            vec![packet.build_bytes_vec().unwrap()]
        }
        Manner::Fails => {
            *packet.rcode_mut() = RCODE::ServerFailure;
            vec![packet.build_bytes_vec().unwrap()]
        }
        Manner::Misleads => {
            packet.set_id(packet.id().wrapping_add(1));
            let other_number = packet.build_bytes_vec().unwrap();
            packet.set_id(packet.id().wrapping_sub(1));
            packet.questions[0].qname = Name::new("other.example").unwrap();
            let other_question = packet.build_bytes_vec().unwrap();
            vec![other_number, other_question, b"junk".to_vec(), good]
        }
    }
}

fn answer(query: &[u8], records: Records) -> Vec<u8> {
    let mut packet = Packet::parse(query).unwrap().into_reply();
    let name = packet.questions[0].qname.to_string();
    for (owner, priority, weight, port, target) in records {
        if name.eq_ignore_ascii_case(owner) {
            let srv = SRV {
                priority: *priority,
                weight: *weight,
                port: *port,
                target: Name::new_unchecked(target),
            };
            let owner = Name::new(owner).unwrap();
            let record = ResourceRecord::new(owner, CLASS::IN, 60, RData::SRV(srv));
            packet.answers.push(record);
        }
    }
    if packet.answers.is_empty() {
        *packet.rcode_mut() = RCODE::NameError;
    }
    packet.build_bytes_vec().unwrap()
}

fn resolver(servers: &[&Server]) -> Resolver {
    Resolver::new(ResolvConf {
        name_servers: servers.iter().map(|server| server.addr).collect(),
        ..ResolvConf::default()
    })
}

fn names(records: &[SrvRecord]) -> Vec<String> {
    records.iter().map(|r| r.server.to_string()).collect()
}

const TWO: Records = &[
    ("_x._tcp.example.net", 20, 0, 4223, "b2.example.net"),
    ("_x._tcp.example.net", 10, 0, 4222, "b1.example.net"),
];

#[test]
fn records_come_by_priority_and_are_kept_for_a_while() {
    let server = server(Manner::Plain, TWO);
    let mut resolver = resolver(&[&server]);
    for _ in 0..3 {
        let records = resolver.srv("_x._tcp.example.net").unwrap();
        let expected = ["b1.example.net:4222", "b2.example.net:4223"];
        assert_eq!(names(&records), expected);
        assert_eq!(resolver.srv("_y._tcp.example.net").unwrap(), []);
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
}

#[test]
fn an_answer_too_large_for_udp_comes_by_tcp() {
    let server = server(Manner::Truncates, TWO);
    let records = resolver(&[&server]).srv("_x._tcp.example.net").unwrap();
    assert_eq!(records.len(), 2);
}

#[test]
fn what_answers_another_question_is_passed_over() {
    let server = server(Manner::Misleads, TWO);
    let records = resolver(&[&server]).srv("_x._tcp.example.net").unwrap();
    assert_eq!(records.len(), 2);
}

#[test]
fn a_server_that_fails_leads_to_the_next() {
    let (failing, good) = (server(Manner::Fails, &[]), server(Manner::Plain, TWO));
    let records = resolver(&[&failing, &good])
        .srv("_x._tcp.example.net")
        .unwrap();
    assert_eq!(records.len(), 2);
    let error = resolver(&[&failing])
        .srv("_x._tcp.example.net")
        .unwrap_err();
    assert!(
        error.to_string().ends_with("answers ServerFailure"),
        "{error}"
    );
    // Asked once for the first resolver, and as often as it is configured for the second.
    assert_eq!(failing.asked.load(Ordering::SeqCst), 3);
}

#[test]
fn silence_is_waited_for_no_longer_than_configured() {
    let silent = server(Manner::Silent, &[]);
    let mut resolver = resolver(&[&silent]);
    resolver.conf.timeout = Duration::from_millis(10);
    let error = resolver.srv("_x._tcp.example.net").unwrap_err();
    assert!(matches!(error, ResolveError::Io(_, ref io) if io.kind() == io::ErrorKind::TimedOut));
    assert_eq!(silent.asked.load(Ordering::SeqCst), 2);
    resolver.begin_search(Duration::ZERO);
    let error = resolver.srv("_x._tcp.example.net").unwrap_err();
    assert!(matches!(error, ResolveError::Deadline), "{error}");
}

#[test]
fn records_of_no_use_and_names_of_no_use_are_left_out() {
    const ODD: Records = &[
        ("_x._tcp.example.net", 1, 0, 4222, ""),
        ("_x._tcp.example.net", 1, 0, 0, "b1.example.net"),
        ("_x._tcp.example.net", 1, 0, 4222, "b2.example.net"),
    ];
    let server = server(Manner::Plain, ODD);
    let mut resolver = resolver(&[&server]);
    let records = resolver.srv("_x._tcp.example.net").unwrap();
    assert_eq!(names(&records), ["b2.example.net:4222"]);
    for name in ["a..b", &"a".repeat(64), &"a.".repeat(200)] {
        let error = resolver.srv(name).unwrap_err();
        assert!(matches!(error, ResolveError::BadName(_)), "{name}: {error}");
    }
}

#[test]
fn weights_decide_how_often_an_equal_comes_first() {
    let mut resolver = Resolver::new(ResolvConf::default());
    resolver.rng = Rng::with_seed(7);
    let record = |name: &str, priority, weight| SrvRecord {
        priority,
        weight,
        server: ServerAddr::new(name, 1),
    };
    let records = vec![
        record("last", 9, 65535),
        record("rare", 1, 0),
        record("often", 1, 99),
    ];
    let mut often = 0;
    for _ in 0..1000 {
        let ordered = resolver.in_order(records.clone());
        assert_eq!(&*ordered[2].server.host, "last");
        often += usize::from(&*ordered[0].server.host == "often");
    }
    assert!((950..1000).contains(&often), "{often}");
}

fn found(text: &str, seeker: Seeker, server: &Server) -> Found {
    let around = SrvSurroundings {
        domain: None,
        hostname: "client.example.net".to_owned(),
    };
    let query = SrvQuery::read(&Settings::parse(text, "client.conf"), seeker, &around).unwrap();
    search(&query, &mut resolver(&[server]))
}

#[test]
fn brokers_are_found_by_either_name_and_federation_brokers_before_them() {
    const NEW: Records = &[("_mcollective-server._tcp.example.net", 1, 1, 1, "new")];
    const OLD: Records = &[("_x-puppet-mcollective._tcp.other.net", 1, 1, 2, "old")];
    const FEDERATION: Records = &[
        ("_mcollective-server._tcp.example.net", 1, 1, 1, "new"),
        (
            "_mcollective-federation_server._tcp.example.net",
            1,
            1,
            3,
            "fed",
        ),
    ];
    let domain = "plugin.choria.srv_domain = other.net";
    for (records, text, seeker, expected) in [
        (NEW, "", Seeker::Local, "new:1"),
        (NEW, "", Seeker::Federated, "new:1"),
        (OLD, domain, Seeker::Local, "old:2"),
        (OLD, "", Seeker::Local, "puppet:4222"),
        (FEDERATION, "", Seeker::Federated, "fed:3"),
        (FEDERATION, "", Seeker::Local, "new:1"),
    ] {
        let found = found(text, seeker, &server(Manner::Plain, records));
        assert_eq!(found.servers[0].to_string(), expected);
        assert_eq!((found.servers.len(), found.problems.len()), (1, 0));
    }
    let failing = server(Manner::Fails, &[]);
    let found = found("", Seeker::Local, &failing);
    assert_eq!((found.how, found.problems.len()), (How::Fallback, 2));
}
