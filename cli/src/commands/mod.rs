//! One module a sub-command: its arguments, what it runs, its exit code.

mod broker;
mod ca;
mod daemon;
mod demo;
mod find;
mod ping;
mod rpc;
mod server;

use clap::Subcommand;
use muster_reactor::clock::Clock;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::log;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See who is there, and how long each node takes to answer.
    Ping(ping::PingArgs),
    /// Call an action of an agent on many nodes, and say what came of it on each.
    #[command(aliases = ["req", "request"])]
    Rpc(rpc::RpcArgs),
    /// List the nodes that match.
    #[command(alias = "discover")]
    Find(find::FindArgs),
    /// Run the network broker.
    Broker(broker::BrokerArgs),
    /// Run a node.
    Server(server::ServerArgs),
    /// Make a certificate authority, and certificates for brokers, nodes and clients.
    Ca(ca::CaArgs),
    /// Run a whole fleet in this process, and ask it something.
    Demo(demo::DemoArgs),
}

/// Runs a command. `started` is when the program began.
pub(crate) fn run(cli: Cli, started: Clock) -> Result<Exit, Failure> {
    if cli.debug {
        log::start("debug", &log::Target::Stderr)?;
    }
    match cli.command {
        Command::Ping(args) => ping::run(&args, started),
        Command::Rpc(args) => rpc::run(&args),
        Command::Find(args) => find::run(&args),
        Command::Broker(args) => broker::run(&args),
        Command::Server(args) => server::run(&args),
        Command::Ca(args) => ca::run(&args),
        Command::Demo(args) => demo::run(&args),
    }
}
