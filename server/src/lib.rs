//! The node: a pure [`Node`] core with agents, filters and facts, and its driver.
//!
//! * [`gate`]: from a payload to a request that may be acted on.
//! * [`node`]: one node as a pure state machine around a client connection; fifty thousand fit in a process.
//! * [`agent`], [`agents`]: what a node can be asked, and the agents every node has.
//! * [`job`], [`pool`]: calls that take time, and the threads that carry them out.
//! * [`data`], [`status`]: what a node tells of itself.
//! * [`lifecycle`], [`registration`], [`requests`]: what a node says without being asked.
//! * [`external`]: agents that are programs in any language.
//! * [`facts`], [`classes`]: what a node knows of itself.
//! * [`policy`], [`audit`]: who may call what, and the record of it.
//! * [`provision`]: a node that has no configuration yet.
//! * [`endpoint`]: a node for a driver.
//! * [`config`], [`daemon`]: the node as a process.
//! * [`embed`]: the node inside another program.
//!
//! Only [`daemon`], [`external`] and the work of [`provision`] read clocks and files, with [`policy::store`] and [`audit`] on their behalf, and only
//! they and [`pool`] have threads; everything else takes bytes and moments and gives bytes back.
//! A request that is dropped is counted, with its reason ([`counters`]).

#![forbid(unsafe_code)]

pub mod agent;
pub mod agents;
pub mod audit;
pub mod classes;
pub mod config;
pub mod counters;
pub mod daemon;
pub mod data;
pub mod embed;
pub mod endpoint;
pub mod external;
pub mod facts;
pub mod gate;
pub mod job;
pub mod lifecycle;
pub mod node;
pub mod policy;
pub mod pool;
pub mod provision;
pub mod registration;
pub mod requests;
pub mod setup;
pub mod status;

mod members;
mod replay;
mod revocation;
mod security;

pub use self::config::{NodeConfig, NodeFlags};
pub use self::counters::Counters;
pub use self::endpoint::NodeEndpoint;
pub use self::facts::Facts;
pub use self::gate::{Gate, OpenedRequest, Refusal, VerifyEach, VerifyShared};
pub use self::node::{Announcements, Node, NodeScratch, Outgoing};
pub use self::security::NodeTokenError;
pub use self::setup::{AgentSet, Authorisation, NodeOptions, NodeSetup, SetupError};

/// Compiles the example in the page about agents.
#[cfg(doctest)]
#[doc = include_str!("../../docs/agents.md")]
mod agents_page {}
