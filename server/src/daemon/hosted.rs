//! The node as its driver hosts it: beside it the files it speaks of, looked at when something arrives.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::Endpoint;
use muster_client::nats::{ClientCore, ProtocolError};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use tracing::warn;

use super::options::read;
use super::sources::Sources;
use crate::config::NodeConfig;
use crate::endpoint::NodeEndpoint;
use crate::node::NodeScratch;
use crate::revocation::CrlWatch;
use crate::security::tls_with_crl;
use crate::setup::{AgentSet, NodeOptions, NodeSetup};

/// How often files are looked at, at most.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// The node and the files it speaks of.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) endpoint: NodeEndpoint,
    pub(super) sources: Sources,
    pub(super) crl: Option<CrlWatch>,
    pub(super) config: NodeConfig,
}

impl Hosted {
    /// Has the node answer for other agents.
    pub(super) fn replace_agents(&mut self, agents: AgentSet) {
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
