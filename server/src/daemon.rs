//! The node as a process: files, clocks and the driver around one [`Node`].
//!
//! Facts and classes are read again when their files have changed. That is looked at when something arrives, at most
//! once a second, so an idle node touches no file but the status file, where one is configured.
//!
//! What it tells of itself is in `report`, the pages it serves are in `monitor`.

mod monitor;
mod report;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::nats::{ClientConfig, ClientCore, ProtocolError, ServerAddr, TlsMode};
use muster_client::provider::Provider;
use muster_client::resolve::{Resolver, SrvQuery, search};
use muster_protocol::security::{RequestSecurity, SecurityError, certificate_expiry};
use muster_reactor::clock::{Clock, random_seed, unix_now};
use muster_reactor::process::{cores, cpu_times};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::tls::TlsConfigError;
use muster_reactor::wake::Wake;
use muster_settings::Settings;
use parking_lot::Mutex;
use tracing::{debug, info, warn};

use self::report::{Figures, Reporter, SharedFigures};
use crate::agent::{Agent, Audit, Authorise};
use crate::audit::AuditLog;
use crate::classes::parse_classes;
use crate::config::{NodeConfig, derive_identity};
use crate::embed::{FactsSource, Program, Publisher};
use crate::endpoint::NodeEndpoint;
use crate::external::watcher::Watcher;
use crate::facts::{Facts, FactsFormat};
use crate::gate::VerifyEach;
use crate::lifecycle::LifecycleOptions;
use crate::node::{Announcements, Node, NodeScratch};
use crate::policy::store::PolicyStore;
use crate::pool::WorkerPool;
use crate::registration::{RegistrationOptions, RegistrationSource};
use crate::requests::{RequestSigner, Unsigned};
use crate::revocation::CrlWatch;
use crate::security::{Loaded, NodeTokenError, tls_with_crl};
use crate::setup::{About, AgentSet, Authorisation, NodeOptions, NodeSetup, SetupError};

/// The longest the loop sleeps; a stop is noticed at once by its wake.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often files are looked at, at most.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// The folder of policies beside the configuration file.
const POLICIES: &str = "policies";
/// Requests a daemon remembers to have acted on: 64 KiB.
const REPLAY_MAX: usize = 4096;

/// Ends a running daemon from another thread.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
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
            reload: Arc::default(),
            wake: Wake::new()?,
        })
    }

    /// Asks the daemon to end.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// Asks the daemon to read its configuration again, where it was told how.
    pub fn request_reload(&self) {
        self.reload.store(true, Ordering::Release);
        self.wake.wake();
    }

    fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
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
    reload: Option<Reload>,
}

/// Reads a configuration again; the text of an error says all that is wrong.
type ReadConfig = dyn FnMut() -> Result<NodeConfig, String> + Send;
/// Has the log go by another level.
type SetLogLevel = dyn Fn(&str) + Send;

/// How a running daemon gets a new configuration.
struct Reload {
    read: Box<ReadConfig>,
    set_log_level: Box<SetLogLevel>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reload")
    }
}

impl Daemon {
    /// A node with the agents every node has.
    #[must_use]
    pub fn new(config: NodeConfig) -> Self {
        Self {
            config,
            program: Program::default(),
            reload: None,
        }
    }

    /// Lets [`Stop::request_reload`] have the configuration read again, and the log go by the level in it.
    #[must_use]
    pub fn with_reload(
        mut self,
        read: impl FnMut() -> Result<NodeConfig, String> + Send + 'static,
        set_log_level: impl Fn(&str) + Send + 'static,
    ) -> Self {
        self.reload = Some(Reload {
            read: Box::new(read),
            set_log_level: Box::new(set_log_level),
        });
        self
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
        run(self.config, self.program, self.reload, stop)
    }
}

