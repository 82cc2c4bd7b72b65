//! Brokers side by side: the same clients, the same work, one broker after the other, in one run.
//!
//! ```sh
//! cargo build --release
//! target/release/side_by_side target/release/muster [path of nats-server]
//! ```
//!
//! Each broker is a process of its own; its CPU time is read from /proc. The clients run on one thread of this process,
//! so what is compared is the broker's CPU time for a message, and the round trip as a client sees it.

#![forbid(unsafe_code)]

mod broker;
mod peer;
mod work;

use std::process::ExitCode;

use crate::broker::{BrokerProcess, Kind};
use crate::work::{Work, measure};

/// Runs of each work on each broker; the median is printed.
const RUNS: usize = 5;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program"
)]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(muster) = arguments.next() else {
        eprintln!("usage: side_by_side MUSTER [NATS_SERVER]");
        return ExitCode::FAILURE;
    };
    let mut kinds: Vec<Kind> = [1, 2, 3]
        .map(|shards| Kind::Muster {
            path: muster.clone(),
            shards,
        })
        .into();
    kinds.extend(arguments.next().map(|path| Kind::NatsServer { path }));
    println!("| work | broker | messages/s | round trip p50 | broker CPU a message |");
    println!("|---|---|---|---|---|");
    for work in Work::all() {
        for kind in &kinds {
            match row(work, kind) {
                Ok(text) => println!("{text}"),
                Err(error) => {
                    eprintln!("{kind}: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

fn row(work: Work, kind: &Kind) -> std::io::Result<String> {
    let broker = BrokerProcess::start(kind)?;
    let mut results = (0..RUNS)
        .map(|_| measure(work, &broker))
        .collect::<std::io::Result<Vec<_>>>()?;
    results.sort_by(|a, b| a.cpu_ns_a_message.total_cmp(&b.cpu_ns_a_message));
    let middle = &results[RUNS / 2];
    let round_trip = middle
        .round_trip_us
        .map_or_else(|| "–".to_owned(), |us| format!("{us:.1} µs"));
    Ok(format!(
        "| {work} | {kind} | {:.0} | {round_trip} | {:.0} ns |",
        middle.messages_a_second, middle.cpu_ns_a_message
    ))
}
