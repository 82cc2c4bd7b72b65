//! A broker from its start to its stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded};
use muster_broker_core::broker::BrokerCore;
use muster_broker_core::cluster::Cluster;
use muster_broker_core::config::CoreConfig;
use muster_broker_core::ids::ShardId;
use muster_broker_core::shard::ShardCore;
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::descriptors::{highest_open, raise_limit, take_private_table};
use muster_reactor::listen::{Claim, Listener};
use muster_reactor::process::cores;
use muster_reactor::wake::Wake;
use muster_wire::info::Info;
use parking_lot::Mutex;

use crate::auth::RefusalLog;
use crate::capacity::Capacity;
use crate::cluster::{Director, RouteWork, WorkQueue};
use crate::config::BrokerConfig;
use crate::server_id::server_id;
use crate::shard::{Question, ShardEvent, ShardLinks, ShardLoop};
use crate::tls::{TlsSetting, TlsSlot};

/// Lines for the log that wait at most; further ones are lost.
const EVENTS_MAX: usize = 10_000;

/// How long a shard may take to answer a question before it is named as silent.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// The version in `INFO`: clients decide by it what the broker can do.
pub const NATS_VERSION: &str = "2.15.0";

/// Why a broker does not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// Routes are to speak TLS, but the broker has no certificate with a CA.
    RouteTls,
    /// Something else of the operating system.
    System(&'static str, io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    formatter,
                    "cannot listen on {address}: address already in use"
                )
            }
            Self::Listen(address, error) => {
                write!(formatter, "cannot listen on {address}: {error}")
            }
            Self::RouteTls => formatter
                .write_str("routes are to speak TLS, which needs a certificate, its key and a CA"),
            Self::System(what, error) => write!(formatter, "cannot {what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A running broker. Dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    core: Arc<BrokerCore>,
    address: SocketAddr,
    peer_address: Option<SocketAddr>,
    works: Arc<[WorkQueue]>,
    director: Option<Director>,
    capacity: Capacity,
    wakes: Arc<[Wake]>,
    questions: Vec<Questions>,
    events: Receiver<ShardEvent>,
    stop: Arc<AtomicBool>,
    tls: Arc<TlsSlot>,
    threads: Vec<JoinHandle<io::Result<()>>>,
    clock: Clock,
    started_unix: Duration,
    refusals: Mutex<RefusalLog>,
}

#[derive(Clone, Default)]
struct Questions(Arc<Mutex<Vec<Question>>>);

impl std::fmt::Debug for Questions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Questions")
    }
}

