//! One node: a client connection, and what it answers.
//!
//! A message goes this way, in the order of the servers of today, and is counted where it leaves:
//!
//! ```text
//! total ─▶ gate ─▶ filter ─▶ collective ─▶ time to live ─▶ seen before? ─▶ agent ─▶ reply
//!          │        │          │              │               │              │        │
//!       unvalidated filtered unknown_        ttl_expired     replayed     unknown_  replies
//!       (by reason) (passed) collective                     (validated)   agent
//! ```
//!
//! Nothing that fails before the agent is answered. The step "seen before" is ours.
//!
//! An agent that needs time gives [`Work`](crate::agent::Work) instead of an answer. The owner takes it with
//! [`Node::poll_job`], carries it out where it likes and brings the outcome back with [`Node::handle_job_done`].
//!
//! What a node says without being asked is in [`announce`](Node::announce).
//!
//! [`Node`] opens nothing, reads no clock and draws no randomness but from its seed. Its methods are those a driver
//! calls; messages that arrived with some bytes are answered before the call returns, in their order.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::nats::PublishError;
use muster_client::nats::{ClientConfig, ClientCore, Event, EventSink, Message, ProtocolError};
use muster_protocol::filter::NodeView;
use muster_protocol::reply::{ReplyParts, encode_reply};
use muster_protocol::rpc::{RpcReply, StatusCode};
use muster_protocol::{Scratch, subject};
use tracing::{debug, info, trace, warn};

use crate::agent::{AgentReply, AgentRequest, HostView};
use crate::counters::Counters;
use crate::data::NodeData;
use crate::facts::Facts;
use crate::gate::OpenedRequest;
use crate::job::{Job, JobDone};
use crate::replay::ReplayMemory;
use crate::setup::NodeSetup;

mod announce;

use self::announce::Duties;
pub use self::announce::{Announcements, Outgoing};
/// Longest body of a reply that says why there is no other, in bytes.
const NOTICE_MAX: usize = 4096;

/// One node.
///
/// # Memory
/// At most 592 bytes (a test holds it to that), and some 200 where it announces anything; its identity twice, and its own subjects; 64 bytes a subscription, of
/// which there are one a collective and agent and one a collective; 16 bytes a request seen within its time to live.
/// Setup, facts, classes and configuration are shared with whoever holds the same `Arc`.
#[derive(Debug)]
pub struct Node {
    setup: Arc<NodeSetup>,
    identity: Box<str>,
    facts: Facts,
    classes: Arc<[String]>,
    client: ClientCore,
    counters: Counters,
    seen: ReplayMemory,
    /// Work nobody has taken yet.
    jobs: Vec<Job>,
    /// What it announces.
    duties: Option<Box<Duties>>,
}

/// Working memory of nodes: one a thread is enough. It keeps the size of the largest reply it has seen.
#[derive(Debug, Default)]
pub struct NodeScratch {
    protocol: Scratch,
    /// Requests that came with the bytes being handled.
    opened: Vec<Arc<OpenedRequest>>,
    body: Vec<u8>,
    payload: Vec<u8>,
    broker: String,
}

impl NodeScratch {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Node {
    /// A node that wants to connect at once. `seed` decides the order of servers and the waits between attempts; each
    /// node needs its own.
    ///
    /// # Panics
    /// When the identity cannot be [part of a subject](crate::setup::is_subject_part), or the configuration names no
    /// server.
    #[must_use]
    pub fn new(
        setup: Arc<NodeSetup>,
        identity: impl Into<Box<str>>,
        facts: Facts,
        classes: Arc<[String]>,
        client_config: Arc<ClientConfig>,
        seed: u64,
        now: Duration,
    ) -> Self {
        let identity = identity.into();
        assert!(
            crate::setup::is_subject_part(&identity),
            "identity {identity:?}"
        );
        let mut client = ClientCore::new(client_config, Some(identity.clone()), seed, now);
        for shared in setup.subscriptions() {
            client.subscribe_shared(Arc::clone(&shared.subject), shared.queue.clone());
        }
        for collective in &setup.options().collectives {
            client.subscribe(subject::node(collective, &identity).as_bytes(), None);
        }
        Self {
            setup,
            identity,
            facts,
            classes,
            client,
            counters: Counters::default(),
            seen: ReplayMemory::default(),
            jobs: Vec::new(),
            duties: None,
        }
    }

