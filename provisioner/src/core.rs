//! The provisioner without its sockets, threads and clocks.
//!
//! ```text
//!  events ──┐                      ┌─ host ─┐   calls    ┌─────┐
//!  discovery ┴─▶ queue ─▶ take ──▶ │  host  │ ◀────────▶ │ rpc │ ◀─▶ connection
//!                                  └─ host ─┘            └─────┘
//!                                     │  ▲ helper runs, by the owner
//! ```
//!
//! As many nodes are in work as there are workers. While it is paused, by an operator or because another provisioner
//! leads, nothing is discovered, added, called or asked; a node in work is given up at its next step.
//!
//! Bytes, results and `now` come in; bytes, helper runs and lines for the log go out.

mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_client::Moment;
use muster_client::fleet::Caller;
use muster_client::nats::{
    ClientConfig, ClientCore, Event, EventSink, LinkEnd, Message, ProtocolError, Sid,
};
use muster_protocol::lifecycle::{EventForm, LifecycleEvent, LifecycleKind, event_id};
use muster_protocol::subject;
use muster_protocol::transport::Transport;

use crate::election::{self, Claim, Lease};
use crate::helper::HelperError;
use crate::host::{Flow, Host};
use crate::metrics::{Drop, Metrics};
use crate::queue::{Added, Identity, Queue};
use crate::rpc::{Arrived, Rpc, is_identity};

/// The component of our own lifecycle events.
pub const COMPONENT: &str = "provisioner";
/// Where nodes of 2018 announce themselves.
const OLD_ANNOUNCEMENTS: &str = "choria.provisioning_data";
/// Lines for the log that wait for their owner; further ones are dropped.
const LOG_LINES_MAX: usize = 4096;

/// What a core goes by.
#[derive(Debug)]
pub struct CoreSetup {
    /// What nodes go through.
    pub flow: Arc<Flow>,
    /// Who calls; its collectives are those of the provisioning network.
    pub caller: Arc<Caller>,
    /// How to connect.
    pub client: Arc<ClientConfig>,
    /// Nodes in work at the same time.
    pub workers: NonZeroUsize,
    /// Time between discoveries.
    pub interval: Duration,
    /// The component whose startup events announce nodes.
    pub lifecycle_component: String,
    /// Whether one of several provisioners is chosen to work.
    pub leader_election: bool,
    /// Our version, for our own events.
    pub version: &'static str,
}

/// A run of the helper, for the owner to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperRun {
    /// Its number.
    pub id: u64,
    /// What goes in.
    pub input: Vec<u8>,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Of interest to developers.
    Debug,
    /// Of interest to operators.
    Info,
    /// Somebody should look.
    Warn,
}

/// A line for the log. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How important.
    pub level: Level,
    /// The node it is about.
    pub identity: Option<Identity>,
    /// The text.
    pub text: String,
}

/// The provisioner.
#[derive(Debug)]
pub struct ProvisionerCore {
    setup: CoreSetup,
    client: ClientCore,
    rpc: Rpc,
    events: Sid,
    old_events: Sid,
    claims: Option<Sid>,
    lease: Option<Lease>,
    queue: Queue,
    hosts: BTreeMap<Identity, Host>,
    /// Hosts that are to be polled now.
    ready: VecDeque<Identity>,
    /// Hosts that wait, by when.
    timers: BTreeSet<(Duration, Identity)>,
    runs: VecDeque<HelperRun>,
    /// Whose run it is and when it began.
    running: BTreeMap<u64, (Identity, Duration)>,
    last_run: u64,
    /// An operator has paused it.
    is_stopped: bool,
    was_paused: bool,
    connected: bool,
    is_started: bool,
    next_discovery: Duration,
    rng: Rng,
    metrics: Arc<Metrics>,
    log: VecDeque<LogLine>,
}

/// What came while the connection was borrowed.
#[derive(Debug)]
enum Inbound {
    Rpc(Arrived),
    Announced(Result<String, Drop>),
    Claim(Option<Claim>),
    Connected,
    Disconnected(LinkEnd),
    ServerError(Box<str>),
}

struct Sink<'a> {
    rpc: &'a mut Rpc,
    events: Sid,
    old_events: Sid,
    claims: Option<Sid>,
    component: &'a str,
    now: Duration,
    inbound: Vec<Inbound>,
}

impl EventSink for Sink<'_> {
    fn message(&mut self, message: Message<'_>) {
        let sid = message.sid;
        let inbound = if sid == self.rpc.sid() {
            Inbound::Rpc(self.rpc.handle_message(&message, self.now))
        } else if sid == self.events {
            Inbound::Announced(announced(message.payload, self.component))
        } else if sid == self.old_events {
            Inbound::Announced(announced_of_old(message.payload))
        } else if Some(sid) == self.claims {
            Inbound::Claim(Claim::parse(message.payload))
        } else {
            Inbound::Rpc(Arrived::Dropped(Drop::UnknownRequest))
        };
        self.inbound.push(inbound);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected => self.inbound.push(Inbound::Connected),
            Event::Disconnected(end) => self.inbound.push(Inbound::Disconnected(end)),
            Event::ServerError(text) => self.inbound.push(Inbound::ServerError(text)),
            _ => {}
        }
    }
}

