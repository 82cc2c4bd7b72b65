//! A session with a broker and a fleet played by hand: bytes go through memory, time is set.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::fleet::{Caller, CallerSecurity, FleetEvent, FleetSession, Operation, Summary};
use muster_client::nats::{Action, ClientConfig, ServerAddr};
use muster_protocol::Scratch;
use muster_protocol::reply::{ReplyParts, encode_reply_transport};
use muster_protocol::request::Request;
use muster_protocol::request_id::RequestId;
use muster_protocol::secure_request::SecureRequest;
use muster_protocol::transport::{Headers, Transport};

const INFO: &str = "INFO {\"server_id\":\"A\",\"headers\":true,\"max_payload\":1048576}\r\n";
const UNIX: Duration = Duration::from_secs(1_795_587_702);

/// A session, its clock, and what the broker got from it.
pub(crate) struct Stage {
    pub(crate) session: FleetSession,
    pub(crate) now: Duration,
    /// Operations the broker got, without payloads, since they were last taken.
    pub(crate) ops: Vec<String>,
    /// Messages published, subject and payload.
    pub(crate) published: Vec<(String, Vec<u8>)>,
    /// The last subscription: subject and sid.
    pub(crate) subscription: Option<(String, String)>,
    /// Whether the broker answers pings.
    pub(crate) pongs: bool,
    unparsed: Vec<u8>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::of(caller())
    }

    /// A session of this caller.
    pub(crate) fn of(caller: Caller) -> Self {
        let client = ClientConfig::new(vec![ServerAddr::new("broker1.example.net", 4222)]);
        let now = Duration::from_secs(1000);
        Self {
            session: FleetSession::new(Arc::new(caller), Arc::new(client), 7, now),
            now,
            ops: Vec::new(),
            published: Vec::new(),
            subscription: None,
            pongs: true,
            unparsed: Vec::new(),
        }
    }

    /// A session whose connection stands.
    pub(crate) fn connected() -> Self {
        Self::connected_as(caller())
    }

    /// The same, of this caller.
    pub(crate) fn connected_as(caller: Caller) -> Self {
        let mut stage = Self::of(caller);
        stage.connect();
        stage.events();
        stage.ops.clear();
        stage
    }

    pub(crate) fn connect(&mut self) {
        match self.session.client().poll_action() {
            Some(Action::Connect(_)) => {}
            other => panic!("not a connect: {other:?}"),
        }
        self.session.client().handle_connected(self.now);
        self.feed(INFO.as_bytes());
        self.serve();
    }

    /// Begins an operation and lets the broker do what it is asked until nothing more comes.
    pub(crate) fn start(&mut self, operation: Operation) -> RequestId {
        let at = self.at();
        let id = self
            .session
            .start(operation, at)
            .expect("the operation begins");
        self.serve();
        id
    }

    pub(crate) fn at(&self) -> Moment {
        Moment {
            now: self.now,
            unix: UNIX + self.now,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let at = self.at();
        self.session
            .handle_bytes(bytes, at)
            .expect("the broker keeps to the protocol");
    }

    /// Time passes, to the session's deadlines one after another.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let at = self.at();
            self.session.handle_timeout(at);
            self.serve();
            assert!(
                self.session
                    .next_timeout()
                    .is_none_or(|next| next > self.now),
                "a deadline that stays in the past"
            );
        }
        self.now = end;
    }

    /// The broker takes the output and answers, until nothing more comes.
    pub(crate) fn serve(&mut self) {
        let mut output = std::mem::take(&mut self.unparsed);
        while self.session.client().take_output(&mut output) {
            let mut answer = Vec::new();
            let mut rest = &output[..];
            while let Some(len) = self.serve_op(rest, &mut answer) {
                rest = &rest[len..];
            }
            output = rest.to_vec();
            if !answer.is_empty() {
                self.feed(&answer);
            }
        }
        self.unparsed = output;
    }

    /// The broker takes what is in the output now and answers once.
    pub(crate) fn serve_once(&mut self) {
        let mut output = Vec::new();
        self.session.client().take_output(&mut output);
        let mut answer = Vec::new();
        let mut rest = &output[..];
        while let Some(len) = self.serve_op(rest, &mut answer) {
            rest = &rest[len..];
        }
        assert!(rest.is_empty());
        self.feed(&answer);
    }

    /// Does one operation; says how long it was.
    fn serve_op(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Option<usize> {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&bytes[..end]).expect("control lines are text");
        let words: Vec<_> = line.split(' ').collect();
        let mut len = end + 2;
        match words[..] {
            ["PING"] if self.pongs => answer.extend_from_slice(b"PONG\r\n"),
            ["SUB", subject, sid] => {
                self.subscription = Some((subject.to_owned(), sid.to_owned()));
            }
            ["PUB", subject, size] => {
                let size: usize = size.parse().expect("a size");
                let payload = bytes.get(len..len + size + 2)?;
                self.published
                    .push((subject.to_owned(), payload[..size].to_vec()));
                len += size + 2;
            }
            _ => {}
        }
        self.ops.push(if words[0] == "CONNECT" {
            "CONNECT".to_owned()
        } else {
            line.to_owned()
        });
        Some(len)
    }

    pub(crate) fn lose_link(&mut self) {
        let at = self.at();
        self.unparsed.clear();
        self.session.handle_disconnected(at);
    }

    /// A node replies, with this body.
    pub(crate) fn reply(&mut self, id: RequestId, node: &str, body: &[u8]) {
        self.deliver(&reply(id, node, body));
    }

    /// The broker delivers a payload on the reply subject.
    pub(crate) fn deliver(&mut self, payload: &[u8]) {
        let (subject, sid) = self.subscription.clone().expect("a subscription");
        let mut bytes = format!("MSG {subject} {sid} {}\r\n", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.feed(&bytes);
        self.serve();
    }

    pub(crate) fn events(&mut self) -> Vec<FleetEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// The summary, if the operation is over.
    pub(crate) fn finished(&mut self) -> Option<Summary> {
        self.events().into_iter().find_map(|event| match event {
            FleetEvent::Finished(summary) => Some(*summary),
            _ => None,
        })
    }

    pub(crate) fn ops(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ops)
    }
}

