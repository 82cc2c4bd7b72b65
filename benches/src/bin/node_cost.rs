//! What a running node costs: its memory, its CPU time while nobody asks it anything, and for one verified request.
//!
//! ```sh
//! target/release/node_cost CLIENT_CONF IDENTITY PID [REQUESTS]
//! ```
//!
//! The node may be anybody's: it is asked over its broker, one direct `rpcutil#ping` after the other, each signed anew, and
//! its CPU time and memory are read from /proc. So two nodes are compared by running this on each of them in turn.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use muster_client::fleet::{
    Aggregates, Fleet, FleetSettings, Rpc, RpcOptions, Surroundings, Target,
};
use muster_protocol::filter::Filter;
use muster_reactor::process::{Usage, usage};
use muster_settings::Settings;

/// How long an idle node is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Requests before the measured ones: caches are filled as they are in a running fleet.
const WARM_UP: usize = 20;
const REQUESTS_DEFAULT: usize = 1000;
const RUNS: usize = 5;

#[expect(clippy::print_stderr, reason = "a command line program")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("node_cost: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command line program")]
fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    let [config, identity, pid, more @ ..] = words else {
        return Err("usage: node_cost CLIENT_CONF IDENTITY PID [REQUESTS]".into());
    };
    let pid: u32 = pid.parse()?;
    let requests = match more {
        [] => REQUESTS_DEFAULT,
        [count, ..] => count.parse()?,
    };
    let mut fleet = connect(Path::new(config))?;
    let fresh = usage(Some(pid))?;
    println!("memory before:  {}", memory(&fresh));
    thread::sleep(IDLE);
    let idle = usage(Some(pid))?.cpu.saturating_sub(fresh.cpu);
    println!(
        "idle CPU:       {:.3} ms a second",
        millis(idle) / IDLE.as_secs_f64()
    );
    for _ in 0..WARM_UP {
        ask(&mut fleet, identity)?;
    }
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        let before = usage(Some(pid))?;
        for _ in 0..requests {
            ask(&mut fleet, identity)?;
        }
        let spent = usage(Some(pid))?.cpu.saturating_sub(before.cpu);
        costs.push(millis(spent) / f64::from(u32::try_from(requests)?));
    }
    costs.sort_by(f64::total_cmp);
    println!(
        "CPU a request:  {:.3} ms, median of {RUNS} runs of {requests}",
        costs[RUNS / 2]
    );
    println!("memory after:   {}", memory(&usage(Some(pid))?));
    Ok(())
}

fn connect(config: &Path) -> Result<Fleet, Box<dyn Error>> {
    let text = std::fs::read_to_string(config)?;
    let settings = Settings::parse(&text, &config.to_string_lossy());
    let around = Surroundings {
        certname: std::env::var("MCOLLECTIVE_CERTNAME").ok(),
        user: std::env::var("USER").unwrap_or_default(),
        ..Surroundings::default()
    };
    let config =
        FleetSettings::read(&settings, &around)?.load(|path| std::fs::read_to_string(path))?;
    Ok(Fleet::connect(config)?)
}

fn ask(fleet: &mut Fleet, identity: &str) -> Result<(), Box<dyn Error>> {
    let request = Rpc {
        agent: "rpcutil".to_owned(),
        action: "ping".to_owned(),
        data: "{}".to_owned(),
        filter: Filter::default(),
        target: Target::Direct(vec![identity.to_owned()]),
        timeout: Duration::from_secs(10),
        aggregates: Aggregates::default(),
        options: RpcOptions::default(),
    };
    let summary = fleet.rpc(request, &mut |_| ())?;
    if summary.ok == 1 {
        Ok(())
    } else {
        Err(format!("{identity} did not answer well: {summary:?}").into())
    }
}

fn memory(usage: &Usage) -> String {
    let mib = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0;
    format!(
        "{:.1} MiB resident, {:.1} MiB of it private",
        mib(usage.resident_bytes),
        mib(usage.private_bytes)
    )
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
