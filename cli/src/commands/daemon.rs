//! What the two daemons have in common on the command line.

use std::ops::ControlFlow;
use std::time::Duration;

use clap::ValueEnum;
use muster_reactor::signal::{Signal, Signals};

use crate::exit::Failure;
use crate::{log, systemd};

/// The word that others put between a daemon's name and its flags; it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunWord {
    Run,
}

/// Blocks the signals of daemons, in this thread and those it starts.
pub(crate) fn block_signals() -> Result<Signals, Failure> {
    Signals::block().map_err(|error| Failure::new(format!("cannot block signals: {error}")))
}

/// Waits until somebody wants the process to end; `meanwhile` is called every so often. SIGHUP has the log file opened again.
///
/// To call this is to be ready: a service manager is told so, and of reloads and the end as well.
pub(crate) fn wait_for_end(
    signals: &Signals,
    every: Duration,
    mut meanwhile: impl FnMut(),
) -> Result<(), Failure> {
    wait_until(signals, every, |_| {
        meanwhile();
        ControlFlow::Continue(())
    })
}

/// As [`wait_for_end`], and until `step` has had enough. It is told which signal came, where one did.
pub(crate) fn wait_until(
    signals: &Signals,
    every: Duration,
    mut step: impl FnMut(Option<Signal>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    systemd::ready();
    loop {
        let signal = signals
            .wait(every)
            .map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
        let is_reload = matches!(signal, Some(Signal::Hangup));
        if is_reload {
            systemd::reloading();
            log::reopen();
        }
        let asked = matches!(signal, Some(Signal::Interrupt | Signal::Terminate));
        if asked || step(signal).is_break() {
            systemd::stopping();
            return Ok(());
        }
        if is_reload {
            systemd::ready();
        }
    }
}
