//! A node inside another program: what the program brings, and the handle it keeps.
//!
//! [`Daemon::start`](crate::daemon::Daemon::start) runs the node on a thread of its own and returns at once: whether a
//! broker can be reached is the node's concern, and the application never waits for it. [`Running`] ends the node and
//! waits for its end. Facts come from the program ([`FactsSource`], [`SharedFacts`]) in place of files, and data goes the
//! other way through an [`Outbox`].
//!
//! Nothing here reads files or installs a logger: log lines go through `tracing` to whatever the program uses.

mod facts;
mod outbox;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::agent::Agent;
use crate::daemon::{Daemon, RunError, Stop};
use crate::provision::HostCalls;
use crate::setup::{AgentSet, NodeOptions};

pub use self::facts::{FactsSource, SharedFacts};
pub(crate) use self::outbox::Publisher;
pub use self::outbox::{DataItem, ITEMS_MAX, Outbox, OutboxCounts, OutboxError, WAITING_BYTES_MAX};

/// What a node tells the program once it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started {
    /// Where its statistics are served, if anywhere.
    pub(crate) stats: Option<SocketAddr>,
}

/// What the program around a node brings.
#[derive(Default)]
pub(crate) struct Program {
    /// In place of the agents every node has.
    pub(crate) base: Option<AgentSet>,
    /// Beside those, or in place of one of the same name.
    pub(crate) agents: Vec<Arc<dyn Agent>>,
    /// In place of files.
    pub(crate) facts: Option<Arc<dyn FactsSource>>,
    pub(crate) outbox: Option<Outbox>,
    /// What the agent `choria_provision` asks of the process.
    pub(crate) calls: Option<HostCalls>,
    /// Told once the node runs.
    pub(crate) started: Option<SyncSender<Started>>,
}

impl Program {
    /// Puts the program's agents in their place.
    pub(crate) fn equip(&mut self, options: &mut NodeOptions) {
        if let Some(base) = self.base.take() {
            options.agents = base;
        }
        for agent in self.agents.drain(..) {
            options.agents.insert(agent);
        }
    }

    /// The node runs.
    pub(crate) fn tell_started(&mut self, what: Started) {
        if let Some(started) = self.started.take() {
            // Whoever has stopped listening does not want to know.
            let _ = started.send(what);
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("base", &self.base)
            .field("agents", &self.agents)
            .field("facts", &self.facts)
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

/// A node on a thread of its own. Dropping it ends the node and waits for its end, two seconds at most.
#[derive(Debug)]
#[must_use = "a node ends when its handle is dropped"]
pub struct Running {
    stop: Stop,
    stats: Option<SocketAddr>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Running {
    /// Runs `daemon` on a new thread; returns once its files are read, before any broker is reached.
    pub(crate) fn start(
        daemon: impl FnOnce(SyncSender<Started>, &Stop) -> Result<(), RunError> + Send + 'static,
    ) -> Result<Self, RunError> {
        let stop = Stop::new()?;
        let (sender, started) = sync_channel(1);
        let thread = thread::Builder::new().name("node".to_owned()).spawn({
            let stop = stop.clone();
            move || daemon(sender, &stop)
        })?;
        let mut running = Self {
            stop,
            stats: None,
            thread: Some(thread),
        };
        match started.recv() {
            Ok(Started { stats }) => {
                running.stats = stats;
                Ok(running)
            }
            // The thread let go of its end without a word: it has ended, and its result says why.
            Err(_) => running.join().and_then(|()| {
                let error = io::Error::other("the node ended before it ran");
                Err(RunError::System(error))
            }),
        }
    }

    /// Where the node's statistics are served, if they are; where port 0 was configured, with the port that was taken.
    #[must_use]
    pub const fn stats_address(&self) -> Option<SocketAddr> {
        self.stats
    }

    /// Asks the node to end, and does not wait for it.
    pub fn request_stop(&self) {
        self.stop.request();
    }

    /// Ends the node and waits for its end: its last output is written, its connection closed. Work its agents have
    /// under way is left to itself.
    ///
    /// # Errors
    /// Why the node had ended before.
    pub fn stop(self) -> Result<(), RunError> {
        self.request_stop();
        self.join()
    }

    /// Waits until the node ends by itself or is ended by [`Running::request_stop`].
    ///
    /// # Errors
    /// Why the node ended, unless it was asked to.
    pub fn join(mut self) -> Result<(), RunError> {
        self.thread.take().map_or(Ok(()), wait)
    }

    /// Whether the node has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.request_stop();
        // An agent may hold the last handle of its own node; that thread cannot wait for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && let Err(error) = wait(thread)
        {
            tracing::warn!(%error, "the node had ended");
        }
    }
}

fn wait(thread: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
    thread.join().unwrap_or_else(|_| {
        let error = io::Error::other("the node's thread panicked");
        Err(RunError::System(error))
    })
}

impl Daemon {
    /// These agents and no others, in place of those every node has. Agents given by
    /// [`with_agent`](Self::with_agent) come on top.
    #[must_use]
    pub fn with_agents(mut self, agents: AgentSet) -> Self {
        self.program.base = Some(agents);
        self
    }

    /// Facts from the program, in place of the files in the configuration.
    #[must_use]
    pub fn with_facts(mut self, facts: Arc<dyn FactsSource>) -> Self {
        self.program.facts = Some(facts);
        self
    }

    /// Publishes what the program puts into `outbox`, signed with the node's key.
    #[must_use]
    pub fn with_outbox(mut self, outbox: &Outbox) -> Self {
        self.program.outbox = Some(outbox.clone());
        self
    }

    /// Runs the node on a thread of its own. Returns once the files of the configuration are read; a broker that cannot
    /// be reached is tried again in the background, for ever.
    ///
    /// # Errors
    /// A file of the configuration cannot be used, or the operating system refuses something.
    pub fn start(mut self) -> Result<Running, RunError> {
        Running::start(move |started, stop| {
            self.program.started = Some(started);
            self.run(stop)
        })
    }
}
