//! The thread that keeps the agents in step with their files.
//!
//! It looks at the folders when it starts, at intervals, and when it is nudged. New sets of agents wait to be fetched; of
//! several only the newest is kept. It touches the node by its wake only.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use muster_reactor::wake::Wake;
use parking_lot::{Condvar, Mutex};

use super::ExternalOptions;
use super::loader::Loader;
use crate::agent::Agent;

/// A running watcher; it ends when dropped.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The state asks for something.
    asked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is loaded, if nobody has fetched it yet.
    agents: Option<Vec<Arc<dyn Agent>>>,
    is_nudged: bool,
    is_over: bool,
}

impl Watcher {
    /// Starts watching, if there is anywhere to look; `wake` is woken whenever there are other agents.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(options: &ExternalOptions, wake: &Wake) -> io::Result<Option<Self>> {
        if !options.is_enabled() {
            return Ok(None);
        }
        let (options, wake) = (options.clone(), wake.clone());
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new().name("agent-files".to_owned());
        thread.spawn(move || watched.watch(options, &wake))?;
        Ok(Some(Self { shared }))
    }

    /// The agents that are loaded, if they are others than at the last look; after the first look always.
    #[must_use]
    pub fn poll(&self) -> Option<Vec<Arc<dyn Agent>>> {
        self.shared.state.lock().agents.take()
    }

    /// Has the folders looked at soon.
    pub fn nudge(&self) {
        self.shared.state.lock().is_nudged = true;
        self.shared.asked.notify_one();
    }
}

impl Drop for Watcher {
    /// Does not wait: a program that is asked just then has its own limit.
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.asked.notify_one();
    }
}

impl Shared {
    fn watch(&self, options: ExternalOptions, wake: &Wake) {
        let rescan_every = options.rescan_every;
        let mut loader = Loader::new(options);
        loader.sweep(SystemTime::now());
        let start = Instant::now();
        // Whoever had another watcher before must hear of it when there are no agents any more.
        let mut is_first = true;
        loop {
            let is_changed = loader.rescan(start.elapsed(), SystemTime::now());
            let mut state = self.state.lock();
            if is_changed || std::mem::take(&mut is_first) {
                state.agents = Some(loader.agents().cloned().collect());
                wake.wake();
            }
            if !state.is_over && !state.is_nudged {
                self.asked.wait_for(&mut state, rescan_every);
            }
            if state.is_over {
                return;
            }
            state.is_nudged = false;
        }
    }
}
