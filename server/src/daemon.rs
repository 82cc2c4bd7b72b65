//! The node as a process: files, clocks and the driver around one [`Node`].
//!
//! Facts and classes are read again when their files have changed. That is looked at when something arrives, at most
//! once a second, so an idle node touches no file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::nats::{ClientConfig, ClientCore, ProtocolError, TlsMode};
use muster_protocol::security::{RequestSecurity, SecurityError};
use muster_reactor::clock::{Clock, random_seed, unix_now};
use muster_reactor::process::cores;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::tls::TlsConfigError;
use muster_reactor::wake::Wake;
use muster_settings::Settings;
use tracing::{info, warn};

use crate::agent::Agent;
use crate::classes::parse_classes;
use crate::config::{NodeConfig, derive_identity};
use crate::embed::{FactsSource, Program, Publisher};
use crate::endpoint::NodeEndpoint;
use crate::external::watcher::Watcher;
use crate::facts::{Facts, FactsFormat};
use crate::gate::VerifyEach;
use crate::node::{Node, NodeScratch};
use crate::pool::WorkerPool;
use crate::requests::RequestSigner;
use crate::revocation::CrlWatch;
use crate::security::{Loaded, NodeTokenError, tls_with_crl};
use crate::setup::{AgentSet, NodeOptions, NodeSetup, SetupError};

/// The longest the loop sleeps; a stop is noticed at once by its wake.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often files are looked at, at most.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// How long the last output may take on its way out when the daemon stops.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Requests a daemon remembers to have acted on: 64 KiB.
const REPLAY_MAX: usize = 4096;

/// Ends a running daemon from another thread.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    wake: Wake,
}

/// Why a daemon does not start, or does not go on.
#[derive(Debug)]
pub enum RunError {
    /// A file cannot be read.
    File(PathBuf, io::Error),
    /// The trusted authorities or the patterns of names cannot be used.
    Security(SecurityError),
    /// The certificate, key or authorities cannot be used for TLS.
    Tls(TlsConfigError),
    /// The token is none for this node.
    Token(PathBuf, NodeTokenError),
    /// The names in the configuration do not go together.
    Setup(SetupError),
    /// There is data to be signed, and no key to sign it with.
    NoKey,
    /// The operating system refuses something.
    System(io::Error),
}

impl Stop {
    /// A stop not yet requested.
    ///
    /// # Errors
    /// The operating system gives no event descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            requested: Arc::default(),
            wake: Wake::new()?,
        })
    }

    /// Asks the daemon to end.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// Whether the daemon was asked to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }
}

/// A node about to run: its configuration, and what the program around it adds.
#[derive(Debug)]
pub struct Daemon {
    config: NodeConfig,
    pub(crate) program: Program,
}

impl Daemon {
    /// A node with the agents every node has.
    #[must_use]
    pub fn new(config: NodeConfig) -> Self {
        Self {
            config,
            program: Program::default(),
        }
    }

    /// Adds an agent of the program's own, in place of one of the same name.
    #[must_use]
    pub fn with_agent(mut self, agent: Arc<dyn Agent>) -> Self {
        self.program.agents.push(agent);
        self
    }

    /// Runs the node until it is stopped. A broker that cannot be reached is tried again for ever.
    ///
    /// # Errors
    /// A file of the configuration cannot be used, or the operating system refuses something.
    pub fn run(self, stop: &Stop) -> Result<(), RunError> {
        run(&self.config, self.program, stop)
    }
}

fn run(config: &NodeConfig, mut program: Program, stop: &Stop) -> Result<(), RunError> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let clock = Clock::start();
    let Loaded {
        requests,
        reply_signer,
        nonce_signer,
        own_requests,
        tls,
        crl,
    } = Loaded::new(config, unix_now().as_secs(), read)?;
    let mut options = node_options(config, requests);
    options.reply_signer = reply_signer;
    program.equip(&mut options);
    let mut publisher = publisher(config, &program, own_requests.as_ref(), stop)?;
    let own_agents = options.agents.clone();
    let setup = Arc::new(NodeSetup::new(options)?);
    let mut sources = Sources::new(config, program.facts.take());
    let (facts, classes) = (sources.first_facts(clock.now()), sources.read_classes());
    let mut client = broker_config(config);
    client.connect.signer = nonce_signer;
    let client = Arc::new(client);
    let identity = config.identity.as_str();
    let seed = random_seed();
    let node = Node::new(setup, identity, facts, classes, client, seed, clock.now());
    let endpoint = NodeEndpoint::new(node, tls);
    let options = DriverOptions::default();
    let mut driver = Driver::new(clock, options, NodeScratch::new(), Some(stop.wake.clone()))?;
    let hosted = Hosted {
        endpoint,
        sources,
        crl,
        config: config.clone(),
    };
    let index = driver.add(hosted, None);
    let pool = WorkerPool::new(stop.wake.clone());
    let watcher = Watcher::start(&config.external, &stop.wake)?;
    info!(
        identity,
        version = env!("CARGO_PKG_VERSION"),
        "node started"
    );
    program.tell_started();
    while !stop.is_requested() {
        driver.turn(WAIT_MAX)?;
        exchange_jobs(&mut driver, index, &pool);
        if let Some(publisher) = &mut publisher {
            driver.with(index, |hosted, at, _| {
                publisher.publish(hosted.endpoint.node_mut(), at.unix, random_bytes);
            });
        }
        if let Some(agents) = watcher.as_ref().and_then(Watcher::poll) {
            let agents = own_agents.with_external(agents);
            driver.with(index, |hosted, _, _| hosted.replace_agents(agents));
        }
    }
    let end = clock.now() + FAREWELL_MAX;
    while driver.with(index, |daemon, _, _| !daemon.client().output().is_empty()) {
        let left = end.saturating_sub(clock.now());
        if left.is_zero() {
            break;
        }
        driver.turn(left)?;
    }
    driver.with(index, |daemon, _, _| daemon.client().close());
    info!(identity, "node stopped");
    Ok(())
}

