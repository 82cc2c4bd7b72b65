//! `muster broker`.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use muster_broker::{Broker, BrokerConfig};
use muster_reactor::signal::{Signal, Signals};

/// How often the shards' lines for the log are fetched.
const LOG_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Port for clients; 0 takes a free one.
    #[arg(short, long)]
    port: Option<u16>,
    /// Address for clients.
    #[arg(short, long)]
    addr: Option<IpAddr>,
    /// Shards, one thread each; default is what this host needs.
    #[arg(long)]
    shards: Option<u16>,
    /// Connections of clients at most.
    #[arg(long)]
    max_connections: Option<u64>,
}

pub(crate) fn run(args: &BrokerArgs) -> ExitCode {
    let mut config = BrokerConfig::default();
    let address = args.addr.unwrap_or(config.listen.ip());
    config.listen = SocketAddr::new(address, args.port.unwrap_or(config.listen.port()));
    config.shards = args.shards;
    config.core.connections_max = args.max_connections.unwrap_or(config.core.connections_max);
    let signals = match Signals::block() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let broker = match Broker::start(config) {
        Ok(broker) => broker,
        Err(error) => return fail(&error),
    };
    eprintln!("Listening for client connections on {}", broker.address());
    eprintln!("This host {}", broker.capacity());
    eprintln!("Server is ready");
    loop {
        match signals.wait(LOG_EVERY) {
            Ok(Some(Signal::Interrupt | Signal::Terminate)) => break,
            Ok(_) => broker.log_events(),
            Err(error) => return fail(&error),
        }
    }
    broker.stop();
    ExitCode::SUCCESS
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("muster broker: {error}");
    ExitCode::FAILURE
}
