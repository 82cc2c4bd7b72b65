//! Requests that a service signed, believed by nodes: a signer of the test's own over HTTPS, which asks for what such services ask for.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use muster_client::fleet::{
    BuildError, Caller, FleetSettings, RequestParts, SignError, Surroundings, encode_request,
};
use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_protocol::base64;
use muster_protocol::filter::Filter;
use muster_protocol::request::Request;
use muster_protocol::rpc::DISCOVERY_PING;
use muster_protocol::secure_request::{RequestProof, SecureRequest};
use muster_protocol::security::tokens::{
    Claims, ClientClaims, ClientPermissions, DEFAULT_ORGANIZATION, SigningKey, StandardClaims,
    TokenIssuer, TokenSigner, TokenTrust, TokenVerifier, UnverifiedToken,
};
use muster_protocol::security::{RequestSecurity, Signer, TrustPolicy, Verifier};
use muster_reactor::rustls::{ServerConnection, StreamOwned};
use muster_reactor::tls::{ClientAuth, TlsFiles, server_config};
use muster_server::VerifyEach;
use muster_settings::Settings;
use serde_json::{Value, json};

use support::{Connected, UNIX, options_with, setup};

const NODE: &str = "node1.example.net";
const DISCOVERY: &str = "mcollective.broadcast.agent.discovery";
const CALLER: &str = "up=ginger";

/// 2020, and long after: TLS goes by the clock of the machine.
fn validity() -> Validity {
    Validity::days_from(1_577_836_800, 36_500)
}

fn authority() -> Authority {
    Authority::new("Test CA", KeyKind::default(), validity()).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn issuer() -> TokenIssuer {
    TokenIssuer::new(key(1))
}

/// A token of the issuer's, for the key with this seed.
fn token(caller_id: &str, seed: u8, permissions: ClientPermissions) -> String {
    let claims = ClientClaims {
        caller_id: caller_id.to_owned(),
        organization: DEFAULT_ORGANIZATION.to_owned(),
        permissions: Some(permissions),
        standard: StandardClaims {
            public_key: key(seed).public().to_string(),
            expires_at: Some(i64::MAX),
            ..StandardClaims::default()
        },
        ..ClientClaims::default()
    };
    issuer().sign(Claims::Client(Box::new(claims))).unwrap()
}

/// May have requests signed, and may not sign them itself.
fn callers_token() -> String {
    let permissions = ClientPermissions {
        signed_fleet_management: true,
        ..ClientPermissions::default()
    };
    token(CALLER, 7, permissions)
}

/// What a service proves itself with.
enum Proof {
    Certificate(Signer),
    Token(TokenSigner),
}

fn certificate(authority: &Authority, name: &str) -> Proof {
    let profile = Profile::new(Role::Client, name, validity()).key_kind(KeyKind::Rsa2048);
    let issued = authority.issue(&profile).unwrap();
    Proof::Certificate(Signer::from_pem(&issued.cert_pem, &issued.key_pem).unwrap())
}

fn delegator(permissions: ClientPermissions) -> Proof {
    let token = token("choria=aaa", 9, permissions);
    Proof::Token(TokenSigner::new(&token, &"09".repeat(32)).unwrap())
}

/// A service that signs one request, if its caller may have it signed.
struct Service {
    port: u16,
    thread: JoinHandle<io::Result<()>>,
}

fn service(authority: &Authority, proof: Proof) -> Service {
    let profile = Profile::new(Role::Broker, "aaa.example.net", validity()).loopback();
    let issued = authority.issue(&profile).unwrap();
    let files = TlsFiles {
        cert: &issued.cert_pem,
        key: &issued.key_pem,
        ca: None,
        crl: None,
    };
    let tls = server_config(&files, ClientAuth::None).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let session = ServerConnection::new(tls).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        let asked = read_request(&mut stream)?;
        let answer = match sign(&asked, &proof) {
            Ok(secure) => json!({"secure_request": base64::encode_to_string(&secure)}),
            Err(error) => json!({"error": error}),
        };
        // In chunks, as services answer with what is long.
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for chunk in answer.to_string().as_bytes().chunks(1000) {
            write!(stream, "{:x}\r\n", chunk.len())?;
            stream.write_all(chunk)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")?;
        stream.conn.send_close_notify();
        stream.flush()
    });
    Service { port, thread }
}

fn read_request(stream: &mut impl Read) -> io::Result<Value> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return Ok(body);
        }
    }
}

/// The checks of such a service, and the secure request.
fn sign(asked: &Value, proof: &Proof) -> Result<Vec<u8>, &'static str> {
    let text = |key: &str| asked[key].as_str().unwrap();
    let token = UnverifiedToken::parse(text("token")).unwrap();
    if !token.is_signed_by(&issuer().public()) {
        return Err("unknown token");
    }
    let mut document = Vec::new();
    base64::decode(text("request").as_bytes(), &mut document).unwrap();
    let signature: Vec<u8> = text("signature")
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let holder = token.claims.public_key().unwrap();
    if !holder.verify(&document, &signature) {
        return Err("bad signature");
    }
    let Claims::Client(claims) = token.claims else {
        return Err("no client");
    };
    if Request::parse(&document).unwrap().caller_id != claims.caller_id {
        return Err("another caller");
    }
    let document = String::from_utf8(document).unwrap();
    let mut out = Vec::new();
    match proof {
        Proof::Certificate(signer) => {
            let signature = signer.sign_base64(document.as_bytes()).unwrap();
            SecureRequest::encode_into(&mut out, &document, &signature, signer.pubcert());
        }
        Proof::Token(signer) => {
            let proof = RequestProof::Token {
                signature_b64: &signer.sign_base64(document.as_bytes()),
                // A service puts its own token here, and leaves it to the caller to put in another.
                caller: signer.token(),
                signer: Some(signer.token()),
            };
            SecureRequest::encode_with(&mut out, &document, &proof);
        }
    }
    Ok(out)
}

