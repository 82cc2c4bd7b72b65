//! Sessions whose requests a service signs: what is published then, and that nothing is where the service does otherwise.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_client::fleet::{
    Batch, BuildError, Caller, CallerSecurity, Failure, FleetEvent, Operation, Ping, RemoteSigner,
    RpcOptions, SignError, Target,
};
use muster_protocol::base64;
use muster_protocol::secure_request::{RequestProof, SecureRequest};
use muster_protocol::security::tokens::TokenSigner;
use muster_protocol::transport::Transport;
use serde_json::json;

use crate::session::{SECOND, nodes, rpc};
use crate::support::{Stage, caller, ok_body, recorded};
use crate::vectors_v2::token_caller;

type Answer = fn(&str) -> Result<Vec<u8>, SignError>;

/// A service that answers at once, and keeps what it was asked.
struct Service {
    answer: Answer,
    asked: Mutex<Vec<String>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl RemoteSigner for Service {
    fn name(&self) -> &str {
        "https://aaa.example.net/sign"
    }

    fn sign(&self, request_document: &[u8]) -> Result<Vec<u8>, SignError> {
        let text = String::from_utf8(request_document.to_vec()).unwrap();
        self.asked.lock().unwrap().push(text.clone());
        (self.answer)(&text)
    }
}

fn service(answer: Answer) -> Arc<Service> {
    Arc::new(Service {
        answer,
        asked: Mutex::default(),
    })
}

/// A caller of version 1, or of version 2 with the recorded token.
fn caller_of(service: &Arc<Service>, with_token: bool) -> Caller {
    let token = || {
        TokenSigner::new(
            &recorded("tokens/client.jwt"),
            &recorded("tokens/client.seed"),
        )
    };
    let own = with_token.then(|| Arc::new(token().unwrap()));
    let base = if with_token { token_caller() } else { caller() };
    Caller {
        security: CallerSecurity::Remote {
            service: Arc::clone(service) as Arc<dyn RemoteSigner>,
            own,
        },
        ..base
    }
}

fn signed_v1(document: &str) -> Result<Vec<u8>, SignError> {
    let mut out = Vec::new();
    SecureRequest::encode_into(&mut out, document, "c2lnbmVk", "certificate of the service");
    Ok(out)
}

fn signed_v2(document: &str) -> Result<Vec<u8>, SignError> {
    let request = base64::encode_to_string(document.as_bytes());
    // As a service that knows nothing of the caller's token answers.
    let answer = json!({
        "protocol": "io.choria.protocol.v2.secure_request",
        "request": request, "signature": "c2lnbmVk", "caller": "", "signer": "s.s.s",
    });
    Ok(answer.to_string().into_bytes())
}

fn ping() -> Operation {
    Operation::Ping(Ping {
        timeout: 2 * SECOND,
        ..Ping::default()
    })
}

/// The secure request that was published.
fn published(stage: &Stage, look: impl FnOnce(&SecureRequest<'_>)) {
    let [(_, payload)] = &stage.published[..] else {
        panic!("one message: {:?}", stage.ops);
    };
    let transport = Transport::parse(payload).unwrap();
    let mut secure = Vec::new();
    transport.decode_data(&mut secure).unwrap();
    look(&SecureRequest::parse(&secure).unwrap());
}

#[test]
fn what_the_service_signed_is_published_with_its_proof() {
    let service = service(signed_v1);
    let mut stage = Stage::connected_as(caller_of(&service, false));
    stage.start(ping());
    stage.wait(Duration::from_millis(1));
    let asked = service.asked.lock().unwrap();
    published(&stage, |secure| {
        assert_eq!(asked.len(), 1);
        assert_eq!(secure.message, asked[0]);
        let proof = RequestProof::X509 {
            signature_b64: "c2lnbmVk",
            pubcert: "certificate of the service",
        };
        assert_eq!(secure.proof(), proof);
    });
}

#[test]
fn in_version_2_the_callers_own_token_is_put_beside_that_of_the_service() {
    let service = service(signed_v2);
    let caller = caller_of(&service, true);
    assert!(!format!("{caller:?}").contains(&recorded("tokens/client.jwt")));
    let mut stage = Stage::connected_as(caller);
    stage.start(ping());
    stage.wait(Duration::from_millis(1));
    let asked = service.asked.lock().unwrap();
    published(&stage, |secure| {
        assert_eq!(asked.len(), 1);
        assert_eq!(secure.message, asked[0]);
        let proof = RequestProof::Token {
            signature_b64: "c2lnbmVk",
            caller: &recorded("tokens/client.jwt"),
            signer: Some("s.s.s"),
        };
        assert_eq!(secure.proof(), proof);
    });
}

/// A service may take seconds, which are none of those that nodes have to reply.
#[test]
fn the_wait_for_replies_begins_when_the_service_has_signed() {
    let service = service(signed_v1);
    let mut stage = Stage::connected_as(caller_of(&service, false));
    stage.start(ping());
    assert_eq!(service.asked.lock().unwrap().len(), 1);
    assert!(stage.published.is_empty());
    let due = stage.session.next_timeout().unwrap();
    assert!(due <= stage.now + Duration::from_millis(1), "at once");
    // The call that asked the service has returned; by the clock that is five seconds later.
    stage.now += 5 * SECOND;
    let at = stage.at();
    stage.session.handle_timeout(at);
    stage.serve();
    assert_eq!(stage.published.len(), 1);
    stage.wait(2 * SECOND - Duration::from_millis(1));
    assert!(stage.finished().is_none(), "nodes have two seconds");
    stage.wait(Duration::from_millis(1));
    assert!(stage.finished().is_some());
    assert_eq!(service.asked.lock().unwrap().len(), 1, "it is asked once");
}

#[test]
fn each_group_of_a_batch_is_signed_anew_and_a_refusal_ends_it() {
    let service = service(|document| {
        static ASKED: Mutex<u32> = Mutex::new(0);
        let mut asked = ASKED.lock().unwrap();
        *asked += 1;
        if *asked < 3 {
            signed_v1(document)
        } else {
            Err(SignError::Refused("enough".to_owned()))
        }
    });
    let mut stage = Stage::connected_as(caller_of(&service, false));
    let Operation::Rpc(mut operation) = rpc(Target::Direct(nodes(&["n1", "n2", "n3"]))) else {
        unreachable!()
    };
    operation.options = RpcOptions {
        batch: Some(Batch {
            size: NonZeroUsize::MIN,
            sleep: SECOND,
        }),
        ..RpcOptions::default()
    };
    let id = stage.start(Operation::Rpc(operation));
    for node in ["n1", "n2"] {
        stage.wait(SECOND + Duration::from_millis(1));
        stage.reply(id, node, &ok_body("{}"));
    }
    stage.wait(2 * SECOND);
    assert_eq!(stage.published.len(), 2);
    let summary = stage.finished().unwrap();
    assert_eq!(summary.replied, ["n1", "n2"]);
    assert_eq!(summary.unsent, 1);
    let asked = service.asked.lock().unwrap();
    assert_ne!(asked[0], asked[1], "the time of the request is another");
}

/// A link that breaks between signing and sending: no turn is spent on waiting, and what is signed goes out on the next one.
#[test]
fn a_lost_link_does_not_lose_what_was_signed() {
    let service = service(signed_v1);
    let mut stage = Stage::connected_as(caller_of(&service, false));
    stage.start(ping());
    stage.lose_link();
    assert!(stage.published.is_empty());
    let due = stage.session.next_timeout().unwrap();
    assert!(due > stage.now, "nothing to do until the link is back");
    while stage.session.client().poll_action().is_none() {
        stage.now = stage.session.next_timeout().unwrap();
        let at = stage.at();
        stage.session.handle_timeout(at);
    }
    stage.session.client().handle_connected(stage.now);
    stage.feed(b"INFO {\"max_payload\":1048576}\r\n");
    stage.serve();
    stage.wait(Duration::from_millis(1));
    assert_eq!(stage.published.len(), 1);
    assert_eq!(service.asked.lock().unwrap().len(), 1);
}

/// What the operation fails with; nothing was published.
fn failure(answer: Answer, with_token: bool) -> (SignError, String) {
    let mut stage = Stage::connected_as(caller_of(&service(answer), with_token));
    stage.start(ping());
    stage.wait(SECOND);
    assert!(stage.published.is_empty());
    assert!(stage.session.is_idle());
    let failed = stage.events().into_iter().find_map(|event| match event {
        FleetEvent::Failed(failure) => Some(failure),
        _ => None,
    });
    let text = failed.as_ref().unwrap().to_string();
    match failed {
        Some(Failure::Build(BuildError::Remote { error, .. })) => (error, text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_published_that_is_not_the_request() {
    let elsewhere: Answer = |document| signed_v1(&document.replace("rip", "root"));
    assert_eq!(failure(elsewhere, false).0, SignError::OtherRequest);
    let elsewhere: Answer = |document| signed_v2(&document.replace("ginger", "root"));
    let (error, text) = failure(elsewhere, true);
    assert_eq!(error, SignError::OtherRequest);
    assert_eq!(
        text,
        "the request could not be signed: signer https://aaa.example.net/sign signed another request than the one that was sent"
    );
    // The same JSON is not the same bytes.
    let spaced: Answer = |document| signed_v1(&document.replace(',', ", "));
    assert_eq!(failure(spaced, false).0, SignError::OtherRequest);
}

#[test]
fn what_is_no_secure_request_of_the_version_is_refused() {
    let mangle: Answer = |document| {
        let text = String::from_utf8(signed_v2(document)?).unwrap();
        Ok(text.replace("s.s.s", "").into_bytes())
    };
    assert_eq!(failure(mangle, true).0, SignError::NoSignerToken);
    let cases: [(Answer, bool, &str); 7] = [
        (|_| Ok(Vec::new()), false, "secure request"),
        (|_| Ok(b"{}".to_vec()), false, "protocol is missing"),
        (signed_v2, false, "protocol is \"io.choria"),
        (|_| Ok(b"[]".to_vec()), true, "secure request"),
        (signed_v1, true, "secure request"),
        (
            |_| Ok(br#"{"protocol":"p","request":"","signature":""}"#.to_vec()),
            true,
            "is no io.choria.protocol.v2.secure_request",
        ),
        (
            |_| {
                let protocol = "io.choria.protocol.v2.secure_request";
                let answer = json!({"protocol": protocol, "request": "?", "signature": "s"});
                Ok(answer.to_string().into_bytes())
            },
            true,
            "not standard base64",
        ),
    ];
    for (answer, with_token, expected) in cases {
        let (error, text) = failure(answer, with_token);
        assert!(matches!(error, SignError::Malformed(_)), "{error:?}");
        assert!(text.contains(expected), "{text}");
    }
}
