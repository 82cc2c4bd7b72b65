//! `loadgen`: fifty thousand real node cores in one process, and what came of every one of them.
//!
//! The broker is a child process of this binary, so that its CPU time and memory are its own.
//! `nodes.rs` has the reactors, `rounds.rs` the asking, `report.rs` the words.

#![forbid(unsafe_code)]

mod args;
mod bare;
mod bare_client;
mod broker_process;
mod emulated;
mod fleet_client;
mod fleet_nodes;
mod nodes;
mod progress;
mod provision;
mod report;
mod rounds;
mod run;
mod setup;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program"
)]
fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(broker_process::BROKER_WORD) {
        return broker_process::broker_child(words);
    }
    let args = args::Args::parse();
    let as_json = args.json;
    if let Some(nodes) = args.provision {
        return match provision::run(&args, nodes) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("loadgen: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match run::run(args) {
        Ok(report) => {
            match as_json.then(|| serde_json::to_string(&report)) {
                Some(Ok(json)) => println!("{json}"),
                Some(Err(error)) => eprintln!("loadgen: {error}"),
                None => print!("{}", report.text()),
            }
            if report.is_complete() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}
