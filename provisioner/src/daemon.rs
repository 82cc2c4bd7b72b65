//! The provisioner as a process: one thread for the connection, one a worker for helpers, a page of metrics, a breaker.
//!
//! Helpers run on threads of their own, as many as there are workers, so a slow one holds up its node alone. What they
//! give comes back through a queue and one wake-up.

mod breaker;
mod load;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};
use muster_backplane::Backplane;
use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::fleet::{CallerSecurity, FleetConfig};
use muster_client::nats::{ClientCore, ProtocolError};
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::http::{HttpResponse, HttpServer};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::wake::Wake;

pub use self::load::{LoadError, load_flow};
use crate::config::ProvisionerConfig;
use crate::core::{CoreSetup, HelperRun, Level, ProvisionerCore};
use crate::helper::{Helper, HelperError};
use crate::host::{Entropy, Flow};
use crate::metrics::Metrics;

/// The user the provisioner logs in as, where the broker keeps an account for nodes without configuration.
pub const BROKER_USER: &str = "provisioner";
/// The collective of nodes without configuration.
const COLLECTIVE: &str = muster_protocol::subject::PROVISIONING_COLLECTIVE;
/// The longest a turn sleeps; what is due sooner wakes it.
const TURN_MAX: Duration = Duration::from_secs(1);
/// How long the last output may take to be written.
const END_TIME: Duration = Duration::from_secs(2);

/// Why a provisioner does not start, or ends by itself.
#[derive(Debug)]
pub enum StartError {
    /// The operating system refuses something, for the purpose told.
    System(&'static str, io::Error),
    /// The breaker does not start.
    Breaker(muster_backplane::StartError),
    /// Requests would be signed by a service, which takes too long for many nodes at a time.
    RemoteSigner,
}

/// Everything a provisioner goes by.
#[derive(Debug)]
pub struct Parts {
    /// The file's values.
    pub config: ProvisionerConfig,
    /// How the broker is reached and who calls.
    pub fleet: FleetConfig,
    /// What nodes go through; see [`load_flow`].
    pub flow: Flow,
    /// Decides about nodes.
    pub helper: Arc<dyn Helper>,
}

/// A running provisioner. Dropping it ends it.
#[derive(Debug)]
#[must_use = "a provisioner ends when its handle is dropped"]
pub struct Provisioner {
    control: Control,
    metrics: Arc<Metrics>,
    page: Option<HttpServer>,
    breaker: Option<Backplane>,
    thread: Option<JoinHandle<()>>,
}

/// What other threads may want of the provisioner's.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    stop: Arc<AtomicBool>,
    pause: Arc<AtomicBool>,
    wake: Wake,
}

impl Control {
    fn new() -> io::Result<Self> {
        Ok(Self {
            stop: Arc::default(),
            pause: Arc::default(),
            wake: Wake::new()?,
        })
    }

    /// Changes whether an operator has paused it.
    pub(crate) fn set_paused(&self, change: impl Fn(bool) -> bool) {
        let _ = self
            .pause
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| Some(change(now)));
        self.wake.wake();
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.pause.load(Ordering::Acquire)
    }

    pub(crate) fn request_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake.wake();
    }
}

/// Random bytes of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // The library's generator is seeded by the kernel when it is first used; it does not fail afterwards.
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
    }
}

impl Provisioner {
    /// Starts. A broker that cannot be reached is tried again for ever.
    ///
    /// # Errors
    /// The operating system refuses something, or the breaker does not start.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts {
            config,
            mut fleet,
            flow,
            helper,
        } = parts;
        if matches!(fleet.caller.security, CallerSecurity::Remote { .. }) {
            return Err(StartError::RemoteSigner);
        }
        COLLECTIVE.clone_into(&mut fleet.caller.collective);
        COLLECTIVE.clone_into(&mut fleet.caller.main_collective);
        if let Some(password) = &config.broker_password {
            fleet.client.connect.user = Some(BROKER_USER.into());
            fleet.client.connect.pass = Some(password.expose().into());
        }
        let system = |what| move |error| StartError::System(what, error);
        let control = Control::new().map_err(system("make an event descriptor"))?;
        let metrics = Arc::new(Metrics::default());
        let page = serve_metrics(&config, &metrics).map_err(system("serve metrics"))?;
        let breaker = breaker::start(&config, &control, &metrics).map_err(StartError::Breaker)?;
        let setup = CoreSetup {
            flow: Arc::new(flow),
            caller: Arc::new(fleet.caller),
            client: Arc::new(fleet.client),
            workers: config.workers,
            interval: config.interval,
            lifecycle_component: config.lifecycle_component,
            leader_election: config.leader_election,
            version: env!("CARGO_PKG_VERSION"),
        };
        let pool = Pool::start(config.workers.get(), &helper, &control.wake)
            .map_err(system("start threads for helpers"))?;
        let (theirs, counts) = (control.clone(), Arc::clone(&metrics));
        let tls = fleet.tls;
        let thread = thread::Builder::new()
            .name("provisioner".to_owned())
            .spawn(move || run(setup, tls, pool, &theirs, counts))
            .map_err(system("start a thread"))?;
        Ok(Self {
            control,
            metrics,
            page,
            breaker,
            thread: Some(thread),
        })
    }

    /// What was counted so far.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where metrics are served, if they are.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(HttpServer::address)
    }

    /// Stops all work, or takes it up again.
    pub fn set_paused(&self, is_paused: bool) {
        self.control.set_paused(|_| is_paused);
    }

    /// Whether it has ended, by the breaker's word or because the operating system failed it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it: others are told, its last output is written. Helpers that run are left to their time.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.breaker.take();
        self.control.request_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the provisioner's thread panicked");
        }
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve_metrics(
    config: &ProvisionerConfig,
    metrics: &Arc<Metrics>,
) -> io::Result<Option<HttpServer>> {
    let Some(port) = config.monitor_port else {
        return Ok(None);
    };
    let (metrics, site) = (Arc::clone(metrics), config.site.clone());
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let server = HttpServer::start(
        address,
        "metrics",
        Arc::new(move |request| match &*request.path {
            "/metrics" => HttpResponse::new(
                200,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics.render(&site),
            ),
            _ => HttpResponse::text(404, "there is /metrics\n"),
        }),
    )?;
    Ok(Some(server))
}

