//! The works that brokers are compared at.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_client::driver::{Driver, DriverOptions};
use muster_client::nats::{ClientConfig, ServerAddr};
use muster_reactor::clock::Clock;

use crate::broker::BrokerProcess;
use crate::peer::{Peer, Role, Tally};

/// Most time for one run.
const RUN_MAX: Duration = Duration::from_secs(60);

/// Bytes a publisher keeps in its own output.
const PUBLISHER_PENDING: usize = 256 * 1024;

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// So many requesters, one after the other each, and one responder.
    Requests { requesters: usize, count: u64 },
    /// One publisher, so many subscribers, messages of a size.
    Feed {
        subscribers: usize,
        size: usize,
        count: u64,
    },
}

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) messages_a_second: f64,
    pub(crate) round_trip_us: Option<f64>,
    pub(crate) cpu_ns_a_message: f64,
}

impl Work {
    pub(crate) fn all() -> [Self; 5] {
        [
            Self::Requests {
                requesters: 1,
                count: 10_000,
            },
            Self::Requests {
                requesters: 32,
                count: 60_000,
            },
            Self::Feed {
                subscribers: 1,
                size: 16,
                count: 1_000_000,
            },
            Self::Feed {
                subscribers: 1,
                size: 1024,
                count: 300_000,
            },
            Self::Feed {
                subscribers: 200,
                size: 128,
                count: 5_000,
            },
        ]
    }

    fn roles(self) -> Vec<Role> {
        match self {
            Self::Requests { requesters, .. } => {
                let mut roles = vec![Role::Requester; requesters];
                roles.push(Role::Responder);
                roles
            }
            Self::Feed { subscribers, .. } => {
                let mut roles = vec![Role::Publisher];
                roles.extend(vec![Role::Subscriber; subscribers]);
                roles
            }
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Requests { .. } => 16,
            Self::Feed { size, .. } => size,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests { requesters, .. } => {
                write!(formatter, "request/reply, {requesters} requesters")
            }
            Self::Feed {
                subscribers, size, ..
            } => write!(formatter, "1→{subscribers}, {size} B"),
        }
    }
}

/// Connects the clients, does the work once, and takes the broker's CPU time for it.
pub(crate) fn measure(work: Work, broker: &BrokerProcess) -> io::Result<Outcome> {
    let server = ServerAddr::new(broker.address.ip().to_string(), broker.address.port());
    let config = Arc::new(ClientConfig::new(vec![server]));
    let clock = Clock::start();
    let mut driver = Driver::new(clock, DriverOptions::default(), Tally::default(), None)?;
    let roles = work.roles();
    for (number, role) in roles.iter().enumerate() {
        let peer = Peer::new(*role, number, work.size(), Arc::clone(&config), clock.now());
        driver.add(peer, None);
    }
    run_until(&mut driver, |tally| tally.connected >= roles.len())?;
    let cpu = broker.cpu()?;
    let begun = Instant::now();
    let messages = match work {
        Work::Requests { requesters, count } => requests(&mut driver, requesters, count)?,
        Work::Feed {
            subscribers, count, ..
        } => feed(&mut driver, subscribers, count)?,
    };
    let took = begun.elapsed();
    let cpu = broker.cpu()?.saturating_sub(cpu);
    let round_trips = &mut driver.shared().round_trips;
    round_trips.sort_unstable();
    let p50 = round_trips
        .get(round_trips.len() / 2)
        .map(|p50| p50.as_secs_f64() * 1e6);
    Ok(Outcome {
        messages_a_second: messages as f64 / took.as_secs_f64(),
        round_trip_us: p50,
        cpu_ns_a_message: cpu.as_secs_f64() * 1e9 / messages as f64,
    })
}

/// Each request is two messages through the broker.
fn requests(driver: &mut Driver<Peer>, requesters: usize, count: u64) -> io::Result<u64> {
    let first = (requesters as u64).min(count);
    driver.shared().requests_left = count - first;
    for number in 0..requesters {
        driver.with(number, |peer, _, _| peer.request());
    }
    run_until(driver, |tally| tally.round_trips.len() as u64 >= count)?;
    Ok(count * 2)
}

fn feed(driver: &mut Driver<Peer>, subscribers: usize, count: u64) -> io::Result<u64> {
    let mut left = count;
    let wanted = count * subscribers as u64;
    let give_up = Instant::now() + RUN_MAX;
    while driver.shared().received < wanted {
        left -= driver.with(0, |peer, _, _| peer.feed(left, PUBLISHER_PENDING));
        driver.turn(Duration::from_millis(1))?;
        if Instant::now() > give_up {
            let text = format!("{} of {wanted} messages arrived", driver.shared().received);
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
    }
    Ok(wanted)
}

fn run_until(driver: &mut Driver<Peer>, done: impl Fn(&Tally) -> bool) -> io::Result<()> {
    let give_up = Instant::now() + RUN_MAX;
    while !done(driver.shared()) {
        driver.turn(Duration::from_millis(50))?;
        if Instant::now() > give_up {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the work did not end",
            ));
        }
    }
    Ok(())
}
