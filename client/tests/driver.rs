//! The driver's turns.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::nats::{ClientConfig, ClientCore, ProtocolError, ServerAddr};
use muster_reactor::clock::Clock;
use muster_reactor::rustls::ClientConfig as TlsConfig;

/// Something that is due once, beside a connection that nobody takes.
struct Alarm {
    client: ClientCore,
    refused: bool,
    due: Option<Duration>,
    rung: u32,
}

impl Endpoint for Alarm {
    type Shared = ();

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(&mut self, _: &[u8], _: Moment, (): &mut ()) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn handle_timeout(&mut self, _: Moment, (): &mut ()) {
        self.due = None;
        self.rung += 1;
    }

    fn handle_connect_failed(&mut self, _: Moment, (): &mut ()) {
        self.refused = true;
    }

    fn handle_disconnected(&mut self, _: Moment, (): &mut ()) {}

    fn next_timeout(&mut self) -> Option<Duration> {
        self.due
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        None
    }
}

#[test]
fn a_turn_ends_when_a_timer_has_fired() {
    let clock = Clock::start();
    let mut driver = Driver::new(clock, DriverOptions::default(), (), None).unwrap();
    let config = Arc::new(ClientConfig::new(vec![ServerAddr::new("127.0.0.1", 1)]));
    let client = ClientCore::new(config, None, 1, clock.now());
    let alarm = Alarm {
        client,
        refused: false,
        due: None,
        rung: 0,
    };
    let index = driver.add(alarm, None);
    while !driver.with(index, |alarm, _, ()| alarm.refused) {
        driver.turn(Duration::from_secs(1)).unwrap();
    }
    driver.with(index, |alarm, at, ()| alarm.due = Some(at.now));
    // A turn that waited for something else would take an hour.
    while driver.with(index, |alarm, _, ()| alarm.rung) == 0 {
        driver.turn(Duration::from_secs(3600)).unwrap();
    }
}
