//! Nodes that go by tokens, fed the requests that real servers of protocol version 2 were fed.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::filter::Filter;
use muster_protocol::reply::parse_reply;
use muster_protocol::request::{Request, encode_signed_request};
use muster_protocol::rpc::RpcReply;
use muster_protocol::secure_request::RequestProof;
use muster_protocol::security::RequestSecurity;
use muster_protocol::security::tokens::{PublicKey, TokenSigner, TokenTrust, TokenVerifier};
use muster_protocol::transport::{Headers, Transport};
use muster_protocol::version::ProtocolVersion;
use muster_server::{NodeSetup, VerifyEach};

use support::{Connected, Published, Recorded, exchange, options, read, recorded, setup};

const DISCOVERY: &str = "mcollective.broadcast.agent.discovery";
const NODE1: &str = "node1.example.net";
const SENT: Duration = Duration::new(1_795_587_600, 500_000_000);

fn signer(name: &str) -> TokenSigner {
    let token = read(&format!("tokens/{name}.jwt"));
    TokenSigner::new(&token, &read(&format!("tokens/{name}.seed"))).unwrap()
}

/// Nodes with the trust of the recorded servers.
fn token_setup(reply_signer: Option<TokenSigner>) -> Arc<NodeSetup> {
    let issuer = PublicKey::from_hex(&read("tokens/issuer.public")).unwrap();
    let issuers = [("choria".to_owned(), issuer)].into_iter().collect();
    let verifier = TokenVerifier::new(TokenTrust::Issuers(issuers));
    let security = RequestSecurity::Token(Box::new(verifier));
    let mut options = options();
    options.gate = Arc::new(VerifyEach::new(security));
    options.reply_signer = reply_signer.map(Arc::new);
    setup(options)
}

/// The payload as it would be had the recording's broker the address of the tests' one.
fn at_our_broker(payload: &[u8]) -> String {
    let mut transport = Transport::parse(payload).unwrap();
    for address in transport.headers.seen_by.iter_mut().flatten() {
        *address = address.replace(":25222", ":24222").into();
    }
    let mut out = Vec::new();
    transport.encode_into(&mut out);
    String::from_utf8(out).unwrap()
}

fn is_request(message: &Recorded) -> bool {
    message.subject.contains(".broadcast.") || message.subject.contains(".node.")
}

/// The recorded replies of a node, with the moments they were made at.
fn replies_of<'m>(messages: &'m [Recorded], node: &str) -> Vec<(&'m Recorded, Duration)> {
    let mut scratch = Scratch::new();
    let mut replies = Vec::new();
    for message in messages.iter().filter(|m| m.subject.contains(".reply.")) {
        let reply = parse_reply(message.data.as_bytes(), &mut scratch).unwrap();
        if reply.sender == node {
            replies.push((message, Duration::from_nanos(reply.time.unsigned_abs())));
        }
    }
    replies
}

/// Pings come out to the byte, signature and all; what has figures of its own is compared in its frame.
#[test]
fn recorded_requests_get_the_recorded_replies() {
    let mut same = 0;
    for name in ["ping", "discover_fact_eq", "req_ping"] {
        let messages = exchange(&recorded(&format!("wire-v2/{name}.jsonl")));
        for short in ["node1", "node2"] {
            let identity = format!("{short}.example.net");
            let mut node = Connected::new(&token_setup(Some(signer(short))), &identity);
            let mut theirs = replies_of(&messages, &identity).into_iter();
            // A request to another node alone is nothing this one hears of.
            let heard = |m: &&Recorded| m.subject == DISCOVERY || m.subject.ends_with(&identity);
            for request in messages.iter().filter(heard) {
                let reply_to = Transport::parse(request.data.as_bytes()).unwrap();
                let reply_to = reply_to.headers.reply_to.unwrap();
                let mut at = SENT;
                let mut expected = Vec::new();
                if let Some((reply, made)) = theirs.clone().next()
                    && reply.subject == reply_to
                {
                    theirs.next();
                    at = made;
                    expected.push(at_our_broker(reply.data.as_bytes()));
                }
                let ours = node.deliver_all_at(&request.subject, &[request.data.as_bytes()], at);
                let ours: Vec<_> = ours
                    .into_iter()
                    .map(|reply| String::from_utf8(reply.payload).unwrap())
                    .collect();
                assert_eq!(ours, expected, "{name} {identity}");
                same += expected.len();
            }
            assert!(theirs.next().is_none(), "{name} {identity}");
        }
    }
    assert_eq!(same, 7);
}

#[test]
fn an_inventory_is_answered_in_the_same_frame() {
    let messages = exchange(&recorded("wire-v2/req_inventory.jsonl"));
    let mut node = Connected::new(&token_setup(Some(signer("node1"))), NODE1);
    let request = messages.iter().find(|message| is_request(message)).unwrap();
    let (theirs, at) = replies_of(&messages, NODE1)[0];
    let ours = node.deliver_all_at(&request.subject, &[request.data.as_bytes()], at);
    assert_eq!(ours[0].subject, theirs.subject);
    let (mut one, mut two) = (Scratch::new(), Scratch::new());
    let ours = parse_reply(&ours[0].payload, &mut one).unwrap();
    let theirs = parse_reply(theirs.data.as_bytes(), &mut two).unwrap();
    assert!(ours.hash_ok);
    assert_eq!(
        (ours.version, &ours.sender, &ours.request_id, ours.time),
        (
            theirs.version,
            &theirs.sender,
            &theirs.request_id,
            theirs.time
        )
    );
    let (ours, theirs) = (
        RpcReply::parse(ours.body).unwrap(),
        RpcReply::parse(theirs.body).unwrap(),
    );
    assert_eq!(ours.action, theirs.action);
    for member in ["facts", "main_collective", "collectives"] {
        let of = |reply: &RpcReply<'_>| -> serde_json::Value {
            serde_json::from_str::<serde_json::Value>(reply.data).unwrap()[member].clone()
        };
        assert_eq!(of(&ours), of(&theirs), "{member}");
    }
}

