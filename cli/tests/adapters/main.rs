//! Fleet messages into durable streams: `muster broker` with adapters, a real `nats-server` with JetStream, and `kill -9`.
//!
//! The real one is `MUSTER_NATS_SERVER`, or `target/peers/bin/nats-server` (made by `scripts/peers`); without it,
//! its trials are listed as ignored. Kafka is tried in the tests of `adapters`.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod asynchronous;
mod lab;
mod nats;
mod replicate;
mod streams;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

type Act = fn() -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let mut add = |trial: &[(&str, Act)], is_present: bool| {
        for (name, act) in trial {
            let trial = Trial::test(*name, *act);
            trials.push(trial.with_ignored_flag(!is_present));
        }
    };
    add(streams::JETSTREAM, lab::nats_server().is_file());
    add(streams::FILE, true);
    add(asynchronous::ALL, lab::nats_server().is_file());
    add(replicate::ALL, lab::nats_server().is_file());
    libtest_mimic::run(&arguments, trials).exit_code()
}
