//! One NATS connection that a thread drives itself: it publishes, and takes what comes in, when it likes.
//!
//! The thread must come by at least every few seconds ([`Link::turn`]), or pings of the server stay unanswered.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::nats::{
    ClientConfig, ClientCore, Event, EventSink, Message, ProtocolError, State,
};
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use tracing::{info, warn};

/// How to reach a NATS network.
#[derive(Debug, Clone)]
pub struct Access {
    /// Servers, credentials, times.
    pub client: ClientConfig,
    /// What TLS is spoken with, where it is.
    pub tls: Option<Arc<TlsConfig>>,
}

impl Access {
    /// The same with a name of its own.
    pub(crate) fn named(&self, name: &str) -> (Arc<ClientConfig>, Option<Arc<TlsConfig>>) {
        let mut client = self.client.clone();
        client.name = name.into();
        // What was published while nobody listened is the caller's to send again, not ours to keep.
        client.reconnect_buffer_max = 0;
        (Arc::new(client), self.tls.clone())
    }
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) subject: Bytes,
    pub(crate) reply: Option<Bytes>,
    pub(crate) headers: Bytes,
    pub(crate) payload: Bytes,
}

/// What came in and was not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) messages: VecDeque<Received>,
    /// Times the connection broke.
    pub(crate) breaks: u64,
    name: Box<str>,
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    driver: Driver<Peer>,
}

#[derive(Debug)]
struct Peer {
    client: ClientCore,
    tls: Option<Arc<TlsConfig>>,
}

impl Link {
    pub(crate) fn new(access: &Access, name: &str) -> io::Result<Self> {
        let (config, tls) = access.named(name);
        let clock = Clock::start();
        let client = ClientCore::new(config, None, random_seed(), clock.now());
        let inbox = Inbox {
            name: name.into(),
            ..Inbox::default()
        };
        let mut driver = Driver::new(clock, DriverOptions::default(), inbox, None)?;
        driver.add(Peer { client, tls }, None);
        Ok(Self { driver })
    }

    /// Lets the connection do what is due, and waits for more at most so long.
    pub(crate) fn turn(&mut self, wait: Duration) -> io::Result<()> {
        let turned = self.driver.turn(wait);
        for failure in self.driver.take_connect_failures() {
            info!(server = %failure.server, "cannot connect: {}", failure.why);
        }
        turned
    }

    pub(crate) fn now(&self) -> Duration {
        self.driver.moment().now
    }

    pub(crate) fn is_ready(&mut self) -> bool {
        self.driver
            .with(0, |peer, _, _| peer.client.state() == State::Ready)
    }

    /// Waits until the connection stands; `false` where it does not in time.
    pub(crate) fn wait_ready(&mut self, until: Duration) -> io::Result<bool> {
        while !self.is_ready() {
            let now = self.now();
            if now >= until {
                return Ok(false);
            }
            self.turn(until - now)?;
        }
        Ok(true)
    }

    pub(crate) fn subscribe(&mut self, subject: &str) {
        self.driver.with(0, |peer, _, _| {
            peer.client.subscribe(subject.as_bytes(), None);
        });
    }

    /// Publishes any number of messages at once: `publish` is called with the core.
    pub(crate) fn publish<T>(&mut self, publish: impl FnOnce(&mut ClientCore) -> T) -> T {
        self.driver.with(0, |peer, _, _| publish(&mut peer.client))
    }

    pub(crate) fn inbox(&mut self) -> &mut Inbox {
        self.driver.shared()
    }

    /// Asks for a sign that all before was dealt with.
    pub(crate) fn flush(&mut self) -> u64 {
        self.driver.with(0, |peer, _, _| peer.client.flush())
    }

    pub(crate) fn flushed(&mut self) -> u64 {
        self.driver.with(0, |peer, _, _| peer.client.flushed())
    }
}

/// An inbox of our own, unknown to others.
pub(crate) fn new_inbox() -> String {
    format!("_INBOX.{:016x}{:016x}", random_seed(), random_seed())
}

impl EventSink for Inbox {
    fn message(&mut self, message: Message<'_>) {
        self.messages.push_back(Received {
            subject: Bytes::copy_from_slice(message.subject),
            reply: message.reply.map(Bytes::copy_from_slice),
            headers: Bytes::copy_from_slice(message.headers),
            payload: Bytes::copy_from_slice(message.payload),
        });
    }

    fn event(&mut self, event: Event) {
        if let Event::Disconnected(_) = event {
            self.breaks += 1;
        }
        log_event(&self.name, &event);
    }
}

/// Says what happened to a connection.
pub(crate) fn log_event(name: &str, event: &Event) {
    match event {
        Event::Connected => info!(connection = name, "connected"),
        Event::Disconnected(end) => warn!(connection = name, "connection lost: {end}"),
        Event::ConnectFailed(end) => info!(connection = name, "cannot connect: {end}"),
        Event::ServerError(text) => warn!(connection = name, "the server says: {text}"),
        _ => {}
    }
}

impl Endpoint for Peer {
    type Shared = Inbox;

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        inbox: &mut Inbox,
    ) -> Result<(), ProtocolError> {
        self.client.handle_bytes(bytes, at.now, inbox)
    }

    fn handle_timeout(&mut self, at: Moment, inbox: &mut Inbox) {
        self.client.handle_timeout(at.now, inbox);
    }

    fn handle_connect_failed(&mut self, at: Moment, inbox: &mut Inbox) {
        self.client.handle_connect_failed(at.now, inbox);
    }

    fn handle_disconnected(&mut self, at: Moment, inbox: &mut Inbox) {
        self.client.handle_disconnected(at.now, inbox);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}