fn run(
    config: NodeConfig,
    mut program: Program,
    reload: Option<Reload>,
    stop: &Stop,
) -> Result<(), RunError> {
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
    } = Loaded::new(&config, unix_now().as_secs(), read)?;
    let mut options = node_options(&config, requests);
    options.reply_signer = reply_signer;
    program.equip(&mut options);
    let mut publisher = publisher(&config, &program, own_requests.as_ref(), stop)?;
    let mut agents = Agents {
        own: options.agents.clone(),
        external: Vec::new(),
    };
    options.agents = agents.active(&config);
    let announcements = announcements(&config, own_requests);
    let setup = Arc::new(NodeSetup::new(options)?);
    let mut sources = Sources::new(&config, program.facts.take());
    let (facts, classes) = (sources.first_facts(clock.now()), sources.read_classes());
    let mut client = broker_config(&config);
    client.connect.signer = nonce_signer;
    let client = Arc::new(client);
    let seed = random_seed();
    let identity = config.identity.as_str();
    let mut node = Node::new(setup, identity, facts, classes, client, seed, clock.now());
    node.announce(announcements, random_seed(), clock.now());
    let endpoint = NodeEndpoint::new(node, tls);
    let mut driver = Driver::new(
        clock,
        DriverOptions::default(),
        NodeScratch::new(),
        Some(stop.wake.clone()),
    )?;
    let hosted = Hosted {
        endpoint,
        sources,
        crl,
        config: config.clone(),
    };
    let index = driver.add(hosted, None);
    let pool = WorkerPool::new(stop.wake.clone());
    let watcher = Watcher::start(&config.external, &stop.wake)?;
    let figures = figures(&config);
    let _pages = match (config.announce.stats, &figures) {
        (Some(address), Some(figures)) => Some(monitor::serve(address, Arc::clone(figures))?),
        _ => None,
    };
    let expires = certificate_expires(&config);
    let announce = config.announce.clone();
    let mut reporter = Reporter::new(announce, expires, clock.now(), figures);
    let mut reloading = Reloading { config, reload };
    info!(
        identity = %reloading.config.identity,
        version = env!("CARGO_PKG_VERSION"),
        "node started"
    );
    program.tell_started();
    while !stop.is_requested() {
        if stop.take_reload() {
            driver.with(index, |hosted, at, _| {
                reloading.run(hosted, &agents, &mut reporter, at);
            });
        }
        driver.turn(reporter.wait(clock.now(), WAIT_MAX))?;
        exchange_jobs(&mut driver, index, &pool);
        if let Some(external) = watcher.as_ref().and_then(Watcher::poll) {
            agents.external = external;
            let active = agents.active(&reloading.config);
            driver.with(index, |hosted, _, _| hosted.replace_agents(active));
        }
        driver.with(index, |hosted, at, _| {
            let node = hosted.endpoint.node_mut();
            reporter.tend(node, at);
            if let Some(publisher) = &mut publisher {
                publisher.publish(node, at.unix, random_bytes);
            }
        });
    }
    end(
        &mut driver,
        index,
        &pool,
        clock,
        reloading.config.soft_shutdown,
    )?;
    info!(identity = %reloading.config.identity, "node stopped");
    Ok(())
}

/// Takes no further requests, answers what is under way as far as there is time, says goodbye and closes.
fn end(
    driver: &mut Driver<Hosted>,
    index: usize,
    pool: &WorkerPool,
    clock: Clock,
    longest: Duration,
) -> io::Result<()> {
    driver.with(index, |hosted, at, _| {
        let node = hosted.endpoint.node_mut();
        node.announce_shutdown(at);
        node.drain();
    });
    let deadline = clock.now() + longest;
    loop {
        exchange_jobs(driver, index, pool);
        let is_written = driver.with(index, |hosted, _, _| hosted.client().output().is_empty());
        let left = deadline.saturating_sub(clock.now());
        if (is_written && pool.pending() == 0) || left.is_zero() {
            break;
        }
        driver.turn(left)?;
    }
    if pool.pending() > 0 {
        warn!(
            calls = pool.pending(),
            "calls under way are not waited for any longer"
        );
    }
    driver.with(index, |hosted, _, _| hosted.client().close());
    Ok(())
}

/// What a new configuration is held against.
#[derive(Debug)]
struct Reloading {
    config: NodeConfig,
    reload: Option<Reload>,
}

/// The agents there are, those that are switched off included.
#[derive(Debug)]
struct Agents {
    own: AgentSet,
    /// From files.
    external: Vec<Arc<dyn Agent>>,
}

impl Agents {
    /// Those that are not switched off.
    fn active(&self, config: &NodeConfig) -> AgentSet {
        let own = self.own.without(&config.inactive_agents);
        let external = self.external.iter();
        // The name of an agent that is switched off stays taken.
        let external = external.filter(|agent| self.own.find(&agent.metadata().name).is_none());
        own.with_external(external.cloned())
    }
}

impl Reloading {
    /// Reads the configuration again and goes by it as far as a running node can. A configuration that cannot be used
    /// changes nothing.
    fn run(&mut self, hosted: &mut Hosted, agents: &Agents, reporter: &mut Reporter, at: Moment) {
        let Some(reload) = &mut self.reload else {
            info!("there is no configuration to read again");
            return;
        };
        let config = match (reload.read)() {
            Ok(config) => config,
            Err(error) => {
                warn!(%error, "the configuration stays as it was");
                return;
            }
        };
        (reload.set_log_level)(config.log_level);
        for warning in &config.warnings {
            warn!("{warning}");
        }
        for key in unchangeable(&self.config, &config) {
            warn!(key, "has changed, and needs a restart to count");
        }
        match self.apply(config, hosted, agents, reporter, at) {
            Ok(()) => info!("the configuration was read again"),
            Err(error) => warn!(%error, "the configuration stays as it was"),
        }
    }