/// A helper's result, by the number of its run.
type Ran = (u64, Result<Vec<u8>, HelperError>);

/// Threads that run helpers. They end when the pool is dropped and what they run is over.
#[derive(Debug)]
struct Pool {
    runs: Sender<HelperRun>,
    results: Receiver<Ran>,
}

impl Pool {
    fn start(threads: usize, helper: &Arc<dyn Helper>, wake: &Wake) -> io::Result<Self> {
        // As many runs are under way as there are workers, so neither queue grows beyond that.
        let (runs, todo) = unbounded::<HelperRun>();
        let (done, results) = unbounded();
        for number in 0..threads {
            let (todo, done) = (todo.clone(), done.clone());
            let (helper, wake) = (Arc::clone(helper), wake.clone());
            thread::Builder::new()
                .name(format!("helper-{number}"))
                .spawn(move || {
                    for run in todo {
                        let result = helper.run(&run.input);
                        if done.send((run.id, result)).is_err() {
                            return;
                        }
                        wake.wake();
                    }
                })?;
        }
        Ok(Self { runs, results })
    }
}

/// The core with what its connection needs.
#[derive(Debug)]
struct Wired {
    core: ProvisionerCore,
    tls: Option<Arc<TlsConfig>>,
}

impl Endpoint for Wired {
    type Shared = ();

    fn client(&mut self) -> &mut ClientCore {
        self.core.client()
    }

    fn handle_bytes(&mut self, bytes: &[u8], at: Moment, (): &mut ()) -> Result<(), ProtocolError> {
        self.core.handle_bytes(bytes, at)
    }

    fn handle_timeout(&mut self, at: Moment, (): &mut ()) {
        self.core.handle_timeout(at);
    }

    fn handle_connect_failed(&mut self, at: Moment, (): &mut ()) {
        self.core.handle_connect_failed(at);
    }

    fn handle_disconnected(&mut self, at: Moment, (): &mut ()) {
        self.core.handle_disconnected(at);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.core.next_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}

fn run(
    setup: CoreSetup,
    tls: Option<Arc<TlsConfig>>,
    pool: Pool,
    control: &Control,
    metrics: Arc<Metrics>,
) {
    let clock = Clock::start();
    let driver = Driver::new(
        clock,
        DriverOptions::default(),
        (),
        Some(control.wake.clone()),
    );
    let mut driver: Driver<Wired> = match driver {
        Ok(driver) => driver,
        Err(error) => return tracing::error!(%error, "the provisioner has no poll"),
    };
    let core = ProvisionerCore::new(setup, metrics, random_seed(), driver.moment());
    driver.add(Wired { core, tls }, None);
    let mut is_paused = false;
    while !control.stop.load(Ordering::Acquire) {
        if let Err(error) = driver.turn(TURN_MAX) {
            return tracing::error!(%error, "the provisioner's poll failed");
        }
        for failure in driver.take_connect_failures() {
            tracing::warn!(server = %failure.server, why = failure.why, "cannot connect");
        }
        driver.with(0, |wired, at, ()| {
            let core = &mut wired.core;
            if control.is_paused() != is_paused {
                is_paused = control.is_paused();
                core.set_stopped(is_paused, at);
            }
            for (id, result) in pool.results.try_iter() {
                core.handle_helper(id, result, at);
            }
            while let Some(run) = core.poll_helper() {
                // It fails only when every thread of the pool has panicked; the run's node then stays in work.
                if pool.runs.send(run).is_err() {
                    tracing::error!("no helper can be run any more");
                }
            }
            write_log(core);
        });
    }
    driver.with(0, |wired, at, ()| {
        wired.core.shutdown(at);
        write_log(&mut wired.core);
    });
    let end = clock.now() + END_TIME;
    while clock.now() < end
        && driver.with(0, |wired, _, ()| {
            !wired.core.client().output().as_slice().is_empty()
        })
    {
        if driver.turn(Duration::from_millis(20)).is_err() {
            return;
        }
    }
}

fn write_log(core: &mut ProvisionerCore) {
    while let Some(line) = core.poll_log() {
        let node = line.identity.as_deref().unwrap_or_default();
        match (line.level, node) {
            (Level::Debug, "") => tracing::debug!("{}", line.text),
            (Level::Info, "") => tracing::info!("{}", line.text),
            (Level::Warn, "") => tracing::warn!("{}", line.text),
            (Level::Debug, node) => tracing::debug!(node, "{}", line.text),
            (Level::Info, node) => tracing::info!(node, "{}", line.text),
            (Level::Warn, node) => tracing::warn!(node, "{}", line.text),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, error) => write!(f, "cannot {what}: {error}"),
            Self::Breaker(error) => write!(f, "management: {error}"),
            Self::RemoteSigner => f.write_str(
                "a signing service is configured, which the provisioner does not use: it needs a key of its own",
            ),
        }
    }
}

impl std::error::Error for StartError {}
