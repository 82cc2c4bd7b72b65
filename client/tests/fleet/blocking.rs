//! The facade on real sockets, against a broker of one thread that plays the fleet too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use muster_client::fleet::{
    Discover, Ended, Failure, Fleet, FleetConfig, FleetError, FleetEvent, Operation, Ping, Target,
};
use muster_client::nats::{Backoff, ClientConfig, ServerAddr};
use muster_protocol::request_id::RequestId;

use crate::session::{nodes, rpc};
use crate::support::{caller, ok_body, reply, with_request};

fn config(addr: SocketAddr) -> FleetConfig {
    FleetConfig {
        caller: caller(),
        client: ClientConfig::new(vec![ServerAddr::new(addr.ip().to_string(), addr.port())]),
        tls: None,
        prepare_timeout: Duration::from_secs(60),
        discovery_timeout: Duration::from_secs(60),
        require_filter: false,
    }
}

/// Serves one client until it goes; `n1` and `n2` answer what they are asked.
fn broker() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = move || {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        writer
            .write_all(b"INFO {\"server_id\":\"A\",\"max_payload\":1048576}\r\n")
            .unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let mut sid = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 0 {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["PING"] => writer.write_all(b"PONG\r\n").unwrap(),
                ["SUB", _, new] => sid = new.to_owned(),
                ["PUB", subject, size] => {
                    let mut payload = vec![0; size.parse::<usize>().unwrap() + 2];
                    reader.read_exact(&mut payload).unwrap();
                    payload.truncate(payload.len() - 2);
                    answer(&mut writer, subject, &payload, &sid);
                }
                _ => {}
            }
            line.clear();
        }
    };
    (addr, thread::spawn(serve))
}

fn answer(writer: &mut TcpStream, subject: &str, payload: &[u8], sid: &str) {
    let (id, body) = with_request(payload, |request| {
        let id = RequestId::parse(&request.request_id).unwrap();
        let discovery = request.agent == "discovery";
        (
            id,
            if discovery {
                b"pong".to_vec()
            } else {
                ok_body("{}")
            },
        )
    });
    for node in ["n1", "n2"] {
        if subject.contains(".broadcast.") || subject.ends_with(node) {
            let reply = reply(id, node, &body);
            write!(writer, "MSG r {sid} {}\r\n", reply.len()).unwrap();
            writer.write_all(&reply).unwrap();
            writer.write_all(b"\r\n").unwrap();
        }
    }
}

#[test]
fn one_connection_serves_a_discovery_and_a_request_to_what_it_found() {
    let (addr, broker) = broker();
    let mut fleet = Fleet::connect(config(addr)).unwrap();
    let discover = Discover {
        expect: Some(2),
        timeout: Duration::from_secs(60),
        ..Discover::default()
    };
    let found = fleet.discover(discover, &mut |_| {}).unwrap();
    assert_eq!(
        (found.ended, &found.replied[..]),
        (Ended::Complete, &nodes(&["n1", "n2"])[..])
    );

    let mut seen = Vec::new();
    let Operation::Rpc(request) = rpc(Target::Direct(found.replied)) else {
        unreachable!()
    };
    let summary = fleet
        .rpc(*request, &mut |event| {
            if let FleetEvent::Reply(reply) = event {
                seen.push((
                    reply.sender.to_string(),
                    reply.rpc().unwrap().statusmsg.to_string(),
                ));
            }
        })
        .unwrap();
    assert!(summary.is_success());
    let ok = "OK".to_owned();
    assert_eq!(seen, [("n1".to_owned(), ok.clone()), ("n2".to_owned(), ok)]);

    let ping = Ping {
        expect: Some(2),
        timeout: Duration::from_secs(60),
        ..Ping::default()
    };
    assert_eq!(fleet.ping(ping, &mut |_| {}).unwrap().replied.len(), 2);
    drop(fleet);
    broker.join().unwrap();
}

#[test]
fn a_port_where_nobody_listens_is_an_error_with_its_reason() {
    let addr = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = FleetConfig {
        prepare_timeout: Duration::from_millis(50),
        ..config(addr)
    };
    match Fleet::connect(config) {
        Err(FleetError::Failed(Failure::NotConnected { last: Some(_), .. })) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn brokers_that_all_refuse_us_are_given_up_long_before_the_patience_ends() {
    let closed = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let (first, second) = (closed(), closed());
    let mut config = config(first);
    let second = ServerAddr::new(second.ip().to_string(), second.port());
    config.client.servers.push(second.clone());
    // Waits of milliseconds between the rounds.
    config.client.backoff = Backoff::new([Duration::from_millis(1)]);
    match Fleet::connect(config) {
        Err(FleetError::Failed(failure @ Failure::Refused { .. })) => {
            let text = failure.to_string();
            assert!(text.contains(&second.to_string()), "{text}");
            assert!(text.contains("refused"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}
