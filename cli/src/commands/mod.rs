//! One module a sub-command: its arguments, what it runs, its exit code.

mod ask;
mod backplane;
mod broker;
mod buildinfo;
mod ca;
mod completion;
mod daemon;
mod demo;
mod facts;
mod federation;
mod find;
mod hosted;
mod inventory;
mod jwt;
mod man;
mod ping;
mod piped;
mod plugin;
mod provisioner;
mod replicate;
mod rpc;
mod server;
mod tool;

use clap::Subcommand;
use muster_reactor::clock::Clock;

use crate::args::Cli;
use crate::exit::{Exit, Failure, Form};
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
    /// Report which values a fact has, and on how many nodes.
    Facts(facts::FactsArgs),
    /// Show what a node knows about itself, or which collectives there are.
    Inventory(inventory::InventoryArgs),
    /// Describe agents: their actions, inputs and outputs.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Manage the instances of an application that embeds a backplane.
    Backplane(backplane::BackplaneArgs),
    /// Run the network broker.
    Broker(broker::BrokerArgs),
    /// Run a federation broker, without a network broker.
    Federation(federation::FederationArgs),
    /// Run a node.
    Server(server::ServerArgs),
    /// Give nodes without configuration theirs.
    Provisioner(provisioner::ProvisionerArgs),
    /// Copy messages from stream to stream, those that have changed.
    Replicate(replicate::ReplicateArgs),
    /// Make a certificate authority, and certificates for brokers, nodes and clients.
    Ca(ca::CaArgs),
    /// Make, show and check tokens, and the keys they are signed with.
    #[command(subcommand)]
    Jwt(jwt::JwtCommand),
    /// Run a whole fleet in this process, and ask it something.
    Demo(demo::DemoArgs),
    /// Show how this program was built, and what it does unless told otherwise.
    Buildinfo(buildinfo::BuildinfoArgs),
    /// Tools for those who run a fleet.
    #[command(subcommand)]
    Tool(tool::ToolCommand),
    /// Print the completions of a shell.
    Completion(completion::CompletionArgs),
    /// Write a manual page for each command.
    #[command(hide = true)]
    Man(man::ManArgs),
}

impl Command {
    /// What its standard output holds.
    pub(crate) fn form(&self) -> Form {
        let json = |is_json: bool| if is_json { Form::Json } else { Form::Text };
        match self {
            Self::Ping(args) => json(args.is_json()),
            Self::Rpc(args) => args.form(),
            Self::Find(args) => json(args.is_json()),
            Self::Facts(args) => json(args.is_json()),
            Self::Inventory(args) => json(args.is_json()),
            Self::Plugin(command) => json(command.is_json()),
            Self::Jwt(command) => json(command.is_json()),
            Self::Tool(command) => command.form(),
            Self::Backplane(_)
            | Self::Broker(_)
            | Self::Server(_)
            | Self::Federation(_)
            | Self::Provisioner(_)
            | Self::Replicate(_)
            | Self::Ca(_)
            | Self::Demo(_)
            | Self::Buildinfo(_)
            | Self::Completion(_)
            | Self::Man(_) => Form::Text,
        }
    }
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
        Command::Facts(args) => facts::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Plugin(command) => plugin::run(&command),
        Command::Backplane(args) => backplane::run(&args),
        Command::Broker(args) => broker::run(&args),
        Command::Federation(args) => federation::run(&args),
        Command::Server(args) => server::run(&args),
        Command::Provisioner(args) => provisioner::run(&args),
        Command::Replicate(args) => replicate::run(&args),
        Command::Ca(args) => ca::run(&args),
        Command::Jwt(command) => jwt::run(&command),
        Command::Demo(args) => demo::run(&args),
        Command::Buildinfo(args) => buildinfo::run(&args),
        Command::Tool(command) => tool::run(&command),
        Command::Completion(args) => completion::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
