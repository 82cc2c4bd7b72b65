//! What the agent asks of the process around its node: to tell something, and to leave.
//!
//! An agent answers off the node's thread and can neither publish nor end anything; the daemon takes what is asked here
//! each turn of its loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::lifecycle::LifecycleKind;
use parking_lot::Mutex;

/// Calls that wait at most; an agent makes two for one request, and requests come one after the other.
const CALLS_MAX: usize = 16;

/// One thing asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostCall {
    /// Publish an event of the node's life.
    Event(LifecycleKind),
    /// End the node after a while, and the process with it or not.
    Leave {
        /// How.
        how: Leaving,
        /// How long from the call on.
        after: Duration,
    },
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It is replaced by a new one of the same program, under the same process id.
    Restart,
    /// It ends.
    Shutdown,
}

/// The calls that wait.
#[derive(Debug, Clone, Default)]
pub struct HostCalls(Arc<Mutex<VecDeque<HostCall>>>);

impl HostCalls {
    /// Asks for something; false where too much waits already.
    pub fn push(&self, call: HostCall) -> bool {
        let mut calls = self.0.lock();
        let has_room = calls.len() < CALLS_MAX;
        if has_room {
            calls.push_back(call);
        }
        has_room
    }

    /// The call that waits longest.
    #[must_use]
    pub fn pop(&self) -> Option<HostCall> {
        self.0.lock().pop_front()
    }
}
