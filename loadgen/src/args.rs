//! The command line.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// What the nodes are and what they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Connections with eight subscriptions and no node behind: the broker alone.
    Bare,
    /// Discovery pings, answered by real nodes.
    Ping,
    /// `rpcutil#ping` with signed requests, answered by real nodes.
    Rpc,
}

/// Who must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlsChoice {
    /// Plain connections.
    Off,
    /// The broker shows one.
    Server,
    /// Everybody shows one.
    Mutual,
}

/// How requests are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyChoice {
    /// Nodes of this process share the verification of equal bytes.
    Shared,
    /// Each node verifies each request.
    Each,
}

/// Runs a fleet of real node cores against a broker and says what came of every one of them.
#[derive(Debug, Clone, Parser)]
#[command(name = "loadgen", version)]
pub(crate) struct Args {
    /// Nodes to run.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) nodes: usize,
    /// Rounds to ask.
    #[arg(long, default_value_t = 20)]
    pub(crate) rounds: usize,
    /// What is asked.
    #[arg(long, value_enum, default_value = "rpc")]
    pub(crate) scenario: Scenario,
    /// Bytes that each reply carries beyond its envelope.
    #[arg(long, default_value_t = 0)]
    pub(crate) reply_size: usize,
    /// TLS between broker, nodes and client.
    #[arg(long, value_enum, default_value = "off")]
    pub(crate) tls: TlsChoice,
    /// How nodes verify requests.
    #[arg(long, value_enum, default_value = "shared")]
    pub(crate) verify: VerifyChoice,
    /// Seed of every random choice.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Use this NATS-wire broker instead of one of our own.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) broker: Option<SocketAddr>,
    /// Run the broker inside this process; its memory is then not told apart.
    #[arg(long, conflicts_with = "broker")]
    pub(crate) in_process: bool,
    /// Shards of our broker; default is what this host needs.
    #[arg(long)]
    pub(crate) shards: Option<u16>,
    /// Seconds a round may take before the rest is named missing.
    #[arg(long, default_value_t = 60)]
    pub(crate) timeout: u64,
    /// Seconds until all nodes must be connected and subscribed.
    #[arg(long, default_value_t = 300)]
    pub(crate) ramp_timeout: u64,
    /// Provision so many emulated nodes without configuration, in place of a scenario.
    #[arg(long, value_name = "N")]
    pub(crate) provision: Option<usize>,
    /// Nodes in work at a time, with --provision.
    #[arg(long, default_value_t = 16)]
    pub(crate) workers: usize,
    /// The helper's program, with --provision; a function of this process without it.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) helper: Option<String>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}
