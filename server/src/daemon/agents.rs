//! The agents of a daemon: the program's own, and those from files.

use std::sync::Arc;

use crate::agent::Agent;
use crate::config::NodeConfig;
use crate::setup::AgentSet;

/// The agents there are, those that are switched off included.
#[derive(Debug)]
pub(super) struct Agents {
    pub(super) own: AgentSet,
    /// From files.
    pub(super) external: Vec<Arc<dyn Agent>>,
}

impl Agents {
    /// Those that are not switched off.
    pub(super) fn active(&self, config: &NodeConfig) -> AgentSet {
        let own = self.own.without(&config.inactive_agents);
        let external = self.external.iter();
        // The name of an agent that is switched off stays taken.
        let external = external.filter(|agent| self.own.find(&agent.metadata().name).is_none());
        own.with_external(external.cloned())
    }
}
