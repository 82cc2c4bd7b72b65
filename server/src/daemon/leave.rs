//! What the agent `choria_provision` asks of the process: events, and an end after a while.

use std::time::Duration;

use muster_client::Moment;
use tracing::info;

use super::Stop;
use crate::node::Node;
use crate::provision::{HostCall, HostCalls, Leaving};

/// The calls, and the end that was asked for.
#[derive(Debug)]
pub(super) struct Leave {
    calls: HostCalls,
    /// How, and when on the daemon's clock.
    planned: Option<(Leaving, Duration)>,
}

impl Leave {
    pub(super) const fn new(calls: HostCalls) -> Self {
        Self {
            calls,
            planned: None,
        }
    }

    /// How long the daemon may sleep.
    pub(super) fn wait(&self, now: Duration, longest: Duration) -> Duration {
        match self.planned {
            Some((_, at)) => at.saturating_sub(now).min(longest),
            None => longest,
        }
    }

    /// Does what was asked. Called when replies are handed to the node already, so that an end never overtakes its own
    /// reply.
    pub(super) fn tend(&mut self, node: &mut Node, at: Moment, stop: &Stop) {
        while let Some(call) = self.calls.pop() {
            match call {
                HostCall::Event(kind) => {
                    node.publish_event(kind, at);
                }
                // The first one counts.
                HostCall::Leave { how, after } => {
                    self.planned.get_or_insert((how, at.now + after));
                }
            }
        }
        match self.planned {
            Some((how, due)) if due <= at.now => {
                info!(?how, "this node leaves, as it was asked to");
                match how {
                    Leaving::Restart => stop.request_restart(),
                    Leaving::Shutdown => stop.request(),
                }
            }
            Some(_) | None => {}
        }
    }
}
