//! Whoever looks after the process: a service manager that wants to know when the node is set up, and that it still lives.
//!
//! What is told is told from the node's own loop, so that a loop that hangs falls silent. Nothing is told for its own sake:
//! without an observer the loop sleeps as long as it likes.

use std::fmt;
use std::time::Duration;

/// What a daemon is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The files are read and the node is made; whether a broker can be reached is not said. Also the end of a reload.
    Ready,
    /// The configuration is being read again.
    Reloading,
    /// The loop has gone round; told about as often as the observer asked for.
    Alive,
    /// The node says goodbye.
    Stopping,
}

/// What is told a phase.
type Tell = dyn FnMut(Phase) + Send;

/// An observer, if there is one, and when it is told next that the loop goes round.
#[derive(Default)]
pub(super) struct Observer {
    tell: Option<Box<Tell>>,
    every: Option<Duration>,
    next: Duration,
}

impl Observer {
    pub(super) fn new(every: Option<Duration>, tell: impl FnMut(Phase) + Send + 'static) -> Self {
        Self {
            tell: Some(Box::new(tell)),
            every,
            next: Duration::ZERO,
        }
    }

    pub(super) fn tell(&mut self, phase: Phase) {
        if let Some(tell) = &mut self.tell {
            tell(phase);
        }
    }

    /// How long the loop may sleep, which is `wait` unless the observer wants to hear earlier.
    pub(super) fn wait(&self, now: Duration, wait: Duration) -> Duration {
        match self.every {
            Some(_) => wait.min(self.next.saturating_sub(now)),
            None => wait,
        }
    }

    /// The loop has gone round.
    pub(super) fn turned(&mut self, now: Duration) {
        let Some(every) = self.every.filter(|_| now >= self.next) else {
            return;
        };
        self.next = now + every;
        self.tell(Phase::Alive);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_loop_is_told_of_once_an_interval() {
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        let mut observer = Observer::new(Some(10 * SECOND), move |phase| {
            assert_eq!(phase, Phase::Alive);
            count.fetch_add(1, Ordering::Relaxed);
        });
        for (now, sum) in [(0, 1), (3, 1), (9, 1), (10, 2), (31, 3), (32, 3)] {
            observer.turned(now * SECOND);
            assert_eq!(told.load(Ordering::Relaxed), sum, "after {now} s");
        }
        assert_eq!(observer.wait(33 * SECOND, 60 * SECOND), 8 * SECOND);
        assert_eq!(observer.wait(33 * SECOND, SECOND), SECOND);
    }

    #[test]
    fn without_an_interval_the_loop_sleeps_as_long_as_it_likes() {
        for mut observer in [Observer::default(), Observer::new(None, |_| ())] {
            observer.turned(SECOND);
            assert_eq!(observer.wait(SECOND, 60 * SECOND), 60 * SECOND);
        }
    }
}
