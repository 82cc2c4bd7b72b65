//! What a node counts. The names and their order are those the fleet's tools know; what only we count stands apart.

/// Counters since the node was made.
///
/// Every message is in `total` and then in exactly one of `unvalidated`, `filtered`, `unknown_collective`,
/// `ttl_expired`, `replayed` and `validated`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that came in.
    pub total: u64,
    /// Requests handed to an agent, if there is one.
    pub validated: u64,
    /// Messages refused at the gate; [`refused`](Self::refused) tells why.
    pub unvalidated: u64,
    /// Requests whose filter means this node.
    pub passed: u64,
    /// Requests whose filter means others.
    pub filtered: u64,
    /// Requests outside their time to live.
    pub ttl_expired: u64,
    /// Replies published.
    pub replies: u64,
    /// Lifecycle events published.
    pub events: u64,
    /// Registrations published.
    pub registrations: u64,
    /// Requests seen before within their time to live.
    pub replayed: u64,
    /// Requests for a collective the node is not in.
    pub unknown_collective: u64,
    /// Validated requests for an agent the node does not have.
    pub unknown_agent: u64,
    /// Validated requests that the agent did not answer.
    pub unanswered: u64,
    /// Replies, events and registrations that could not be published.
    pub unsent: u64,
    refused: Vec<(&'static str, u64)>,
}

impl Counters {
    /// The reasons for which messages were refused at the gate, in the order they first came up.
    /// At most as many as there are reasons.
    #[must_use]
    pub fn refused(&self) -> &[(&'static str, u64)] {
        &self.refused
    }

    /// How often messages were refused for a reason.
    #[must_use]
    pub fn refused_for(&self, reason: &str) -> u64 {
        let found = self.refused.iter().find(|(name, _)| *name == reason);
        found.map_or(0, |(_, count)| *count)
    }

    /// Counts a message refused at the gate.
    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.total += 1;
        self.unvalidated += 1;
        match self.refused.iter_mut().find(|(name, _)| *name == reason) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((reason, 1)),
        }
    }
}