/// What the program's outbox is emptied with.
fn publisher(
    config: &NodeConfig,
    program: &Program,
    signer: Option<&Arc<dyn RequestSigner>>,
    stop: &Stop,
) -> Result<Option<Publisher>, RunError> {
    let Some(outbox) = program.outbox.clone() else {
        return Ok(None);
    };
    let signer = Arc::clone(signer.ok_or(RunError::NoKey)?);
    let collective = &config.main_collective;
    let wake = stop.wake.clone();
    Ok(Some(Publisher::new(outbox, signer, collective, wake)))
}

fn random_bytes() -> [u8; 16] {
    let halves = [random_seed(), random_seed()].map(u64::to_ne_bytes);
    std::array::from_fn(|at| halves[at / 8][at % 8])
}

/// Hands the node's work to the pool, and the pool's outcomes to the node.
fn exchange_jobs(driver: &mut Driver<Hosted>, index: usize, pool: &WorkerPool) {
    driver.with(index, |hosted, at, scratch| {
        let node = hosted.endpoint.node_mut();
        while let Some(job) = node.poll_job() {
            pool.submit(job);
        }
        while let Some(done) = pool.poll_done() {
            node.handle_job_done(done, at, scratch);
        }
    });
}

fn node_options(config: &NodeConfig, requests: RequestSecurity) -> NodeOptions {
    NodeOptions {
        collectives: config.collectives.clone(),
        main_collective: config.main_collective.clone(),
        authorise: Arc::new(config.authorise),
        ttl_max: config.ttl_max,
        replay_max: REPLAY_MAX,
        config_items: config.config_items.clone(),
        config_file: config.config_file.clone(),
        pid: std::process::id(),
        cpus: u32::try_from(cores()).unwrap_or(u32::MAX),
        start_unix: i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX),
        ..NodeOptions::new(Arc::new(VerifyEach::new(requests)))
    }
}

fn broker_config(config: &NodeConfig) -> ClientConfig {
    let mut client = ClientConfig::new(config.servers.clone());
    client.tls = if config.tls {
        TlsMode::Required
    } else {
        TlsMode::Off
    };
    if let Some((user, pass)) = &config.credentials {
        client.connect.user = Some(user.as_str().into());
        client.connect.pass = Some(pass.as_str().into());
    }
    client
}

fn read(path: &Path) -> Result<String, RunError> {
    fs::read_to_string(path).map_err(|error| RunError::File(path.to_owned(), error))
}

/// The identity of this host's node where none is configured; see
/// [`derive_identity`](crate::config::derive_identity). Reads the files with facts where it comes to that.
#[must_use]
pub fn host_identity(
    settings: &Settings,
    kernel: Option<&str>,
    full: Option<&str>,
) -> Option<String> {
    derive_identity(kernel, full, || {
        let mut reader = settings.reader();
        let files = reader.path_list("plugin.yaml");
        // Whoever reads the whole configuration reports its problems.
        let _ = reader.finish();
        read_facts_files(&files)
    })
}

/// The facts of these files. A file that cannot be used is left out, and said so.
fn read_facts_files(paths: &[PathBuf]) -> Facts {
    let mut files = Vec::new();
    for path in paths {
        match fs::read_to_string(path) {
            Ok(text) => files.push((path.display(), text)),
            Err(error) => warn!(path = %path.display(), %error, "facts cannot be read"),
        }
    }
    let (facts, errors) = Facts::merge(
        files
            .iter()
            .map(|(path, text)| (FactsFormat::of_file_name(&path.to_string()), text.as_str())),
    );
    for (index, error) in errors {
        warn!(path = %files[index].0, %error, "a file with facts is left out");
    }
    facts
}

/// The node and the files it speaks of.
#[derive(Debug)]
struct Hosted {
    endpoint: NodeEndpoint,
    sources: Sources,
    crl: Option<CrlWatch>,
    config: NodeConfig,
}

