//! What the two daemons have in common on the command line.

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
    systemd::ready();
    loop {
        match signals.wait(every) {
            Ok(Some(Signal::Interrupt | Signal::Terminate)) => {
                systemd::stopping();
                return Ok(());
            }
            Ok(Some(Signal::Hangup)) => {
                systemd::reloading();
                log::reopen();
                meanwhile();
                systemd::ready();
            }
            Ok(Some(Signal::User1 | Signal::User2) | None) => meanwhile(),
            Err(error) => return Err(Failure::new(format!("cannot wait for signals: {error}"))),
        }
    }
}