    /// The connection.
    pub fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    /// The connection, to look at.
    #[must_use]
    pub const fn connection(&self) -> &ClientCore {
        &self.client
    }

    /// Bytes arrived. Requests among them are answered into the connection's output.
    ///
    /// # Errors
    /// The broker broke the protocol; the connection is given up, and the messages before the breach were handled.
    pub fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        scratch: &mut NodeScratch,
    ) -> Result<(), ProtocolError> {
        let mut opened = std::mem::take(&mut scratch.opened);
        let result = {
            let (client, mut sink) = self.split(at, &mut opened);
            client.handle_bytes(bytes, at.now, &mut sink)
        };
        self.name_broker(&mut scratch.broker);
        for request in opened.drain(..) {
            self.process(&request, at, scratch);
        }
        scratch.opened = opened;
        self.announce_startup(at);
        result
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, at: Moment, scratch: &mut NodeScratch) {
        let (client, mut sink) = self.split(at, &mut scratch.opened);
        client.handle_timeout(at.now, &mut sink);
        self.handle_duties(at);
    }

    /// An attempt to connect failed.
    pub fn handle_connect_failed(&mut self, at: Moment, scratch: &mut NodeScratch) {
        let (client, mut sink) = self.split(at, &mut scratch.opened);
        client.handle_connect_failed(at.now, &mut sink);
    }

    /// The connection is gone.
    pub fn handle_disconnected(&mut self, at: Moment, scratch: &mut NodeScratch) {
        let (client, mut sink) = self.split(at, &mut scratch.opened);
        client.handle_disconnected(at.now, &mut sink);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let duties = self.duties.as_ref().and_then(|duties| duties.next());
        [self.client.poll_timeout(), duties]
            .into_iter()
            .flatten()
            .min()
    }

    /// The counters.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The node's name.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What the node shares with others of its process.
    #[must_use]
    pub const fn setup(&self) -> &Arc<NodeSetup> {
        &self.setup
    }

    /// The facts.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Replaces the facts.
    pub fn set_facts(&mut self, facts: Facts) {
        self.facts = facts;
    }

    /// Replaces the classes.
    pub fn set_classes(&mut self, classes: Arc<[String]>) {
        self.classes = classes;
    }

    /// Replaces what the node shares with others: other agents, collectives or rules. What is no longer listened to is
    /// unsubscribed, what is new is subscribed, the rest stays as it is, so no request is missed.
    pub fn set_setup(&mut self, setup: Arc<NodeSetup>) {
        let own: Vec<_> = (setup.options().collectives.iter())
            .map(|collective| subject::node(collective, &self.identity))
            .collect();
        let mut kept = Vec::new();
        let mut ended = Vec::new();
        for (sid, subject, _) in self.client.subscriptions() {
            let is_wanted = setup.subscriptions().iter().any(|s| *s.subject == *subject)
                || own.iter().any(|own| own.as_bytes() == subject);
            if is_wanted {
                kept.push(Box::<[u8]>::from(subject));
            } else {
                ended.push(sid);
            }
        }
        for sid in ended {
            self.client.unsubscribe(sid, None);
        }
        let is_new = |subject: &[u8]| !kept.iter().any(|kept| **kept == *subject);
        for shared in setup.subscriptions().iter().filter(|s| is_new(&s.subject)) {
            self.client
                .subscribe_shared(Arc::clone(&shared.subject), shared.queue.clone());
        }
        for subject in own.iter().filter(|own| is_new(own.as_bytes())) {
            self.client.subscribe(subject.as_bytes(), None);
        }
        self.setup = setup;
    }

    /// Work an agent wants done, oldest first.
    pub fn poll_job(&mut self) -> Option<Job> {
        (!self.jobs.is_empty()).then(|| self.jobs.remove(0))
    }

