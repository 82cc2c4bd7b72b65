use muster_client::fleet::CallerSecurity;
use muster_client::nats::{Action as ClientAction, Backoff, ServerAddr};
use muster_protocol::Scratch;
use muster_protocol::reply::{ReplyParts, encode_reply_transport};
use muster_protocol::request::Request;
use muster_protocol::rpc::{RpcReply, RpcRequest, StatusCode};
use muster_protocol::secure_request::SecureRequest;

use super::*;
use crate::config::Features;
use crate::csr::DenyList;
use crate::host::Entropy;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Zero;

impl Entropy for Zero {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(1);
    }
}

/// A core, and its broker played by hand.
struct Lab {
    core: ProvisionerCore,
    now: Duration,
    subscriptions: BTreeMap<String, u64>,
    published: VecDeque<Published>,
}

/// A publish of the core's.
#[derive(Debug, Clone)]
struct Published {
    subject: String,
    reply: Option<String>,
    payload: Vec<u8>,
}

/// A request in it.
#[derive(Debug)]
struct Asked {
    node: String,
    action: String,
    id: String,
}

impl Lab {
    fn new(workers: usize) -> Self {
        let caller = Caller {
            sender: "p1".to_owned(),
            caller_id: "choria=p1".to_owned(),
            security: CallerSecurity::Insecure,
            main_collective: "provisioning".to_owned(),
            collective: "provisioning".to_owned(),
            ttl: 60 * SECOND,
        };
        let flow = Flow {
            features: Features::default(),
            token: None,
            deny: DenyList::default(),
            jwt_key: None,
            issuer: None,
            upgrades: None,
            entropy: Arc::new(Zero),
            backoff: Backoff::five_sec(),
        };
        let setup = CoreSetup {
            flow: Arc::new(flow),
            caller: Arc::new(caller),
            client: Arc::new(ClientConfig::new(vec![ServerAddr::new("b", 4222)])),
            workers: NonZeroUsize::new(workers).unwrap(),
            interval: 60 * SECOND,
            lifecycle_component: "provision_mode_server".to_owned(),
            leader_election: false,
            version: "1",
        };
        let now = SECOND;
        let at = Moment {
            now,
            unix: 1_700_000_000 * SECOND,
        };
        let mut lab = Self {
            core: ProvisionerCore::new(setup, Arc::default(), 7, at),
            now,
            subscriptions: BTreeMap::new(),
            published: VecDeque::new(),
        };
        lab.connect();
        lab
    }

    fn at(&self) -> Moment {
        Moment {
            now: self.now,
            unix: 1_700_000_000 * SECOND + self.now,
        }
    }

    fn connect(&mut self) {
        while let Some(action) = self.core.client().poll_action() {
            assert!(matches!(action, ClientAction::Connect(_)), "{action:?}");
        }
        let now = self.now;
        self.core.client().handle_connected(now);
        self.feed(b"INFO {\"server_id\":\"x\",\"headers\":true,\"max_payload\":1048576}\r\n");
        self.feed(b"PONG\r\n");
    }

    fn feed(&mut self, bytes: &[u8]) {
        let at = self.at();
        self.core.handle_bytes(bytes, at).unwrap();
        self.read();
    }

