//! Rounds of questions to the whole fleet.

use std::io;
use std::time::Duration;

/// What came of one round.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// Nodes asked.
    pub(crate) expected: usize,
    /// Nodes that answered, each counted once.
    pub(crate) received: usize,
    /// Replies beyond one a node, or from nobody we know.
    pub(crate) doubled: usize,
    /// Nodes that did not answer.
    pub(crate) missing: Vec<String>,
    /// From the publish to the last reply.
    pub(crate) took: Duration,
}

/// Who asks.
pub(crate) trait Asker {
    /// Asks every node once and waits for the answers, at most `timeout`.
    fn round(&mut self, timeout: Duration) -> io::Result<Round>;
}
