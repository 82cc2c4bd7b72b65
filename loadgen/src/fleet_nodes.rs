//! Real node cores, as the reactors carry them.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::Endpoint;
use muster_client::nats::{ClientConfig, ClientCore, ProtocolError, State};
use muster_protocol::ddl::Ddl;
use muster_protocol::security::RequestSecurity;
use muster_protocol::subject::PROVISIONING_COLLECTIVE;
use muster_reactor::clock::unix_now;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_server::agent::{HostView, Rpc, RpcAgent, RpcAnswer, RpcCall};
use muster_server::facts::Facts;
use muster_server::setup::{AgentSet, NodeOptions, NodeSetup};
use muster_server::{Gate, Node, NodeEndpoint, NodeScratch, VerifyEach, VerifyShared};

use crate::args::VerifyChoice;
use crate::emulated::Emulated;
use crate::progress::Progress;
use crate::provision::Unprovisioned;
use crate::setup::{AnyError, node_name};

/// Countries the nodes lie in, so that a fact filter has something to find.
const COUNTRIES: [&str; 5] = ["de", "fr", "mt", "uk", "us"];

/// What all nodes of a run share.
#[derive(Debug)]
pub(crate) struct Common {
    setup: Arc<NodeSetup>,
    facts: Vec<Facts>,
    classes: Arc<[String]>,
    config: Arc<ClientConfig>,
    seed: u64,
}

impl Common {
    pub(crate) fn new(
        security: RequestSecurity,
        verify: VerifyChoice,
        config: ClientConfig,
        seed: u64,
    ) -> Result<Self, AnyError> {
        let gate: Arc<dyn Gate> = match verify {
            VerifyChoice::Shared => Arc::new(VerifyShared::new(security)),
            VerifyChoice::Each => Arc::new(VerifyEach::new(security)),
        };
        let mut agents = AgentSet::builtin();
        agents.insert(Arc::new(Rpc::new(Emulated)));
        let options = NodeOptions {
            agents,
            pid: std::process::id(),
            start_unix: i64::try_from(unix_now().as_secs())?,
            ..NodeOptions::new(gate)
        };
        let facts = COUNTRIES.iter().map(|country| {
            Facts::parse(format!(
                r#"{{"country":"{country}","os":{{"family":"Debian","release":12}}}}"#
            ))
        });
        Ok(Self {
            setup: Arc::new(NodeSetup::new(options)?),
            facts: facts.collect::<Result<_, _>>()?,
            classes: Arc::new(["role::web".to_owned(), "base".to_owned()]),
            config: Arc::new(config),
            seed,
        })
    }

    /// Nodes without configuration, with this agent.
    pub(crate) fn unprovisioned(
        security: RequestSecurity,
        verify: VerifyChoice,
        config: ClientConfig,
        seed: u64,
        agent: &Arc<Unprovisioned>,
    ) -> Result<Self, AnyError> {
        let mut common = Self::new(security, verify, config, seed)?;
        let mut options = common.setup.options().clone();
        options
            .agents
            .insert(Arc::new(Rpc::new(Shared(Arc::clone(agent)))));
        options.collectives = vec![PROVISIONING_COLLECTIVE.to_owned()];
        PROVISIONING_COLLECTIVE.clone_into(&mut options.main_collective);
        common.setup = Arc::new(NodeSetup::new(options)?);
        Ok(common)
    }

    /// The node of a number.
    pub(crate) fn node(
        &self,
        number: usize,
        tls: Option<Arc<TlsConfig>>,
        progress: Arc<Progress>,
        at: Moment,
    ) -> LoadNode {
        let mut node = Node::new(
            Arc::clone(&self.setup),
            node_name(number),
            self.facts[number % self.facts.len()].clone(),
            Arc::clone(&self.classes),
            Arc::clone(&self.config),
            self.seed.wrapping_add(number as u64),
            at.now,
        );
        node.client().flush();
        LoadNode {
            inner: NodeEndpoint::new(node, tls),
            progress,
            counted: false,
        }
    }
}

/// An agent that others keep too.
#[derive(Debug)]
struct Shared(Arc<Unprovisioned>);

impl RpcAgent for Shared {
    fn ddl(&self) -> &Ddl {
        self.0.ddl()
    }

    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer {
        self.0.call(call, host)
    }
}

/// A node that reports once when its subscriptions are in place.
#[derive(Debug)]
pub(crate) struct LoadNode {
    inner: NodeEndpoint,
    progress: Arc<Progress>,
    counted: bool,
}

impl Endpoint for LoadNode {
    type Shared = NodeScratch;

    fn client(&mut self) -> &mut ClientCore {
        self.inner.client()
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        shared: &mut NodeScratch,
    ) -> Result<(), ProtocolError> {
        let result = self.inner.handle_bytes(bytes, at, shared);
        if !self.counted && self.inner.client().flushed() > 0 {
            self.counted = true;
            self.progress.count_subscribed();
        }
        result
    }

    fn handle_timeout(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.inner.handle_timeout(at, shared);
    }

    fn handle_connect_failed(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.progress.count_failed();
        self.inner.handle_connect_failed(at, shared);
    }

    fn handle_disconnected(&mut self, at: Moment, shared: &mut NodeScratch) {
        if self.inner.client().state() == State::Ready {
            self.progress.count_lost();
        } else {
            self.progress.count_failed();
        }
        self.inner.handle_disconnected(at, shared);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.inner.next_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.inner.tls()
    }
}
