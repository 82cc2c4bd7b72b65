//! A daemon that polls Prometheus targets, with a circuit breaker that is switched over the network.
//!
//! With `--broker` it brings an agent of its own; with `--management FILE` it has a backplane.
//!
//! ```text
//! prometheus_streams --broker 127.0.0.1:4222 --identity prom.example.net --job choria=127.0.0.1:8222/metrics
//! muster rpc prometheus_streams switch -T prometheus
//! ```

mod app;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use app::{Job, Streams, start_agent, start_backplane};

#[derive(Debug, Parser)]
struct Args {
    /// The name of this process in the fleet.
    #[arg(long)]
    identity: String,
    /// A target, polled under the name of its job.
    #[arg(long, value_name = "NAME=HOST:PORT/PATH", value_parser = job)]
    job: Vec<Job>,
    /// Seconds between polls.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// Have an agent of its own, at this broker.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "management")]
    broker: Option<String>,
    /// Have a backplane, as the stanza `management` of this YAML file says.
    #[arg(long, value_name = "FILE", conflicts_with = "broker")]
    management: Option<PathBuf>,
}

fn job(text: &str) -> Result<Job, String> {
    let (name, target) = text.split_once('=').ok_or("there is no =")?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return Err(format!("{name:?} is no name of letters, digits and _"));
    }
    Ok(Job {
        name: name.to_owned(),
        target: target.to_owned(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let args = Args::parse();
    let interval = Duration::from_secs(args.interval);
    let streams = Streams::new(&args.identity, args.job, interval);
    match (args.broker, args.management) {
        (_, Some(file)) => {
            let _backplane = start_backplane(&streams, &std::fs::read_to_string(file)?)?;
            // The process ends when it is killed: it holds nothing that must be kept.
            loop {
                std::thread::park();
            }
        }
        (Some(broker), None) => Ok(start_agent(&streams, &broker)?.join()?),
        (None, None) => Err("a broker or a management file is needed".into()),
    }
}
