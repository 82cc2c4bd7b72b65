//! A client of the fleet as a pure state machine: one connection, one operation at a time.
//!
//! The owner calls [`FleetSession::start`], hands over what happens to the connection as for any core, and takes events until [`FleetEvent::Finished`] or
//! [`FleetEvent::Failed`]. What an operation does in between is `job.rs`.
//!
//! A connection that breaks while replies are waited for comes back by itself, with the subscription, and collecting goes on until the deadline.
//! Replies lost meanwhile are not asked for again: their nodes are named as missing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_protocol::request_id::RequestId;

use super::error::{Failure, StartError};
use super::event::FleetEvent;
use super::identity::Caller;
use super::job::{End, Job};
use super::operation::Operation;
use super::route::Federations;
use super::summary::Ended;
use crate::moment::Moment;
use crate::nats::{ClientConfig, ClientCore, Event, EventSink, LinkEnd, Message, ProtocolError};

/// How long an operation waits for a working connection before it fails.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of the fleet. Events are kept until they are taken: an owner drains them after each call.
#[derive(Debug)]
pub struct FleetSession {
    client: ClientCore,
    caller: Arc<Caller>,
    rng: Rng,
    prepare_timeout: Duration,
    federations: Federations,
    inner: Inner,
}

/// What the connection's events go to.
#[derive(Debug)]
struct Inner {
    job: Option<Job>,
    events: VecDeque<FleetEvent>,
    /// The moment of the call that is being handled.
    now: Duration,
    last_end: Option<LinkEnd>,
}

impl FleetSession {
    /// A session that connects at once. The seed decides request ids, the order of brokers and back-off; each session needs its own.
    #[must_use]
    pub fn new(caller: Arc<Caller>, client: Arc<ClientConfig>, seed: u64, now: Duration) -> Self {
        let mut rng = Rng::with_seed(seed);
        let name = format!("{}-{:08x}", caller.caller_id, rng.u32(..));
        let client = ClientCore::new(client, Some(name.into()), rng.u64(..), now);
        Self {
            client,
            caller,
            rng,
            prepare_timeout: PREPARE_TIMEOUT,
            federations: Federations::default(),
            inner: Inner {
                job: None,
                events: VecDeque::new(),
                now,
                last_end: None,
            },
        }
    }

    /// Sets how long an operation waits for a working connection, [`PREPARE_TIMEOUT`] otherwise.
    #[must_use]
    pub fn with_prepare_timeout(mut self, timeout: Duration) -> Self {
        self.prepare_timeout = timeout;
        self
    }

    /// Sends every request through these federations, each of which reaches the nodes of its own network; none means the network we are on.
    #[must_use]
    pub fn with_federations(mut self, names: &[String]) -> Self {
        self.federations = names.iter().map(|name| name.as_str().into()).collect();
        self
    }

    /// The connection.
    pub fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether no operation is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.inner.job.is_none()
    }

    /// Begins an operation.
    ///
    /// # Errors
    /// Another one is under way, or this one can not be carried out by anybody. Nothing was sent.
    pub fn start(&mut self, operation: Operation, at: Moment) -> Result<RequestId, StartError> {
        if self.inner.job.is_some() {
            return Err(StartError::Busy);
        }
        let random = self.rng.u128(..).to_le_bytes();
        let id = self.caller.security.request_id(at.unix, random);
        let seed = self.rng.u64(..);
        let give_up = at.now + self.prepare_timeout;
        let job = Job::begin(
            operation,
            &self.caller,
            &self.federations,
            id,
            seed,
            &mut self.client,
            at,
            give_up,
        )?;
        self.inner.job = Some(job);
        Ok(id)
    }

    /// Ends the operation under way with what it has; its summary comes as an event.
    pub fn cancel(&mut self, at: Moment) {
        self.end(End::Over(Ended::Cancelled), at);
    }

    /// Bytes arrived.
    ///
    /// # Errors
    /// The broker does not speak the protocol; the link is given up already.
    pub fn handle_bytes(&mut self, bytes: &[u8], at: Moment) -> Result<(), ProtocolError> {
        self.inner.now = at.now;
        let result = self.client.handle_bytes(bytes, at.now, &mut self.inner);
        self.advance(at);
        result
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, at: Moment) {
        self.inner.now = at.now;
        self.client.handle_timeout(at.now, &mut self.inner);
        self.advance(at);
    }

    /// The TCP connection could not be made.
    pub fn handle_connect_failed(&mut self, at: Moment) {
        self.inner.now = at.now;
        self.client.handle_connect_failed(at.now, &mut self.inner);
        self.advance(at);
    }

    /// The connection was lost.
    pub fn handle_disconnected(&mut self, at: Moment) {
        self.inner.now = at.now;
        self.client.handle_disconnected(at.now, &mut self.inner);
        self.advance(at);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, unless something happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let job = self.inner.job.as_ref().map(Job::due);
        [self.client.poll_timeout(), job]
            .into_iter()
            .flatten()
            .min()
    }

    /// How the last attempt to connect, or the last connection, ended.
    #[must_use]
    pub fn last_link_end(&self) -> Option<LinkEnd> {
        self.inner.last_end
    }

    /// What happened, until `None`.
    pub fn poll_event(&mut self) -> Option<FleetEvent> {
        self.inner.events.pop_front()
    }

    fn advance(&mut self, at: Moment) {
        let Inner { job, events, .. } = &mut self.inner;
        let Some(job) = job else { return };
        let mut tell = |event| events.push_back(event);
        if let Some(end) = job.advance(&mut self.client, &self.caller, at, &mut tell) {
            self.end(end, at);
        }
    }

    fn end(&mut self, end: End, at: Moment) {
        let Some(job) = self.inner.job.take() else {
            return;
        };
        if let Some(sid) = job.sid {
            self.client.unsubscribe(sid, None);
        }
        let event = match end {
            End::Over(ended) => FleetEvent::Finished(Box::new(job.summary(ended, at.now))),
            End::Failed(Failure::NotConnected { waited, .. }) => {
                let last = self.inner.last_end;
                FleetEvent::Failed(Failure::NotConnected { waited, last })
            }
            End::Failed(failure) => FleetEvent::Failed(failure),
        };
        self.inner.events.push_back(event);
    }
}

impl EventSink for Inner {
    fn message(&mut self, message: Message<'_>) {
        let Some(job) = self.job.as_mut().filter(|job| job.sid == Some(message.sid)) else {
            return;
        };
        if let Some(reply) = job.handle_reply(message.payload, self.now) {
            self.events.push_back(FleetEvent::Reply(reply));
        }
    }

    fn event(&mut self, event: Event) {
        match &event {
            Event::Flushed(number) => {
                if let Some(job) = &mut self.job {
                    job.handle_flushed(*number);
                }
                return;
            }
            Event::Unsubscribed(_) => return,
            Event::Disconnected(end) => {
                self.last_end = Some(*end);
                if let Some(job) = &mut self.job {
                    job.links_lost += 1;
                }
            }
            Event::ConnectFailed(end) => self.last_end = Some(*end),
            _ => {}
        }
        self.events.push_back(FleetEvent::Link(event));
    }
}
