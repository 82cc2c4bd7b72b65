//! What all nodes of a process share: collectives, agents, the gate, and what they tell of their configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use muster_client::nats::is_sendable;
use muster_protocol::reply::ReplyForm;
use muster_protocol::security::tokens::TokenSigner;
use muster_protocol::subject;
use muster_protocol::version::ProtocolVersion;
use serde_json::Value;
use tracing::warn;

use crate::agent::{Agent, Audit, Authorise, CallId, HostView, Verdict};
use crate::data::DataSet;
use crate::gate::Gate;

/// The longest time to live that is honoured, in seconds, unless configured otherwise: a request must not stay good
/// for ever because its caller says so.
pub const TTL_MAX_DEFAULT: i64 = 86_400;
/// Requests a node remembers to have acted on, unless configured otherwise: at most 2 KiB a node.
pub const REPLAY_MAX_DEFAULT: usize = 128;

/// Who may call the actions of RPC agents. The discovery agent is open to every verified caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorisation {
    /// Every verified caller.
    AllowAll,
    /// Nobody.
    DenyAll,
}

impl Authorise for Authorisation {
    fn decide(&self, _call: &CallId<'_>, _host: &HostView<'_>) -> Verdict {
        match self {
            Self::AllowAll => Verdict::Allow,
            Self::DenyAll => Verdict::Deny("nobody may call anything".into()),
        }
    }
}

/// The agents of a node, by name.
#[derive(Debug, Clone, Default)]
pub struct AgentSet {
    agents: BTreeMap<String, Arc<dyn Agent>>,
}

impl AgentSet {
    /// No agents.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The agents every node has: `choria_util`, `discovery` and `rpcutil`.
    #[must_use]
    pub fn builtin() -> Self {
        let mut set = Self::new();
        set.insert(Arc::new(crate::agents::Discovery::new()));
        set.insert(Arc::new(crate::agents::rpcutil()));
        set.insert(Arc::new(crate::agents::choria_util()));
        set
    }

    /// The agent no node can be found without, and no other: for programs that are asked for what they do themselves.
    #[must_use]
    pub fn discovery_only() -> Self {
        let mut set = Self::new();
        set.insert(Arc::new(crate::agents::Discovery::new()));
        set
    }

    /// Adds an agent under the name in its metadata, in place of one of the same name.
    pub fn insert(&mut self, agent: Arc<dyn Agent>) {
        self.agents.insert(agent.metadata().name.clone(), agent);
    }

    /// These agents, and of others those whose names are free.
    #[must_use]
    pub fn with_external(&self, others: impl IntoIterator<Item = Arc<dyn Agent>>) -> Self {
        let mut all = self.clone();
        for agent in others {
            let name = &agent.metadata().name;
            if self.find(name).is_some() {
                warn!(agent = %name, "an agent from files has the name of one of the program's own");
            } else {
                all.insert(agent);
            }
        }
        all
    }

    /// These agents but those of these names.
    #[must_use]
    pub fn without(&self, names: &BTreeSet<String>) -> Self {
        let mut rest = self.clone();
        rest.agents.retain(|name, _| !names.contains(name));
        rest
    }

    /// An agent by name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&dyn Agent> {
        self.agents.get(name).map(|agent| &**agent)
    }

    /// All agents, by name.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Agent> {
        self.agents.values().map(|agent| &**agent)
    }
}

/// What a [`NodeSetup`] is made of.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The collectives the nodes are in.
    pub collectives: Vec<String>,
    /// The one they are mainly in.
    pub main_collective: String,
    /// What they can be asked.
    pub agents: AgentSet,
    /// How payloads become requests.
    pub gate: Arc<dyn Gate>,
    /// What replies to version 2 requests are signed with; none leaves them unsigned, which clients accept.
    pub reply_signer: Option<Arc<TokenSigner>>,
    /// Who may call RPC agents.
    pub authorise: Arc<dyn Authorise>,
    /// Where the calls that were allowed are recorded.
    pub audit: Option<Arc<dyn Audit>>,
    /// The version they report.
    pub version: String,
    /// The longest time to live that is honoured, in seconds.
    pub ttl_max: i64,
    /// Requests a node remembers to have acted on.
    pub replay_max: usize,
    /// What `rpcutil#get_config_item` gives, by key. No secrets belong here.
    pub config_items: BTreeMap<String, Value>,
    /// The configuration file they report.
    pub config_file: String,
    /// The process id they report.
    pub pid: u32,
    /// The processors they report.
    pub cpus: u32,
    /// Unix second they started in.
    pub start_unix: i64,
    /// What they can be asked of themselves by name.
    pub data: DataSet,
    /// What they tell of their process and its network.
    pub about: About,
    /// The lines of the configuration as they stand, for agents that read keys of their own. Secrets are among them.
    pub raw_options: RawOptions,
}

/// The lines of a configuration as they stand, by key; of two with one key the later one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawOptions(pub BTreeMap<String, String>);

