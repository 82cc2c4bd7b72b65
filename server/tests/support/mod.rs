//! A node at a broker made of bytes, recorded exchanges, and requests signed with the recorded keys.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::nats::{Action, ClientConfig, ServerAddr};
use muster_protocol::Scratch;
use muster_protocol::filter::Filter;
use muster_protocol::request::{Request, encode_request_transport};
use muster_protocol::security::{RequestSecurity, Signer, TrustPolicy, Verifier};
use muster_protocol::transport::Headers;
use muster_protocol::version::ProtocolVersion;
use muster_server::classes::parse_classes;
use muster_server::{Facts, Gate, Node, NodeOptions, NodeScratch, NodeSetup, VerifyEach};

/// A moment when the recorded certificates are valid and the recorded requests are fresh.
pub(crate) const UNIX: i64 = 1_795_587_700;
pub(crate) const CALLER: &str = "choria=rip.mcollective";
pub(crate) const REPLY_TO: &str = "mcollective.reply.x.1";

pub(crate) fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/choria-0.30.2")
        .join(name)
}

pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(recorded(name)).unwrap()
}

/// One recorded message.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Recorded {
    pub(crate) subject: String,
    pub(crate) data: String,
}

pub(crate) fn exchange(path: &Path) -> Vec<Recorded> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn security() -> RequestSecurity {
    RequestSecurity::X509(Box::new(
        Verifier::new(TrustPolicy::new(read("pki/ca.pem"))).unwrap(),
    ))
}

pub(crate) fn options() -> NodeOptions {
    NodeOptions::new(Arc::new(VerifyEach::new(security())))
}

pub(crate) fn options_with(gate: Arc<dyn Gate>) -> NodeOptions {
    NodeOptions::new(gate)
}

pub(crate) fn setup(options: NodeOptions) -> Arc<NodeSetup> {
    Arc::new(NodeSetup::new(options).unwrap())
}

/// A published message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

/// A node that a broker at `localhost:24222` has taken.
pub(crate) struct Connected {
    pub(crate) node: Node,
    pub(crate) scratch: NodeScratch,
    sids: BTreeMap<String, String>,
}

impl Connected {
    pub(crate) fn new(setup: &Arc<NodeSetup>, identity: &str) -> Self {
        let country = identity.as_bytes()[4] - b'0';
        let facts =
            format!(r#"{{"country":"c{country}","os":{{"family":"Debian","release":12}}}}"#);
        let config = ClientConfig::new(vec![ServerAddr::new("localhost", 24222)]);
        let mut connected = Self {
            node: Node::new(
                Arc::clone(setup),
                identity,
                Facts::parse(facts).unwrap(),
                parse_classes("role::web\nbase\n"),
                Arc::new(config),
                1,
                Duration::ZERO,
            ),
            scratch: NodeScratch::new(),
            sids: BTreeMap::new(),
        };
        connected.connect();
        connected
    }

    fn connect(&mut self) {
        let client = self.node.client();
        assert!(matches!(client.poll_action(), Some(Action::Connect(_))));
        client.handle_connected(Duration::ZERO);
        self.bytes(b"INFO {\"max_payload\":1048576,\"headers\":true}\r\n", UNIX);
        self.bytes(b"PONG\r\n", UNIX);
        let mut output = Vec::new();
        self.node.client().take_output(&mut output);
        for line in String::from_utf8(output).unwrap().lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            if let ["SUB", subject, .., sid] = words[..] {
                self.sids.insert(subject.to_owned(), sid.to_owned());
            }
        }
    }