/// The node a startup event is about.
fn announced(payload: &[u8], component: &str) -> Result<String, Drop> {
    let event = LifecycleEvent::parse(payload).map_err(|_| Drop::NoEvent)?;
    let is_startup = matches!(event.kind, LifecycleKind::Startup { .. });
    if !is_startup || event.component != component {
        return Err(Drop::NoEvent);
    }
    checked(event.identity)
}

/// The node that sent registration data in the way of 2018.
fn announced_of_old(payload: &[u8]) -> Result<String, Drop> {
    let transport = Transport::parse(payload).map_err(|_| Drop::Malformed)?;
    let sender = transport.headers.sender.ok_or(Drop::NoEvent)?;
    checked(sender.into_owned())
}

fn checked(identity: String) -> Result<String, Drop> {
    if is_identity(&identity) {
        Ok(identity)
    } else {
        Err(Drop::BadIdentity)
    }
}

impl ProvisionerCore {
    /// A provisioner that wants to connect at once.
    #[must_use]
    pub fn new(setup: CoreSetup, metrics: Arc<Metrics>, seed: u64, at: Moment) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut client = ClientCore::new(Arc::clone(&setup.client), None, rng.u64(..), at.now);
        let rpc = Rpc::new(Arc::clone(&setup.caller), &mut client, rng.u64(..));
        let events = subject::lifecycle("startup", &setup.lifecycle_component);
        let events = client.subscribe(events.as_bytes(), None);
        let old_events = client.subscribe(OLD_ANNOUNCEMENTS.as_bytes(), None);
        let lease = setup
            .leader_election
            .then(|| Lease::new(at.unix, rng.u64(..), at.now));
        let claims = lease
            .as_ref()
            .map(|_| client.subscribe(election::SUBJECT.as_bytes(), None));
        let was_paused = lease.is_some();
        metrics.paused.set(usize::from(was_paused));
        Self {
            queue: Queue::new(2 * setup.interval),
            setup,
            client,
            rpc,
            events,
            old_events,
            claims,
            lease,
            hosts: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            runs: VecDeque::new(),
            running: BTreeMap::new(),
            last_run: 0,
            is_stopped: false,
            was_paused,
            connected: false,
            is_started: false,
            next_discovery: at.now,
            rng,
            metrics,
            log: VecDeque::new(),
        }
    }

    /// The connection.
    pub fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    /// What was counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The nodes.
    #[must_use]
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Bytes arrived.
    ///
    /// # Errors
    /// The broker does not speak the protocol; the connection has been given up.
    pub fn handle_bytes(&mut self, bytes: &[u8], at: Moment) -> Result<(), ProtocolError> {
        let mut sink = sink(
            &mut self.rpc,
            &self.setup,
            (self.events, self.old_events, self.claims),
            at,
        );
        let result = self.client.handle_bytes(bytes, at.now, &mut sink);
        let inbound = sink.inbound;
        self.take(inbound, at);
        result
    }

    /// An attempt to connect failed.
    pub fn handle_connect_failed(&mut self, at: Moment) {
        let mut sink = sink(
            &mut self.rpc,
            &self.setup,
            (self.events, self.old_events, self.claims),
            at,
        );
        self.client.handle_connect_failed(at.now, &mut sink);
        let inbound = sink.inbound;
        self.take(inbound, at);
    }

    /// The connection is gone.
    pub fn handle_disconnected(&mut self, at: Moment) {
        let mut sink = sink(
            &mut self.rpc,
            &self.setup,
            (self.events, self.old_events, self.claims),
            at,
        );
        self.client.handle_disconnected(at.now, &mut sink);
        let inbound = sink.inbound;
        self.take(inbound, at);
    }

    /// The moment of [`Self::next_timeout`] has come.
    pub fn handle_timeout(&mut self, at: Moment) {
        if self.client.poll_timeout().is_some_and(|due| due <= at.now) {
            let mut sink = sink(
                &mut self.rpc,
                &self.setup,
                (self.events, self.old_events, self.claims),
                at,
            );
            self.client.handle_timeout(at.now, &mut sink);
            let inbound = sink.inbound;
            return self.take(inbound, at);
        }
        self.advance(at);
    }

    /// A run of the helper is over.
    pub fn handle_helper(&mut self, id: u64, output: Result<Vec<u8>, HelperError>, at: Moment) {
        self.take_helper(id, output, at);
        self.advance(at);
    }

    /// When something is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let discovery = (self.connected && !self.is_paused()).then_some(self.next_discovery);
        let lease = self.lease.as_ref().and_then(Lease::next_timeout);
        let host = self.timers.first().map(|(due, _)| *due);
        [
            self.client.poll_timeout(),
            self.rpc.next_timeout(),
            discovery,
            lease,
            host,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A run of the helper that is to be carried out.
    pub fn poll_helper(&mut self) -> Option<HelperRun> {
        self.runs.pop_front()
    }

    /// A line for the log.
    pub fn poll_log(&mut self) -> Option<LogLine> {
        self.log.pop_front()
    }

    /// Stops, or resumes, all work, as an operator wants it.
    pub fn set_stopped(&mut self, is_stopped: bool, at: Moment) {
        self.is_stopped = is_stopped;
        self.advance(at);
    }

    /// Whether nothing may be done, whatever the reason.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_stopped || self.lease.as_ref().is_some_and(|lease| !lease.is_leader())
    }

    /// Ends it in good order: others are told, then the connection is closed.
    pub fn shutdown(&mut self, at: Moment) {
        if let Some(claim) = self.lease.as_mut().and_then(|lease| lease.resign(at.now)) {
            self.publish(election::SUBJECT, &claim.encode());
        }
        if self.connected {
            self.announce(LifecycleKind::Shutdown, at);
        }
        self.client.close();
    }

    fn take(&mut self, inbound: Vec<Inbound>, at: Moment) {
        for item in inbound {
            match item {
                Inbound::Rpc(arrived) => self.take_arrived(arrived, at),
                Inbound::Announced(Ok(identity)) => self.found(&identity, Source::Event, at),
                Inbound::Announced(Err(why)) => self.metrics.drop_message(why),
                Inbound::Claim(Some(claim)) => {
                    if let Some(lease) = &mut self.lease {
                        lease.handle_claim(&claim, at.now);
                    }
                }
                Inbound::Claim(None) => self.metrics.drop_message(Drop::Malformed),
                Inbound::Connected => self.take_connected(at),
                Inbound::Disconnected(end) => self.take_disconnected(end, at),
                Inbound::ServerError(text) => {
                    self.say(Level::Warn, None, format!("the broker says: {text}"));
                }
            }
        }
        self.advance(at);
    }

    fn take_connected(&mut self, at: Moment) {
        self.connected = true;
        self.next_discovery = at.now;
        if let Some(lease) = &mut self.lease {
            lease.handle_connected(at.now);
        }
        let server = self.client.connected_server().map(ToString::to_string);
        let server = server.unwrap_or_default();
        self.say(Level::Info, None, format!("connected to {server}"));
        if !std::mem::replace(&mut self.is_started, true) {
            let version = self.setup.version.to_owned();
            self.announce(LifecycleKind::Startup { version }, at);
        }
    }

    fn found(&mut self, identity: &str, source: Source, at: Moment) {
        if self.is_paused() {
            return self.metrics.drop_message(Drop::Paused);
        }
        match self.queue.add(identity, at.now) {
            Added::Known => {}
            Added::New => match source {
                Source::Event => self.metrics.event_discovered.add(),
                Source::Discovery => self.metrics.discovered.add(),
            },
            Added::Full => {
                self.metrics.queue_full.add();
                let text = "dropped: too many nodes wait; the next discovery finds it again";
                self.say(Level::Warn, Some(identity.into()), text.to_owned());
            }
        }
    }

    fn announce(&mut self, kind: LifecycleKind, at: Moment) {
        let mut random = [0; 16];
        self.rng.fill(&mut random);
        let event = LifecycleEvent {
            id: event_id(random),
            identity: self.setup.caller.sender.clone(),
            component: COMPONENT.to_owned(),
            timestamp: i64::try_from(at.unix.as_secs()).unwrap_or(i64::MAX),
            kind,
        };
        self.publish(&event.subject(), &event.encode(EventForm::CloudEvent));
    }

    /// Publishes what nobody waits for.
    fn publish(&mut self, subject: &str, payload: &[u8]) {
        if let Err(error) = self.client.publish(subject.as_bytes(), None, payload) {
            self.say(
                Level::Warn,
                None,
                format!("{subject} is not published: {error}"),
            );
        }
    }

    fn say(&mut self, level: Level, identity: Option<Identity>, text: String) {
        if self.log.len() < LOG_LINES_MAX {
            self.log.push_back(LogLine {
                level,
                identity,
                text,
            });
        }
    }
}

/// How a node became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Event,
    Discovery,
}

fn sink<'a>(
    rpc: &'a mut Rpc,
    setup: &'a CoreSetup,
    (events, old_events, claims): (Sid, Sid, Option<Sid>),
    at: Moment,
) -> Sink<'a> {
    Sink {
        rpc,
        events,
        old_events,
        claims,
        component: &setup.lifecycle_component,
        now: at.now,
        inbound: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
