//! Data a program leaves to its node: what arrives at a collector that listens on the broker.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig};
use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_protocol::request::Request;
use muster_protocol::secure_request::SecureRequest;
use muster_protocol::security::{SignedRequest, TrustPolicy, Verifier};
use muster_protocol::transport::Transport;
use muster_reactor::clock::unix_now;
use muster_server::daemon::Daemon;
use muster_server::embed::{DataItem, Outbox, OutboxCounts};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

const NODE: &str = "sensor1.example.net";

/// Whoever takes the data in: a bare client of the broker.
struct Collector(BufReader<TcpStream>);

impl Collector {
    fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.address()).unwrap();
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).unwrap();
        let mut collector = Self(BufReader::new(stream));
        let hello = b"CONNECT {\"verbose\":false}\r\nSUB acme.> 1\r\nSUB sensors.> 2\r\nPING\r\n";
        collector.0.get_mut().write_all(hello).unwrap();
        while collector.line() != "PONG" {}
        collector
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "hung up");
        line.trim_end().to_owned()
    }

    /// The next message's subject and payload.
    fn message(&mut self) -> (String, Vec<u8>) {
        loop {
            let line = self.line();
            if let ["MSG", subject, _, size] = line.split(' ').collect::<Vec<_>>()[..] {
                let mut payload = vec![0; size.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut payload).unwrap();
                payload.truncate(payload.len() - 2);
                return (subject.to_owned(), payload);
            }
        }
    }
}

#[test]
fn items_arrive_signed_at_their_subject_or_their_agent() {
    let dir = tempfile::tempdir().unwrap();
    let validity = Validity::days_from(unix_now().as_secs() - 3600, 2);
    let authority = Authority::new("test", KeyKind::default(), validity).unwrap();
    let issued = authority.issue(&Profile::new(Role::Client, NODE, validity));
    let issued = issued.unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let broker = Broker::start(BrokerConfig {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        shards: Some(1),
        ..BrokerConfig::default()
    });
    let broker = broker.unwrap();
    let text = format!(
        "identity = {NODE}\ncollectives = sensors\nplugin.choria.middleware_hosts = {}\n\
         plugin.security.provider = file\nplugin.security.file.ca = {}\n\
         plugin.security.file.certificate = {}\nplugin.security.file.key = {}\n",
        broker.address(),
        write("ca.pem", authority.cert_pem()),
        write("node.pem", &issued.cert_pem),
        write("node.key", &issued.key_pem),
    );
    let flags = NodeFlags {
        disable_tls: true,
        ..NodeFlags::default()
    };
    let config = NodeConfig::from_settings(&Settings::parse(&text, "server.conf"), &flags).unwrap();
    let mut collector = Collector::connect(&broker);
    let outbox = Outbox::new();
    // The first item waits for the node, the second finds it running.
    let reading = r#"{"temperature":21.5}"#;
    outbox
        .send(DataItem::to_subject("acme.iot", reading))
        .unwrap();
    let node = Daemon::new(config).with_outbox(&outbox).start().unwrap();
    let mut policy = TrustPolicy::new(authority.cert_pem());
    policy.allow = vec![NODE.to_owned()];
    let verifier = Verifier::new(policy).unwrap();
    check(
        &collector.message(),
        &verifier,
        "acme.iot",
        "registration",
        reading,
    );
    outbox
        .send(DataItem::to_agent("temperature", "22"))
        .unwrap();
    let subject = "sensors.broadcast.agent.temperature";
    check(
        &collector.message(),
        &verifier,
        subject,
        "temperature",
        "22",
    );
    node.stop().unwrap();
    let counts = OutboxCounts {
        published: 2,
        ..OutboxCounts::default()
    };
    assert_eq!(outbox.counts(), counts);
}

fn check(
    (subject, payload): &(String, Vec<u8>),
    verifier: &Verifier,
    wanted_subject: &str,
    agent: &str,
    data: &str,
) {
    assert_eq!(subject, wanted_subject);
    let transport = Transport::parse(payload).unwrap();
    assert_eq!(transport.headers.reply_to.as_deref(), Some("dev.null"));
    assert_eq!(transport.headers.sender.as_deref(), Some(NODE));
    assert_eq!(transport.headers.seen_by.len(), 1);
    let mut document = Vec::new();
    transport.decode_data(&mut document).unwrap();
    let secure = SecureRequest::parse(&document).unwrap();
    let request = Request::parse(secure.message.as_bytes()).unwrap();
    assert_eq!(request.body(), data.as_bytes());
    assert_eq!((&*request.agent, &*request.collective), (agent, "sensors"));
    assert_eq!(request.caller_id, format!("choria={NODE}"));
    let signed = SignedRequest {
        message: secure.message.as_bytes(),
        signature_b64: &secure.signature,
        pubcert_pem: &secure.pubcert,
        caller_id: &request.caller_id,
        signer_token: None,
    };
    verifier.verify(&signed, unix_now().as_secs()).unwrap();
}
