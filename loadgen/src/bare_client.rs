//! The client of bare connections: one broadcast, one reply a node, each accounted for by name.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::nats::{ClientConfig, ClientCore, Event, EventSink, Message, ProtocolError};
use muster_reactor::clock::Clock;
use muster_reactor::rustls::ClientConfig as TlsConfig;

use crate::bare::ROLL_CALL;
use crate::rounds::{Asker, Round};
use crate::setup::bare_name;

/// Most time for the client to be connected.
const CONNECT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct BareAsker {
    client: ClientCore,
    tls: Option<Arc<TlsConfig>>,
}

/// Who has answered the round.
#[derive(Debug, Default)]
struct Roll {
    answered: Vec<bool>,
    received: usize,
    doubled: usize,
    flushed: u64,
}

impl EventSink for Roll {
    fn message(&mut self, message: Message<'_>) {
        let number = std::str::from_utf8(message.payload.get(..10).unwrap_or_default())
            .ok()
            .and_then(|name| name.strip_prefix("bare"))
            .and_then(|digits| digits.parse::<usize>().ok());
        let place = number.and_then(|number| self.answered.get_mut(number));
        match place {
            Some(answered) if !*answered => {
                *answered = true;
                self.received += 1;
            }
            _ => self.doubled += 1,
        }
    }

    fn event(&mut self, event: Event) {
        if let Event::Flushed(number) = event {
            self.flushed = number;
        }
    }
}

impl Endpoint for BareAsker {
    type Shared = Roll;

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        roll: &mut Roll,
    ) -> Result<(), ProtocolError> {
        self.client.handle_bytes(bytes, at.now, roll)
    }

    fn handle_timeout(&mut self, at: Moment, roll: &mut Roll) {
        self.client.handle_timeout(at.now, roll);
    }

    fn handle_connect_failed(&mut self, at: Moment, roll: &mut Roll) {
        self.client.handle_connect_failed(at.now, roll);
    }

    fn handle_disconnected(&mut self, at: Moment, roll: &mut Roll) {
        self.client.handle_disconnected(at.now, roll);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}

/// Asks bare connections.
#[derive(Debug)]
pub(crate) struct BareClient {
    driver: Driver<BareAsker>,
    nodes: usize,
}

impl BareClient {
    /// Connects and subscribes the inbox.
    pub(crate) fn connect(
        config: &ClientConfig,
        tls: Option<Arc<TlsConfig>>,
        nodes: usize,
    ) -> io::Result<Self> {
        let clock = Clock::start();
        let mut client = ClientCore::new(
            Arc::new(config.clone()),
            Some("loadgen".into()),
            1,
            clock.now(),
        );
        client.subscribe(b"bare.inbox", None);
        let flush = client.flush();
        let mut driver = Driver::new(clock, DriverOptions::default(), Roll::default(), None)?;
        driver.add(BareAsker { client, tls }, None);
        let give_up = Instant::now() + CONNECT_MAX;
        while driver.shared().flushed < flush {
            driver.turn(Duration::from_millis(50))?;
            if Instant::now() > give_up {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client cannot connect",
                ));
            }
        }
        Ok(Self { driver, nodes })
    }
}

impl Asker for BareClient {
    fn round(&mut self, timeout: Duration) -> io::Result<Round> {
        *self.driver.shared() = Roll {
            answered: vec![false; self.nodes],
            ..Roll::default()
        };
        let begun = Instant::now();
        self.driver.with(0, |asker, _, _| {
            // A refused publish shows as a round without replies.
            let _ = asker
                .client
                .publish(ROLL_CALL.as_bytes(), Some(b"bare.inbox"), b"roll call");
        });
        while self.driver.shared().received < self.nodes && begun.elapsed() < timeout {
            self.driver.turn(Duration::from_millis(20))?;
        }
        let took = begun.elapsed();
        let roll = self.driver.shared();
        let missing = roll
            .answered
            .iter()
            .enumerate()
            .filter(|(_, answered)| !**answered);
        Ok(Round {
            expected: self.nodes,
            received: roll.received,
            doubled: roll.doubled,
            missing: missing.map(|(number, _)| bare_name(number)).collect(),
            took,
        })
    }
}
