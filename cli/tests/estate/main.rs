//! An estate of five nodes that differ in facts, classes, collectives and policies, with agents written in shell,
//! driven only through the command line: what is asserted is what an operator sees, and the exit code.

#![expect(clippy::unwrap_used, reason = "a test program")]

mod estate;
#[allow(dead_code, reason = "shared with another test program")]
#[path = "../fleet/process.rs"]
mod process;
mod trials;

use std::process::ExitCode;
use std::sync::{Arc, LazyLock, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use estate::Estate;

const TRIALS_AT_ONCE: usize = 8;

/// Set up by the first trial that needs it, taken down at the end.
static ESTATE: LazyLock<Mutex<Option<Arc<Estate>>>> = LazyLock::new(Mutex::default);

fn shared() -> Result<Arc<Estate>, Failed> {
    let mut place = ESTATE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(estate) = &*place {
        return Ok(Arc::clone(estate));
    }
    let estate = Arc::new(Estate::start()?);
    Ok(Arc::clone(place.insert(estate)))
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Trials mostly wait for time-outs and other processes.
    arguments.test_threads.get_or_insert(TRIALS_AT_ONCE);
    let trial = |(name, act): &(&str, trials::Act)| {
        let act = *act;
        Trial::test(*name, move || act(&*shared()?))
    };
    let conclusion = libtest_mimic::run(&arguments, trials::ALL.iter().map(trial).collect());
    // A static is not dropped, and the daemons must end.
    drop(
        ESTATE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take(),
    );
    conclusion.exit_code()
}
