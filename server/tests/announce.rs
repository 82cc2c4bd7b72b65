//! What a node says without being asked, against what real servers said.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::nats::State;
use muster_protocol::lifecycle::{EventForm, LifecycleEvent, LifecycleKind};
use muster_protocol::registration::{Packed, Registration};
use muster_protocol::request::Request;
use muster_protocol::secure_request::SecureRequest;
use muster_protocol::security::{
    RequestSecurity, SignedRequest, Signer, TrustPolicy, Verifier, certificate_expiry,
};
use muster_protocol::transport::Transport;
use muster_server::lifecycle::LifecycleOptions;
use muster_server::registration::{RegistrationOptions, RegistrationSource};
use muster_server::requests::{RequestSigner, SignX509, Unsigned};
use muster_server::status::{NodeStatus, inventory};
use muster_server::{Announcements, Counters, NodeOptions};

use support::{Connected, Published, UNIX, exchange, options, read, recorded, setup};

const NODE: &str = "node2.example.net";
const REGISTRATION: &str = "mcollective.broadcast.agent.registration";

fn signer() -> SignX509 {
    let certificate = read("pki/node2.example.net.pem");
    SignX509(Signer::from_pem(&certificate, &read("pki/node2.example.net.key")).unwrap())
}

fn announcements(signer: impl RequestSigner + 'static, target: Option<&str>) -> Announcements {
    Announcements {
        lifecycle: Some(LifecycleOptions {
            component: "server".to_owned(),
            form: EventForm::CloudEvent,
        }),
        registration: Some(RegistrationOptions {
            sources: vec![RegistrationSource {
                target: target.map(str::to_owned),
            }],
            collective: "mcollective".to_owned(),
            interval: Duration::from_secs(300),
            splay: false,
            size_trigger: 0,
            size_interval: Duration::from_secs(30),
        }),
        signer: Arc::new(signer),
    }
}

fn node(announcements: Announcements) -> Connected {
    let options = NodeOptions {
        version: "0.29.4".to_owned(),
        ..options()
    };
    let mut node = Connected::new(&setup(options), NODE);
    (node.node).announce(Arc::new(announcements), 5, Duration::ZERO);
    node
}

fn moment(now: u64) -> Moment {
    Moment {
        now: Duration::from_secs(now),
        unix: Duration::from_secs(u64::try_from(UNIX).unwrap() + now),
    }
}

/// Lets time pass; what the node says then. Each registration source gives `body`.
fn pass(node: &mut Connected, now: u64, body: &str) -> Vec<Published> {
    let at = moment(now);
    node.node.handle_timeout(at, &mut node.scratch);
    while let Some(source) = node.node.poll_registration() {
        node.node.publish_registration(source, body, at);
    }
    let said = node.published();
    // For the pings among what it said.
    if node.node.connection().state() == State::Ready {
        node.bytes(b"PONG\r\n", UNIX);
    }
    said
}

fn event(published: &Published) -> LifecycleEvent {
    LifecycleEvent::parse(&published.payload).unwrap()
}

/// The secure request and the request inside a payload.
fn open(payload: &[u8]) -> (SecureRequest<'static>, Request<'static>) {
    let mut document = Vec::new();
    let transport = Transport::parse(payload).unwrap();
    transport.decode_data(&mut document).unwrap();
    let document = document.leak();
    let secure = SecureRequest::parse(document).unwrap();
    let message = secure.message.clone().into_owned().leak();
    (secure, Request::parse(message.as_bytes()).unwrap())
}

#[test]
fn a_node_announces_startup_life_and_shutdown() {
    let mut node = node(announcements(Unsigned::NoKey, None));
    let said = pass(&mut node, 1, "");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].subject, "choria.lifecycle.event.startup.server");
    let startup = event(&said[0]);
    let version = "0.29.4".to_owned();
    assert_eq!(startup.kind, LifecycleKind::Startup { version });
    assert_eq!((&*startup.identity, startup.timestamp), (NODE, UNIX + 1));
    let mut alive = Vec::new();
    for minute in 0..120 {
        alive.extend(pass(&mut node, 2 + 60 * minute, ""));
    }
    assert!((3..=5).contains(&alive.len()), "{}", alive.len());
    assert!(
        alive
            .iter()
            .all(|said| said.subject == "choria.lifecycle.event.alive.server")
    );
    let mut ids: Vec<_> = alive.iter().map(|said| event(said).id).collect();
    ids.push(startup.id);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), alive.len() + 1, "each event has its own id");
    node.node.announce_shutdown(moment(8_000));
    let said = node.published();
    assert_eq!(event(&said[0]).kind, LifecycleKind::Shutdown);
    let events = u64::try_from(alive.len()).unwrap() + 2;
    assert_eq!(node.node.counters().events, events);
}

#[test]
fn the_startup_event_follows_the_subscriptions() {
    let mut node = node(announcements(Unsigned::NoKey, None));
    // Any bytes of the broker do: the node is connected.
    node.bytes(b"PING\r\n", UNIX);
    let lines = node.taken().join("\n");
    assert!(
        lines.contains("PUB choria.lifecycle.event.startup.server"),
        "{lines}"
    );
    node.node.handle_disconnected(moment(2), &mut node.scratch);
    assert!(pass(&mut node, 4_000, "x").is_empty());
    node.node.announce_shutdown(moment(4_001));
    assert!(node.taken().is_empty());
    assert_eq!(node.node.counters().events, 1);
    assert_eq!(node.node.counters().registrations, 0);
}

