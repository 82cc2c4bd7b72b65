//! Real binaries on port 0, driven as users drive them: an authority, a broker, three nodes and a caller, over mutual TLS.
//!
//! The same questions go through a `muster broker` and through a real `nats-server`, which lies in `target/peers/bin` (made by `scripts/peers`)
//! or where `MUSTER_NATS_SERVER` says; without it, its trials are listed as ignored.

#![expect(clippy::unwrap_used, reason = "a test program")]

mod daemons;
mod events;
mod lab;
#[allow(dead_code, reason = "shared with another test program")]
mod process;
mod provisioning;
mod questions;
mod reports;
mod tokens;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use lab::{BrokerKind, Lab};

const TRIALS_AT_ONCE: usize = 8;

/// A laboratory that is set up by the first trial that needs it, and taken down at the end.
#[derive(Clone)]
struct SharedLab(BrokerKind, Arc<Mutex<Option<Arc<Lab>>>>);

impl SharedLab {
    fn get(&self) -> Result<Arc<Lab>, Failed> {
        let mut place = self
            .1
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(lab) = &*place {
            return Ok(Arc::clone(lab));
        }
        let lab = Arc::new(Lab::start(&self.0)?);
        Ok(Arc::clone(place.insert(lab)))
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Trials mostly wait for time-outs and other processes.
    arguments.test_threads.get_or_insert(TRIALS_AT_ONCE);
    let labs =
        [BrokerKind::Muster, BrokerKind::nats_server()].map(|kind| SharedLab(kind, Arc::default()));
    let mut trials = Vec::new();
    for lab in &labs {
        for (name, ask) in questions::ALL.iter().chain(reports::ALL) {
            let (lab, present) = (lab.clone(), lab.0.is_present());
            let trial = Trial::test(format!("{name}::{}", lab.0.name()), move || {
                ask(&*lab.get()?)
            });
            trials.push(trial.with_ignored_flag(!present));
        }
    }
    for (name, act) in daemons::ALL
        .iter()
        .chain(events::ALL)
        .chain(provisioning::ALL)
    {
        trials.push(Trial::test(*name, act));
    }
    trials.push(Trial::test("a_fleet_of_tokens", tokens::a_fleet_of_tokens));
    trials.push(Trial::test(
        "a_broker_of_tokens",
        tokens::a_broker_of_tokens,
    ));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Only now do the daemons end.
    drop(labs);
    conclusion.exit_code()
}
