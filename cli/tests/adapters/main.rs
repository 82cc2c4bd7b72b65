//! Fleet messages into durable streams: `muster broker` with adapters, a real `nats-server` with JetStream, and `kill -9`.
//!
//! The real one is `MUSTER_NATS_SERVER`, or `target/peers/bin/nats-server` (made by `scripts/peers`); a Kafka is started by
//! `scripts/kafka`. Without them, or in a build without the feature `kafka`, their trials are listed as ignored.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod kafka;
mod lab;
mod nats;
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
    add(kafka::ALL, kafka::is_present());
    libtest_mimic::run(&arguments, trials).exit_code()
}
