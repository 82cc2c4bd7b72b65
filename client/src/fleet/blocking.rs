//! The fleet client for callers that simply wait: a session on a driver of its own.

use std::sync::Arc;
use std::time::Duration;

use muster_protocol::request_id::RequestId;
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::rustls::ClientConfig as TlsConfig;

use super::config::FleetConfig;
use super::error::{Failure, FleetError};
use super::event::FleetEvent;
use super::operation::{Discover, Operation, Ping, Rpc};
use super::session::FleetSession;
use super::summary::Summary;
use crate::driver::{ConnectFailure, Driver, DriverOptions, Endpoint};
use crate::moment::Moment;
use crate::nats::{ClientCore, ProtocolError, ServerAddr, State};

/// The longest a turn sleeps; what is due sooner wakes it.
const TURN_MAX: Duration = Duration::from_secs(1);

/// How often each broker must have refused us before that is the answer. With the waits between, that is more than a second on average:
/// a broker that restarts just then is given the time.
const REFUSALS_ENOUGH: u32 = 3;

/// A connected client of the fleet. Each call blocks until the operation is over.
#[derive(Debug)]
pub struct Fleet {
    driver: Driver<Wired>,
}

/// A session with what its connection needs.
#[derive(Debug)]
struct Wired {
    session: FleetSession,
    tls: Option<Arc<TlsConfig>>,
}

impl Fleet {
    /// Connects, and waits until the broker has taken us.
    ///
    /// # Errors
    /// No broker took us in time, or each has refused us three times.
    pub fn connect(config: FleetConfig) -> Result<Self, FleetError> {
        Self::connect_through(config, &[])
    }

    /// Connects to the brokers of these federations, through which every request goes.
    ///
    /// # Errors
    /// No broker took us in time, or each has refused us three times.
    pub fn connect_through(
        config: FleetConfig,
        federations: &[String],
    ) -> Result<Self, FleetError> {
        let clock = Clock::start();
        let mut refusals = Refusals::of(&config.client.servers);
        let session = FleetSession::new(
            Arc::new(config.caller),
            Arc::new(config.client),
            random_seed(),
            clock.now(),
        )
        .with_prepare_timeout(config.prepare_timeout)
        .with_federations(federations);
        let mut driver =
            Driver::new(clock, DriverOptions::default(), (), None).map_err(FleetError::Io)?;
        driver.add(
            Wired {
                session,
                tls: config.tls,
            },
            None,
        );
        let mut fleet = Self { driver };
        fleet.wait_connected(config.prepare_timeout, &mut refusals)?;
        Ok(fleet)
    }

    /// Asks who is there.
    ///
    /// # Errors
    /// Nobody could be asked.
    pub fn discover(
        &mut self,
        discover: Discover,
        on_event: &mut dyn FnMut(&FleetEvent),
    ) -> Result<Summary, FleetError> {
        self.run(Operation::Discover(discover), on_event)
    }

    /// Asks who is there and how long each takes.
    ///
    /// # Errors
    /// Nobody could be asked.
    pub fn ping(
        &mut self,
        ping: Ping,
        on_event: &mut dyn FnMut(&FleetEvent),
    ) -> Result<Summary, FleetError> {
        self.run(Operation::Ping(ping), on_event)
    }

    /// Calls an action of an agent.
    ///
    /// # Errors
    /// Nobody could be asked.
    pub fn rpc(
        &mut self,
        rpc: Rpc,
        on_event: &mut dyn FnMut(&FleetEvent),
    ) -> Result<Summary, FleetError> {
        self.run(Operation::Rpc(Box::new(rpc)), on_event)
    }

    /// Carries an operation out. `on_event` sees everything but its end, which is the result.
    ///
    /// # Errors
    /// Nobody could be asked.
    pub fn run(
        &mut self,
        operation: Operation,
        on_event: &mut dyn FnMut(&FleetEvent),
    ) -> Result<Summary, FleetError> {
        self.run_identified(operation, &mut |_, event| on_event(event))
    }