/// The caller that these settings make. No certificate of its own is read: it has none.
fn caller(provider: &str, service: &Service, ca: Option<&str>) -> Caller {
    const SIGNER: &str = "plugin.choria.security.request_signer";
    let files = match provider {
        "choria" => "plugin.security.choria",
        _ => SIGNER,
    };
    let mut text = format!(
        "collectives = mcollective\nplugin.security.provider = {provider}\n\
        {files}.token_file = /token\n{files}.seed_file = /seed\n\
        {SIGNER}.url = https://127.0.0.1:{}/sign\n",
        service.port
    );
    if ca.is_some() {
        text.push_str(&format!("{SIGNER}.ca = /ca\n"));
    }
    let around = Surroundings {
        user: "rip".to_owned(),
        disable_tls: true,
        ..Surroundings::default()
    };
    let settings = Settings::parse(&text, "client.conf");
    let read = FleetSettings::read(&settings, &around).unwrap_or_else(|error| panic!("{error}"));
    let read = read.load(|path: &Path| match path.to_str().unwrap() {
        "/token" => Ok(callers_token()),
        "/seed" => Ok("07".repeat(32)),
        "/ca" => Ok(ca.unwrap().to_owned()),
        other => panic!("{other} is not needed"),
    });
    read.unwrap().caller
}

/// A discovery request of this caller's, as it is published.
fn ping(caller: &Caller) -> Result<Vec<u8>, BuildError> {
    let filter = Filter::default();
    let parts = RequestParts {
        agent: "discovery",
        body: DISCOVERY_PING,
        filter: &filter,
    };
    let unix = Duration::from_secs(UNIX.try_into().unwrap());
    let id = caller.security.request_id(unix, [3; 16]);
    encode_request(caller, &parts, id, unix, "nats://localhost:24222")
}

/// Whether a node of this security answers.
fn is_answered(security: RequestSecurity, payload: &[u8]) -> bool {
    let setup = setup(options_with(Arc::new(VerifyEach::new(security))));
    let mut node = Connected::new(&setup, NODE);
    let replies = node.deliver(DISCOVERY, payload, UNIX);
    assert!(replies.len() <= 1);
    replies
        .iter()
        .any(|reply| reply.subject.starts_with("mcollective.reply."))
}

fn by_certificate(authority: &Authority) -> RequestSecurity {
    let policy = TrustPolicy::new(authority.cert_pem());
    RequestSecurity::X509(Box::new(Verifier::new(policy).unwrap()))
}

fn by_token() -> RequestSecurity {
    let issuers = BTreeMap::from([(DEFAULT_ORGANIZATION.to_owned(), issuer().public())]);
    RequestSecurity::Token(Box::new(TokenVerifier::new(TokenTrust::Issuers(issuers))))
}

#[test]
fn a_node_believes_the_callers_id_of_a_privileged_signer_and_of_no_other() {
    let authority = authority();
    for (name, believed) in [
        ("aaa.privileged.mcollective", true),
        ("aaa.mcollective", false),
    ] {
        let service = service(&authority, certificate(&authority, name));
        let caller = caller("puppet", &service, Some(authority.cert_pem()));
        assert_eq!(caller.caller_id, CALLER);
        let payload = ping(&caller).unwrap();
        service.thread.join().unwrap().unwrap();
        let answered = is_answered(by_certificate(&authority), &payload);
        assert_eq!(answered, believed, "{name}");
    }
}

#[test]
fn a_node_of_version_2_believes_a_delegator_and_no_other() {
    let authority = authority();
    for (authentication_delegator, believed) in [(true, true), (false, false)] {
        let proof = delegator(ClientPermissions {
            authentication_delegator,
            ..ClientPermissions::default()
        });
        let service = service(&authority, proof);
        let caller = caller("choria", &service, Some(authority.cert_pem()));
        let payload = ping(&caller).unwrap();
        service.thread.join().unwrap().unwrap();
        assert_eq!(is_answered(by_token(), &payload), believed);
    }
}

#[test]
fn who_claims_another_callers_id_gets_no_signature() {
    let authority = authority();
    let proof = certificate(&authority, "aaa.privileged.mcollective");
    let service = service(&authority, proof);
    let caller = Caller {
        caller_id: "up=root".to_owned(),
        ..caller("file", &service, Some(authority.cert_pem()))
    };
    let error = ping(&caller).unwrap_err();
    service.thread.join().unwrap().unwrap();
    let expected = BuildError::Remote {
        service: format!("https://127.0.0.1:{}/sign", service.port).into(),
        error: SignError::Refused("another caller".to_owned()),
    };
    assert_eq!(error, expected);
}

/// The service's certificate is checked where there is something to check it against.
#[test]
fn a_stranger_with_the_services_address_learns_no_token() {
    let (authority, others) = (authority(), authority());
    for (ca, reached) in [(Some(others.cert_pem()), false), (None, true)] {
        let proof = certificate(&authority, "aaa.privileged.mcollective");
        let service = service(&authority, proof);
        let result = ping(&caller("file", &service, ca));
        let served = service.thread.join().unwrap();
        assert_eq!((result.is_ok(), served.is_ok()), (reached, reached));
        if let Err(error) = result {
            let error = error.to_string();
            assert!(error.contains("certificate"), "{error}");
        }
    }
}
