//! The application: a poller of Prometheus targets, with a circuit breaker, and two ways to manage it.
//!
//! [`start_agent`] gives it an agent of its own, `prometheus_streams`, in the collective `prometheus`.
//! [`start_backplane`] offers the same breaker through a backplane, with the rights and the TLS of its configuration.

mod agent;
mod poller;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use muster_backplane::{Backplane, InfoSource, ManagementConfig, Outbox, Pausable};
use muster_server::agent::Rpc;
use muster_server::daemon::Daemon;
use muster_server::embed::Running;
use muster_server::{AgentSet, NodeConfig, NodeFlags};
use muster_settings::Settings;
use serde_json::{Value, json};

use agent::{BreakerFacts, StreamsAgent};
pub(crate) use poller::{Job, Poller};

/// What the process reports as its version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who this process is, and what it does.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) identity: String,
    pub(crate) poller: Poller,
}

impl Streams {
    /// A process that polls `jobs` every `interval` once [`Streams::work`] is called.
    pub(crate) fn new(identity: &str, jobs: Vec<Job>, interval: Duration) -> Arc<Self> {
        Arc::new(Self {
            identity: identity.to_owned(),
            poller: Poller::new(jobs, interval),
        })
    }

    /// Polls on a thread of its own for as long as the process lives; what was read goes to `outbox`.
    pub(crate) fn work(self: &Arc<Self>, outbox: &Outbox) -> std::io::Result<()> {
        let (streams, outbox) = (Arc::clone(self), outbox.clone());
        let thread = std::thread::Builder::new().name("poller".to_owned());
        thread.spawn(move || streams.poller.run(&outbox)).map(drop)
    }

    /// What the process can be found by.
    fn facts(&self) -> Value {
        let jobs: Vec<_> = self.poller.jobs().iter().map(|job| &*job.name).collect();
        let mut facts = json!({
            "identity": self.identity,
            "time": muster_reactor::clock::unix_now().as_secs(),
            "config": {"interval": self.poller.interval().as_secs(), "jobs": jobs},
            "paused": self.poller.is_paused(),
            "mode": "poller",
            "poller_mode": true,
            "jobs": jobs.join(","),
            "version": VERSION,
        });
        for job in jobs {
            facts[format!("job_{job}")] = true.into();
        }
        facts
    }
}

impl Pausable for Streams {
    fn pause(&self) {
        self.poller.set_paused(true);
    }

    fn resume(&self) {
        self.poller.set_paused(false);
    }

    fn flip(&self) {
        self.poller.flip();
    }

    fn is_paused(&self) -> bool {
        self.poller.is_paused()
    }
}

impl InfoSource for Streams {
    fn facts(&self) -> Value {
        self.facts()
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }
}

/// Manages the process through its own agent. Nothing is encrypted or verified: for networks that are.
pub(crate) fn start_agent(streams: &Arc<Streams>, broker: &str) -> Result<Running, Box<dyn Error>> {
    let text = format!(
        "identity = {}\ncollectives = prometheus\nplugin.choria.middleware_hosts = {broker}\n\
         plugin.choria.use_srv = false\nrpcauthorization = false\n",
        streams.identity
    );
    let settings = Settings::parse(&text, "built in");
    let config = NodeConfig::from_settings(&settings, &NodeFlags::laboratory())?;
    let facts = Arc::new(BreakerFacts::new(Arc::clone(streams)));
    let outbox = Outbox::new();
    let agent = StreamsAgent::new(Arc::clone(streams), Arc::clone(&facts))?;
    let node = Daemon::new(config)
        .with_agents(AgentSet::discovery_only())
        .with_agent(Arc::new(Rpc::new(agent)))
        .with_facts(facts)
        .with_outbox(&outbox)
        .start()?;
    streams.work(&outbox)?;
    Ok(node)
}

/// Manages the process through a backplane, as the stanza `management` of a YAML text says.
pub(crate) fn start_backplane(
    streams: &Arc<Streams>,
    yaml: &str,
) -> Result<Backplane, Box<dyn Error>> {
    let builder = ManagementConfig::from_yaml(yaml)?.builder();
    let backplane = builder
        .identity(&*streams.identity)
        .pausable(Arc::clone(streams) as _)
        .info_source(Arc::clone(streams) as _)
        .start()?;
    streams.work(backplane.outbox())?;
    Ok(backplane)
}