    /// Work is done; its outcome is the reply.
    pub fn handle_job_done(&mut self, done: JobDone, at: Moment, scratch: &mut NodeScratch) {
        let (request, action, outcome) = done.into_parts();
        let reply = AgentReply::Rpc {
            action: Cow::Borrowed(&*action),
            outcome,
        };
        scratch.body.clear();
        reply.encode_into(&mut scratch.body);
        self.name_broker(&mut scratch.broker);
        self.reply(&request, at, scratch);
    }

    /// Everything behind the gate.
    fn process(&mut self, request: &Arc<OpenedRequest>, at: Moment, scratch: &mut NodeScratch) {
        if !self.admits(request, at, &scratch.broker) {
            return;
        }
        let Some(agent) = self.setup.options().agents.find(&request.agent) else {
            debug!(identity = %self.identity, agent = %request.agent, "no such agent");
            self.counters.unknown_agent += 1;
            return;
        };
        let host = self.view(&scratch.broker, at);
        let reply = agent.handle(&agent_request(request), &host);
        if let AgentReply::Later { action, work } = reply {
            self.jobs.push(Job::new(Arc::clone(request), &action, work));
            return;
        }
        scratch.body.clear();
        if reply.encode_into(&mut scratch.body) {
            self.reply(request, at, scratch);
        } else {
            self.counters.unanswered += 1;
        }
    }

    /// Ends all subscriptions: no further request is taken, what is under way is still answered.
    pub fn drain(&mut self) {
        let sids: Vec<_> = self.client.subscriptions().map(|(sid, ..)| sid).collect();
        for sid in sids {
            self.client.unsubscribe(sid, None);
        }
    }

    /// The node as its agents see it.
    fn view<'v>(&'v self, broker: &'v str, at: Moment) -> HostView<'v> {
        HostView {
            setup: &self.setup,
            identity: &self.identity,
            facts: self.facts.view(),
            classes: &self.classes,
            counters: &self.counters,
            broker,
            connection: &self.client,
            unix: at.unix,
        }
    }

    /// Whether the request is for this node, in time and new; counts it either way.
    fn admits(&mut self, request: &OpenedRequest, at: Moment, broker: &str) -> bool {
        let options = self.setup.options();
        let unix = unix_secs(at);
        self.counters.total += 1;
        let host = self.view(broker, at);
        let view = NodeView {
            identity: &self.identity,
            agents: self.setup.agent_names(),
            classes: &self.classes,
            facts: &self.facts.view(),
            data: &NodeData(&host),
        };
        if !request.filter.matches(&view) {
            self.counters.filtered += 1;
            return false;
        }
        self.counters.passed += 1;
        if !options
            .collectives
            .iter()
            .any(|collective| **collective == *request.collective)
        {
            debug!(identity = %self.identity, collective = %request.collective, "no such collective");
            self.counters.unknown_collective += 1;
            return false;
        }
        if !request.is_live(at.unix, options.ttl_max) {
            debug!(identity = %self.identity, id = %request.request_id, "request expired");
            self.counters.ttl_expired += 1;
            return false;
        }
        let until = request.dead_by(options.ttl_max);
        if !self
            .seen
            .insert(&request.replay_key, until, unix, options.replay_max)
        {
            warn!(
                identity = %self.identity, id = %request.request_id, caller = %request.caller_id,
                "request was seen before"
            );
            self.counters.replayed += 1;
            return false;
        }
        self.counters.validated += 1;
        true
    }

    /// Publishes `scratch.body` as the reply.
    fn reply(&mut self, request: &OpenedRequest, at: Moment, scratch: &mut NodeScratch) {
        let Some(reply_to) = &request.reply_to else {
            self.counters.unsent += 1;
            return;
        };
        let mut headers = request.reply_headers.clone();
        headers.sender = Some(Cow::Borrowed(&self.identity));
        headers.push_hop(&*scratch.broker, &*self.identity, &*scratch.broker);
        let parts = ReplyParts {
            request_id: &request.request_id,
            sender: &self.identity,
            agent: &request.agent,
            time: request.version.wire_time(at.unix),
            body: &scratch.body,
        };
        scratch.payload.clear();
        encode_reply(
            &mut scratch.payload,
            &mut scratch.protocol,
            self.setup.reply_form(request.version),
            &parts,
            &headers,
        );
        match self
            .client
            .publish(reply_to.as_bytes(), None, &scratch.payload)
        {
            Ok(()) => self.counters.replies += 1,
            Err(error) => {
                warn!(identity = %self.identity, id = %request.request_id, %error, "reply not sent");
                if !self.tell_too_large(request, &error, at, scratch) {
                    self.counters.unsent += 1;
                }
            }
        }
    }

