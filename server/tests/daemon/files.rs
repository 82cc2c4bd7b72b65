//! The files a daemon is made of.

use std::io::Read;
use std::net::TcpListener;

use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::RpcRequest;
use muster_protocol::security::Signer;
use muster_server::daemon::{Daemon, RunError, Stop};

use super::peer::{Peer, config};
use super::support::{self, payload_with, read, recorded, request};

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