pub(crate) fn caller() -> Caller {
    Caller {
        sender: "rip.mcollective".to_owned(),
        caller_id: "choria=rip.mcollective".to_owned(),
        security: CallerSecurity::Insecure,
        main_collective: "mcollective".to_owned(),
        collective: "mcollective".to_owned(),
        ttl: Duration::from_secs(60),
    }
}

/// A node's reply in its transport.
pub(crate) fn reply(id: RequestId, node: &str, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let headers = Headers {
        sender: Some(node.into()),
        ..Headers::default()
    };
    let parts = ReplyParts {
        request_id: id.as_str(),
        sender: node,
        agent: "rpcutil",
        time: 1_795_587_702,
        body,
    };
    encode_reply_transport(&mut payload, &mut Scratch::new(), &parts, &headers);
    payload
}

/// The RPC body of a good reply.
pub(crate) fn ok_body(data: &str) -> Vec<u8> {
    format!(r#"{{"action":"ping","statuscode":0,"statusmsg":"OK","data":{data}}}"#).into_bytes()
}

/// Takes a published payload apart and hands the request on.
pub(crate) fn with_request<T>(payload: &[u8], look: impl FnOnce(&Request<'_>) -> T) -> T {
    let transport = Transport::parse(payload).expect("a transport");
    let mut secure = Vec::new();
    transport.decode_data(&mut secure).expect("base64");
    let secure = SecureRequest::parse(&secure).expect("a secure request");
    look(&Request::parse(secure.message.as_bytes()).expect("a request"))
}

/// A file of the recorded traffic.
pub(crate) fn recorded(path: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/choria-0.30.2");
    let path = format!("{root}/{path}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
