//! What a session can be asked to do.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::filter::Filter;

use super::collect::Expect;
use super::event::NodeReply;
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
    /// Batches, where the replies go, which of them are shown.
    pub options: RpcOptions,
}

/// What few requests need.
#[derive(Debug, Clone, Default)]
pub struct RpcOptions {
    /// The nodes are asked in groups, one after another; for direct requests only.
    pub batch: Option<Batch>,
    /// What is done with the replies.
    pub results: Results,
    /// Which replies are told and summed up; all, where there is none.
    pub reply_filter: Option<ReplyFilter>,
}

/// Nodes asked in groups: each group waits for its replies, or for the time of the request, and then sleeps.
///
/// The groups share a request id, so a node that answers late still counts; each has its own time and signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Nodes in a group; the last one may have fewer.
    pub size: NonZeroUsize,
    /// The wait between the end of one group and the start of the next.
    pub sleep: Duration,
}

/// What is done with the replies of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Results {
    /// They are waited for and booked.
    #[default]
    Collect,
    /// Nobody waits for them, and nobody gets them: the operation is over when the broker has the request.
    Discard,
    /// They go to this subject, to whoever listens there: the operation is over when the broker has the request.
    SendTo(String),
}

/// Decides which replies are told and summed up. What it holds back was received all the same, and counts so.
#[derive(Clone)]
pub struct ReplyFilter(Arc<Decide>);

type Decide = dyn Fn(&NodeReply) -> bool + Send + Sync;

impl ReplyFilter {
    /// A filter that lets those through for which `decide` is true.
    pub fn new(decide: impl Fn(&NodeReply) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    pub(super) fn lets_through(&self, reply: &NodeReply) -> bool {
        (self.0)(reply)
    }
}

impl fmt::Debug for ReplyFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyFilter")
    }
}

/// How a request reaches the nodes, and whose answers are waited for.
#[derive(Debug, Clone)]
pub enum Target {
    /// One message to all nodes that have the agent; the filter says who acts on it.
    Broadcast(Expect),
    /// One message to each of these nodes, with the same bytes.
    Direct(Vec<String>),
    /// One message to whichever node offers the agent as a service and takes it; one reply is waited for, and nobody need be discovered.
    Service,
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