    /// As [`run`](Self::run), for owners that name the request before it is over.
    ///
    /// # Errors
    /// Nobody could be asked.
    pub fn run_identified(
        &mut self,
        operation: Operation,
        on_event: &mut dyn FnMut(RequestId, &FleetEvent),
    ) -> Result<Summary, FleetError> {
        let id = self
            .driver
            .with(0, |wired, at, ()| wired.session.start(operation, at))
            .map_err(FleetError::Start)?;
        loop {
            while let Some(event) = self
                .driver
                .with(0, |wired, _, ()| wired.session.poll_event())
            {
                match event {
                    FleetEvent::Finished(summary) => return Ok(*summary),
                    FleetEvent::Failed(failure) => return Err(FleetError::Failed(failure)),
                    event => on_event(id, &event),
                }
            }
            self.driver.turn(TURN_MAX).map_err(FleetError::Io)?;
        }
    }

    fn wait_connected(
        &mut self,
        patience: Duration,
        refusals: &mut Refusals,
    ) -> Result<(), FleetError> {
        let began = self.driver.moment().now;
        loop {
            let (state, last) = self.driver.with(0, |wired, _, ()| {
                (
                    wired.session.client().state(),
                    wired.session.last_link_end(),
                )
            });
            if state == State::Ready {
                return Ok(());
            }
            let waited = self.driver.moment().now.saturating_sub(began);
            self.driver
                .take_connect_failures()
                .for_each(|failure| refusals.note(failure));
            if let Some(brokers) = refusals.verdict() {
                return Err(FleetError::Failed(Failure::Refused { waited, brokers }));
            }
            if waited >= patience {
                return Err(FleetError::Failed(Failure::NotConnected { waited, last }));
            }
            self.driver
                .turn(patience.saturating_sub(waited).min(TURN_MAX))
                .map_err(FleetError::Io)?;
        }
    }
}

/// Which brokers the system could not connect us to, while there is no connection yet.
struct Refusals {
    brokers: Vec<(ServerAddr, u32, String)>,
}

impl Refusals {
    fn of(brokers: &[ServerAddr]) -> Self {
        let mut refusals = Self {
            brokers: Vec::with_capacity(brokers.len()),
        };
        for broker in brokers {
            if !refusals.brokers.iter().any(|(known, ..)| known == broker) {
                refusals.brokers.push((broker.clone(), 0, String::new()));
            }
        }
        refusals
    }

    fn note(&mut self, failure: ConnectFailure) {
        let mut brokers = self.brokers.iter_mut();
        if let Some((_, times, why)) = brokers.find(|(broker, ..)| *broker == failure.server) {
            *times += 1;
            *why = failure.why;
        }
    }

    /// The reasons, if there is no use in going on.
    fn verdict(&self) -> Option<Vec<(ServerAddr, String)>> {
        let refused = |(broker, times, why): &(ServerAddr, u32, String)| {
            (*times >= REFUSALS_ENOUGH).then(|| (broker.clone(), why.clone()))
        };
        self.brokers.iter().map(refused).collect()
    }
}

impl Endpoint for Wired {
    type Shared = ();

    fn client(&mut self) -> &mut ClientCore {
        self.session.client()
    }

    fn handle_bytes(&mut self, bytes: &[u8], at: Moment, (): &mut ()) -> Result<(), ProtocolError> {
        self.session.handle_bytes(bytes, at)
    }

    fn handle_timeout(&mut self, at: Moment, (): &mut ()) {
        self.session.handle_timeout(at);
    }

    fn handle_connect_failed(&mut self, at: Moment, (): &mut ()) {
        self.session.handle_connect_failed(at);
    }

    fn handle_disconnected(&mut self, at: Moment, (): &mut ()) {
        self.session.handle_disconnected(at);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.session.next_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}