impl Broker {
    /// Listens and starts the shards. Returns once clients can connect.
    ///
    /// # Errors
    /// The address is taken, or the operating system refuses what a broker needs.
    pub fn start(config: BrokerConfig) -> Result<Self, StartError> {
        let limit = raise_limit()
            .map_err(|error| StartError::System("read the descriptor limit", error))?;
        let wanted = config.core.connections_max;
        let mut capacity = Capacity::plan(wanted, limit, cores(), config.shards);
        if capacity.private_tables && !private_tables_work() {
            capacity = capacity.without_private_tables();
        }
        // The wakes come first: their numbers must be the same in every table.
        let wakes = (0..capacity.shards)
            .map(|_| Wake::new())
            .collect::<io::Result<Arc<[Wake]>>>();
        let wakes = wakes.map_err(|error| StartError::System("make a wake-up", error))?;
        let claim =
            Claim::new(config.listen).map_err(|error| StartError::Listen(config.listen, error))?;
        let address = claim.address();
        let route_claim = config.cluster.as_ref().map(|cluster| {
            Claim::new(cluster.listen).map_err(|error| StartError::Listen(cluster.listen, error))
        });
        let mut route_claim = route_claim.transpose()?;
        let peer_address = route_claim.as_ref().map(Claim::address);
        let route_tls = config.cluster.as_ref().is_some_and(|cluster| cluster.tls);
        if route_tls && config.tls.route.is_none() {
            return Err(StartError::RouteTls);
        }
        let core = core(&config, address, peer_address, capacity);
        let works: Arc<[WorkQueue]> = (0..capacity.shards).map(|_| WorkQueue::default()).collect();
        let touched = peer_address.map(|_| Director::sign());
        let (sender, events) = bounded(EVENTS_MAX);
        let mut broker = Self {
            core: Arc::new(core),
            address,
            peer_address,
            works,
            director: None,
            capacity,
            wakes,
            questions: (0..capacity.shards).map(|_| Questions::default()).collect(),
            events,
            stop: Arc::new(AtomicBool::new(false)),
            tls: Arc::new(TlsSlot::new(config.tls)),
            threads: Vec::new(),
            clock: Clock::start(),
            started_unix: muster_reactor::clock::unix_now(),
            refusals: Mutex::default(),
        };
        let highest =
            highest_open().map_err(|error| StartError::System("list descriptors", error))?;
        let (started, ready) = bounded(usize::from(capacity.shards));
        let mut claim = Some(claim);
        for shard in 0..capacity.shards {
            let links = ShardLinks {
                core: Arc::clone(&broker.core),
                wakes: Arc::clone(&broker.wakes),
                questions: Arc::clone(&broker.questions[usize::from(shard)].0),
                events: sender.clone(),
                stop: Arc::clone(&broker.stop),
                tls: Arc::clone(&broker.tls),
                clock: broker.clock,
                work: broker.works[usize::from(shard)].clone(),
                cluster: touched.as_ref().map(|(sender, _)| sender.clone()),
                route_tls,
            };
            let started = started.clone();
            let claims = (claim.take(), route_claim.take());
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn(move || {
                    let shard = prepare(ShardId(shard), links, claims, address, capacity, highest);
                    match shard {
                        Ok(shard) => {
                            let _ = started.send(Ok(()));
                            shard.run()
                        }
                        Err(error) => {
                            let _ = started.send(Err(error));
                            Ok(())
                        }
                    }
                });
            let thread = thread.map_err(|error| StartError::System("start a thread", error))?;
            broker.threads.push(thread);
        }
        for _ in 0..capacity.shards {
            let result = ready
                .recv()
                .unwrap_or_else(|_| Err(io::Error::other("a shard died")));
            result.map_err(|error| StartError::Listen(address, error))?;
        }
        // The listener for routes is up before the first dial: a peer that hears of this broker tries once only.
        if let Some(touched) = touched {
            let (core, works) = (Arc::clone(&broker.core), Arc::clone(&broker.works));
            let wakes = Arc::clone(&broker.wakes);
            let director = Director::start(core, works, wakes, broker.clock, touched)
                .map_err(|error| StartError::System("start a thread", error))?;
            broker.director = Some(director);
        }
        Ok(broker)
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where peers connect, where the broker is in a cluster.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Goes into lame duck: no more clients are taken, those that are here are told to connect elsewhere, and whoever is left after
    /// `grace` is closed in turn, evenly over `duration`. Peers no longer send clients here; routes stay up until the broker stops.
    pub fn start_lame_duck(&self, grace: Duration, duration: Duration) {
        let urls = self.core.cluster().map(|mut cluster| {
            cluster.start_lame_duck(self.clock.now());
            cluster.connect_urls()
        });
        let urls: Arc<[String]> = urls.unwrap_or_default().into();
        for (work, wake) in self.works.iter().zip(self.wakes.iter()) {
            work.push(RouteWork::LameDuck {
                urls: Arc::clone(&urls),
                grace,
                duration,
            });
            wake.wake();
        }
    }

    /// Whether a lame duck has no client left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let shards = self.ask_loops(|shard, _| shard.is_drained());
        shards.into_iter().all(|drained| drained == Some(true))
    }

    /// What this host will hold.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The routing core, for its figures.
    #[must_use]
    pub fn core(&self) -> &Arc<BrokerCore> {
        &self.core
    }

    /// The shards' monotonic clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// When the broker started, as time since the Unix epoch.
    #[must_use]
    pub fn started_unix(&self) -> Duration {
        self.started_unix
    }

    /// Asks every shard, on its own thread, and waits for the answers; a shard that is silent for too long has `None`.
    pub fn ask<T, F>(&self, question: F) -> Vec<Option<T>>
    where
        T: Send + 'static,
        F: Fn(&ShardCore, Duration) -> T + Clone + Send + 'static,
    {
        self.ask_loops(move |shard, now| question(shard.core(), now))
    }

    /// As [`Self::ask`], of what the cores do not know: sockets and TLS.
    pub(crate) fn ask_loops<T, F>(&self, question: F) -> Vec<Option<T>>
    where
        T: Send + 'static,
        F: Fn(&ShardLoop, Duration) -> T + Clone + Send + 'static,
    {
        let answers: Vec<Receiver<T>> = self
            .questions
            .iter()
            .zip(self.wakes.iter())
            .map(|(questions, wake)| {
                let (sender, receiver) = bounded(1);
                let question = question.clone();
                let boxed: Question = Box::new(move |shard, now| {
                    let _ = sender.send(question(shard, now));
                });
                questions.0.lock().push(boxed);
                wake.wake();
                receiver
            })
            .collect();
        answers
            .into_iter()
            .map(|answer| answer.recv_timeout(ANSWER_MAX).ok())
            .collect()
    }

