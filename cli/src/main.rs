//! The `muster` command: one binary for broker, node and client.

#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Asks or tells a whole fleet something, and says what came of it on every machine.
#[derive(Debug, Parser)]
#[command(name = "muster", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the network broker.
    Broker(commands::broker::BrokerArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Broker(args) => commands::broker::run(&args),
    }
}
