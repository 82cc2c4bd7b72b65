//! A running federation broker: for each member and worker a thread with two connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use muster_client::driver::{Driver, DriverOptions};
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::wake::Wake;
use parking_lot::Mutex;

use crate::bridge::Bridge;
use crate::config::FederationConfig;
use crate::exchange::{Counts, Exchange, Role};
use crate::side::Side;

/// A worker looks round this often when nothing happens.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// How long a stopping worker may take to hand over what it holds.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// The places of the two sides in their driver.
const SIDES: [Role; 2] = [Role::Federation, Role::Collective];

/// What a worker shows of itself.
#[derive(Debug, Clone, Default)]
pub struct WorkerReport {
    /// What went to the nodes.
    pub requests: Counts,
    /// What went to the clients.
    pub replies: Counts,
    /// Messages that wait for the nodes' side and for the clients'.
    pub waiting: [usize; 2],
    /// The servers of the clients' and of the nodes' side.
    pub servers: [Option<Box<str>>; 2],
}

/// A worker, from outside.
#[derive(Debug)]
pub struct Worker {
    /// The member it serves.
    pub cluster: String,
    /// Its number among the member's.
    pub number: usize,
    report: Arc<Mutex<WorkerReport>>,
    wake: Wake,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// A running federation broker. Dropping it stops it.
#[derive(Debug)]
pub struct Federation {
    identity: String,
    workers: Vec<Worker>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    /// What it shows of itself now.
    #[must_use]
    pub fn report(&self) -> WorkerReport {
        self.report.lock().clone()
    }
}

impl Federation {
    /// Starts the workers; they connect on their own, and again whenever they have to.
    /// Call it on a thread of the main descriptor table.
    ///
    /// # Errors
    /// The operating system refuses a thread or a wake-up.
    pub fn start(config: &FederationConfig) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut federation = Self {
            identity: config.identity.clone(),
            workers: Vec::new(),
            stop: Arc::clone(&stop),
        };
        for member in &config.members {
            for number in 0..config.workers {
                let wake = Wake::new()?;
                let report = Arc::new(Mutex::new(WorkerReport::default()));
                let bridge = Bridge::new(
                    &member.cluster,
                    &config.identity,
                    number,
                    config.checks_subjects,
                );
                let task = Task {
                    bridge: Arc::new(bridge),
                    links: [config.federation.clone(), member.link.clone()],
                    cluster: member.cluster.clone(),
                    report: Arc::clone(&report),
                    stop: Arc::clone(&stop),
                    wake: wake.clone(),
                };
                let thread = std::thread::Builder::new()
                    .name(format!("fed-{number}"))
                    .spawn(move || task.run())?;
                federation.workers.push(Worker {
                    cluster: member.cluster.clone(),
                    number,
                    report,
                    wake,
                    thread: Some(thread),
                });
            }
        }
        Ok(federation)
    }

    /// The process's name in hops.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Hands over what is on its way, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for worker in &self.workers {
            worker.wake.wake();
        }
        for worker in &mut self.workers {
            match worker.thread.take().map(JoinHandle::join) {
                Some(Ok(Ok(()))) | None => {}
                Some(Ok(Err(error))) => {
                    tracing::error!(cluster = worker.cluster, %error, "a federation worker ended with an error");
                }
                Some(Err(_)) => {
                    tracing::error!(
                        cluster = worker.cluster,
                        "a federation worker ended with a defect"
                    );
                }
            }
        }
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a worker's thread takes with it.
struct Task {
    bridge: Arc<Bridge>,
    links: [crate::side::Link; 2],
    cluster: String,
    report: Arc<Mutex<WorkerReport>>,
    stop: Arc<AtomicBool>,
    wake: Wake,
}

impl Task {
    fn run(self) -> io::Result<()> {
        let options = DriverOptions::default();
        let mut driver = Driver::new(
            Clock::start(),
            options,
            Exchange::default(),
            Some(self.wake.clone()),
        )?;
        for (role, link) in SIDES.into_iter().zip(&self.links) {
            let now = driver.moment().now;
            let bridge = Arc::clone(&self.bridge);
            driver.add(
                Side::new(role, link, bridge, &self.cluster, random_seed(), now),
                None,
            );
        }
        let mut connected = [None, None];
        while !self.stop.load(Ordering::SeqCst) {
            let wait = wait(&mut driver);
            driver.turn(wait)?;
            pump(&mut driver);
            self.say_failures(&mut driver);
            self.tell(driver.shared(), &mut connected);
        }
        self.drain(&mut driver)
    }

    /// Nothing new is read; what was read goes out as far as that is quickly done.
    fn drain(&self, driver: &mut Driver<Side>) -> io::Result<()> {
        let end = driver.moment().now + DRAIN_MAX;
        for index in 0..SIDES.len() {
            driver.with(index, |side, _, _| side.stop_listening());
        }
        loop {
            driver.turn(Duration::from_millis(10))?;
            pump(driver);
            let exchange = driver.shared();
            let empty = exchange.requests.is_empty() && exchange.replies.is_empty();
            let flushed = (0..SIDES.len())
                .all(|index| driver.with(index, |side, _, _| side.has_nothing_to_write()));
            if (empty && flushed) || driver.moment().now > end {
                self.tell(driver.shared(), &mut [None, None]);
                return Ok(());
            }
        }
    }

    fn say_failures(&self, driver: &mut Driver<Side>) {
        for failure in driver.take_connect_failures() {
            let side = SIDES.get(failure.endpoint).map_or("", |role| role.name());
            tracing::warn!(
                cluster = self.cluster,
                side,
                server = %failure.server,
                "cannot connect: {}",
                failure.why
            );
        }
    }

    fn tell(&self, exchange: &Exchange, connected: &mut [Option<Box<str>>; 2]) {
        let servers = SIDES.map(|role| exchange.server(role).map(Into::into));
        for ((role, now), before) in SIDES.into_iter().zip(&servers).zip(connected.iter()) {
            match (now, before) {
                (Some(server), before) if before.as_ref() != Some(server) => {
                    tracing::info!(cluster = self.cluster, side = role.name(), %server, "connected");
                }
                (None, Some(server)) => {
                    tracing::warn!(cluster = self.cluster, side = role.name(), %server, "disconnected");
                }
                _ => {}
            }
        }
        connected.clone_from(&servers);
        *self.report.lock() = WorkerReport {
            requests: *exchange.requests.counts(),
            replies: *exchange.replies.counts(),
            waiting: [exchange.requests.len(), exchange.replies.len()],
            servers,
        };
    }
}

/// Sends what waits for both sides.
fn pump(driver: &mut Driver<Side>) {
    for index in 0..SIDES.len() {
        driver.with(index, |side, at, exchange| side.pump(exchange, at.now));
    }
}

fn wait(driver: &mut Driver<Side>) -> Duration {
    let now = driver.moment().now;
    let deadline = driver.shared().deadline();
    deadline.map_or(WAIT_MAX, |at| at.saturating_sub(now).min(WAIT_MAX))
}
