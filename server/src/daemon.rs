//! The node as a process: files, clocks and the driver around one [`Node`](crate::node::Node).
//!
//! Facts and classes are read again when their files have changed. That is looked at when something arrives, at most
//! once a second, so an idle node touches no file but the status file, where one is configured.
//!
//! The loop is in `running`, a new configuration for it in `reload`. What it tells of itself is in `report`, the pages it serves are in `monitor`.

mod agents;
mod announce;
mod error;
mod hosted;
mod leave;
mod monitor;
mod observer;
mod options;
mod reload;
mod report;
mod running;
mod sources;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_reactor::wake::Wake;

use self::observer::Observer;
use self::reload::Reload;
use self::running::Running;
use crate::agent::Agent;
use crate::config::NodeConfig;
use crate::embed::{Program, Started};
use crate::provision::HostCalls;

pub use self::error::RunError;
pub use self::observer::Phase;
pub use self::sources::{facts_domain, host_identity};

/// Ends a running daemon from another thread.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    restart: Arc<AtomicBool>,
    wake: Wake,
}

impl Stop {
    /// A stop not yet requested.
    ///
    /// # Errors
    /// The operating system gives no event descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            requested: Arc::default(),
            reload: Arc::default(),
            restart: Arc::default(),
            wake: Wake::new()?,
        })
    }

    /// Asks the daemon to end.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// Asks the daemon to end, so that the process may start again.
    pub fn request_restart(&self) {
        self.restart.store(true, Ordering::Release);
        self.request();
    }

    /// Whether the process is to start again once the daemon has ended.
    #[must_use]
    pub fn is_restart(&self) -> bool {
        self.restart.load(Ordering::Acquire)
    }

    /// Asks the daemon to read its configuration again, where it was told how.
    pub fn request_reload(&self) {
        self.reload.store(true, Ordering::Release);
        self.wake.wake();
    }

    fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
    }

    /// Whether the daemon was asked to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }
}

/// A node about to run: its configuration, and what the program around it adds.
#[derive(Debug)]
pub struct Daemon {
    config: NodeConfig,
    pub(crate) program: Program,
    reload: Option<Reload>,
    observer: Observer,
}

impl Daemon {
    /// A node with the agents every node has.
    #[must_use]
    pub fn new(config: NodeConfig) -> Self {
        Self {
            config,
            program: Program::default(),
            reload: None,
            observer: Observer::default(),
        }
    }

    /// Lets [`Stop::request_reload`] have the configuration read again, and the log go by the level in it.
    #[must_use]
    pub fn with_reload(
        mut self,
        read: impl FnMut() -> Result<NodeConfig, String> + Send + 'static,
        set_log_level: impl Fn(&str) + Send + 'static,
    ) -> Self {
        self.reload = Some(Reload {
            read: Box::new(read),
            set_log_level: Box::new(set_log_level),
        });
        self
    }

    /// Tells `tell` what the node is about, from the node's loop; [`Phase::Alive`] comes as often as `alive_every` says,
    /// and not at all without it.
    #[must_use]
    pub fn with_observer(
        mut self,
        alive_every: Option<Duration>,
        tell: impl FnMut(Phase) + Send + 'static,
    ) -> Self {
        self.observer = Observer::new(alive_every, tell);
        self
    }

    /// Heeds what the agent `choria_provision` asks of its process. An end it asks for is one of [`Stop`]:
    /// [`Stop::is_restart`] tells which.
    #[must_use]
    pub fn with_host_calls(mut self, calls: &HostCalls) -> Self {
        self.program.calls = Some(calls.clone());
        self
    }

    /// Adds an agent of the program's own, in place of one of the same name.
    #[must_use]
    pub fn with_agent(mut self, agent: Arc<dyn Agent>) -> Self {
        self.program.agents.push(agent);
        self
    }

    /// Runs the node until it is stopped. A broker that cannot be reached is tried again for ever.
    ///
    /// # Errors
    /// A file of the configuration cannot be used, or the operating system refuses something.
    pub fn run(self, stop: &Stop) -> Result<(), RunError> {
        let mut program = self.program;
        let mut running =
            Running::start(self.config, &mut program, self.reload, self.observer, stop)?;
        program.tell_started(Started {
            stats: running.stats_address(),
        });
        running.run(stop)?;
        running.end()?;
        Ok(())
    }
}
