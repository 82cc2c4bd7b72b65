//! The agents of a daemon: the program's own, and those from files.

use std::io;
use std::sync::Arc;

use muster_reactor::wake::Wake;

use crate::agent::Agent;
use crate::config::NodeConfig;
use crate::external::ExternalOptions;
use crate::external::watcher::Watcher;
use crate::setup::AgentSet;

/// The agents there are, those that are switched off included.
#[derive(Debug)]
pub(super) struct Agents {
    own: AgentSet,
    /// From files.
    external: Vec<Arc<dyn Agent>>,
    watcher: Option<Watcher>,
    /// What the watcher goes by.
    watched: ExternalOptions,
}

impl Agents {
    /// These, and none from files until [`Self::watch`].
    pub(super) fn new(own: AgentSet) -> Self {
        Self {
            own,
            external: Vec::new(),
            watcher: None,
            watched: ExternalOptions::default(),
        }
    }

    /// Those that are not switched off.
    pub(super) fn active(&self, config: &NodeConfig) -> AgentSet {
        let own = self.own.without(&config.inactive_agents);
        let external = self.external.iter().filter(|agent| {
            let name = &agent.metadata().name;
            // The name of an agent that is switched off stays taken.
            self.own.find(name).is_none() && !config.inactive_agents.contains(name)
        });
        own.with_external(external.cloned())
    }

    /// Goes by these options from here on. Agents from files stay until the new watcher has looked, so that those that
    /// are found again are not missed in between; where there is nowhere to look they are gone at once, and the result
    /// is true.
    pub(super) fn watch(&mut self, options: &ExternalOptions, wake: &Wake) -> io::Result<bool> {
        if self.watched == *options {
            return Ok(false);
        }
        self.watcher = Watcher::start(options, wake)?;
        self.watched = options.clone();
        let are_gone = self.watcher.is_none() && !self.external.is_empty();
        if are_gone {
            self.external.clear();
        }
        Ok(are_gone)
    }

    /// Takes what the watcher found; whether that is news.
    pub(super) fn poll(&mut self) -> bool {
        let found = self.watcher.as_ref().and_then(Watcher::poll);
        let is_news = found.is_some();
        if let Some(external) = found {
            self.external = external;
        }
        is_news
    }
}
