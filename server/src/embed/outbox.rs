//! Data that the program around a node publishes through the node's connection.
//!
//! An item travels as registration data does: a request signed with the node's key, answered by nobody, to a subject or
//! to the agent of a collector. Whatever takes registration data in takes items in.
//!
//! The program is never made to wait. Items wait here while there is no connection, within two bounds; one that does not
//! fit is given back and counted. Nothing is acknowledged: an item that was handed to a connection that then breaks is
//! lost.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use muster_client::nats::{PublishError, State};
use muster_protocol::subject;
use muster_reactor::wake::Wake;
use parking_lot::Mutex;
use tracing::warn;

use crate::node::Node;
use crate::requests::{OwnRequest, RequestSigner, SealError};

/// Items that wait at most.
pub const ITEMS_MAX: usize = 256;
/// Bytes of data that wait at most; one larger item is refused too.
pub const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The agent of a collector where an item names none.
const REGISTRATION: &str = "registration";

/// Something to publish. Text, as the protocol's bodies are; other data travels in base64 or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataItem {
    /// The data.
    pub data: String,
    /// The subject it is published to; without one, the broadcast subject of the agent.
    pub destination: Option<String>,
    /// The agent it is addressed to; `registration` without one.
    pub agent: Option<String>,
}

/// Where the program puts its items. Clones share the queue.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// The node's, once it runs.
    wake: OnceLock<Wake>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<DataItem>,
    /// Of data.
    bytes: usize,
    counts: OutboxCounts,
}

/// What has become of the items so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Handed to the connection.
    pub published: u64,
    /// Given back, because too much waited already.
    pub refused: u64,
    /// Dropped with a line in the log: too large for the broker, or of no use as a message.
    pub dropped: u64,
}

/// Why an item was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxError {
    /// As much waits as may: [`ITEMS_MAX`] items or [`WAITING_BYTES_MAX`] bytes.
    Full(DataItem),
    /// The subject or the agent's name cannot be published to.
    BadSubject(DataItem),
}

impl DataItem {
    /// An item for a subject.
    pub fn to_subject(subject: impl Into<String>, data: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            destination: Some(subject.into()),
            agent: None,
        }
    }

    /// An item for the nodes that have an agent.
    pub fn to_agent(agent: impl Into<String>, data: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            destination: None,
            agent: Some(agent.into()),
        }
    }

    fn agent(&self) -> &str {
        self.agent.as_deref().unwrap_or(REGISTRATION)
    }

    fn is_sendable(&self) -> bool {
        let named = [Some(self.agent()), self.destination.as_deref()];
        let mut named = named.into_iter().flatten();
        named.all(crate::setup::is_subject_part)
    }
}

impl Outbox {
    /// An empty outbox, for [`Daemon::with_outbox`](crate::daemon::Daemon::with_outbox).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves an item to the node. It is published as soon as there is a connection; this call does not wait for it.
    ///
    /// # Errors
    /// The item, given back with the reason.
    pub fn send(&self, item: DataItem) -> Result<(), OutboxError> {
        let mut queue = self.shared.queue.lock();
        if !item.is_sendable() {
            queue.counts.refused += 1;
            return Err(OutboxError::BadSubject(item));
        }
        let bytes = queue.bytes.saturating_add(item.data.len());
        if queue.items.len() >= ITEMS_MAX || bytes > WAITING_BYTES_MAX {
            queue.counts.refused += 1;
            return Err(OutboxError::Full(item));
        }
        queue.bytes = bytes;
        queue.items.push_back(item);
        drop(queue);
        if let Some(wake) = self.shared.wake.get() {
            wake.wake();
        }
        Ok(())
    }

    /// What has become of the items so far.
    #[must_use]
    pub fn counts(&self) -> OutboxCounts {
        self.shared.queue.lock().counts
    }

    /// Items that wait for the node or its connection.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queue.lock().items.len()
    }

    fn take(&self) -> Option<DataItem> {
        let mut queue = self.shared.queue.lock();
        let item = queue.items.pop_front()?;
        queue.bytes -= item.data.len();
        Some(item)
    }

    fn put_back(&self, item: DataItem) {
        let mut queue = self.shared.queue.lock();
        queue.bytes += item.data.len();
        queue.items.push_front(item);
    }

    fn count(&self, count: impl FnOnce(&mut OutboxCounts)) {
        count(&mut self.shared.queue.lock().counts);
    }
}

/// Publishes the items of one outbox.
#[derive(Debug)]
pub(crate) struct Publisher {
    outbox: Outbox,
    signer: Arc<dyn RequestSigner>,
    collective: String,
}

