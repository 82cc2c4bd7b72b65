//! Work under way: from the request that asked for it to the reply.
//!
//! A [`Job`] is taken from a [`Node`](crate::Node), carried out by its owner on any thread, and becomes a [`JobDone`]
//! that goes back to the node. Every job becomes one: work that panics, and work that is turned away, has an outcome too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use muster_protocol::rpc::StatusCode;

use crate::agent::{RpcOutcome, Work};
use crate::gate::OpenedRequest;

/// Work for somebody with time.
#[derive(Debug)]
pub struct Job {
    request: Arc<OpenedRequest>,
    action: Box<str>,
    work: Work,
}

/// The outcome of a [`Job`].
#[derive(Debug)]
pub struct JobDone {
    request: Arc<OpenedRequest>,
    action: Box<str>,
    outcome: RpcOutcome,
}

impl Job {
    pub(crate) fn new(request: Arc<OpenedRequest>, action: &str, work: Work) -> Self {
        Self {
            request,
            action: action.into(),
            work,
        }
    }

    /// The agent that wants it.
    #[must_use]
    pub fn agent(&self) -> &str {
        &self.request.agent
    }

    /// Its action.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// Carries it out; may block.
    #[must_use]
    pub fn run(self) -> JobDone {
        let Self {
            request,
            action,
            work,
        } = self;
        // Nothing of the node is reachable from the work, so nothing can be left half done.
        let outcome = catch_unwind(AssertUnwindSafe(|| work.run())).unwrap_or_else(|_| {
            let text = format!("{}#{action} panicked", request.agent);
            RpcOutcome::failed(StatusCode::Aborted, text)
        });
        JobDone {
            request,
            action,
            outcome,
        }
    }

    /// Does not carry it out; the caller is told why.
    #[must_use]
    pub fn turn_away(self, why: String) -> JobDone {
        JobDone {
            request: self.request,
            action: self.action,
            outcome: RpcOutcome::failed(StatusCode::Aborted, why),
        }
    }
}

impl JobDone {
    pub(crate) fn into_parts(self) -> (Arc<OpenedRequest>, Box<str>, RpcOutcome) {
        (self.request, self.action, self.outcome)
    }
}
