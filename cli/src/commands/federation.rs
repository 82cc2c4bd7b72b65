//! `muster federation`: a federation broker in a process of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::daemon::{RunWord, block_signals};
use super::hosted::Hosted;
use crate::exit::{Exit, Failure};
use crate::{files, log};

/// Inside `muster broker` the same runs with `plugin.choria.broker_federation = true`.
#[derive(Debug, Args)]
pub(crate) struct FederationArgs {
    #[arg(hide = true)]
    run: Option<RunWord>,
    /// Configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Port for monitoring over HTTP; 0 takes a free one.
    #[arg(short, long, value_name = "PORT")]
    monitor: Option<u16>,
    /// File for the process id.
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
}

pub(crate) fn run(args: &FederationArgs) -> Result<Exit, Failure> {
    let settings = files::load(&args.config)?;
    let hosted = Hosted::federation_alone(&settings)?;
    let mut reader = settings.reader();
    let (level, target) = log::read(&mut reader);
    let address = reader.parsed("plugin.choria.stats_address", |text| {
        text.trim_matches(['[', ']'])
            .parse()
            .map_err(|_| "is not an IP address")
    });
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = reader.u16("plugin.choria.stats_port", 0);
    reader.finish().map_err(Failure::new)?;
    files::warn(&settings);
    log::start(level, &target)?;
    let configured = (port != 0).then_some(port);
    let monitor = args.monitor.or(configured);
    let monitor = monitor.map(|port| SocketAddr::new(address, port));
    hosted.run_alone(&block_signals()?, monitor, args.pid.as_deref())
}
