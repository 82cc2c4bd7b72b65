//! The reactors that carry the nodes: a thread each, with a descriptor table of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_reactor::clock::Clock;
use muster_reactor::descriptors::{highest_open, raise_limit, table_capacity, take_private_table};
use muster_reactor::process::{cores, thread_cpu};
use parking_lot::Mutex;

use crate::setup::AnyError;

/// Connections one source address carries. It has some 28,000 ports, but the kernel looks for a free one by trying:
/// with 20,000 an address 50,000 connections take 23 s, with 2,000 they take 4 s.
const PORTS_A_SOURCE: usize = 2_000;

/// Connections under way at a time, on each reactor.
const CONNECTING_MAX: usize = 256;

/// A reactor looks at the stop flag this often.
const TURN_MAX: Duration = Duration::from_millis(100);

/// The running reactors.
#[derive(Debug)]
pub(crate) struct Reactors {
    threads: Vec<JoinHandle<io::Result<()>>>,
    stop: Arc<AtomicBool>,
    cpu: Arc<Mutex<Vec<Duration>>>,
}

/// How many reactors so many nodes need here.
pub(crate) fn reactors_needed(nodes: usize) -> io::Result<usize> {
    let room = usize::try_from(table_capacity(raise_limit()?))
        .unwrap_or(usize::MAX)
        .max(1);
    Ok(nodes.div_ceil(room).max(cores().min(nodes.max(1))))
}

impl Reactors {
    /// Starts reactors for so many nodes. `make` makes the node of a number, on its reactor's thread.
    pub(crate) fn start<E, F>(
        nodes: usize,
        share: impl Fn() -> E::Shared + Clone + Send + 'static,
        make: F,
    ) -> io::Result<Self>
    where
        E: Endpoint + 'static,
        F: Fn(usize, Moment) -> Result<E, AnyError> + Clone + Send + 'static,
    {
        let reactors = reactors_needed(nodes)?;
        let stop = Arc::new(AtomicBool::new(false));
        let cpu = Arc::new(Mutex::new(vec![Duration::ZERO; reactors]));
        let highest = highest_open()?;
        // A table of its own only where one does not hold all: an embedding program's descriptors stay its own.
        let private = nodes as u64 > table_capacity(raise_limit()?) / 4;
        let threads = (0..reactors).map(|reactor| {
            let range = nodes * reactor / reactors..nodes * (reactor + 1) / reactors;
            let (make, share) = (make.clone(), share.clone());
            let (stop, cpu) = (Arc::clone(&stop), Arc::clone(&cpu));
            std::thread::Builder::new()
                .name(format!("nodes-{reactor}"))
                .spawn(move || {
                    if private {
                        take_private_table(highest)?;
                    }
                    let options = DriverOptions {
                        connecting_max: CONNECTING_MAX,
                    };
                    let mut driver = Driver::new(Clock::start(), options, share(), None)?;
                    for number in range {
                        let node = make(number, driver.moment()).map_err(io::Error::other)?;
                        driver.add(node, Some(source_of(number)));
                        // Those that are there must be served while the rest are made.
                        if number % 64 == 0 {
                            driver.turn(Duration::ZERO)?;
                        }
                    }
                    while !stop.load(Ordering::Relaxed) {
                        driver.turn(TURN_MAX)?;
                        cpu.lock()[reactor] = thread_cpu();
                    }
                    Ok(())
                })
        });
        let threads = threads.collect::<io::Result<Vec<_>>>()?;
        Ok(Self { threads, stop, cpu })
    }

    /// CPU time of all reactors so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.cpu.lock().iter().sum()
    }

    /// Whether every reactor still runs.
    pub(crate) fn alive(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// Ends the reactors.
    ///
    /// # Errors
    /// The first error that ended one early.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread
                .join()
                .map_err(|_| io::Error::other("a reactor of nodes panicked"))??;
        }
        Ok(())
    }
}

/// Node sources lie in 127.1.0.0/16, apart from the client's 127.0.0.1.
fn source_of(number: usize) -> IpAddr {
    let host = u8::try_from(number / PORTS_A_SOURCE + 1).unwrap_or(u8::MAX);
    IpAddr::V4(Ipv4Addr::new(127, 1, 0, host))
}