    /// Answers that the answer is too large for the broker, if that is the matter: a caller must not take this node for
    /// one that is down.
    fn tell_too_large(
        &mut self,
        request: &OpenedRequest,
        error: &PublishError,
        at: Moment,
        scratch: &mut NodeScratch,
    ) -> bool {
        // What is short is not what is too large, so this answers once only.
        if !matches!(error, PublishError::TooLarge { .. }) || scratch.body.len() <= NOTICE_MAX {
            return false;
        }
        let reply = RpcReply::parse(&scratch.body).ok();
        let Some(action) = reply.and_then(|reply| reply.action) else {
            return false;
        };
        let action = action.into_owned();
        let agent = &request.agent;
        let why = format!("The reply of {agent}#{action} cannot be sent: {error}");
        scratch.body.clear();
        RpcReply::encode_into(&mut scratch.body, &action, StatusCode::Aborted, &why, "{}");
        if scratch.body.len() > NOTICE_MAX {
            return false;
        }
        self.reply(request, at, scratch);
        true
    }

    fn name_broker(&self, url: &mut String) {
        url.clear();
        match self.client.connected_server() {
            Some(server) => {
                write!(url, "nats://{server}").expect("a string takes everything");
            }
            None => url.push_str("unknown"),
        }
    }

    /// The connection, and what takes its messages.
    fn split<'n>(
        &'n mut self,
        at: Moment,
        opened: &'n mut Vec<Arc<OpenedRequest>>,
    ) -> (&'n mut ClientCore, Sink<'n>) {
        let sink = Sink {
            setup: &self.setup,
            identity: &self.identity,
            counters: &mut self.counters,
            opened,
            at,
        };
        (&mut self.client, sink)
    }
}

/// Takes messages while the connection is busy: opens them, and keeps what passes the gate for later.
struct Sink<'n> {
    setup: &'n NodeSetup,
    identity: &'n str,
    counters: &'n mut Counters,
    opened: &'n mut Vec<Arc<OpenedRequest>>,
    at: Moment,
}

impl EventSink for Sink<'_> {
    fn message(&mut self, message: Message<'_>) {
        match self
            .setup
            .options()
            .gate
            .open(message.payload, self.at.unix)
        {
            Ok(request) => {
                trace!(identity = self.identity, id = %request.request_id, "request");
                self.opened.push(request);
            }
            Err(refusal) => {
                debug!(identity = self.identity, reason = refusal.reason(), %refusal, "refused");
                self.counters.refuse(refusal.reason());
            }
        }
    }

    fn event(&mut self, event: Event) {
        let identity = self.identity;
        match event {
            Event::Connected => info!(identity, "connected"),
            Event::Disconnected(end) => info!(identity, %end, "disconnected"),
            Event::ConnectFailed(end) => info!(identity, %end, "could not connect"),
            Event::Reconnecting { attempt, in_ms } => debug!(identity, attempt, in_ms, "waiting"),
            Event::ServerError(text) => warn!(identity, %text, "the broker reports an error"),
            Event::LameDuck => info!(identity, "the broker will go away soon"),
            other => trace!(identity, ?other, "event"),
        }
    }
}

fn agent_request(request: &OpenedRequest) -> AgentRequest<'_> {
    AgentRequest {
        body: &request.body,
        caller_id: &request.caller_id,
        sender_id: &request.sender_id,
        request_id: &request.request_id,
        collective: &request.collective,
        agent: &request.agent,
        time: request.time,
        ttl: request.ttl,
    }
}

fn unix_secs(at: Moment) -> i64 {
    i64::try_from(at.unix.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_small() {
        let size = size_of::<Node>();
        assert!(size <= 592, "{size}");
    }
}
