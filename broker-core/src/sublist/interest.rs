//! An interest: one subject, with or without a queue name, stored once for all who share it.

use std::fmt;
use std::sync::Arc;

/// The shared key of one `(subject, queue)` pair, 8 bytes in whoever holds it.
///
/// Behind it stand 40 bytes and the text, in two allocations, however many members share them.
/// An interest says nothing about whether it still has members.
#[derive(Clone)]
pub struct Interest(Arc<Key>);

struct Key {
    /// The subject, followed by the queue name where there is one.
    text: Box<[u8]>,
    subject_len: u32,
    /// The keyed hash of the subject alone.
    hash: u32,
}

impl Interest {
    pub(super) fn new(subject: &[u8], queue: &[u8], hash: u32) -> Self {
        let mut text = Vec::with_capacity(subject.len() + queue.len());
        text.extend_from_slice(subject);
        text.extend_from_slice(queue);
        Self(Arc::new(Key {
            text: text.into_boxed_slice(),
            subject_len: u32::try_from(subject.len()).expect("a control line is far below 4 GiB"),
            hash,
        }))
    }

    /// The subject as it was subscribed, wildcards included.
    pub fn subject(&self) -> &[u8] {
        &self.0.text[..self.subject_len()]
    }

    /// The queue group's name, if the subscription belongs to one.
    pub fn queue(&self) -> Option<&[u8]> {
        let name = self.queue_name();
        (!name.is_empty()).then_some(name)
    }

    /// The queue group's name, empty for a plain subscription.
    pub(super) fn queue_name(&self) -> &[u8] {
        &self.0.text[self.subject_len()..]
    }

    pub(super) fn hash(&self) -> u32 {
        self.0.hash
    }

    fn subject_len(&self) -> usize {
        self.0.subject_len as usize
    }
}

impl PartialEq for Interest {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.subject_len == other.0.subject_len && self.0.text == other.0.text)
    }
}

impl Eq for Interest {}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Interest");
        out.field("subject", &self.subject().escape_ascii().to_string());
        if let Some(queue) = self.queue() {
            out.field("queue", &queue.escape_ascii().to_string());
        }
        out.finish()
    }
}