#[test]
fn a_silent_node_stays_silent() {
    let mut node = Connected::new(&setup(options()), NODE);
    assert!(pass(&mut node, 4_000, "x").is_empty());
    node.node.announce_shutdown(moment(4_001));
    assert!(node.published().is_empty());
}

/// The recorded registrations of one node, in order.
fn recorded_registrations() -> Vec<String> {
    let messages = exchange(&recorded("wire-v1/startup_registration.jsonl"));
    let of_node = |data: &String| open(data.as_bytes()).1.sender_id == NODE;
    let registrations = messages
        .into_iter()
        .filter(|message| message.subject == REGISTRATION)
        .map(|message| message.data);
    registrations.filter(of_node).collect()
}

#[test]
fn a_registration_is_the_recorded_one_but_for_id_time_and_signature() {
    for recorded in recorded_registrations() {
        let (their_secure, theirs) = open(recorded.as_bytes());
        let mut node = node(announcements(signer(), None));
        pass(&mut node, 1, "");
        let said = pass(&mut node, 5, &theirs.message);
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].subject, REGISTRATION);
        let (secure, ours) = open(&said[0].payload);
        let expected = Request {
            request_id: ours.request_id.clone(),
            time: ours.time,
            ..theirs
        };
        assert_eq!(ours, expected);
        assert_eq!(ours.to_document(), *secure.message);
        assert_eq!(secure.pubcert, their_secure.pubcert);
        assert_eq!(
            Transport::parse(&said[0].payload).unwrap().headers,
            Transport::parse(recorded.as_bytes()).unwrap().headers
        );
        let verifier = Verifier::new(TrustPolicy {
            allow: vec![r"^node\d+\.example\.net$".to_owned()],
            ..TrustPolicy::new(read("pki/ca.pem"))
        });
        let security = RequestSecurity::X509(Box::new(verifier.unwrap()));
        let signed = SignedRequest {
            message: secure.message.as_bytes(),
            signature_b64: &secure.signature,
            pubcert_pem: &secure.pubcert,
            caller_id: &ours.caller_id,
            signer_token: None,
        };
        security.verify(&signed, UNIX.try_into().unwrap()).unwrap();
        assert_eq!(node.node.counters().registrations, 1);
    }
    assert_eq!(recorded_registrations().len(), 2);
}

#[test]
fn the_inventory_is_the_recorded_one_but_for_the_agents() {
    let recorded = recorded_registrations().remove(0);
    let (_, theirs) = open(recorded.as_bytes());
    let node = node(announcements(signer(), None));
    let mut counters = Counters::default();
    counters.events = 1;
    let certificate = read("pki/node2.example.net.pem");
    let status = NodeStatus {
        identity: NODE,
        uptime: 2,
        connected_server: Some("nats://localhost:24222"),
        last_message: 0,
        counters: &counters,
        certificate_expires: certificate_expiry(&certificate).ok(),
        token_expires: None,
    };
    let node = &node.node;
    let content = inventory(node.setup(), node.facts(), node.classes(), &status);
    let ours = Registration::Inventory(Packed::Plain(content.into_bytes())).encode();
    let behind_agents = |text: &str| text[text.find(r#""classes":"#).unwrap()..].to_owned();
    assert_eq!(behind_agents(&ours), behind_agents(&theirs.message));
    assert!(ours.starts_with(
        r#"{"protocol":"choria:registration:inventorycontent:1","content":{"agents":[{"license":"Apache-2.0","author":"#
    ));
}

#[test]
fn a_node_without_a_key_says_so_and_a_target_is_kept_to() {
    let mut node = node(announcements(Unsigned::NoKey, Some("my.registrations")));
    pass(&mut node, 1, "");
    let said = pass(&mut node, 5, "{}");
    assert_eq!(said[0].subject, "my.registrations");
    let (secure, request) = open(&said[0].payload);
    assert_eq!(secure.pubcert, "insecure registration");
    assert_eq!(secure.signature, "aW5zZWN1cmUgcmVnaXN0cmF0aW9u");
    assert_eq!(request.caller_id, "choria=node2.example.net");
    // Too soon, and then in time again.
    let published = (node.node).publish_registration(0, "{}", moment(100));
    assert!(!published);
    let registrations = |said: Vec<Published>| {
        let subjects = said.iter().map(|said| &*said.subject);
        subjects
            .filter(|subject| *subject == "my.registrations")
            .count()
    };
    assert_eq!(registrations(pass(&mut node, 304, "{}")), 0);
    assert_eq!(registrations(pass(&mut node, 306, "{}")), 1);
}

#[test]
fn new_options_do_not_repeat_the_startup() {
    let mut node = node(announcements(Unsigned::NoKey, None));
    assert_eq!(pass(&mut node, 1, "").len(), 1);
    let mut changed = announcements(Unsigned::Insecure, Some("elsewhere"));
    changed.lifecycle.as_mut().unwrap().form = EventForm::Legacy;
    (node.node).announce(Arc::new(changed), 6, Duration::from_secs(1));
    let mut said = pass(&mut node, 6, "{}");
    said.retain(|said| said.subject == "elsewhere");
    assert_eq!(said.len(), 1, "{said:?}");
    let (secure, _) = open(&said[0].payload);
    assert_eq!(
        (&*secure.signature, &*secure.pubcert),
        ("insecure", "insecure")
    );
    node.node.announce_shutdown(moment(7));
    let said = node.published();
    assert!(said[0].payload.starts_with(b"{\"protocol\""));
}