    /// Writes what the shards have to say to the log. Call it from one thread of the main descriptor table, now and then.
    pub fn log_events(&self) {
        while let Ok(event) = self.events.try_recv() {
            match event {
                ShardEvent::Refused(refused) => {
                    self.refusals.lock().log(&refused, self.clock.now());
                }
                event => event.log(),
            }
        }
    }

    /// Puts another TLS setting in force: for handshakes from now on, and for the certificates of clients that are connected,
    /// which are checked again; those that do not pass any more are cut off. Tickets of the setting before are worth nothing.
    ///
    /// Returns `false`, and does nothing, where the new one offers something else than the one in force: clients were told of that.
    #[must_use]
    pub fn replace_tls(&self, setting: TlsSetting) -> bool {
        if setting.offer != self.tls.offer() {
            return false;
        }
        self.tls.replace(setting);
        for wake in self.wakes.iter() {
            wake.wake();
        }
        true
    }

    /// Tells every connection good-bye and ends the threads.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for wake in self.wakes.iter() {
            wake.wake();
        }
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a shard ended with an error"),
                Err(_) => tracing::error!("a shard ended with a defect"),
            }
        }
        // Last, for the shards hold its sign.
        self.director = None;
        self.log_events();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

impl ShardEvent {
    fn log(self) {
        match self {
            Self::Ended(info) => {
                let reason = info.reason.map_or("unknown", |reason| reason.text());
                let name = info.name.as_deref().unwrap_or("");
                if reason.starts_with("Slow Consumer") {
                    tracing::warn!(cid = info.cid.0, peer = %info.peer, name, pending_bytes = info.pending_bytes, "slow consumer cut: {reason}");
                } else {
                    tracing::debug!(cid = info.cid.0, peer = %info.peer, name, "connection closed: {reason}");
                }
            }
            // Their log has a memory: see `auth::log`.
            Self::Refused(_) => {}
            Self::Tls(peer, error) => tracing::info!(%peer, "TLS failed: {error}"),
            Self::RouteTls(peer, error) => tracing::warn!(%peer, "TLS of a route failed: {error}"),
            Self::Accept(error) => tracing::warn!(%error, "cannot accept"),
            Self::Defect(what) => tracing::error!("a defect was caught: {what}"),
        }
    }
}

fn prepare(
    id: ShardId,
    links: ShardLinks,
    (claim, route_claim): (Option<Claim>, Option<Claim>),
    address: SocketAddr,
    capacity: Capacity,
    highest: u32,
) -> io::Result<ShardLoop> {
    if capacity.private_tables {
        take_private_table(highest)?;
    }
    let listener = match claim {
        Some(claim) => claim.into_listener(),
        None => Listener::join(address)?,
    };
    ShardLoop::new(id, links, listener, route_claim.map(Claim::into_listener))
}

/// Whether a thread may leave the shared descriptor table; tried on a thread that ends at once.
fn private_tables_work() -> bool {
    let Ok(highest) = highest_open() else {
        return false;
    };
    std::thread::spawn(move || take_private_table(highest).is_ok())
        .join()
        .unwrap_or(false)
}

fn core(
    config: &BrokerConfig,
    address: SocketAddr,
    peers: Option<SocketAddr>,
    capacity: Capacity,
) -> BrokerCore {
    let mut core = core_config(config, address, capacity);
    let (Some(setting), Some(peers)) = (&config.cluster, peers) else {
        return BrokerCore::new(core, capacity.shards);
    };
    let cluster = setting.core_config(peers, address, config.server_name.as_deref());
    core.info.cluster = Some(cluster.name.clone());
    core.route.tls = setting.tls;
    core.route.tls_timeout = core.tls_timeout;
    let cluster = Cluster::new(cluster, &core.info, core.seed);
    core.info.connect_urls = cluster.connect_urls();
    BrokerCore::clustered(core, capacity.shards, cluster)
}

fn core_config(config: &BrokerConfig, address: SocketAddr, capacity: Capacity) -> CoreConfig {
    let mut rng = fastrand::Rng::with_seed(random_seed());
    let id = server_id(std::array::from_fn(|_| rng.u8(..)));
    let info = Info {
        server_name: config.server_name.clone().unwrap_or_else(|| id.clone()),
        server_id: id,
        version: NATS_VERSION.to_owned(),
        proto: 1,
        go: "none".to_owned(),
        host: address.ip().to_string(),
        port: address.port(),
        headers: config.core.limits.headers,
        max_payload: i64::try_from(config.core.limits.payload_max).unwrap_or(i64::MAX),
        ..Info::default()
    };
    CoreConfig {
        info,
        tls: config.tls.offer,
        seed: random_seed(),
        connections_max: capacity.connections,
        ..config.core.clone()
    }
}
