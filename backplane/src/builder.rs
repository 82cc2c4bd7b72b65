//! From what an application is and offers to its running backplane.
//!
//! The node is configured by the same settings as any other, made up here, so that a backplane knows no rule of nodes.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_client::nats::ServerAddr;
use muster_server::agent::Rpc;
use muster_server::daemon::{Daemon, RunError};
use muster_server::embed::Outbox;
use muster_server::{AgentSet, NodeConfig, NodeFlags};
use muster_settings::{Settings, SettingsErrors};
use tracing::{info, warn};

use crate::agent::BackplaneAgent;
use crate::application::{HealthCheck, InfoSource, LogLevels, Offer, Pausable, Stoppable};
use crate::auth::Authorization;
use crate::backplane::Backplane;
use crate::config::{ConfigProblem, ConfigProblems, ManagementConfig, TlsSetting, name_problem};
use crate::ddl::{AGENT, collective};
use crate::facts::AppFacts;
use crate::host;
use crate::keeper::{Agenda, Keeper};

/// How far shutdowns of a fleet are spread, unless configured otherwise.
pub const SHUTDOWN_DELAY_MAX: Duration = Duration::from_secs(10);
/// How often facts are renewed though nothing is known to have changed, unless configured otherwise.
pub const FACTS_INTERVAL: Duration = Duration::from_secs(600);
/// What stands for a file's name in problems with the settings.
const SETTINGS: &str = "backplane";

/// A backplane about to start.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it starts"]
pub struct Builder {
    name: String,
    brokers: Vec<ServerAddr>,
    tls: Option<TlsSetting>,
    identity: Option<String>,
    auth: Authorization,
    offer: Offer,
    shutdown_delay_max: Duration,
    facts_interval: Duration,
    problems: Vec<ConfigProblem>,
}

/// Why a backplane does not start.
#[derive(Debug)]
pub enum StartError {
    /// What it was told cannot be used; every problem is there.
    Config(ConfigProblems),
    /// The node does not take what it was told.
    Settings(SettingsErrors),
    /// The certificates cannot be used, or the operating system refuses something.
    Node(RunError),
    /// The operating system gives no thread.
    Thread(io::Error),
}

impl Backplane {
    /// A backplane for the application of this name, which must match `^[a-z0-9]+$`. It needs brokers, and rights for
    /// somebody, to be of use.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            brokers: Vec::new(),
            tls: None,
            identity: None,
            auth: Authorization::default(),
            offer: Offer::default(),
            shutdown_delay_max: SHUTDOWN_DELAY_MAX,
            facts_interval: FACTS_INTERVAL,
            problems: Vec::new(),
        }
    }
}

impl ManagementConfig {
    /// A backplane with this configuration.
    pub fn builder(self) -> Builder {
        let mut builder = Backplane::builder(self.name);
        builder.brokers = self.brokers;
        builder.tls = self.tls;
        builder.auth = self.auth;
        builder
    }
}

impl Builder {
    /// Adds a broker, `host:port`.
    pub fn broker(mut self, broker: &str) -> Self {
        match ServerAddr::parse(broker) {
            Ok(broker) => self.brokers.push(broker),
            Err(error) => self.problem("brokers", error.to_string()),
        }
        self
    }

    /// Speaks TLS, and believes only what callers have signed. Without it the backplane does neither.
    pub fn tls(mut self, tls: TlsSetting) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The name of this instance, in place of the one of its certificate or host.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Who may do what.
    pub fn authorization(mut self, auth: Authorization) -> Self {
        self.auth = auth;
        self
    }

    /// Lets callers pause and resume the application.
    pub fn pausable(mut self, app: Arc<dyn Pausable>) -> Self {
        self.offer.pausable = Some(app);
        self
    }

    /// Lets callers check the application's health.
    pub fn health_check(mut self, app: Arc<dyn HealthCheck>) -> Self {
        self.offer.health = Some(app);
        self
    }

    /// Lets callers end the application.
    pub fn stoppable(mut self, app: Arc<dyn Stoppable>) -> Self {
        self.offer.stoppable = Some(app);
        self
    }

    /// Lets callers set the application's log level.
    pub fn log_levels(mut self, app: Arc<dyn LogLevels>) -> Self {
        self.offer.log_levels = Some(app);
        self
    }

    /// Lets the application be found by its facts.
    pub fn info_source(mut self, app: Arc<dyn InfoSource>) -> Self {
        self.offer.info = Some(app);
        self
    }

    /// How far shutdowns are spread: one comes after one second and a random part of this.
    pub fn shutdown_delay_max(mut self, spread: Duration) -> Self {
        self.shutdown_delay_max = spread;
        self
    }

    /// How often facts are renewed though nothing is known to have changed.
    pub fn facts_interval(mut self, interval: Duration) -> Self {
        self.facts_interval = interval;
        self
    }