impl Publisher {
    /// Publishes what comes into `outbox` from now on, and wakes the node for it.
    pub(crate) fn new(
        outbox: Outbox,
        signer: Arc<dyn RequestSigner>,
        collective: &str,
        wake: Wake,
    ) -> Self {
        // A second node on the same outbox shares its items with the first, whose wake stays.
        let _ = outbox.shared.wake.set(wake);
        Self {
            outbox,
            signer,
            collective: collective.to_owned(),
        }
    }

    /// Hands waiting items to the node's connection, if there is one. `id` gives random bytes.
    pub(crate) fn publish(&self, node: &mut Node, unix: Duration, id: impl Fn() -> [u8; 16]) {
        while node.connection().state() == State::Ready {
            let Some(item) = self.outbox.take() else {
                return;
            };
            let payload = match self.seal(&item, node, unix, id()) {
                Ok(payload) => payload,
                Err(error) => {
                    warn!(identity = node.identity(), agent = item.agent(), %error, "item not published");
                    self.outbox.count(|counts| counts.dropped += 1);
                    continue;
                }
            };
            let subject = match &item.destination {
                Some(subject) => subject.clone(),
                None => subject::broadcast(&self.collective, item.agent()),
            };
            match node.client().publish(subject.as_bytes(), None, &payload) {
                Ok(()) => self.outbox.count(|counts| counts.published += 1),
                Err(PublishError::PendingFull { .. }) => return self.outbox.put_back(item),
                Err(error) => {
                    warn!(identity = node.identity(), subject, %error, "item not published");
                    self.outbox.count(|counts| counts.dropped += 1);
                }
            }
        }
    }

    fn seal(
        &self,
        item: &DataItem,
        node: &Node,
        unix: Duration,
        random: [u8; 16],
    ) -> Result<Vec<u8>, SealError> {
        let broker = node.connection().connected_server();
        let broker =
            broker.map_or_else(|| "unknown".to_owned(), |server| format!("nats://{server}"));
        self.signer.seal(&OwnRequest {
            identity: node.identity(),
            collective: &self.collective,
            agent: item.agent(),
            body: &item.data,
            unix,
            random,
            broker: &broker,
        })
    }
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => write!(
                f,
                "{ITEMS_MAX} items or {WAITING_BYTES_MAX} bytes wait to be published already"
            ),
            Self::BadSubject(item) => write!(
                f,
                "an item for subject {:?} and agent {:?} cannot be published",
                item.destination.as_deref().unwrap_or_default(),
                item.agent()
            ),
        }
    }
}

impl std::error::Error for OutboxError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_given_back_and_counted() {
        let outbox = Outbox::new();
        for _ in 0..ITEMS_MAX {
            outbox.send(DataItem::to_agent("collector", "x")).unwrap();
        }
        let late = DataItem::to_agent("collector", "late");
        assert_eq!(
            outbox.send(late.clone()),
            Err(OutboxError::Full(late.clone()))
        );
        assert_eq!(outbox.take().unwrap().data, "x");
        assert_eq!(outbox.send(late), Ok(()));
        let large = DataItem::to_subject("a.b", "x".repeat(WAITING_BYTES_MAX + 1));
        assert!(matches!(outbox.send(large), Err(OutboxError::Full(_))));
        assert_eq!(outbox.counts().refused, 2);
        assert_eq!(outbox.waiting(), ITEMS_MAX);
    }

    #[test]
    fn subjects_that_mean_more_than_themselves_are_refused() {
        let outbox = Outbox::new();
        for subject in ["", "a b", "a.*", "a.>", "a..b"] {
            let item = DataItem::to_subject(subject, "x");
            let error = outbox.send(item).unwrap_err();
            assert!(matches!(error, OutboxError::BadSubject(_)), "{subject}");
        }
        assert!(outbox.send(DataItem::to_agent("a b", "x")).is_err());
        assert_eq!(outbox.counts().refused, 6);
    }

    #[test]
    fn an_item_put_back_is_the_next_one() {
        let outbox = Outbox::new();
        outbox.send(DataItem::to_agent("a", "1")).unwrap();
        outbox.send(DataItem::to_agent("a", "2")).unwrap();
        let first = outbox.take().unwrap();
        outbox.put_back(first);
        assert_eq!(outbox.take().unwrap().data, "1");
        assert_eq!(outbox.take().unwrap().data, "2");
        assert_eq!(outbox.shared.queue.lock().bytes, 0);
    }
}
