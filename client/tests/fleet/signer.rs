//! The signing service over HTTP: what it is asked, and what its answers, good and bad, become.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use muster_client::fleet::{
    CallerSecurity, FleetConfig, FleetSettings, RemoteSigner, SignError, Surroundings,
};
use muster_client::signer::{HttpSigner, SignerUrl};
use muster_protocol::base64;
use muster_protocol::security::tokens::{
    Claims, ClientClaims, SigningKey, StandardClaims, TokenIssuer, TokenSigner,
};
use muster_protocol::version::ProtocolVersion;
use muster_settings::Settings;
use serde_json::{Value, json};

use crate::support::recorded;

const SEED: [u8; 32] = [7; 32];

/// The token of somebody, whose key has [`SEED`], which ends then.
fn token(expires_at: i64) -> String {
    let claims = ClientClaims {
        caller_id: "up=ginger".to_owned(),
        standard: StandardClaims {
            public_key: SigningKey::from_seed(&SEED).unwrap().public().to_string(),
            expires_at: Some(expires_at),
            ..StandardClaims::default()
        },
        ..ClientClaims::default()
    };
    let issuer = TokenIssuer::new(SigningKey::from_seed(&[1; 32]).unwrap());
    issuer.sign(Claims::Client(Box::new(claims))).unwrap()
}

fn holder(expires_at: i64) -> Arc<TokenSigner> {
    Arc::new(TokenSigner::new(&token(expires_at), &"07".repeat(32)).unwrap())
}

fn signer(port: u16) -> HttpSigner {
    let url = SignerUrl::parse(&format!("http://127.0.0.1:{port}/sign?v=1")).unwrap();
    HttpSigner::new(url, holder(i64::MAX), None)
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// One exchange with a service that sends these bytes and closes; what it was sent, head and body.
fn exchange(answer: &[u8]) -> (Result<Vec<u8>, SignError>, String, Value) {
    let (listener, port) = listen();
    let answer = answer.to_vec();
    let service: JoinHandle<(String, Value)> = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let asked = read_request(&mut stream);
        stream.write_all(&answer).unwrap();
        asked
    });
    let result = signer(port).sign(b"the request");
    let (head, body) = service.join().unwrap();
    (result, head, body)
}

fn read_request(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the request is complete");
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return (head.to_owned(), body);
        }
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n\r\n{body}").into_bytes()
}

fn refused(answer: &[u8]) -> SignError {
    let error = exchange(answer).0.unwrap_err();
    assert!(!error.to_string().contains(&token(i64::MAX)), "{error}");
    error
}

#[test]
fn the_service_is_shown_request_token_and_signature() {
    let secure = base64::encode_to_string(b"a secure request");
    let answer = json!({"secure_request": secure, "error": ""}).to_string();
    let (result, head, body) = exchange(&http("200 OK", &answer));
    assert_eq!(result, Ok(b"a secure request".to_vec()));
    assert!(head.starts_with("POST /sign?v=1 HTTP/1.1\r\n"), "{head}");
    let signature: String = SigningKey::from_seed(&SEED)
        .unwrap()
        .sign(b"the request")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let expected = json!({
        "token": token(i64::MAX),
        "request": base64::encode_to_string(b"the request"),
        "signature": signature,
    });
    assert_eq!(body, expected);
}

#[test]
fn what_the_service_says_against_it_is_told_in_short() {
    let said = |text: &str| json!({"secure_request": null, "error": text}).to_string();
    let denied = refused(&http("200 OK", &said("denied by policy\n")));
    assert_eq!(denied, SignError::Refused("denied by policy".to_owned()));
    let status = |code, said: &str| SignError::Status {
        code,
        said: said.to_owned(),
    };
    let text = http("401 Unauthorized", &said("bad token"));
    assert_eq!(refused(&text), status(401, "bad token"));
    let text = http("503 Busy", "come\r\n\u{1b}[31mlater");
    assert_eq!(refused(&text), status(503, "come\\r\\n\\u{1b}[31mlater"));
    assert_eq!(refused(&http("502 Bad", "")), status(502, ""));
    let long = refused(&http("200 OK", &said(&"x".repeat(5000))));
    assert_eq!(long, SignError::Refused("x".repeat(200)));
    let repeated = format!("who is {}?", token(i64::MAX));
    let repeated = refused(&http("200 OK", &said(&repeated)));
    assert_eq!(repeated, SignError::Refused("who is <token>?".to_owned()));
}

