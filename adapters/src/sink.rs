//! Where envelopes end: the one interface of all sinks.
//!
//! A sink is owned by one thread, gets a batch, and says of each message what became of it. What it could not store now
//! comes again, in the next batch, so a sink keeps nothing.

use std::io;
use std::time::Duration;

use crate::item::Item;

pub mod file;
pub mod jetstream;
#[cfg(feature = "kafka")]
pub mod kafka;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The sink has it.
    Stored,
    /// The sink had it already.
    Duplicate,
    /// It was sent, and nobody will ever say what became of it.
    Unconfirmed,
    /// The sink will never take it.
    Rejected(Box<str>),
    /// Not now.
    Retry(Box<str>),
}

/// A place where envelopes are stored.
///
/// It lives on the thread that made it: a connection belongs to one thread.
pub trait Sink {
    /// Stores a batch, within about `limit`: appends one outcome for each item, in their order.
    ///
    /// # Errors
    /// The operating system refuses what the sink can not do without; all of the batch comes again.
    fn store(
        &mut self,
        batch: &[Item],
        limit: Duration,
        outcomes: &mut Vec<Outcome>,
    ) -> io::Result<()>;

    /// Called while there is nothing to store, or while an attempt is waited for: keeps connections alive. It may take
    /// as long as `wait`.
    ///
    /// # Errors
    /// As for [`Sink::store`].
    fn idle(&mut self, wait: Duration) -> io::Result<()>;
}
