//! The clients of the comparison: requester, responder, publisher, subscriber.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_client::Moment;
use muster_client::driver::Endpoint;
use muster_client::nats::{ClientConfig, ClientCore, Event, EventSink, Message, ProtocolError};
use muster_reactor::rustls::ClientConfig as TlsConfig;

/// What a client does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sends the next request when the reply is there.
    Requester,
    /// Sends the payload back.
    Responder,
    /// Only sends.
    Publisher,
    /// Only counts.
    Subscriber,
}

/// What all clients together have seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) connected: usize,
    pub(crate) received: u64,
    pub(crate) round_trips: Vec<Duration>,
    /// Requests that are still to be sent.
    pub(crate) requests_left: u64,
    answers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Peer {
    client: ClientCore,
    role: Role,
    inbox: String,
    payload: Vec<u8>,
    sent: Option<Instant>,
}

impl Peer {
    pub(crate) fn new(
        role: Role,
        number: usize,
        size: usize,
        config: Arc<ClientConfig>,
        now: Duration,
    ) -> Self {
        let mut client = ClientCore::new(config, None, number as u64, now);
        let inbox = format!("_INBOX.{number}");
        match role {
            Role::Requester => client.subscribe(inbox.as_bytes(), None),
            Role::Responder => client.subscribe(b"service", None),
            Role::Subscriber => client.subscribe(b"feed", None),
            Role::Publisher => client.subscribe(b"nothing", None),
        };
        client.flush();
        Self {
            client,
            role,
            inbox,
            payload: vec![b'x'; size],
            sent: None,
        }
    }

    pub(crate) fn request(&mut self) {
        self.sent = Some(Instant::now());
        // A refused publish shows as a run that does not end.
        let _ = self
            .client
            .publish(b"service", Some(self.inbox.as_bytes()), &self.payload);
    }

    /// Publishes to all subscribers, as far as the connection takes it.
    pub(crate) fn feed(&mut self, count: u64, pending_max: usize) -> u64 {
        let mut sent = 0;
        while sent < count
            && self.client.output().len() < pending_max
            && self.client.publish(b"feed", None, &self.payload).is_ok()
        {
            sent += 1;
        }
        sent
    }
}

struct Sink<'a> {
    tally: &'a mut Tally,
    role: Role,
}

impl EventSink for Sink<'_> {
    fn message(&mut self, message: Message<'_>) {
        self.tally.received += 1;
        if let (Role::Responder, Some(reply)) = (self.role, message.reply) {
            self.tally
                .answers
                .push((reply.to_vec(), message.payload.to_vec()));
        }
    }

    fn event(&mut self, event: Event) {
        if event == Event::Flushed(1) {
            self.tally.connected += 1;
        }
    }
}

impl Endpoint for Peer {
    type Shared = Tally;

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        tally: &mut Tally,
    ) -> Result<(), ProtocolError> {
        let before = tally.received;
        let role = self.role;
        let result = self.client.handle_bytes(
            bytes,
            at.now,
            &mut Sink {
                tally: &mut *tally,
                role,
            },
        );
        for (reply, payload) in tally.answers.drain(..) {
            let _ = self.client.publish(&reply, None, &payload);
        }
        if role == Role::Requester && tally.received > before {
            tally
                .round_trips
                .extend(self.sent.take().map(|sent| sent.elapsed()));
            if tally.requests_left > 0 {
                tally.requests_left -= 1;
                self.request();
            }
        }
        result
    }

    fn handle_timeout(&mut self, at: Moment, tally: &mut Tally) {
        self.client.handle_timeout(
            at.now,
            &mut Sink {
                tally,
                role: self.role,
            },
        );
    }

    fn handle_connect_failed(&mut self, at: Moment, tally: &mut Tally) {
        self.client.handle_connect_failed(
            at.now,
            &mut Sink {
                tally,
                role: self.role,
            },
        );
    }

    fn handle_disconnected(&mut self, at: Moment, tally: &mut Tally) {
        self.client.handle_disconnected(
            at.now,
            &mut Sink {
                tally,
                role: self.role,
            },
        );
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        None
    }
}