    /// Notes what the core wrote.
    fn read(&mut self) {
        let mut out = Vec::new();
        self.core.client().take_output(&mut out);
        let mut rest = &out[..];
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let line = String::from_utf8_lossy(&rest[..end]).into_owned();
            rest = &rest[end + 2..];
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["SUB", subject, sid] => {
                    let sid = sid.parse().unwrap();
                    self.subscriptions.insert(subject.to_owned(), sid);
                }
                ["PUB", subject, ref more @ .., len] => {
                    let len: usize = len.parse().unwrap();
                    self.published.push_back(Published {
                        subject: subject.to_owned(),
                        reply: more.first().map(|reply| (*reply).to_owned()),
                        payload: rest[..len].to_vec(),
                    });
                    rest = &rest[len + 2..];
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, filter: &str, subject: &str, payload: &[u8]) {
        let sid = self.subscriptions[filter];
        let mut bytes = format!("MSG {subject} {sid} {}\r\n", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.feed(&bytes);
    }

    fn announce(&mut self, node: &str) {
        let event = LifecycleEvent {
            id: event_id([1; 16]),
            identity: node.to_owned(),
            component: "provision_mode_server".to_owned(),
            timestamp: 1_700_000_000,
            kind: LifecycleKind::Startup {
                version: "1".to_owned(),
            },
        };
        let subject = event.subject();
        self.deliver(&subject, &subject, &event.encode(EventForm::CloudEvent));
    }

    /// The next request to a node; discoveries and events are passed over.
    fn asked(&mut self) -> Option<Asked> {
        while let Some(published) = self.published.pop_front() {
            let Some(node) = published.subject.strip_prefix("provisioning.node.") else {
                continue;
            };
            let mut document = Vec::new();
            let transport = Transport::parse(&published.payload).unwrap();
            transport.decode_data(&mut document).unwrap();
            let secure = SecureRequest::parse(&document).unwrap();
            let request = Request::parse(secure.message.as_bytes()).unwrap();
            let body = request.body().into_owned();
            let rpc = RpcRequest::parse(&body).unwrap();
            assert!(published.reply.unwrap().ends_with(&*request.request_id));
            return Some(Asked {
                node: node.to_owned(),
                action: rpc.action.into_owned(),
                id: request.request_id.into_owned(),
            });
        }
        None
    }

    fn reply_as(&mut self, sender: &str, asked: &Asked, code: StatusCode, data: &str) {
        let mut body = Vec::new();
        RpcReply::encode_into(&mut body, &asked.action, code, "text", data);
        let parts = ReplyParts {
            request_id: &asked.id,
            sender,
            agent: "a",
            time: 1_700_000_000,
            body: &body,
        };
        let headers = muster_protocol::transport::Headers {
            sender: Some(sender.into()),
            ..Default::default()
        };
        let mut payload = Vec::new();
        encode_reply_transport(&mut payload, &mut Scratch::new(), &parts, &headers);
        let filter = self.reply_filter();
        let subject = filter.replace('>', &asked.id);
        self.deliver(&filter, &subject, &payload);
    }

    fn reply_filter(&self) -> String {
        let is_reply = |name: &&String| name.starts_with("provisioning.reply.");
        self.subscriptions.keys().find(is_reply).unwrap().clone()
    }

    fn good(&mut self, asked: &Asked) {
        self.reply_as(&asked.node, asked, StatusCode::Ok, r#"{"version":"1"}"#);
    }

    fn helper(&mut self, output: &str) {
        let run = self.core.poll_helper().expect("the helper is to be run");
        let at = self.at();
        self.core
            .handle_helper(run.id, Ok(output.as_bytes().to_vec()), at);
        self.read();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.core.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let at = self.at();
            self.core.handle_timeout(at);
            self.read();
        }
        self.now = end;
    }

    fn provision(&mut self, node: &str) {
        let asked = self.asked().expect("it is asked for its inventory");
        assert_eq!((&*asked.node, &*asked.action), (node, "inventory"));
        self.good(&asked);
        self.helper(r#"{"configuration":{"a":"b"}}"#);
        for action in ["configure", "restart"] {
            let asked = self.asked().expect(action);
            assert_eq!((&*asked.node, &*asked.action), (node, action));
            self.good(&asked);
        }
    }

    fn dropped(&self, why: Drop) -> u64 {
        self.core.metrics().dropped[why as usize].get()
    }
}

#[test]
fn a_node_announced_again_and_again_is_provisioned_once() {
    let mut lab = Lab::new(2);
    for _ in 0..3 {
        lab.announce("n1");
    }
    lab.provision("n1");
    lab.announce("n1");
    assert!(lab.asked().is_none(), "it restarts");
    assert_eq!(lab.core.metrics().provisioned.get(), 1);
    assert_eq!(lab.core.metrics().event_discovered.get(), 1);
    lab.pass(61 * SECOND);
    lab.announce("n1");
    lab.provision("n1");
    assert_eq!(lab.core.metrics().provisioned.get(), 2);
}

#[test]
fn as_many_nodes_are_in_work_as_there_are_workers() {
    let mut lab = Lab::new(2);
    for node in ["n1", "n2", "n3"] {
        lab.announce(node);
    }
    let first = lab.asked().unwrap();
    assert_eq!(lab.asked().unwrap().node, "n2");
    assert!(lab.asked().is_none());
    assert_eq!(lab.core.metrics().busy_workers.get(), 2);
    assert_eq!(lab.core.metrics().waiting_nodes.get(), 3);
    lab.good(&first);
    lab.helper(r#"{"defer":true}"#);
    assert_eq!(
        lab.asked().unwrap().node,
        "n3",
        "a deferred node makes room"
    );
    assert_eq!(lab.core.metrics().provision_errors.get(), 1);
}

#[test]
fn only_the_node_that_was_asked_can_answer() {
    let mut lab = Lab::new(1);
    lab.announce("n1");
    let asked = lab.asked().unwrap();
    lab.reply_as("n2", &asked, StatusCode::Ok, "{}");
    assert_eq!(lab.dropped(Drop::OtherSender), 1);
    assert!(lab.core.poll_helper().is_none());
    lab.good(&asked);
    lab.good(&asked);
    assert_eq!(
        lab.dropped(Drop::UnknownRequest),
        1,
        "a second reply answers nothing"
    );
    assert!(lab.core.poll_helper().is_some());
}

#[test]
fn paused_it_gives_nodes_up_at_their_next_step() {
    let mut lab = Lab::new(1);
    lab.announce("n1");
    lab.announce("n2");
    let asked = lab.asked().unwrap();
    let at = lab.at();
    lab.core.set_stopped(true, at);
    assert_eq!(lab.core.metrics().paused_drops.get(), 1);
    lab.announce("n3");
    assert_eq!(lab.dropped(Drop::Paused), 1);
    lab.good(&asked);
    assert!(lab.core.poll_helper().is_none(), "the helper is not called");
    assert_eq!(lab.core.metrics().busy_workers.get(), 0);
    let cycles = lab.core.metrics().discover_cycles.get();
    lab.pass(200 * SECOND);
    assert_eq!(lab.core.metrics().discover_cycles.get(), cycles);
    let at = lab.at();
    lab.core.set_stopped(false, at);
    assert_eq!(lab.core.metrics().discover_cycles.get(), cycles + 1);
}

#[test]
fn a_node_that_waits_between_two_tries_is_given_up_at_once() {
    let mut lab = Lab::new(1);
    lab.announce("n1");
    let asked = lab.asked().unwrap();
    lab.reply_as("n1", &asked, StatusCode::Aborted, "{}");
    assert_eq!(lab.core.metrics().busy_workers.get(), 1);
    let at = lab.at();
    lab.core.set_stopped(true, at);
    assert_eq!(lab.core.metrics().busy_workers.get(), 0);
}

#[test]
fn a_lost_connection_is_a_failed_try_and_the_node_goes_on() {
    let mut lab = Lab::new(1);
    lab.announce("n1");
    lab.asked().unwrap();
    let at = lab.at();
    lab.core.handle_disconnected(at);
    assert_eq!(lab.core.metrics().rpc_errors[2].get(), 1);
    // The next attempt to connect has its time.
    lab.pass(SECOND);
    lab.connect();
    lab.pass(10 * SECOND);
    lab.provision("n1");
}

#[test]
fn where_nobody_listens_nobody_is_waited_for() {
    let mut lab = Lab::new(1);
    lab.announce("n1");
    for _ in 0..5 {
        let asked = lab.asked().expect("five tries");
        let filter = lab.reply_filter();
        let sid = lab.subscriptions[&filter];
        let subject = filter.replace('>', &asked.id);
        let head = "NATS/1.0 503\r\n\r\n";
        let text = format!("HMSG {subject} {sid} {0} {0}\r\n{head}\r\n", head.len());
        lab.feed(text.as_bytes());
        lab.pass(5 * SECOND);
    }
    assert_eq!(lab.core.metrics().provision_errors.get(), 1);
}

#[test]
fn a_silent_node_is_given_up_after_its_tries() {
    let mut lab = Lab::new(1);
    lab.announce("n1");
    lab.pass(100 * SECOND);
    assert_eq!(lab.core.metrics().provision_errors.get(), 0);
    // Five times 22 seconds, and the waits.
    lab.pass(60 * SECOND);
    assert_eq!(lab.core.metrics().rpc_errors[2].get(), 5);
    assert_eq!(lab.core.metrics().provision_errors.get(), 1);
    assert_eq!(lab.core.queue().in_work(), 0);
}

#[test]
fn events_that_are_none_are_counted() {
    let mut lab = Lab::new(1);
    let subject = "choria.lifecycle.event.startup.provision_mode_server";
    for payload in [
        &b"hello"[..],
        b"{}",
        b"{\"protocol\":\"io.choria.lifecycle.v1.startup\",\"component\":\"server\"}",
    ] {
        lab.deliver(subject, subject, payload);
    }
    assert_eq!(lab.dropped(Drop::NoEvent), 3);
    lab.announce("bad name");
    lab.announce("a.>");
    assert_eq!(lab.dropped(Drop::BadIdentity), 2);
    assert!(lab.asked().is_none());
}

#[test]
fn it_says_when_it_starts_and_when_it_ends() {
    let mut lab = Lab::new(1);
    let subjects: Vec<_> = lab.published.iter().map(|p| p.subject.clone()).collect();
    assert_eq!(
        subjects,
        [
            "choria.lifecycle.event.startup.provisioner",
            "provisioning.broadcast.agent.discovery"
        ]
    );
    let at = lab.at();
    lab.core.shutdown(at);
    lab.read();
    let last = lab.published.pop_back().unwrap();
    assert_eq!(last.subject, "choria.lifecycle.event.shutdown.provisioner");
}

#[test]
fn who_answers_a_discovery_late_is_found_too() {
    let mut lab = Lab::new(1);
    let discovery = lab.published.back().unwrap().clone();
    assert!(discovery.subject.ends_with("agent.discovery"));
    let reply = discovery.reply.unwrap();
    let asked = Asked {
        node: "n1".to_owned(),
        action: String::new(),
        id: reply.rsplit('.').next().unwrap().to_owned(),
    };
    lab.pass(5 * SECOND);
    lab.good(&asked);
    assert_eq!(lab.core.metrics().discovered.get(), 1);
    lab.provision("n1");
}