    pub(crate) fn subjects(&self) -> Vec<&str> {
        self.sids.keys().map(String::as_str).collect()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8], unix: i64) {
        self.bytes_at(bytes, Duration::from_secs(unix.try_into().unwrap()));
    }

    fn bytes_at(&mut self, bytes: &[u8], unix: Duration) {
        let at = Moment {
            now: Duration::from_secs(1),
            unix,
        };
        self.node
            .handle_bytes(bytes, at, &mut self.scratch)
            .unwrap();
    }

    /// Delivers a message if the node subscribed to its subject; what it publishes then.
    pub(crate) fn deliver(&mut self, subject: &str, payload: &[u8], unix: i64) -> Vec<Published> {
        self.deliver_all(subject, &[payload], unix)
    }

    /// Delivers messages in one read.
    pub(crate) fn deliver_all(
        &mut self,
        subject: &str,
        payloads: &[&[u8]],
        unix: i64,
    ) -> Vec<Published> {
        let unix = Duration::from_secs(unix.try_into().unwrap());
        self.deliver_all_at(subject, payloads, unix)
    }

    /// The same at a moment between two seconds.
    pub(crate) fn deliver_all_at(
        &mut self,
        subject: &str,
        payloads: &[&[u8]],
        unix: Duration,
    ) -> Vec<Published> {
        let Some(sid) = self.sids.get(subject) else {
            return Vec::new();
        };
        let mut bytes = Vec::new();
        for payload in payloads {
            bytes.extend(format!("MSG {subject} {sid} {}\r\n", payload.len()).into_bytes());
            bytes.extend_from_slice(payload);
            bytes.extend_from_slice(b"\r\n");
        }
        self.bytes_at(&bytes, unix);
        self.published()
    }

    /// What the node published since the last look.
    pub(crate) fn published(&mut self) -> Vec<Published> {
        let mut output = Vec::new();
        self.node.client().take_output(&mut output);
        published(&output)
    }

    /// The lines the node sent since the last look.
    pub(crate) fn taken(&mut self) -> Vec<String> {
        let mut output = Vec::new();
        self.node.client().take_output(&mut output);
        let text = String::from_utf8(output).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn published(mut output: &[u8]) -> Vec<Published> {
    let mut all = Vec::new();
    while let Some(end) = output.windows(2).position(|pair| pair == b"\r\n") {
        let line = std::str::from_utf8(&output[..end]).unwrap();
        if line == "PING" {
            output = &output[end + 2..];
            continue;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let ["PUB", subject, size] = words[..] else {
            panic!("{line}")
        };
        let size: usize = size.parse().unwrap();
        let payload = output[end + 2..end + 2 + size].to_vec();
        all.push(Published {
            subject: subject.to_owned(),
            payload,
        });
        output = &output[end + 2 + size + 2..];
    }
    assert!(output.is_empty());
    all
}

/// A request to be signed by the recorded client.
pub(crate) fn request<'a>(id: &'a str, agent: &'a str, body: &'a str) -> Request<'a> {
    Request {
        version: ProtocolVersion::V1,
        message: body.into(),
        request_id: id.into(),
        sender_id: "rip.mcollective".into(),
        caller_id: CALLER.into(),
        collective: "mcollective".into(),
        agent: agent.into(),
        ttl: 60,
        time: UNIX,
        filter: Filter::default(),
    }
}

/// A discovery request under this id.
pub(crate) fn ping(id: &str) -> Request<'_> {
    request(id, "discovery", muster_protocol::rpc::DISCOVERY_PING)
}

pub(crate) const ID: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn signed(request: &Request<'_>) -> Vec<u8> {
    payload_with(&request.to_document(), &signer(), None)
}

pub(crate) fn signer() -> Signer {
    Signer::from_pem(
        &read("pki/rip.mcollective.pem"),
        &read("pki/rip.mcollective.key"),
    )
    .unwrap()
}

/// The two outer layers around a document, with its own signature or another.
pub(crate) fn payload_with(document: &str, signer: &Signer, signature: Option<&str>) -> Vec<u8> {
    let own = signer.sign_base64(document.as_bytes()).unwrap();
    let headers = Headers {
        reply_to: Some(REPLY_TO.into()),
        ..Headers::default()
    };
    let mut out = Vec::new();
    let signature = signature.unwrap_or(&own);
    encode_request_transport(
        &mut out,
        &mut Scratch::new(),
        document,
        signature,
        signer.pubcert(),
        &headers,
    );
    out
}
