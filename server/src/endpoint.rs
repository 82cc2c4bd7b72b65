//! A node with what its driver needs to know beside it.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::Endpoint;
use muster_client::nats::{ClientCore, ProtocolError};
use muster_reactor::rustls::ClientConfig as TlsConfig;

use crate::node::{Node, NodeScratch};

/// A [`Node`] for a [`Driver`](muster_client::driver::Driver).
#[derive(Debug)]
pub struct NodeEndpoint {
    node: Node,
    tls: Option<Arc<TlsConfig>>,
}

impl NodeEndpoint {
    /// A node that speaks TLS with this configuration, where its connection wants TLS.
    #[must_use]
    pub const fn new(node: Node, tls: Option<Arc<TlsConfig>>) -> Self {
        Self { node, tls }
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Speaks TLS with another configuration from the next connection on.
    pub fn set_tls(&mut self, tls: Option<Arc<TlsConfig>>) {
        self.tls = tls;
    }

    /// The node, to act on.
    pub const fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

impl Endpoint for NodeEndpoint {
    type Shared = NodeScratch;

    fn client(&mut self) -> &mut ClientCore {
        self.node.client()
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        shared: &mut NodeScratch,
    ) -> Result<(), ProtocolError> {
        self.node.handle_bytes(bytes, at, shared)
    }

    fn handle_timeout(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.node.handle_timeout(at, shared);
    }

    fn handle_connect_failed(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.node.handle_connect_failed(at, shared);
    }

    fn handle_disconnected(&mut self, at: Moment, shared: &mut NodeScratch) {
        self.node.handle_disconnected(at, shared);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.node.next_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}
