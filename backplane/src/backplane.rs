//! A running backplane.

use muster_server::daemon::RunError;
use muster_server::embed::{Outbox, Running};

use crate::keeper::{Agenda, Keeper};

/// An application's backplane. Dropping it ends it.
#[derive(Debug)]
#[must_use = "a backplane ends when it is dropped"]
pub struct Backplane {
    agenda: Agenda,
    /// Ends before the node: what it still does may be asked for again.
    keeper: Keeper,
    node: Running,
    outbox: Outbox,
}

impl Backplane {
    pub(crate) fn new(agenda: Agenda, keeper: Keeper, node: Running, outbox: Outbox) -> Self {
        Self {
            agenda,
            keeper,
            node,
            outbox,
        }
    }

    /// Has the facts renewed soon: the application has changed.
    pub fn refresh_facts(&self) {
        self.agenda.refresh_facts();
    }

    /// Where the application leaves data to publish. Clones of it are good for any thread.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether the node has ended, which it does by itself only when the operating system fails it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.node.is_over()
    }

    /// Ends the backplane and waits for its end. A shutdown that was asked for and is not due yet is forgotten.
    ///
    /// # Errors
    /// Why the node had ended before.
    pub fn stop(self) -> Result<(), RunError> {
        drop(self.keeper);
        self.node.stop()
    }
}