    /// Starts the backplane. Returns once the certificates are read; a broker that cannot be reached is tried again in
    /// the background, for ever.
    ///
    /// # Errors
    /// What the backplane was told cannot be used, or the operating system refuses something.
    pub fn start(mut self) -> Result<Backplane, StartError> {
        let config = self.node_config()?;
        let facts = Arc::new(AppFacts::new(&self.name, self.offer.clone()));
        let agenda = Agenda::default();
        let agent = BackplaneAgent::new(
            self.offer.clone(),
            self.auth,
            Arc::clone(&facts),
            agenda.clone(),
            self.shutdown_delay_max,
        );
        facts.renew();
        let outbox = Outbox::new();
        let node = Daemon::new(config)
            .with_agents(AgentSet::discovery_only())
            .with_agent(Arc::new(Rpc::new(agent)))
            .with_facts(Arc::new(facts.shared().clone()))
            .with_outbox(&outbox)
            .start()
            .map_err(StartError::Node)?;
        let stoppable = self.offer.stoppable;
        let keeper = Keeper::start(agenda.clone(), facts, self.facts_interval, stoppable);
        let keeper = keeper.map_err(StartError::Thread)?;
        info!(name = self.name, "backplane started");
        Ok(Backplane::new(agenda, keeper, node, outbox))
    }

    fn problem(&mut self, key: &str, problem: impl Into<String>) {
        self.problems.push(ConfigProblem {
            key: key.to_owned(),
            problem: problem.into(),
        });
    }

    fn node_config(&mut self) -> Result<NodeConfig, StartError> {
        if self.name.is_empty() {
            self.problem("name", "is needed and not set");
        }
        if let Some(problem) = name_problem(&self.name) {
            self.problem("name", problem);
        }
        if self.brokers.is_empty() {
            self.problem("brokers", "is needed and names none");
        }
        let identity = self.take_identity();
        let security = self.security(&identity);
        let brokers: Vec<_> = self.brokers.iter().map(ToString::to_string).collect();
        let mut settings = vec![
            ("identity", identity),
            ("collectives", collective(&self.name)),
            ("plugin.choria.middleware_hosts", brokers.join(",")),
            ("plugin.choria.use_srv", "false".to_owned()),
            // The agent decides by lists of its own, whatever nodes of this host go by.
            ("rpcauthorization", "false".to_owned()),
            ("logfile", "discard".to_owned()),
        ];
        settings.extend(security);
        for (key, value) in &settings {
            if value.chars().any(char::is_control) {
                self.problem(key, format!("{value:?} is not a text on one line"));
            }
        }
        if !self.problems.is_empty() {
            let problems = std::mem::take(&mut self.problems);
            return Err(StartError::Config(ConfigProblems(problems)));
        }
        let lines = settings
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"));
        let settings = Settings::parse(&lines.collect::<String>(), SETTINGS);
        let flags = match self.tls {
            Some(_) => NodeFlags::default(),
            None => NodeFlags::laboratory(),
        };
        let config = NodeConfig::from_settings(&settings, &flags);
        let mut config = config.map_err(StartError::Settings)?;
        if self.tls.is_none() {
            warn!(
                name = self.name,
                "DANGEROUS: no tls is configured: nothing is encrypted, and whoever reaches the broker can call as anybody"
            );
        }
        // What the host is classified as says nothing about the application.
        config.classes_file = PathBuf::new();
        AGENT.clone_into(&mut config.announce.component);
        Ok(config)
    }

    fn take_identity(&mut self) -> String {
        let of_tls = match &self.tls {
            Some(TlsSetting::Puppet { identity, .. } | TlsSetting::Files { identity, .. }) => {
                identity.clone()
            }
            None => None,
        };
        let identity = self.identity.take().or(of_tls).or_else(host::hostname);
        identity.unwrap_or_else(|| {
            self.problem(
                "identity",
                "is needed and not set, and the host has no name",
            );
            String::new()
        })
    }

    fn security(&mut self, identity: &str) -> Vec<(&'static str, String)> {
        let (certificate, key, ca) = match &self.tls {
            None => return Vec::new(),
            Some(TlsSetting::Files {
                certificate,
                key,
                ca,
                ..
            }) => (certificate.clone(), key.clone(), ca.clone()),
            Some(TlsSetting::Puppet { ssl_dir, .. }) => {
                let Some(dir) = ssl_dir.clone().or_else(host::puppet_ssl_dir) else {
                    self.problem(
                        "tls.ssl_dir",
                        "is needed and not set, and the user has no home",
                    );
                    return Vec::new();
                };
                let file = format!("{identity}.pem");
                (
                    dir.join("certs").join(&file),
                    dir.join("private_keys").join(&file),
                    dir.join("certs").join("ca.pem"),
                )
            }
        };
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        vec![
            ("plugin.security.provider", "file".to_owned()),
            ("plugin.security.file.certificate", text(certificate)),
            ("plugin.security.file.key", text(key)),
            ("plugin.security.file.ca", text(ca)),
        ]
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Settings(errors) => errors.fmt(f),
            Self::Node(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
