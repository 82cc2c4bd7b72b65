//! What a session can be asked to do.

use std::time::Duration;

use muster_protocol::filter::Filter;

use super::collect::Expect;
use super::summary::Aggregates;

/// How long a discovery goes on after the latest answer.
/// A node that answers more than this after all others is missed by discovery, which can not know of it.
pub const DISCOVERY_WINDOW: Duration = Duration::from_millis(300);

/// One operation of a session.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Ask who is there.
    Discover(Discover),
    /// Ask who is there and how long each takes.
    Ping(Ping),
    /// Call an action of an agent.
    Rpc(Box<Rpc>),
}

/// Ask who is there.
#[derive(Debug, Clone)]
pub struct Discover {
    /// Which nodes are meant.
    pub filter: Filter,
    /// The agent they must have.
    pub agent: Option<String>,
    /// How long to wait at most.
    pub timeout: Duration,
    /// How long to wait after the latest answer; without it the whole timeout is waited out.
    pub window: Option<Duration>,
    /// How many answers are enough. With it the window is not used: who knows the number wants all of them.
    pub expect: Option<usize>,
}

/// Ask who is there and how long each takes.
#[derive(Debug, Clone)]
pub struct Ping {
    /// Which nodes are meant.
    pub filter: Filter,
    /// How long to wait at most. Without `expect` it is waited out: a ping is asked for to find the slow ones.
    pub timeout: Duration,
    /// How many answers are enough.
    pub expect: Option<usize>,
}

/// Call an action of an agent.
#[derive(Debug, Clone)]
pub struct Rpc {
    /// The agent.
    pub agent: String,
    /// Its action.
    pub action: String,
    /// The inputs: JSON text of an object.
    pub data: String,
    /// Which nodes are meant; sent with a broadcast. A direct request carries the agent only.
    pub filter: Filter,
    /// How the request reaches the nodes, and whose answers are waited for.
    pub target: Target,
    /// How long to wait for answers after the request was published.
    pub timeout: Duration,
    /// What is summed up over the good replies; [`Aggregates::default`] for nothing.
    pub aggregates: Aggregates,
}

/// How a request reaches the nodes, and whose answers are waited for.
#[derive(Debug, Clone)]
pub enum Target {
    /// One message to all nodes that have the agent; the filter says who acts on it.
    Broadcast(Expect),
    /// One message to each of these nodes, with the same bytes.
    Direct(Vec<String>),
}

impl Default for Discover {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            agent: None,
            timeout: Duration::from_secs(2),
            window: Some(DISCOVERY_WINDOW),
            expect: None,
        }
    }
}

impl Default for Ping {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            timeout: Duration::from_secs(2),
            expect: None,
        }
    }
}