impl Hosted {
    /// Has the node answer for other agents.
    fn replace_agents(&mut self, agents: AgentSet) {
        let node = self.endpoint.node_mut();
        let options = NodeOptions {
            agents,
            ..node.setup().options().clone()
        };
        match NodeSetup::new(options) {
            Ok(setup) => node.set_setup(Arc::new(setup)),
            Err(error) => warn!(%error, "the agents stay as they are"),
        }
    }

    fn refresh(&mut self, at: Moment) {
        if let Some(facts) = self.sources.poll_given(at.now) {
            self.endpoint.node_mut().set_facts(facts);
        }
        if self
            .sources
            .looked
            .is_some_and(|looked| at.now < looked + REFRESH_EVERY)
        {
            return;
        }
        self.sources.looked = Some(at.now);
        if self.sources.facts_changed() {
            let facts = self.sources.read_facts();
            self.endpoint.node_mut().set_facts(facts);
        }
        if self.sources.classes_changed() {
            let classes = self.sources.read_classes();
            self.endpoint.node_mut().set_classes(classes);
        }
        if let Some(crl) = &mut self.crl {
            let tls = crl.refresh(at.unix, |text| tls_with_crl(&self.config, text, read));
            if let Some(tls) = tls {
                self.endpoint.set_tls(tls);
            }
        }
    }
}

impl Endpoint for Hosted {
    type Shared = NodeScratch;

    fn client(&mut self) -> &mut ClientCore {
        self.endpoint.client()
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        shared: &mut NodeScratch,
    ) -> Result<(), ProtocolError> {
        self.refresh(at);
        self.endpoint.handle_bytes(bytes, at, shared)
    }

    fn handle_timeout(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.endpoint.handle_timeout(at, shared);
    }

    fn handle_connect_failed(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.refresh(at);
        self.endpoint.handle_connect_failed(at, shared);
    }

    fn handle_disconnected(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.refresh(at);
        self.endpoint.handle_disconnected(at, shared);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.endpoint.next_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.endpoint.tls()
    }
}

/// How a file looked when it was read; none where it was not there.
type Look = Option<(SystemTime, u64)>;

/// The files with facts and classes.
#[derive(Debug)]
struct Sources {
    /// The program's facts, in place of files.
    given: Option<Arc<dyn FactsSource>>,
    facts_files: Vec<PathBuf>,
    classes_file: PathBuf,
    facts_looks: Vec<Look>,
    classes_look: Look,
    /// When the files were last looked at.
    looked: Option<Duration>,
}

impl Sources {
    fn new(config: &NodeConfig, given: Option<Arc<dyn FactsSource>>) -> Self {
        let facts_files = match &given {
            Some(_) => Vec::new(),
            None => config.facts_files.clone(),
        };
        Self {
            given,
            facts_files,
            classes_file: config.classes_file.clone(),
            facts_looks: Vec::new(),
            classes_look: None,
            looked: None,
        }
    }

    fn poll_given(&self, now: Duration) -> Option<Facts> {
        self.given.as_ref()?.poll_facts(now)
    }

    fn first_facts(&mut self, now: Duration) -> Facts {
        self.poll_given(now).unwrap_or_else(|| self.read_facts())
    }

    fn facts_changed(&self) -> bool {
        self.facts_looks != looks(&self.facts_files)
    }

    fn classes_changed(&self) -> bool {
        self.classes_look != look(&self.classes_file)
    }

    /// Looks before it reads: a file that changes in between is read once more, not missed.
    fn read_facts(&mut self) -> Facts {
        self.facts_looks = looks(&self.facts_files);
        read_facts_files(&self.facts_files)
    }

    fn read_classes(&mut self) -> Arc<[String]> {
        if self.classes_file.as_os_str().is_empty() {
            return parse_classes("");
        }
        self.classes_look = look(&self.classes_file);
        match fs::read_to_string(&self.classes_file) {
            Ok(text) => parse_classes(&text),
            Err(error) => {
                // Most hosts without configuration management have none.
                info!(path = %self.classes_file.display(), %error, "no classes");
                parse_classes("")
            }
        }
    }
}

fn looks(paths: &[PathBuf]) -> Vec<Look> {
    paths.iter().map(|path| look(path)).collect()
}

fn look(path: &Path) -> Look {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl From<SecurityError> for RunError {
    fn from(error: SecurityError) -> Self {
        Self::Security(error)
    }
}

impl From<TlsConfigError> for RunError {
    fn from(error: TlsConfigError) -> Self {
        Self::Tls(error)
    }
}

impl From<SetupError> for RunError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Security(error) => error.fmt(f),
            Self::Token(path, error) => write!(f, "cannot use {}: {error}", path.display()),
            Self::Tls(error) => error.fmt(f),
            Self::Setup(error) => error.fmt(f),
            Self::NoKey => f.write_str(
                "an outbox needs the node's certificate and key, and they are not configured",
            ),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}
