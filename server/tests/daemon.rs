//! A whole daemon, from its settings to its answers, at a broker that speaks just enough.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::RpcRequest;
use muster_protocol::security::Signer;
use muster_server::daemon::{Daemon, RunError, Stop};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

use support::{payload_with, read, recorded, request};

/// The broker's end of the daemon's connection.
struct Peer {
    reader: BufReader<TcpStream>,
    subjects: Vec<(String, String)>,
}

impl Peer {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut peer = Self {
            reader: BufReader::new(stream),
            subjects: Vec::new(),
        };
        peer.write(b"INFO {\"max_payload\":1048576,\"headers\":true}\r\n");
        loop {
            let line = peer.line();
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            match &words[..] {
                [verb, ..] if verb == "PING" => break,
                [verb, subject, sid] if verb == "SUB" => {
                    peer.subjects.push((subject.clone(), sid.clone()));
                }
                _ => {}
            }
        }
        peer.write(b"PONG\r\n");
        peer
    }

    fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(
            self.reader.read_line(&mut line).unwrap() > 0,
            "the daemon hung up"
        );
        line
    }

    /// Subscriptions that come behind the first pong.
    fn sid(&mut self, subject: &str) -> String {
        loop {
            if let Some((_, sid)) = self.subjects.iter().find(|(known, _)| known == subject) {
                return sid.clone();
            }
            let line = self.line();
            if let ["SUB", subject, sid] = line.split_whitespace().collect::<Vec<_>>()[..] {
                self.subjects.push((subject.to_owned(), sid.to_owned()));
            }
        }
    }

    fn ask(&mut self, subject: &str, payload: &[u8]) -> Vec<u8> {
        let sid = self.sid(subject);
        self.write(format!("MSG {subject} {sid} {}\r\n", payload.len()).as_bytes());
        self.write(payload);
        self.write(b"\r\n");
        loop {
            let line = self.line();
            if let ["PUB", _, size] = line.split_whitespace().collect::<Vec<_>>()[..] {
                let mut reply = vec![0; size.parse::<usize>().unwrap() + 2];
                self.reader.read_exact(&mut reply).unwrap();
                reply.truncate(reply.len() - 2);
                return reply;
            }
        }
    }
}

fn config(text: &str) -> NodeConfig {
    let flags = NodeFlags {
        disable_tls: true,
        ..NodeFlags::default()
    };
    NodeConfig::from_settings(&Settings::parse(text, "server.conf"), &flags).unwrap()
}

#[test]
fn a_daemon_answers_with_the_facts_of_its_files_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    // The daemon goes by the wall clock, so it gets certificates of today.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let validity = Validity::days_from(now.as_secs() - 3_600, 2);
    let authority = Authority::new("test", KeyKind::default(), validity).unwrap();
    let caller = authority
        .issue(&Profile::new(Role::Client, "rip.mcollective", validity))
        .unwrap();
    let signer = Signer::from_pem(&caller.cert_pem, &caller.key_pem).unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.cert_pem()).unwrap();
    let facts = dir.path().join("facts.yaml");
    std::fs::write(&facts, "country: mt\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(&format!(
        "identity = node1.example.net
plugin.choria.middleware_hosts = {}
plugin.security.provider = file
plugin.security.file.ca = {}
plugin.yaml = {}
classesfile = {}
rpcauthorization = 0
",
        listener.local_addr().unwrap(),
        ca.display(),
        facts.display(),
        dir.path().join("classes.txt").display(),
    ));
    let stop = Stop::new().unwrap();
    let daemon = std::thread::spawn({
        let stop = stop.clone();
        move || Daemon::new(config.clone()).run(&stop)
    });
    let mut peer = Peer::accept(&listener);
    let body = RpcRequest::encode("rpcutil", "get_fact", r#"{"fact":"country"}"#);
    let mut request = request(support::ID, "rpcutil", &body);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    request.time = now.as_secs().try_into().unwrap();
    let payload = payload_with(&request.to_document(), &signer, None);
    let reply = peer.ask("mcollective.node.node1.example.net", &payload);
    let mut scratch = Scratch::new();
    let reply = parse_reply(&reply, &mut scratch).unwrap();
    let body = std::str::from_utf8(reply.body).unwrap();
    assert!(
        body.contains(r#""data":{"fact":"country","value":"mt"}"#),
        "{body}"
    );
    stop.request();
    daemon.join().unwrap().unwrap();
    let mut rest = Vec::new();
    peer.reader.read_to_end(&mut rest).unwrap();
}

#[test]
fn files_that_cannot_be_used_end_a_start() {
    let text = |ca: &str| {
        config(&format!(
            "identity = n1\nplugin.security.provider = file\nplugin.security.file.ca = {ca}\n"
        ))
    };
    let stop = Stop::new().unwrap();
    let error = Daemon::new(text("/nonexistent/ca.pem"))
        .run(&stop)
        .unwrap_err();
    assert!(
        matches!(&error, RunError::File(path, _) if path.ends_with("ca.pem")),
        "{error}"
    );
    let key = recorded("pki/ca.key");
    assert!(!read("pki/ca.key").is_empty());
    let error = Daemon::new(text(&key.display().to_string()))
        .run(&stop)
        .unwrap_err();
    assert!(matches!(error, RunError::Security(_)), "{error}");
}