#[test]
fn what_is_no_answer_of_a_signer_is_told() {
    for (answer, expected) in [
        (b"+OK POP3 ready\r\n".to_vec(), "it is no http"),
        (http("200 OK", "<html>"), "expected value"),
        (http("200 OK", "{}"), "neither secure_request nor error"),
        (http("200 OK", r#"{"secure_request":"?"}"#), "base64"),
    ] {
        let error = refused(&answer);
        assert!(matches!(error, SignError::Malformed(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}";
    assert!(matches!(refused(short), SignError::Broken(_)));
}

#[test]
fn a_service_that_is_not_there_or_silent_is_not_waited_for() {
    let (listener, port) = listen();
    drop(listener);
    let error = signer(port).sign(b"the request").unwrap_err();
    assert!(matches!(error, SignError::Connect(_)), "{error:?}");

    // It takes the connection and the request, and says nothing.
    let (listener, port) = listen();
    let limit = Duration::from_millis(50);
    let error = signer(port).with_time_limit(limit).sign(b"the request");
    assert_eq!(error, Err(SignError::Timeout(limit)));
    drop(listener);
}

#[test]
fn a_token_that_is_over_is_not_shown() {
    let (listener, port) = listen();
    listener.set_nonblocking(true).unwrap();
    let url = SignerUrl::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let signer = HttpSigner::new(url, holder(1_000_000_000), None);
    let error = signer.sign(b"the request").unwrap_err();
    assert!(matches!(error, SignError::Token(_)), "{error:?}");
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
    assert!(!format!("{signer:?}").contains(&token(1_000_000_000)));
}

const FILES: &str = "
plugin.security.provider = file
plugin.security.file.certificate = /pki/rip.mcollective.pem
plugin.security.file.key = /pki/rip.mcollective.key
plugin.security.file.ca = /pki/ca.pem
plugin.choria.security.request_signer.token_file = /tokens/client.jwt
plugin.choria.security.request_signer.seed_file = /tokens/client.seed
";
const TOKENS: &str = "
plugin.security.provider = choria
plugin.security.choria.token_file = /tokens/client.jwt
plugin.security.choria.seed_file = /tokens/client.seed
plugin.security.choria.ca = /pki/ca.pem
";
const URL: &str =
    "plugin.choria.security.request_signer.url = https://aaa.example.net/choria/v1/sign\n";

fn read(text: &str, disable_tls: bool) -> (Vec<String>, FleetConfig) {
    let settings = Settings::parse(text, "client.conf");
    let around = Surroundings {
        user: "rip".to_owned(),
        disable_tls,
        ..Surroundings::default()
    };
    let read = FleetSettings::read(&settings, &around).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(settings.unused().count(), 0);
    let warnings = read.warnings.clone();
    let config = read.load(|path| Ok(recorded(&path.to_string_lossy()[1..])));
    (warnings, config.unwrap())
}

fn problems(text: &str) -> String {
    let settings = Settings::parse(text, "client.conf");
    let around = Surroundings {
        user: "rip".to_owned(),
        ..Surroundings::default()
    };
    FleetSettings::read(&settings, &around)
        .unwrap_err()
        .to_string()
}

#[test]
fn settings_name_the_service_and_the_token_says_who_calls() {
    let (warnings, config) = read(&format!("{FILES}{URL}"), false);
    assert_eq!(config.caller.caller_id, "up=ginger");
    assert_eq!(config.caller.sender, "rip.mcollective");
    assert!(config.tls.is_some());
    assert!(config.client.connect.signer.is_none());
    let CallerSecurity::Remote { service, own } = &config.caller.security else {
        panic!("{:?}", config.caller.security);
    };
    assert_eq!(service.name(), "https://aaa.example.net/choria/v1/sign");
    assert!(own.is_none());
    assert_eq!(config.caller.security.version(), ProtocolVersion::V1);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("request_signer.ca is not set"));

    let ca = "plugin.choria.security.request_signer.ca = /pki/ca.pem\n";
    let (warnings, config) = read(&format!("{TOKENS}{URL}{ca}"), false);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.caller.security.version(), ProtocolVersion::V2);
    let answers = config.client.connect.signer.unwrap();
    assert_eq!(answers.token(), recorded("tokens/client.jwt"));

    let plain = URL.replace("https", "http");
    let (warnings, _) = read(&format!("{TOKENS}{plain}"), false);
    assert!(warnings[0].contains("is no https"), "{warnings:?}");

    // Who neither signs nor speaks TLS needs no certificate.
    let bare: String = FILES
        .lines()
        .filter(|line| !line.contains(".file."))
        .map(|line| format!("{line}\n"))
        .collect();
    let (_, config) = read(&format!("{bare}{URL}"), true);
    assert!(config.tls.is_none());
    assert!(matches!(
        config.caller.security,
        CallerSecurity::Remote { .. }
    ));
}

#[test]
fn settings_that_contradict_each_other_are_told_with_their_place() {
    let token = "plugin.choria.security.request_signer.token_file = /tokens/client.jwt\n";
    let bare = FILES.replace("plugin.choria.security.request_signer.token_file", "x");
    for (text, expected) in [
        (
            format!("{URL}{TOKENS}{token}"),
            "client.conf:7: plugin.choria.security.request_signer.token_file",
        ),
        (
            format!("{URL}{bare}"),
            "request_signer.token_file is needed with",
        ),
        (
            format!("{FILES}plugin.choria.security.request_signer.url = aaa"),
            "client.conf:8: plugin.choria.security.request_signer.url",
        ),
        (
            format!("{FILES}plugin.choria.security.request_signer.service = true"),
            "client.conf:8: plugin.choria.security.request_signer.service",
        ),
    ] {
        let problems = problems(&text);
        assert!(problems.contains(expected), "{problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn the_seed_lies_beside_the_token_unless_said() {
    let without = FILES.replace("plugin.choria.security.request_signer.seed_file", "x");
    let settings = Settings::parse(&format!("{without}{URL}"), "client.conf");
    let around = Surroundings {
        user: "rip".to_owned(),
        ..Surroundings::default()
    };
    let signer = FleetSettings::read(&settings, &around)
        .unwrap()
        .signer
        .unwrap();
    let (token, seed) = signer.holder.unwrap();
    assert_eq!(token.to_string_lossy(), "/tokens/client.jwt");
    assert_eq!(seed.to_string_lossy(), "/tokens/client.key");
}
