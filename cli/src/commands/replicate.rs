//! `muster replicate`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use muster_adapters::replicate::{ReplicateConfig, Replicators};
use muster_reactor::http::{HttpRequest, HttpResponse, HttpServer};

use super::daemon::{block_signals, wait_for_end};
use crate::exit::{Exit, Failure};
use crate::{files, log};

/// How long a wait for signals lasts; nothing else is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The content type of Prometheus' text format 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, Args)]
pub(crate) struct ReplicateArgs {
    /// Configuration file, in YAML.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Port for figures over HTTP on this host, in place of the configured one; 0 takes a free one.
    #[arg(short, long, value_name = "PORT")]
    monitor: Option<u16>,
    /// How much is logged.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    loglevel: String,
}

pub(crate) fn run(args: &ReplicateArgs) -> Result<Exit, Failure> {
    let text = files::need(&args.config)?;
    let file = args.config.to_string_lossy();
    let config = ReplicateConfig::parse(&text, &file).map_err(Failure::new)?;
    log::start(&args.loglevel, &log::Target::Stderr)?;
    let signals = block_signals()?;
    let replicators = Replicators::start(&config, files::read).map_err(Failure::new)?;
    let configured = (config.monitor_port != 0).then_some(config.monitor_port);
    let monitor = args.monitor.or(configured).map(|port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let render = replicators.renderer();
        let answer = move |request: &HttpRequest| match &*request.path {
            "/metrics" => {
                let mut out = String::new();
                render(&mut out);
                HttpResponse::new(200, METRICS_TYPE, out)
            }
            _ => HttpResponse::text(404, "404 page not found\n"),
        };
        HttpServer::start(address, "monitor", Arc::new(answer))
            .map_err(|error| Failure::new(format!("cannot serve monitoring on {address}: {error}")))
    });
    let monitor = monitor.transpose()?;
    if let Some(monitor) = &monitor {
        eprintln!("Serving monitoring on http://{}", monitor.address());
    }
    eprintln!("Replicator is ready");
    wait_for_end(&signals, LOOK_EVERY, || {})?;
    drop(replicators);
    drop(monitor);
    Ok(Exit::Success)
}