/// Leaves the values out: some are passwords.
impl fmt::Debug for RawOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What nodes tell of their process and its network.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The search path of programs.
    pub path: String,
    /// The domain of SRV look-ups.
    pub srv_domain: String,
    /// Whether brokers are looked up.
    pub using_srv: bool,
    /// Whether requests must be signed.
    pub secure_protocol: bool,
    /// Reads the CPU time used so far, where the nodes are their process.
    pub cpu_times: Option<fn() -> CpuTimes>,
}

pub use muster_reactor::process::CpuTimes;

impl NodeOptions {
    /// Nodes in the collective `mcollective` with the builtin agents that let every caller the gate admits call.
    #[must_use]
    pub fn new(gate: Arc<dyn Gate>) -> Self {
        Self {
            collectives: vec!["mcollective".to_owned()],
            main_collective: "mcollective".to_owned(),
            agents: AgentSet::builtin(),
            gate,
            reply_signer: None,
            authorise: Arc::new(Authorisation::AllowAll),
            audit: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ttl_max: TTL_MAX_DEFAULT,
            replay_max: REPLAY_MAX_DEFAULT,
            config_items: BTreeMap::new(),
            config_file: String::new(),
            pid: 0,
            cpus: 1,
            start_unix: 0,
            data: DataSet::builtin(),
            about: About::default(),
            raw_options: RawOptions::default(),
        }
    }
}

impl NodeOptions {
    /// A line of the configuration, for an agent that reads keys of its own.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&str> {
        self.raw_options.0.get(key).map(String::as_str)
    }
}

/// The options, checked, and what follows from them. One in an `Arc` serves every node of a process.
#[derive(Debug)]
pub struct NodeSetup {
    options: NodeOptions,
    agent_names: Vec<String>,
    subscriptions: Vec<SharedSubscription>,
}

/// A subscription all nodes make.
#[derive(Debug, Clone)]
pub(crate) struct SharedSubscription {
    pub(crate) subject: Arc<[u8]>,
    pub(crate) queue: Option<Arc<[u8]>>,
}

/// Why options make no setup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupError {
    /// There is no collective.
    NoCollective,
    /// The main collective is none of the collectives.
    MainCollectiveUnknown(String),
    /// A name of a collective or agent cannot be part of a subject.
    BadName(String),
}

impl NodeSetup {
    /// Checks options.
    ///
    /// # Errors
    /// The first thing wrong with them.
    pub fn new(options: NodeOptions) -> Result<Self, SetupError> {
        if options.collectives.is_empty() {
            return Err(SetupError::NoCollective);
        }
        if !options.collectives.contains(&options.main_collective) {
            return Err(SetupError::MainCollectiveUnknown(options.main_collective));
        }
        let agents: Vec<_> = options.agents.iter().map(Agent::metadata).collect();
        let agent_names: Vec<_> = agents.iter().map(|agent| agent.name.clone()).collect();
        for name in options.collectives.iter().chain(&agent_names) {
            if !is_subject_part(name) {
                return Err(SetupError::BadName(name.clone()));
            }
        }
        let mut subscriptions = Vec::new();
        for collective in &options.collectives {
            for agent in &agents {
                let (subject, queue) = if agent.service {
                    (
                        subject::service(collective, &agent.name),
                        Some(agent.name.as_bytes().into()),
                    )
                } else {
                    (subject::broadcast(collective, &agent.name), None)
                };
                subscriptions.push(SharedSubscription {
                    subject: subject.into_bytes().into(),
                    queue,
                });
            }
        }
        Ok(Self {
            options,
            agent_names,
            subscriptions,
        })
    }

    /// The options.
    #[must_use]
    pub const fn options(&self) -> &NodeOptions {
        &self.options
    }

    /// In which form a request of this version is answered.
    pub(crate) fn reply_form(&self, version: ProtocolVersion) -> ReplyForm<'_> {
        match version {
            ProtocolVersion::V2 => ReplyForm::V2 {
                signer: self.options.reply_signer.as_deref(),
            },
            _ => ReplyForm::V1,
        }
    }

    /// The names of the agents, in order.
    #[must_use]
    pub fn agent_names(&self) -> &[String] {
        &self.agent_names
    }

    pub(crate) fn subscriptions(&self) -> &[SharedSubscription] {
        &self.subscriptions
    }
}

/// Whether a name can stand in a subject, in one token or several, and means itself there.
#[must_use]
pub fn is_subject_part(name: &str) -> bool {
    is_sendable(name.as_bytes())
        && !name.contains(['*', '>'])
        && !name.chars().any(|c| c.is_whitespace() || c.is_control())
        && name.split('.').all(|token| !token.is_empty())
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCollective => f.write_str("a node must be in a collective"),
            Self::MainCollectiveUnknown(name) => {
                write!(f, "main collective {name:?} is none of the collectives")
            }
            Self::BadName(name) => write!(f, "{name:?} cannot be part of a subject"),
        }
    }
}

impl std::error::Error for SetupError {}