/// A discovery request of the recorded client.
fn ping(change: impl FnOnce(&mut Request<'static>)) -> Vec<u8> {
    let mut request = Request {
        version: ProtocolVersion::V2,
        message: muster_protocol::rpc::DISCOVERY_PING.into(),
        request_id: "3MaTHOn13q1DQVz5Nt6IRRkU4oW".into(),
        sender_id: "ginger".into(),
        caller_id: "up=ginger".into(),
        collective: "mcollective".into(),
        agent: "discovery".into(),
        ttl: 60,
        time: ProtocolVersion::V2.wire_time(SENT),
        filter: Filter::default(),
    };
    change(&mut request);
    let (client, document) = (signer("client"), request.to_document());
    let proof = RequestProof::Token {
        signature_b64: &client.sign_base64(document.as_bytes()),
        caller: client.token(),
        signer: None,
    };
    let headers = Headers {
        reply_to: Some(support::REPLY_TO.into()),
        ..Headers::default()
    };
    let mut out = Vec::new();
    encode_signed_request(&mut out, &mut Scratch::new(), &document, &proof, &headers);
    out
}

fn answers(node: &mut Connected, payload: &[u8], at: Duration) -> Vec<Published> {
    node.deliver_all_at(DISCOVERY, &[payload], at)
}

#[test]
fn a_request_is_in_time_to_the_nanosecond() {
    let (ttl, ns) = (Duration::from_secs(60), Duration::from_nanos(1));
    for (at, live) in [
        (SENT - ttl, false),
        (SENT - ttl + ns, true),
        (SENT + ttl - ns, true),
        (SENT + ttl, false),
    ] {
        let mut node = Connected::new(&token_setup(None), NODE1);
        let payload = ping(|_| {});
        assert_eq!(answers(&mut node, &payload, at).len(), usize::from(live));
        assert_eq!(node.node.counters().ttl_expired, u64::from(!live));
    }
}

#[test]
fn a_request_is_not_acted_on_twice_within_its_last_second() {
    let mut node = Connected::new(&token_setup(None), NODE1);
    let payload = ping(|_| {});
    assert_eq!(answers(&mut node, &payload, SENT).len(), 1);
    // Its whole seconds are over, its time to live is not.
    let late = SENT + Duration::from_millis(59_900);
    assert!(answers(&mut node, &payload, late).is_empty());
    assert_eq!(node.node.counters().replayed, 1);
    // Another id of another length is another request, whatever caller and id spell together.
    let other = ping(|request| request.request_id = "x".into());
    assert_eq!(answers(&mut node, &other, SENT).len(), 1);
}

#[test]
fn unsigned_replies_are_for_those_who_want_them() {
    let mut node = Connected::new(&token_setup(None), NODE1);
    let published = answers(&mut node, &ping(|_| {}), SENT);
    let mut secure = Vec::new();
    let transport = Transport::parse(&published[0].payload).unwrap();
    transport.decode_data(&mut secure).unwrap();
    let secure = muster_protocol::secure_reply::SecureReply::parse(&secure).unwrap();
    assert!(secure.verify_hash());
    assert_eq!((secure.signature, secure.sender), (None, None));
}

#[test]
fn what_is_not_allowed_is_refused_by_name() {
    let mut node = Connected::new(&token_setup(None), NODE1);
    let foreign = ping(|request| request.caller_id = "up=fred".into());
    assert!(answers(&mut node, &foreign, SENT).is_empty());
    let late = Duration::from_secs(2_110_947_507);
    assert!(answers(&mut node, &ping(|_| {}), late).is_empty());
    assert_eq!(
        node.node.counters().refused(),
        [("caller_not_in_token", 1), ("token_expired", 1)]
    );
}

#[test]
fn version_1_is_refused_by_name() {
    let mut node = Connected::new(&token_setup(None), NODE1);
    let payload = support::signed(&support::ping(support::ID));
    assert!(node.deliver(DISCOVERY, &payload, support::UNIX).is_empty());
    assert_eq!(node.node.counters().refused(), [("unsupported_version", 1)]);
}

#[test]
fn a_node_that_believes_everybody_answers_each_in_its_version() {
    let mut options = options();
    options.gate = Arc::new(VerifyEach::new(RequestSecurity::InsecureAcceptAll));
    let mut node = Connected::new(&setup(options), NODE1);
    let first = support::signed(&support::ping(support::ID));
    for (payload, at, version) in [
        (ping(|_| {}), SENT, ProtocolVersion::V2),
        (
            first,
            Duration::from_secs(support::UNIX.unsigned_abs()),
            ProtocolVersion::V1,
        ),
    ] {
        let published = answers(&mut node, &payload, at);
        let mut scratch = Scratch::new();
        let reply = parse_reply(&published[0].payload, &mut scratch).unwrap();
        assert_eq!((reply.version, reply.hash_ok), (version, true));
        assert_eq!(reply.time, version.wire_time(at));
    }
}
