//! What the two daemons have in common on the command line.

use std::time::Duration;

use clap::ValueEnum;
use muster_reactor::signal::{Signal, Signals};

use crate::exit::Failure;

/// The word that others put between a daemon's name and its flags; it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunWord {
    Run,
}

/// Blocks the signals of daemons, in this thread and those it starts.
pub(crate) fn block_signals() -> Result<Signals, Failure> {
    Signals::block().map_err(|error| Failure::new(format!("cannot block signals: {error}")))
}

/// Waits until somebody wants the process to end; `meanwhile` is called every so often.
pub(crate) fn wait_for_end(
    signals: &Signals,
    every: Duration,
    mut meanwhile: impl FnMut(),
) -> Result<(), Failure> {
    loop {
        match signals.wait(every) {
            Ok(Some(Signal::Interrupt | Signal::Terminate)) => return Ok(()),
            Ok(Some(Signal::Hangup | Signal::User1 | Signal::User2) | None) => meanwhile(),
            Err(error) => return Err(Failure::new(format!("cannot wait for signals: {error}"))),
        }
    }
}
