//! Every recorded version 2 message, taken apart and put together again at every layer, signatures included: ed25519 gives
//! the same signature for the same bytes, so ours are theirs.

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

use std::path::{Path, PathBuf};

use muster_protocol::Scratch;
use muster_protocol::ksuid::Ksuid;
use muster_protocol::reply::{Reply, ReplyForm, ReplyParts, encode_reply, parse_reply};
use muster_protocol::request::{Request, encode_signed_request};
use muster_protocol::secure_reply::SecureReply;
use muster_protocol::secure_request::{RequestProof, SecureRequest};
use muster_protocol::security::tokens::{PublicKey, TokenSigner, TokenTrust, TokenVerifier};
use muster_protocol::security::{RequestSecurity, SignedRequest};
use muster_protocol::subject;
use muster_protocol::transport::{Transport, encode_transport_as};
use muster_protocol::version::{ProtocolVersion, detect_version};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/choria-0.30.2")
}

#[expect(clippy::disallowed_methods, reason = "a test reads its recordings")]
fn read(name: &str) -> String {
    std::fs::read_to_string(testdata().join(name)).unwrap()
}

fn signer(name: &str) -> TokenSigner {
    let (token, seed) = (
        read(&format!("tokens/{name}.jwt")),
        read(&format!("tokens/{name}.seed")),
    );
    TokenSigner::new(&token, &seed).unwrap()
}

fn security() -> RequestSecurity {
    let issuer = PublicKey::from_hex(&read("tokens/issuer.public")).unwrap();
    let issuers = [("choria".to_owned(), issuer)].into_iter().collect();
    RequestSecurity::Token(Box::new(TokenVerifier::new(TokenTrust::Issuers(issuers))))
}

fn fleet_messages() -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(testdata().join("wire-v2")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        for line in read(&format!("wire-v2/{name}")).lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let payload = line["data"].as_str().unwrap().as_bytes().to_vec();
            if detect_version(&payload) == Some(ProtocolVersion::V2) {
                messages.push(payload);
            }
        }
    }
    assert!(messages.len() >= 14, "{} messages", messages.len());
    messages
}

#[track_caller]
fn same(ours: &[u8], theirs: &[u8]) {
    assert_eq!(
        std::str::from_utf8(ours).unwrap(),
        std::str::from_utf8(theirs).unwrap()
    );
}

fn secure_document(transport: &Transport<'_>) -> Vec<u8> {
    let mut secure = Vec::new();
    transport.decode_data(&mut secure).unwrap();
    secure
}

#[test]
fn transports_come_out_as_they_went_in() {
    for payload in fleet_messages() {
        let transport = Transport::parse(&payload).unwrap();
        let mut out = Vec::new();
        transport.encode_into(&mut out);
        same(&out, &payload);
        out.clear();
        let secure = secure_document(&transport);
        encode_transport_as(&mut out, transport.version, &secure, &transport.headers);
        same(&out, &payload);
        assert!(transport.headers.sender.is_some());
        assert_eq!(transport.headers.seen_by.len(), 1);
    }
}

#[test]
fn requests_come_out_as_they_went_in() {
    let (client, security) = (signer("client"), security());
    let (mut scratch, mut requests) = (Scratch::new(), 0);
    for payload in fleet_messages() {
        let transport = Transport::parse(&payload).unwrap();
        let secure = secure_document(&transport);
        let Ok(parsed) = SecureRequest::parse(&secure) else {
            continue;
        };
        requests += 1;
        let request = Request::parse(parsed.message.as_bytes()).unwrap();
        assert_eq!(request.to_document(), parsed.message);
        assert_eq!(request.validate(), Ok(()));
        let (seconds, _) = request.version.split_time(request.time);
        let id = Ksuid::parse(&request.request_id).unwrap();
        assert!(i64::try_from(id.unix_seconds()).unwrap().abs_diff(seconds) <= 1);
        assert_eq!(
            transport.headers.reply_to.as_deref().unwrap(),
            subject::reply_subject(&request.collective, &request.caller_id, &request.request_id)
        );

        let document = request.to_document();
        let signature = client.sign_base64(document.as_bytes());
        let proof = RequestProof::Token {
            signature_b64: &signature,
            caller: client.token(),
            signer: None,
        };
        assert_eq!(parsed.proof(), proof);
        let mut out = Vec::new();
        encode_signed_request(
            &mut out,
            &mut scratch,
            &document,
            &proof,
            &transport.headers,
        );
        same(&out, &payload);

        let signed = SignedRequest {
            message: parsed.message.as_bytes(),
            signature_b64: &parsed.signature,
            pubcert_pem: &parsed.pubcert,
            signer_token: None,
            caller_id: &request.caller_id,
        };
        let now = u64::try_from(seconds).unwrap();
        let verified = security.verify(&signed, now).unwrap();
        assert_eq!(
            (&*verified.certname, verified.privileged),
            ("ginger", false)
        );
        let changed = SignedRequest {
            message: &parsed.message.as_bytes()[1..],
            ..signed
        };
        let refusal = security.verify(&changed, now).unwrap_err();
        assert_eq!(refusal.reason(), "bad_signature");
    }
    assert_eq!(requests, 6);
}

#[test]
fn replies_come_out_as_they_went_in() {
    let (mut scratch, mut replies) = (Scratch::new(), 0);
    for payload in fleet_messages() {
        let transport = Transport::parse(&payload).unwrap();
        let secure = secure_document(&transport);
        let Ok(parsed) = SecureReply::parse(&secure) else {
            continue;
        };
        replies += 1;
        assert!(parsed.verify_hash());
        let reply = Reply::parse(parsed.message.as_bytes()).unwrap();
        let mut out = Vec::new();
        reply.encode_into(&mut out);
        same(&out, parsed.message.as_bytes());

        let node = signer(reply.sender.split('.').next().unwrap());
        let parts = ReplyParts {
            request_id: &reply.request_id,
            sender: &reply.sender,
            agent: &reply.agent,
            time: reply.time,
            body: reply.message.as_bytes(),
        };
        let form = ReplyForm::V2 {
            signer: Some(&node),
        };
        out.clear();
        encode_reply(&mut out, &mut scratch, form, &parts, &transport.headers);
        same(&out, &payload);

        let flat = parse_reply(&payload, &mut scratch).unwrap();
        assert!(flat.hash_ok);
        assert_eq!(flat.version, ProtocolVersion::V2);
        assert_eq!(flat.sender, reply.sender);
        assert_eq!(flat.transport_sender, transport.headers.sender);
        assert_eq!(flat.request_id, reply.request_id);
        assert_eq!((flat.agent, flat.time), (reply.agent.clone(), reply.time));
        assert_eq!(flat.body, reply.message.as_bytes());
    }
    assert_eq!(replies, 8);
}
