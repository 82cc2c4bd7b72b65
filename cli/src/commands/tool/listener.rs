//! A connection that only listens: one subscription on the client's driver, without the fleet client's requests and replies.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::fleet::FleetConfig;
use muster_client::nats::{
    ClientCore, Event, EventSink, LinkEnd, Message, ProtocolError, State, is_sendable,
};
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::rustls::ClientConfig as TlsConfig;

use crate::exit::Failure;

/// The longest a turn sleeps; messages wake it.
const TURN_MAX: Duration = Duration::from_secs(1);

/// A subscription that is live.
#[derive(Debug)]
pub(super) struct Listener {
    driver: Driver<Wired>,
    began: Duration,
}

#[derive(Debug)]
struct Wired {
    client: ClientCore,
    tls: Option<Arc<TlsConfig>>,
    heard: Heard,
}

/// What came, and how the last attempt to connect ended.
#[derive(Debug)]
struct Heard {
    /// Taken after each turn, which reads 64 KiB at most.
    payloads: VecDeque<Vec<u8>>,
    last_end: Option<LinkEnd>,
}

impl Listener {
    /// Connects and subscribes, and waits until the broker knows of both.
    pub(super) fn connect(config: FleetConfig, subject: &str) -> Result<Self, Failure> {
        if !is_sendable(subject.as_bytes()) {
            return Err(Failure::new(format!("{subject:?} is no subject")));
        }
        let clock = Clock::start();
        let name = format!("{}-listener", config.caller.caller_id);
        let patience = config.prepare_timeout;
        let mut client = ClientCore::new(
            Arc::new(config.client),
            Some(name.into()),
            random_seed(),
            clock.now(),
        );
        client.subscribe(subject.as_bytes(), None);
        let live = client.flush();
        let began = clock.now();
        let mut driver =
            Driver::new(clock, DriverOptions::default(), (), None).map_err(Failure::new)?;
        let heard = Heard {
            payloads: VecDeque::new(),
            last_end: None,
        };
        let tls = config.tls;
        driver.add(Wired { client, tls, heard }, None);
        let mut listener = Self { driver, began };
        listener.wait_until_live(live, patience)?;
        Ok(listener)
    }

    /// The broker in use.
    pub(super) fn server(&mut self) -> String {
        let server = self.driver.with(0, |wired, _, ()| {
            wired.client.connected_server().map(ToString::to_string)
        });
        server.unwrap_or_else(|| "no broker".to_owned())
    }

    /// How long it has been listening.
    pub(super) fn age(&self) -> Duration {
        self.driver.moment().now.saturating_sub(self.began)
    }

    /// Waits for messages, at most `wait`, and takes what has come. A connection that is lost comes back by itself.
    pub(super) fn listen(&mut self, wait: Duration) -> Result<VecDeque<Vec<u8>>, Failure> {
        // Some may have come with the answer that made the subscription live.
        let heard = self.take();
        if !heard.is_empty() {
            return Ok(heard);
        }
        self.driver.turn(wait.min(TURN_MAX)).map_err(Failure::new)?;
        Ok(self.take())
    }

    fn take(&mut self) -> VecDeque<Vec<u8>> {
        let take = |wired: &mut Wired| std::mem::take(&mut wired.heard.payloads);
        self.driver.with(0, |wired, _, ()| take(wired))
    }

    fn wait_until_live(&mut self, live: u64, patience: Duration) -> Result<(), Failure> {
        loop {
            let (state, flushed, last) = self.driver.with(0, |wired, _, ()| {
                let client = &wired.client;
                (client.state(), client.flushed(), wired.heard.last_end)
            });
            if state == State::Ready && flushed >= live {
                return Ok(());
            }
            if self.age() >= patience {
                let why = last.map_or_else(String::new, |end| format!(": {end}"));
                let seconds = patience.as_secs();
                return Err(Failure::new(format!(
                    "no broker took us in {seconds}s{why}"
                )));
            }
            let wait = patience.saturating_sub(self.age()).min(TURN_MAX);
            self.driver.turn(wait).map_err(Failure::new)?;
        }
    }
}

impl Endpoint for Wired {
    type Shared = ();

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(&mut self, bytes: &[u8], at: Moment, (): &mut ()) -> Result<(), ProtocolError> {
        self.client.handle_bytes(bytes, at.now, &mut self.heard)
    }

    fn handle_timeout(&mut self, at: Moment, (): &mut ()) {
        self.client.handle_timeout(at.now, &mut self.heard);
    }

    fn handle_connect_failed(&mut self, at: Moment, (): &mut ()) {
        self.client.handle_connect_failed(at.now, &mut self.heard);
    }

    fn handle_disconnected(&mut self, at: Moment, (): &mut ()) {
        self.client.handle_disconnected(at.now, &mut self.heard);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}

impl EventSink for Heard {
    fn message(&mut self, message: Message<'_>) {
        self.payloads.push_back(message.payload.to_vec());
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Disconnected(end) | Event::ConnectFailed(end) => {
                tracing::debug!(%end, "the connection ended");
                self.last_end = Some(end);
            }
            event => tracing::debug!(?event, "of the connection"),
        }
    }
}
