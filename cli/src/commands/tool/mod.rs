//! `muster tool`: for those who run a fleet.

mod config;
mod event;
mod listener;
mod provisioner;
mod status;

use clap::Subcommand;

use crate::exit::{Exit, Failure, Form};

#[derive(Debug, Subcommand)]
pub(crate) enum ToolCommand {
    /// Show the configuration in effect, where each value comes from, and what has no effect.
    Config(config::ConfigArgs),
    /// Follow what nodes say of their life: startup, shutdown, alive and others.
    Event(event::EventArgs),
    /// Show the provisioning brokers a node of this host would go to, and how they are found.
    Provisioner(provisioner::ProvisionerArgs),
    /// Check a node by its status file; the output and exit code are what monitoring systems want.
    Status(status::StatusArgs),
}

impl ToolCommand {
    /// What the standard output holds.
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Config(args) if args.is_json() => Form::Json,
            Self::Event(args) if args.is_json() => Form::JsonLines,
            Self::Config(_) | Self::Event(_) | Self::Provisioner(_) | Self::Status(_) => Form::Text,
        }
    }
}

pub(crate) fn run(command: &ToolCommand) -> Result<Exit, Failure> {
    match command {
        ToolCommand::Config(args) => config::run(args),
        ToolCommand::Event(args) => event::run(args),
        ToolCommand::Provisioner(args) => provisioner::run(args),
        ToolCommand::Status(args) => status::run(args),
    }
}
