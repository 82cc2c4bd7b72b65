//! What a service manager is told of a daemon, by the protocol of `sd_notify`: ready, reloading, alive, stopping.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is told and nothing fails, so a daemon started by hand knows no difference.
//! The variables stay in the environment: a daemon that executes itself again, to restart in place, has the same manager.
//!
//! Life is told only by what shows it. A [`Heartbeat`] asks before each beat, and where the answer is no it stays silent:
//! the manager then ends the process and starts it again (`WatchdogSec=` of the unit).

use std::time::Duration;

use muster_reactor::clock::Clock;
use muster_server::daemon::Phase;
use sd_notify::NotifyState;

/// How soon a heart that did not beat is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The daemon does its work; also the end of what [`reloading`] began.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The daemon reads its files again; [`ready`] must follow.
pub(crate) fn reloading() {
    // The time tells the manager which reload this is. Without a clock the reload is told all the same.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon ends, in its own time.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Hands on what a node says of itself.
pub(crate) fn phase(phase: Phase) {
    match phase {
        Phase::Ready => ready(),
        Phase::Reloading => reloading(),
        Phase::Alive => tell(&[NotifyState::Watchdog]),
        Phase::Stopping => stopping(),
    }
}

/// How often life is to be told: twice in the time after which the manager gives up. None where it does not watch.
pub(crate) fn alive_every() -> Option<Duration> {
    let mut limit_us = 0;
    sd_notify::watchdog_enabled(false, &mut limit_us).then(|| Duration::from_micros(limit_us / 2))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

/// Tells that a daemon lives, as often as its manager wants to hear it.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    clock: Clock,
    every: Option<Duration>,
    next: Duration,
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self {
            clock: Clock::start(),
            every: alive_every(),
            next: Duration::ZERO,
        }
    }

    /// Call it now and then, more often than the manager wants to hear. When a beat is due, `look` finds out whether the
    /// daemon does its work: a line for the manager's status, or what is wrong.
    pub(crate) fn beat(&mut self, look: impl FnOnce() -> Result<String, String>) {
        self.beat_at(self.clock.now(), look);
    }

    fn beat_at(&mut self, now: Duration, look: impl FnOnce() -> Result<String, String>) {
        let Some(every) = self.every.filter(|_| now >= self.next) else {
            return;
        };
        match look() {
            Ok(status) => {
                self.next = now + every;
                tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
            }
            Err(problem) => {
                self.next = now + ASK_AGAIN;
                tracing::error!("no sign of life for the service manager: {problem}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How often life is looked for in these seconds.
    fn looks(heartbeat: &mut Heartbeat, seconds: u32, result: Result<String, String>) -> u32 {
        let mut looks = 0;
        for now in 0..seconds {
            heartbeat.beat_at(now * SECOND, || {
                looks += 1;
                result.clone()
            });
        }
        looks
    }

    fn watched(every: Option<Duration>) -> Heartbeat {
        Heartbeat {
            every,
            ..Heartbeat::new()
        }
    }

    #[test]
    fn a_good_beat_is_good_for_an_interval_and_a_bad_one_is_asked_again() {
        let every = Some(10 * SECOND);
        assert_eq!(looks(&mut watched(every), 30, Ok(String::new())), 3);
        assert_eq!(looks(&mut watched(every), 30, Err(String::new())), 30);
    }

    #[test]
    fn nobody_is_asked_where_nobody_wants_to_know() {
        assert_eq!(looks(&mut watched(None), 30, Ok(String::new())), 0);
    }
}
