//! Threads for agents' work: started when there is something to do, gone when there has been nothing for a while.
//!
//! Bounded twice: [`THREADS_MAX`] jobs run at a time, [`WAITING_MAX`] wait. A job beyond that is answered at once with the
//! reason. An idle pool holds no thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use muster_reactor::wake::Wake;
use parking_lot::{Condvar, Mutex};

use crate::job::{Job, JobDone};

/// Jobs that run at a time.
pub const THREADS_MAX: usize = 32;
/// Jobs that wait for a thread.
pub const WAITING_MAX: usize = 256;
/// How long a thread without work stays.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Work is mostly waiting for a child process.
pub(crate) const STACK_BYTES: usize = 256 * 1024;

/// The threads of one daemon. Dropping it ends those that are idle; a job under way is left to its own time limit.
#[derive(Debug)]
pub struct WorkerPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something waits, or the pool is closed.
    ready: Condvar,
    done: Mutex<VecDeque<JobDone>>,
    /// Woken when something is done.
    wake: Wake,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl WorkerPool {
    /// A pool that wakes `wake` whenever a job is done.
    #[must_use]
    pub fn new(wake: Wake) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                ready: Condvar::new(),
                done: Mutex::default(),
                wake,
            }),
        }
    }

    /// Has a job carried out, or answered with the reason why not.
    pub fn submit(&self, job: Job) {
        let mut state = self.shared.state.lock();
        if state.waiting.len() >= WAITING_MAX {
            drop(state);
            let why = format!("{WAITING_MAX} calls are waiting on this node already");
            self.shared.finish(job.turn_away(why));
            return;
        }
        state.waiting.push_back(job);
        let is_short = state.waiting.len() > state.idle;
        if is_short && state.threads < THREADS_MAX {
            match start(&self.shared) {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let job = state.waiting.pop_back();
                    drop(state);
                    if let Some(job) = job {
                        let why = format!("no thread can be started: {error}");
                        self.shared.finish(job.turn_away(why));
                    }
                    return;
                }
                // The threads there are will come to it.
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.ready.notify_one();
    }

    /// The next outcome.
    #[must_use]
    pub fn poll_done(&self) -> Option<JobDone> {
        self.shared.done.lock().pop_front()
    }

    /// Jobs that wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().waiting.len()
    }

    /// Jobs that run or wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        let state = self.shared.state.lock();
        state.waiting.len() + state.threads - state.idle
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.ready.notify_all();
    }
}

fn start(shared: &Arc<Shared>) -> std::io::Result<()> {
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new()
        .name("agent".to_owned())
        .stack_size(STACK_BYTES);
    thread.spawn(move || shared.work()).map(drop)
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            self.finish(job.run());
        }
    }

    /// The next job; none once there was nothing for a while, or the pool is closed.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let is_over = self.ready.wait_for(&mut state, IDLE_MAX).timed_out();
            state.idle -= 1;
            if is_over && state.waiting.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    fn finish(&self, done: JobDone) {
        self.done.lock().push_back(done);
        self.wake.wake();
    }
}
