//! What a session tells its owner.

use std::fmt;
use std::time::Duration;

use muster_protocol::rpc::{RpcBodyError, RpcReply};

use super::error::Failure;
use super::summary::Summary;
use crate::nats::Event;

/// Something happened in a session.
#[derive(Debug, Clone)]
pub enum FleetEvent {
    /// Something happened to the connection: made, lost, an error the broker reported.
    Link(Event),
    /// All messages of the request are on their way.
    Published {
        /// How many.
        messages: usize,
    },
    /// A node replied, and the reply counts.
    Reply(NodeReply),
    /// More nodes have replied; comes once for each batch of replies.
    Progress {
        /// Nodes that have replied.
        received: usize,
        /// Nodes that should, where that is known.
        expected: Option<usize>,
    },
    /// The operation is over.
    Finished(Box<Summary>),
    /// The operation could not be carried out; nobody was asked.
    Failed(Failure),
}

/// A reply that counts: to this request, undamaged, the node's first, and from a node that was asked.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeReply {
    /// Identity of the node.
    pub sender: Box<str>,
    /// The agent's answer.
    pub body: Box<[u8]>,
    /// Unix seconds at the node.
    pub time: i64,
    /// Time since the request was handed to the connection.
    pub elapsed: Duration,
}

impl NodeReply {
    /// The answer of an RPC agent.
    ///
    /// # Errors
    /// The body is none. Such a node has replied, and counts as failed.
    pub fn rpc(&self) -> Result<RpcReply<'_>, RpcBodyError> {
        RpcReply::parse(&self.body)
    }
}

/// Leaves the body out: payloads are not logged.
impl fmt::Debug for NodeReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeReply")
            .field("sender", &self.sender)
            .field("body_bytes", &self.body.len())
            .field("time", &self.time)
            .field("elapsed", &self.elapsed)
            .finish()
    }
}
