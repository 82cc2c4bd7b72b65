//! A whole daemon, from its settings to its answers, at a broker that speaks just enough.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::request::encode_signed_request;
use muster_protocol::rpc::RpcRequest;
use muster_protocol::secure_request::RequestProof;
use muster_protocol::security::Signer;
use muster_protocol::security::tokens::{
    Claims, ClientClaims, ClientPermissions, ServerClaims, SigningKey, StandardClaims, TokenIssuer,
    TokenSigner,
};
use muster_protocol::transport::Headers;
use muster_protocol::version::ProtocolVersion;
use muster_server::daemon::{Daemon, RunError, Stop};
use muster_server::{NodeConfig, NodeFlags, NodeTokenError};
use muster_settings::Settings;

use support::{payload_with, read, recorded, request};

/// The broker's end of the daemon's connection.
struct Peer {
    reader: BufReader<TcpStream>,
    subjects: Vec<(String, String)>,
    /// The argument of CONNECT.
    connect: String,
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
            connect: String::new(),
        };
        peer.write(b"INFO {\"max_payload\":1048576,\"headers\":true,\"nonce\":\"Rq0-_x\"}\r\n");
        loop {
            let line = peer.line();
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            match &words[..] {
                [verb, ..] if verb == "PING" => break,
                [verb, ..] if verb == "CONNECT" => {
                    line["CONNECT ".len()..].clone_into(&mut peer.connect);
                }
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
            if let ["PUB", told, size] = line.split_whitespace().collect::<Vec<_>>()[..] {
                let mut reply = vec![0; size.parse::<usize>().unwrap() + 2];
                self.reader.read_exact(&mut reply).unwrap();
                if told.starts_with("choria.lifecycle.") {
                    continue;
                }
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

/// Reads until a message for the subject comes; its payload.
fn told(peer: &mut Peer, subject: &str) -> String {
    loop {
        let line = peer.line();
        if let ["PUB", told, size] = line.split_whitespace().collect::<Vec<_>>()[..] {
            let mut payload = vec![0; size.parse::<usize>().unwrap() + 2];
            peer.reader.read_exact(&mut payload).unwrap();
            if told == subject {
                payload.truncate(payload.len() - 2);
                return String::from_utf8(payload).unwrap();
            }
        }
    }
}

#[test]
fn a_daemon_tells_of_itself_and_goes_by_new_settings() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = dir.path().join("facts.json");
    std::fs::write(&file, r#"{"country":"mt"}"#).unwrap();
    let status = dir.path().join("status.json");
    let text = |collectives: &str| {
        format!(
            "identity = n1\ncollectives = {collectives}\nplugin.choria.middleware_hosts = {}\n\
             registration = file_content\nregistration_splay = 0\nclassesfile = /nonexistent\n\
             plugin.choria.registration.file_content.data = {}\n\
             plugin.choria.registration.file_content.target = my.facts\n\
             plugin.choria.status_file_path = {}\n",
            listener.local_addr().unwrap(),
            file.display(),
            status.display(),
        )
    };
    let read = |text: &str| {
        let settings = Settings::parse(text, "server.conf");
        NodeConfig::from_settings(&settings, &NodeFlags::laboratory())
    };
    // First settings that cannot be used, then others.
    let mut later = vec![read(&text("mcollective, eu")), read("ttl = x")];
    let (levels, seen) = std::sync::mpsc::channel();
    let daemon = Daemon::new(read(&text("mcollective")).unwrap()).with_reload(
        move || match later.pop() {
            Some(read) => read.map_err(|errors| errors.to_string()),
            None => Err("there is no other".to_owned()),
        },
        move |level| levels.send(level.to_owned()).unwrap(),
    );
    let stop = Stop::new().unwrap();
    let handle = std::thread::spawn({
        let stop = stop.clone();
        move || daemon.run(&stop)
    });
    let mut peer = Peer::accept(&listener);
    let startup = told(&mut peer, "choria.lifecycle.event.startup.server");
    assert!(startup.contains(r#""identity":"n1""#), "{startup}");
    let registration = told(&mut peer, "my.facts");
    assert!(registration.starts_with(r#"{"protocol":"choria:transport:1""#));
    let written = std::fs::read_to_string(&status).unwrap();
    assert!(
        written.starts_with(r#"{"identity":"n1","uptime":"#),
        "{written}"
    );
    let mode = std::fs::metadata(&status).unwrap().permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o600,
        0o600
    );
    // Asked for until the second, good settings were read.
    while seen.try_recv().is_err() {
        stop.request_reload();
        std::thread::yield_now();
    }
    peer.sid("eu.node.n1");
    stop.request();
    let shutdown = told(&mut peer, "choria.lifecycle.event.shutdown.server");
    assert!(shutdown.contains("io.choria.lifecycle.v1.shutdown"));
    handle.join().unwrap().unwrap();
    let mut names = std::fs::read_dir(dir.path()).unwrap();
    assert!(names.all(|entry| !entry.unwrap().path().ends_with(".new")));
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

const NODE_SEED: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const CLIENT_SEED: &str = "0202020202020202020202020202020202020202020202020202020202020202";

fn issuer() -> TokenIssuer {
    TokenIssuer::new(SigningKey::from_seed(&[9; 32]).unwrap())
}

/// Claims for the holder of a seed, without an end unless told.
fn standard(seed: &str, expires_at: Option<i64>) -> StandardClaims {
    let key = SigningKey::from_seed_hex(seed).unwrap();
    StandardClaims {
        public_key: key.public().to_string(),
        expires_at,
        ..StandardClaims::default()
    }
}

fn node_token(identity: &str, expires_at: Option<i64>) -> String {
    let claims = ServerClaims {
        identity: identity.to_owned(),
        collectives: vec!["choria".to_owned()],
        organization: "acme".to_owned(),
        standard: standard(NODE_SEED, expires_at),
        ..ServerClaims::default()
    };
    issuer().sign(Claims::Server(Box::new(claims))).unwrap()
}

fn client_token(seed: &str) -> String {
    let claims = ClientClaims {
        caller_id: "up=bob".to_owned(),
        organization: "acme".to_owned(),
        permissions: Some(ClientPermissions {
            fleet_management: true,
            ..ClientPermissions::default()
        }),
        standard: standard(seed, None),
        ..ClientClaims::default()
    };
    issuer().sign(Claims::Client(Box::new(claims))).unwrap()
}

/// A daemon's settings with these files in the folder.
fn token_config(dir: &Path, broker: &str, token: &str, seed: &str) -> NodeConfig {
    std::fs::write(dir.join("node.jwt"), token).unwrap();
    std::fs::write(dir.join("node.seed"), format!("{seed}\n")).unwrap();
    let dir = dir.display();
    config(&format!(
        "identity = node1.example.net
plugin.choria.middleware_hosts = {broker}
plugin.security.provider = choria
plugin.security.choria.token_file = {dir}/node.jwt
plugin.security.choria.seed_file = {dir}/node.seed
plugin.security.issuer.names = acme
plugin.security.issuer.acme.public = {}
classesfile = {dir}/classes.txt
rpcauthorization = 0
",
        issuer().public()
    ))
}

#[test]
fn a_daemon_with_a_token_shows_it_and_answers_holders_of_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = listener.local_addr().unwrap().to_string();
    let token = node_token("node1.example.net", None);
    let config = token_config(dir.path(), &broker, &token, NODE_SEED);
    let stop = Stop::new().unwrap();
    let daemon = std::thread::spawn({
        let stop = stop.clone();
        move || Daemon::new(config).run(&stop)
    });
    let mut peer = Peer::accept(&listener);
    let connect: serde_json::Value = serde_json::from_str(&peer.connect).unwrap();
    assert_eq!(
        (&connect["auth_token"], &connect["jwt"]),
        (&token.clone().into(), &token.into())
    );
    let node_key = SigningKey::from_seed_hex(NODE_SEED).unwrap().public();
    assert!(node_key.verify_nonce("Rq0-_x", connect["sig"].as_str().unwrap()));

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let mut request = support::ping("3MaTHOn13q1DQVz5Nt6IRRkU4oW");
    request.version = ProtocolVersion::V2;
    request.collective = "choria".into();
    request.caller_id = "up=bob".into();
    request.time = ProtocolVersion::V2.wire_time(now);
    let document = request.to_document();
    let client = TokenSigner::new(&client_token(CLIENT_SEED), CLIENT_SEED).unwrap();
    let proof = RequestProof::Token {
        signature_b64: &client.sign_base64(document.as_bytes()),
        caller: client.token(),
        signer: None,
    };
    let headers = Headers {
        reply_to: Some("choria.reply.x.1".into()),
        ..Headers::default()
    };
    let (mut payload, mut scratch) = (Vec::new(), Scratch::new());
    encode_signed_request(&mut payload, &mut scratch, &document, &proof, &headers);
    let reply = peer.ask("choria.broadcast.agent.discovery", &payload);
    let parsed = parse_reply(&reply, &mut scratch).unwrap();
    assert_eq!(
        (parsed.version, parsed.body),
        (ProtocolVersion::V2, &b"pong"[..])
    );
    stop.request();
    daemon.join().unwrap().unwrap();
}

#[test]
fn a_token_that_is_none_for_the_node_ends_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let stop = Stop::new().unwrap();
    let start = |token: &str, seed: &str| {
        let config = token_config(dir.path(), "127.0.0.1:1", token, seed);
        match Daemon::new(config).run(&stop).unwrap_err() {
            RunError::Token(path, error) => {
                assert!(path.ends_with("node.jwt"));
                error
            }
            other => panic!("{other}"),
        }
    };
    let error = start(&node_token("node2.example.net", None), NODE_SEED);
    assert_eq!(
        error.to_string(),
        "token is that of \"node2.example.net\", the identity is \"node1.example.net\""
    );
    let error = start(&client_token(NODE_SEED), NODE_SEED);
    assert!(
        matches!(error, NodeTokenError::NotAServer { .. }),
        "{error}"
    );
    for (token, seed, reason) in [
        (
            node_token("node1.example.net", Some(1_000)),
            NODE_SEED,
            "token_expired",
        ),
        (
            node_token("node1.example.net", None),
            CLIENT_SEED,
            "token_key_mismatch",
        ),
        (node_token("node1.example.net", None), "seed", "bad_seed"),
        ("token".to_owned(), NODE_SEED, "bad_token"),
    ] {
        match start(&token, seed) {
            NodeTokenError::Token(error) => assert_eq!(error.reason(), reason),
            other => panic!("{other}"),
        }
    }
}

/// Writes an agent whose program says a word. A shell does it, so that this process never holds a program open for
/// writing while another test starts a child.
fn write_agent(dir: &Path, name: &str, word: &str) {
    let program = format!(
        r#"#!/bin/sh
case $CHORIA_EXTERNAL_PROTOCOL in
*activation_request) echo '{{"activate":true}}' ;;
*) echo '{{"data":{{"word":"{word}"}}}}' ;;
esac >"$CHORIA_EXTERNAL_REPLY"
"#
    );
    let ddl = format!(
        r#"{{"metadata":{{"name":"{name}","timeout":5,"provider":"external"}},"actions":[{{"action":"say"}}]}}"#
    );
    let script = r#"printf '%s' "$2" >"$1.new" && chmod 755 "$1.new" && mv "$1.new" "$1"
        printf '%s' "$3" >"$1.json.new" && mv "$1.json.new" "$1.json""#;
    let status = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .args([dir.join(name).as_os_str(), program.as_ref(), ddl.as_ref()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_daemon_keeps_its_agents_in_step_with_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let agents = dir.path().join("choria/agent");
    std::fs::create_dir_all(&agents).unwrap();
    write_agent(&agents, "one", "first");
    // The names of our own agents are taken.
    write_agent(&agents, "rpcutil", "forged");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flags = NodeFlags {
        disable_tls: true,
        insecure: true,
        ..NodeFlags::default()
    };
    let text = format!(
        "identity = n1\nplugin.choria.middleware_hosts = {}\nrpcauthorization = 0\nlibdir = {}\nplugin.off.activate_agent = 0\n",
        listener.local_addr().unwrap(),
        dir.path().display()
    );
    let settings = Settings::parse(&text, "server.conf");
    let mut config = NodeConfig::from_settings(&settings, &flags).unwrap();
    config.external.rescan_every = Duration::from_millis(20);
    config.external.settle = Duration::ZERO;
    let stop = Stop::new().unwrap();
    let daemon = std::thread::spawn({
        let stop = stop.clone();
        move || Daemon::new(config).run(&stop)
    });
    let mut peer = Peer::accept(&listener);
    let mut id = 0;
    let mut ask = |peer: &mut Peer, agent: &str, action: &str| {
        id += 1;
        let id = format!("{id:032x}");
        let body = RpcRequest::encode(agent, action, "{}");
        let mut request = request(&id, agent, &body);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        request.time = now.as_secs().try_into().unwrap();
        let payload = payload_with(&request.to_document(), &support::signer(), None);
        let reply = peer.ask(&format!("mcollective.broadcast.agent.{agent}"), &payload);
        let mut scratch = Scratch::new();
        let reply = parse_reply(&reply, &mut scratch).unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    };
    assert!(ask(&mut peer, "one", "say").contains(r#""statusmsg":"OK","data":{"word":"first"}"#));
    assert!(ask(&mut peer, "rpcutil", "ping").contains(r#""pong":"#));
    write_agent(&agents, "off", "never");
    write_agent(&agents, "two", "new");
    assert!(ask(&mut peer, "two", "say").contains(r#"{"word":"new"}"#));
    write_agent(&agents, "one", "a second time");
    while !ask(&mut peer, "one", "say").contains(r#"{"word":"a second time"}"#) {}
    let sid = peer.sid("mcollective.broadcast.agent.two");
    std::fs::remove_file(agents.join("two.json")).unwrap();
    while peer.line().trim_end() != format!("UNSUB {sid}") {}
    assert!(ask(&mut peer, "rpcutil", "agent_inventory").contains(r#""agent":"one""#));
    assert!(
        !peer
            .subjects
            .iter()
            .any(|(subject, _)| subject.ends_with(".off"))
    );
    stop.request();
    daemon.join().unwrap().unwrap();
}
