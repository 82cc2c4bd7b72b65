//! One connection of a federation broker: it reads one kind of message and writes the other. Pure.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::Endpoint;
use muster_client::nats::{
    ClientConfig, ClientCore, Event, EventSink, Message, ProtocolError, ServerAddr, Sid,
};
use muster_protocol::subject::{federation_reply_queue, federation_request_queue};
use muster_reactor::rustls::ClientConfig as TlsConfig;

use crate::bridge::{Bridge, Way};
use crate::exchange::{Exchange, Role};

/// The server of a side that has none, in hops.
const UNCONNECTED: &str = "unconnected";

/// How a side connects.
#[derive(Clone)]
pub struct Link {
    /// Servers, credentials, bounds.
    pub client: Arc<ClientConfig>,
    /// What TLS is spoken with, where it is spoken.
    pub tls: Option<Arc<TlsConfig>>,
}

/// One side.
#[derive(Debug)]
pub struct Side {
    role: Role,
    client: ClientCore,
    listening: Option<Sid>,
    bridge: Arc<Bridge>,
    tls: Option<Arc<TlsConfig>>,
}

impl Side {
    /// A side that begins to connect. `seed` decides the order of servers and the waits between attempts.
    #[must_use]
    pub fn new(
        role: Role,
        link: &Link,
        bridge: Arc<Bridge>,
        cluster: &str,
        seed: u64,
        now: Duration,
    ) -> Self {
        let mut client = ClientCore::new(Arc::clone(&link.client), None, seed, now);
        let (subject, queue) = match role {
            Role::Federation => (bridge.request_subject(), federation_request_queue(cluster)),
            Role::Collective => (bridge.reply_subject(), federation_reply_queue(cluster)),
        };
        let listening = client.subscribe(subject.as_bytes(), Some(queue.as_bytes()));
        Self {
            role,
            client,
            listening: Some(listening),
            bridge,
            tls: link.tls.clone(),
        }
    }

    /// Which side it is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Sends what waits for this side.
    pub fn pump(&mut self, exchange: &mut Exchange, now: Duration) {
        exchange.to_mut(self.role).pump(&mut self.client, now);
    }

    /// Reads nothing new: the others of its queue group get it.
    pub fn stop_listening(&mut self) {
        if let Some(sid) = self.listening.take() {
            self.client.unsubscribe(sid, None);
        }
    }

    /// Whether all its output was handed to the socket.
    pub fn has_nothing_to_write(&mut self) -> bool {
        self.client.output().is_empty()
    }

    /// Runs a step of the connection with an ear for what it says.
    fn step<T>(
        &mut self,
        exchange: &mut Exchange,
        now: Duration,
        act: impl FnOnce(&mut ClientCore, &mut Ear<'_>) -> T,
    ) -> T {
        let mut ear = Ear {
            role: self.role,
            bridge: &self.bridge,
            exchange,
            now,
            turned: false,
        };
        let result = act(&mut self.client, &mut ear);
        if ear.turned {
            let server = self.client.connected_server().map(url);
            exchange.set_server(self.role, server);
        }
        result
    }
}

fn url(server: &ServerAddr) -> Box<str> {
    format!("nats://{server}").into()
}

impl Endpoint for Side {
    type Shared = Exchange;

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        exchange: &mut Exchange,
    ) -> Result<(), ProtocolError> {
        self.step(exchange, at.now, |client, ear| {
            client.handle_bytes(bytes, at.now, ear)
        })
    }

    fn handle_timeout(&mut self, at: Moment, exchange: &mut Exchange) {
        self.step(exchange, at.now, |client, ear| {
            client.handle_timeout(at.now, ear);
        });
    }

    fn handle_connect_failed(&mut self, at: Moment, exchange: &mut Exchange) {
        self.step(exchange, at.now, |client, ear| {
            client.handle_connect_failed(at.now, ear);
        });
    }

    fn handle_disconnected(&mut self, at: Moment, exchange: &mut Exchange) {
        self.step(exchange, at.now, |client, ear| {
            client.handle_disconnected(at.now, ear);
        });
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }

    fn wants_input(&self, exchange: &Exchange) -> bool {
        exchange.takes_from(self.role)
    }
}

/// Takes what a connection says.
struct Ear<'a> {
    role: Role,
    bridge: &'a Bridge,
    exchange: &'a mut Exchange,
    now: Duration,
    /// The connection came up or went down.
    turned: bool,
}

impl EventSink for Ear<'_> {
    fn message(&mut self, message: Message<'_>) {
        let other = self.role.other();
        let server = |role| self.exchange.server(role).unwrap_or(UNCONNECTED);
        let way = Way {
            came_by: server(self.role),
            leaves_by: server(other),
        };
        // A transform makes the message longer by a hop and an address.
        let mut out = Vec::with_capacity(message.payload.len() + 512);
        let subjects = match self.role {
            Role::Federation => self
                .bridge
                .request(message.payload, way, &mut out)
                .map(|request| request.targets),
            Role::Collective => self
                .bridge
                .reply(message.payload, way, &mut out)
                .map(|subject| vec![subject]),
        };
        let lane = self.exchange.to_mut(other);
        lane.receive();
        match subjects {
            Ok(subjects) => lane.push(subjects, out, self.now),
            Err(refusal) => lane.refuse(refusal),
        }
    }

    fn event(&mut self, event: Event) {
        if matches!(event, Event::Connected | Event::Disconnected(_)) {
            self.turned = true;
        }
    }
}

/// Leaves the keys out.
impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("client", &self.client)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}
