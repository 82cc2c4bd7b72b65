//! The thread that does what is due: facts from time to time, a shutdown when its delay is over.
//!
//! It runs the application's callbacks, so that neither the node nor the application waits for them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::{error, warn};

use crate::application::Stoppable;
use crate::facts::AppFacts;

/// Where others leave what they want done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agenda {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    refresh: bool,
    shutdown: Option<Instant>,
    closed: bool,
}

/// What is to be done next.
enum Task {
    Refresh,
    Shutdown,
    End,
}

impl Agenda {
    /// Has the facts renewed soon.
    pub(crate) fn refresh_facts(&self) {
        self.shared.state.lock().refresh = true;
        self.shared.changed.notify_one();
    }

    /// Has the application ended after `delay`, unless that happens sooner already.
    pub(crate) fn shut_down_after(&self, delay: Duration) {
        let mut state = self.shared.state.lock();
        let due = Instant::now().checked_add(delay);
        state.shutdown = [state.shutdown, due].into_iter().flatten().min();
        self.shared.changed.notify_one();
    }

    fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_one();
    }

    /// Waits for something to do; without anything, for the next renewal of the facts.
    fn next(&self, renewal: Option<Instant>) -> Task {
        let mut state = self.shared.state.lock();
        loop {
            let now = Instant::now();
            if state.closed {
                return Task::End;
            }
            if state.shutdown.is_some_and(|due| due <= now) {
                state.shutdown = None;
                return Task::Shutdown;
            }
            let is_due = renewal.is_some_and(|due| due <= now);
            if std::mem::take(&mut state.refresh) || is_due {
                return Task::Refresh;
            }
            match [state.shutdown, renewal].into_iter().flatten().min() {
                Some(due) => {
                    self.shared.changed.wait_until(&mut state, due);
                }
                None => self.shared.changed.wait(&mut state),
            }
        }
    }
}

/// The thread. Dropping it ends it, once a callback under way has returned.
#[derive(Debug)]
pub(crate) struct Keeper {
    agenda: Agenda,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Renews `facts` every `interval` from now on, and does what comes on the agenda.
    pub(crate) fn start(
        agenda: Agenda,
        facts: Arc<AppFacts>,
        interval: Duration,
        stoppable: Option<Arc<dyn Stoppable>>,
    ) -> io::Result<Self> {
        let thread = thread::Builder::new().name("backplane".to_owned()).spawn({
            let agenda = agenda.clone();
            move || {
                let renewal = || Instant::now().checked_add(interval);
                let mut next = renewal();
                loop {
                    match agenda.next(next) {
                        Task::Refresh => {
                            facts.renew();
                            next = renewal();
                        }
                        Task::Shutdown => shut_down(stoppable.as_deref()),
                        Task::End => return,
                    }
                }
            }
        })?;
        Ok(Self {
            agenda,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.agenda.close();
        // An application may let go of its backplane while it shuts down, which is on this very thread.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            error!("the backplane's thread panicked");
        }
    }
}

fn shut_down(stoppable: Option<&dyn Stoppable>) {
    warn!("shutting down, as a caller asked");
    let Some(stoppable) = stoppable else { return };
    if catch_unwind(AssertUnwindSafe(|| stoppable.shutdown())).is_err() {
        error!("the application's shutdown panicked");
    }
}