    fn apply(
        &mut self,
        config: NodeConfig,
        hosted: &mut Hosted,
        agents: &Agents,
        reporter: &mut Reporter,
        at: Moment,
    ) -> Result<(), RunError> {
        let node = hosted.endpoint.node_mut();
        let loaded = Loaded::new(&config, at.unix.as_secs(), read)?;
        let options = NodeOptions {
            agents: agents.active(&config),
            reply_signer: loaded.reply_signer,
            start_unix: node.setup().options().start_unix,
            ..node_options(&config, loaded.requests)
        };
        let setup = Arc::new(NodeSetup::new(options)?);
        let announcements = announcements(&config, loaded.own_requests);
        node.set_setup(setup);
        node.announce(announcements, random_seed(), at.now);
        hosted.sources = Sources::new(&config, hosted.sources.given.take());
        let classes = hosted.sources.read_classes();
        if hosted.sources.given.is_none() {
            let facts = hosted.sources.read_facts();
            hosted.endpoint.node_mut().set_facts(facts);
        }
        hosted.endpoint.node_mut().set_classes(classes);
        // Connections made from here on go by the new files.
        hosted.endpoint.set_tls(loaded.tls);
        hosted.crl = loaded.crl;
        hosted.config = config.clone();
        reporter.reconfigure(config.announce.clone(), at.now);
        self.config = config;
        Ok(())
    }
}

/// The keys that differ and that a running node cannot go by.
fn unchangeable(old: &NodeConfig, new: &NodeConfig) -> Vec<&'static str> {
    let keys = [
        ("identity", old.identity != new.identity),
        ("logfile", old.log_target != new.log_target),
        ("plugin.choria.middleware_hosts", old.servers != new.servers),
        ("plugin.nats.user", old.credentials != new.credentials),
        (
            "plugin.choria.stats_port",
            old.announce.stats != new.announce.stats,
        ),
        (
            "libdir",
            old.external.library_dirs != new.external.library_dirs,
        ),
        (
            "plugin.choria.network.connect_timeout",
            old.connect_timeout != new.connect_timeout,
        ),
    ];
    let changed = keys.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(key, _)| key).collect()
}

/// What the node says without being asked.
fn announcements(
    config: &NodeConfig,
    signer: Option<Arc<dyn RequestSigner>>,
) -> Arc<Announcements> {
    let announce = &config.announce;
    let registration = announce.registration.as_ref();
    Arc::new(Announcements {
        lifecycle: Some(LifecycleOptions {
            component: announce.component.clone(),
            form: announce.form,
        }),
        registration: registration.map(|config| RegistrationOptions {
            sources: (config.sources.iter())
                .map(|source| RegistrationSource {
                    target: source.target.clone(),
                })
                .collect(),
            collective: config.collective.clone(),
            interval: config.interval,
            splay: config.splay,
            size_trigger: config.size_trigger,
            size_interval: config.size_interval,
        }),
        signer: signer.unwrap_or_else(|| Arc::new(Unsigned::NoKey)),
    })
}

/// The figures for the pages, where pages are served.
fn figures(config: &NodeConfig) -> Option<SharedFigures> {
    config.announce.stats?;
    Some(Arc::new(Mutex::new(Figures {
        identity: config.identity.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_file: config.config_file.clone(),
        tls: config.tls,
        secure: !config.insecure,
        certificate_expires: certificate_expires(config),
        ..Figures::default()
    })))
}

/// When the node's certificate ends, if it has one.
fn certificate_expires(config: &NodeConfig) -> Option<i64> {
    let path = match &config.security {
        Provider::X509(files) => &files.certificate,
        Provider::Token(_) => return None,
    };
    if path.as_os_str().is_empty() {
        return None;
    }
    let pem = fs::read_to_string(path).ok()?;
    certificate_expiry(&pem).ok()
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
        authorise: authorise(config),
        audit: (config.audit.clone())
            .map(|options| Arc::new(AuditLog::new(options)) as Arc<dyn Audit>),
        about: About {
            path: std::env::var("PATH").unwrap_or_default(),
            srv_domain: (config.raw_options.0.get("plugin.choria.srv_domain"))
                .cloned()
                .unwrap_or_default(),
            using_srv: config.srv.is_some(),
            secure_protocol: !config.insecure,
            cpu_times: Some(cpu_times),
        },
        raw_options: config.raw_options.clone(),
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

/// Who may call RPC agents.
fn authorise(config: &NodeConfig) -> Arc<dyn Authorise> {
    let Some(options) = &config.policies else {
        return Arc::new(Authorisation::AllowAll);
    };
    let beside = Path::new(&config.config_file).parent();
    let folder = beside.unwrap_or_else(|| Path::new("")).join(POLICIES);
    Arc::new(PolicyStore::new(options.clone(), folder))
}

fn broker_config(config: &NodeConfig) -> ClientConfig {
    let servers = match &config.srv {
        Some(query) => look_up(query),
        None => config.servers.clone(),
    };
    let mut client = ClientConfig::new(servers);
    client.connect_timeout = config.connect_timeout;
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

/// Asks the domain name system for the brokers; takes some seconds where it does not answer.
fn look_up(query: &SrvQuery) -> Vec<ServerAddr> {
    let found = search(query, &mut Resolver::system());
    for problem in &found.problems {
        debug!(%problem, "looking for brokers");
    }
    info!(servers = ?found.servers, how = ?found.how, "brokers");
    found.servers
}

fn read(path: &Path) -> Result<String, RunError> {
    fs::read_to_string(path).map_err(|error| RunError::File(path.to_owned(), error))
}

/// The identity of this host's node where none is configured; see
/// [`derive_identity`]. Reads the files with facts where it comes to that.
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
