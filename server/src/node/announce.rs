//! What a node says without being asked: events of its life, registrations, and requests of the program around it.
//!
//! A bare [`Node`] says nothing. [`Node::announce`] gives it the duty, and the timers that go with it.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_client::Moment;
use muster_client::nats::State;
use muster_protocol::lifecycle::{LifecycleEvent, LifecycleKind, event_id};
use muster_protocol::registration::REGISTRATION_AGENT;
use muster_protocol::subject;
use tracing::{debug, warn};

use super::{Node, unix_secs};
use crate::lifecycle::{DueEvent, Life, LifecycleOptions};
use crate::registration::{Register, RegistrationOptions};
use crate::requests::{OwnRequest, RequestSigner};

/// What nodes announce, and how. One in an `Arc` serves every node of a process that signs alike.
#[derive(Debug)]
pub struct Announcements {
    /// Events of their life, if any.
    pub lifecycle: Option<LifecycleOptions>,
    /// Registrations, if any.
    pub registration: Option<RegistrationOptions>,
    /// How their own requests are signed.
    pub signer: Arc<dyn RequestSigner>,
}

/// A request of the program around the node.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'o> {
    /// The collective it names.
    pub collective: &'o str,
    /// The agent it names.
    pub agent: &'o str,
    /// The subject it goes to, the agent's broadcast subject where there is none.
    pub target: Option<&'o str>,
    /// Its body.
    pub body: &'o str,
}

/// The announcements of one node.
#[derive(Debug)]
pub(super) struct Duties {
    announcements: Arc<Announcements>,
    rng: Rng,
    life: Life,
    register: Register,
}

impl Duties {
    pub(super) fn next(&self) -> Option<Duration> {
        let life = (self.announcements.lifecycle.as_ref()).and_then(|_| self.life.next());
        [life, self.register.next()].into_iter().flatten().min()
    }
}

impl Node {
    /// Gives the node something to announce, in place of what it announced so far. The startup event is not repeated.
    /// `seed` decides moments and ids; each node needs its own.
    pub fn announce(&mut self, announcements: Arc<Announcements>, seed: u64, now: Duration) {
        let mut duties = Duties {
            announcements,
            rng: Rng::with_seed(seed),
            life: Life::default(),
            register: Register::default(),
        };
        if let Some(former) = self.duties.take() {
            duties.life = former.life;
            if former.announcements.registration == duties.announcements.registration {
                duties.register = former.register;
            } else if let Some(options) = &duties.announcements.registration
                && duties.life.is_announced()
            {
                duties.register.start(options, now, &mut duties.rng);
            }
        }
        self.duties = Some(Box::new(duties));
    }

    /// A registration source whose data the owner is to give, if it can, to
    /// [`publish_registration`](Self::publish_registration).
    pub fn poll_registration(&mut self) -> Option<usize> {
        self.duties.as_mut()?.register.poll()
    }

    /// Publishes the body of a registration source, unless it is too soon for that. Says whether it did.
    pub fn publish_registration(&mut self, source: usize, body: &str, at: Moment) -> bool {
        let Some(duties) = &self.duties else {
            return false;
        };
        let announcements = Arc::clone(&duties.announcements);
        let Some(options) = &announcements.registration else {
            return false;
        };
        let is_due = duties.register.is_due(source, options, body.len(), at.now);
        if body.is_empty() || !is_due {
            return false;
        }
        let outgoing = Outgoing {
            collective: &options.collective,
            agent: REGISTRATION_AGENT,
            target: (options.sources.get(source)).and_then(|source| source.target.as_deref()),
            body,
        };
        let sent = self.publish_request(&outgoing, at);
        if sent {
            self.counters.registrations += 1;
            if let Some(duties) = &mut self.duties {
                duties.register.published(source, body.len(), at.now);
            }
        }
        sent
    }

    /// Publishes a request that wants no reply. Says whether it did; without a connection it does not, and nothing is
    /// kept for later.
    pub fn publish_request(&mut self, outgoing: &Outgoing<'_>, at: Moment) -> bool {
        let mut broker = String::new();
        self.name_broker(&mut broker);
        let is_connected = self.is_connected();
        let Some(duties) = self.duties.as_mut().filter(|_| is_connected) else {
            return false;
        };
        let request = OwnRequest {
            identity: &self.identity,
            collective: outgoing.collective,
            agent: outgoing.agent,
            body: outgoing.body,
            unix: at.unix,
            random: random(&mut duties.rng),
            broker: &broker,
        };
        let payload = match duties.announcements.signer.seal(&request) {
            Ok(payload) => payload,
            Err(error) => {
                warn!(identity = %self.identity, agent = outgoing.agent, %error, "request not sent");
                self.counters.unsent += 1;
                return false;
            }
        };
        let broadcast = || subject::broadcast(outgoing.collective, outgoing.agent);
        let target = outgoing.target.map_or_else(broadcast, str::to_owned);
        self.send(&target, &payload)
    }

    /// Publishes an event of the node's life. Says whether it did; without a connection, or where the node announces
    /// none, it does not.
    pub fn publish_event(&mut self, kind: LifecycleKind, at: Moment) -> bool {
        let is_connected = self.is_connected();
        let Some(duties) = self.duties.as_mut().filter(|_| is_connected) else {
            return false;
        };
        let Some(options) = &duties.announcements.lifecycle else {
            return false;
        };
        let event = LifecycleEvent {
            id: event_id(random(&mut duties.rng)),
            identity: self.identity.to_string(),
            component: options.component.clone(),
            timestamp: unix_secs(at),
            kind,
        };
        let payload = event.encode(options.form);
        debug!(identity = %self.identity, kind = event.kind.name(), "event");
        let sent = self.send(&event.subject(), &payload);
        self.counters.events += u64::from(sent);
        sent
    }

    /// Says that the node ends, if it has said that it began.
    pub fn announce_shutdown(&mut self, at: Moment) {
        let duties = self.duties.as_ref();
        if duties.is_some_and(|duties| duties.life.is_announced()) {
            self.publish_event(LifecycleKind::Shutdown, at);
        }
    }

    /// Begins to announce once there is a connection; costs next to nothing afterwards.
    pub(super) fn announce_startup(&mut self, at: Moment) {
        let duties = self.duties.as_ref();
        if duties.is_some_and(|duties| !duties.life.is_announced()) && self.is_connected() {
            self.handle_duties(at);
        }
    }

    /// Announces what is due.
    pub(super) fn handle_duties(&mut self, at: Moment) {
        let connected = self.is_connected();
        let Some(duties) = &mut self.duties else {
            return;
        };
        let due = duties.life.poll(at.now, connected, &mut duties.rng);
        if let Some(options) = &duties.announcements.registration {
            if due == Some(DueEvent::Startup) {
                duties.register.start(options, at.now, &mut duties.rng);
            }
            duties.register.handle_timeout(options, at.now, connected);
        }
        let version = self.setup.options().version.clone();
        match due {
            None => {}
            Some(DueEvent::Startup) => {
                self.publish_event(LifecycleKind::Startup { version }, at);
            }
            Some(DueEvent::Alive) => {
                self.publish_event(LifecycleKind::Alive { version }, at);
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.client.state() == State::Ready
    }

    fn send(&mut self, subject: &str, payload: &[u8]) -> bool {
        match self.client.publish(subject.as_bytes(), None, payload) {
            Ok(()) => true,
            Err(error) => {
                warn!(identity = %self.identity, subject, %error, "message not sent");
                self.counters.unsent += 1;
                false
            }
        }
    }
}

fn random(rng: &mut Rng) -> [u8; 16] {
    rng.u128(..).to_le_bytes()
}
