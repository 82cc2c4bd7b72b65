//! A daemon that goes by a token.

use std::net::TcpListener;
use std::path::Path;

use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::request::encode_signed_request;
use muster_protocol::secure_request::RequestProof;
use muster_protocol::security::tokens::{
    Claims, ClientClaims, ClientPermissions, ServerClaims, SigningKey, StandardClaims, TokenIssuer,
    TokenSigner,
};
use muster_protocol::transport::Headers;
use muster_protocol::version::ProtocolVersion;
use muster_server::daemon::{Daemon, RunError, Stop};
use muster_server::{NodeConfig, NodeTokenError};

use super::peer::{Peer, config, written};
use super::support;

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

#[test]
fn the_status_file_tells_when_the_token_ends() {
    let dir = tempfile::tempdir().unwrap();
    // Both in the future; the sooner one counts.
    let end = 4_102_444_800;
    let claims = ServerClaims {
        identity: "node1.example.net".to_owned(),
        organization: "acme".to_owned(),
        standard: StandardClaims {
            issuer_expires_at: Some(end),
            ..standard(NODE_SEED, Some(end + 60))
        },
        ..ServerClaims::default()
    };
    let token = issuer().sign(Claims::Server(Box::new(claims))).unwrap();
    let mut config = token_config(dir.path(), "127.0.0.1:1", &token, NODE_SEED);
    let status = dir.path().join("status.json");
    config.announce.status_file = Some(status.clone());
    let running = Daemon::new(config).start().unwrap();
    let written = written(&status, |_| true);
    assert!(
        written.contains(r#""token_expires":"2100-01-01T00:00:00Z""#),
        "{written}"
    );
    running.stop().unwrap();
}
