//! A new configuration for a running node.

use std::sync::Arc;

use muster_client::Moment;
use muster_reactor::clock::random_seed;
use tracing::{info, warn};

use super::agents::Agents;
use super::announce::{announcements, expiries};
use super::error::RunError;
use super::hosted::Hosted;
use super::options::{node_options, read};
use super::report::Reporter;
use super::sources::Sources;
use crate::config::NodeConfig;
use crate::security::Loaded;
use crate::setup::{NodeOptions, NodeSetup};

/// Reads a configuration again; the text of an error says all that is wrong.
type ReadConfig = dyn FnMut() -> Result<NodeConfig, String> + Send;
/// Has the log go by another level.
type SetLogLevel = dyn Fn(&str) + Send;

/// How a running daemon gets a new configuration.
pub(super) struct Reload {
    pub(super) read: Box<ReadConfig>,
    pub(super) set_log_level: Box<SetLogLevel>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reload")
    }
}

/// What a new configuration is held against.
#[derive(Debug)]
pub(super) struct Reloading {
    pub(super) config: NodeConfig,
    pub(super) reload: Option<Reload>,
}

impl Reloading {
    /// Reads the configuration again and goes by it as far as a running node can. A configuration that cannot be used
    /// changes nothing.
    pub(super) fn run(
        &mut self,
        hosted: &mut Hosted,
        agents: &Agents,
        reporter: &mut Reporter,
        at: Moment,
    ) {
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
        let expiries = expiries(&config, &loaded);
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
        reporter.reconfigure(config.announce.clone(), expiries, at.now);
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
            "plugin.choria.network.connect_timeout",
            old.connect_timeout != new.connect_timeout,
        ),
    ];
    let changed = keys.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(key, _)| key).collect()
}
