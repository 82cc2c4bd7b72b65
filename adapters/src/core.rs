//! What is done with a message between the network and the queue: pure, and the same for every ingest thread.
//!
//! ```text
//!  bytes ─▶ open ─▶ filter ─▶ limiter ─▶ subject, id, envelope ─▶ Item
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::counters::DropReason;
use crate::envelope::{EnvelopeError, Kind, Workspace, open};
use crate::filter::Filter;
use crate::item::{Item, MessageId, Topic};
use crate::limiter::inspect::{Inspect, field};
use crate::limiter::{Limiter, Verdict};

/// A limiter and what it goes by; shared by the threads of an adapter.
#[derive(Debug)]
pub struct Gate {
    /// Which value.
    pub inspect: Inspect,
    /// The field that lets a message through where it is there.
    pub force: Option<Box<str>>,
    /// The limiter.
    pub limiter: Mutex<Limiter>,
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Taken {
    /// It goes on. With it the value a limiter must forget if it does not get through.
    Item(Item, Option<Box<str>>),
    /// The filter is not true for it.
    Filtered,
    /// The limiter holds it back.
    Unchanged,
    /// It is given up.
    Dropped(DropReason, Option<EnvelopeError>),
}

/// Takes messages in, one at a time.
#[derive(Debug)]
pub struct Intake {
    kind: Kind,
    protocol: Box<str>,
    topic: Topic,
    filter: Option<Filter>,
    gate: Option<Arc<Gate>>,
    work: Workspace,
}

impl Intake {
    /// An intake; `protocol` is the adapter's type as envelopes name it.
    #[must_use]
    pub fn new(
        kind: Kind,
        protocol: &str,
        topic: Topic,
        filter: Option<Filter>,
        gate: Option<Arc<Gate>>,
    ) -> Self {
        Self {
            kind,
            protocol: protocol.into(),
            topic,
            filter,
            gate,
            work: Workspace::default(),
        }
    }

    /// Takes a message that was published to `subject`; `now` is the time since the Unix epoch.
    pub fn take(&mut self, subject: &str, headers: &[u8], payload: &[u8], now: Duration) -> Taken {
        let parts = match open(self.kind, payload, &mut self.work) {
            Ok(parts) => parts,
            Err(error) => return Taken::Dropped(DropReason::Unreadable, Some(error)),
        };
        if let Some(filter) = &self.filter
            && !filter.lets_through(subject, &parts)
        {
            return Taken::Filtered;
        }
        let Some(target) = self.topic.subject(&parts.sender) else {
            return Taken::Dropped(DropReason::BadSubject, None);
        };
        let mut envelope = Vec::new();
        parts.encode_into(&self.protocol, &mut envelope);
        let mut value = None;
        if let Some(gate) = &self.gate {
            let found = gate.inspect.value(subject, headers, &envelope);
            let force = gate.force.as_deref();
            let is_forced = force.is_some_and(|path| field(&envelope, path).is_some());
            let size = parts.body.len() as u64;
            let verdict = gate
                .limiter
                .lock()
                .decide(found.as_deref(), size, is_forced, now);
            if verdict == Verdict::Hold {
                return Taken::Unchanged;
            }
            value = found.map(|value| value.as_ref().into());
        }
        let item = Item {
            id: MessageId::of(self.kind, &target, &parts),
            subject: target,
            sender: parts.sender.as_ref().into(),
            envelope: Bytes::from(envelope),
        };
        Taken::Item(item, value)
    }
}
