//! `muster ping`: asks who is there, and how long each takes.

use std::time::Duration;

use clap::Args;
use muster_client::fleet::discovery::named_nodes;
use muster_client::fleet::{FleetEvent, Ping};
use muster_reactor::clock::Clock;

use crate::connection::{ConnectionArgs, seconds};
use crate::exit::{Exit, Failure};
use crate::render;
use crate::render::footer;
use crate::render::ping::{Times, line};
use crate::selection::FilterArgs;

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// Seconds to wait, in place of the configured discovery time.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// End as soon as so many nodes have answered.
    #[arg(long, value_name = "N")]
    expect: Option<usize>,
    /// The statistics only.
    #[arg(long, conflicts_with = "names")]
    silent: bool,
    /// The names only.
    #[arg(long)]
    names: bool,
    /// Draw how many answers came when.
    #[arg(long)]
    graph: bool,
    /// Everything as JSON.
    #[arg(short, long, conflicts_with_all = ["silent", "names", "graph"])]
    json: bool,
    /// Without effect: one connection is enough.
    #[arg(long, hide = true, value_name = "N")]
    workers: Option<u32>,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) fn run(args: &PingArgs, started: Clock) -> Result<Exit, Failure> {
    let filter = args.filters.filter()?;
    let client = args.connection.client()?;
    client.check_filter(args.filters.is_empty())?;
    let named = named_nodes(&filter);
    let ping = Ping {
        filter,
        timeout: args.timeout.unwrap_or(client.fleet.discovery_timeout),
        // Of nodes that are named it is known when all are there.
        expect: args.expect.or_else(|| named.as_ref().map(Vec::len)),
    };
    let expect = ping.expect;
    let mut fleet = client.connect()?;
    let mut times = Times::default();
    let mut written = Ok(());
    let mut summary = fleet
        .ping(ping, &mut |event| match event {
            FleetEvent::Published { .. } => times.overhead = started.now(),
            FleetEvent::Reply(reply) => {
                times.add(&reply.sender, reply.elapsed);
                if written.is_ok() {
                    written = args.show(&reply.sender, reply.elapsed);
                }
            }
            FleetEvent::Link(_)
            | FleetEvent::Progress { .. }
            | FleetEvent::Finished(_)
            | FleetEvent::Failed(_) => {}
        })
        .map_err(Failure::new)?;
    written?;
    if let Some(named) = named {
        summary.no_responses = named
            .into_iter()
            .filter(|name| !summary.replied.contains(name))
            .collect();
        summary.no_responses.sort_unstable();
    }
    render::put(&args.closing(&times, &summary))?;
    if times.len() == 0 {
        return Err(Failure::after_output("no responses received"));
    }
    if let Some(expect) = expect.filter(|expect| times.len() < *expect) {
        eprintln!(
            "muster: {} of {expect} expected nodes answered",
            times.len()
        );
    }
    Ok(Exit::Success)
}

impl PingArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Shows a node as soon as it answers, where nodes are shown.
    fn show(&self, sender: &str, time: Duration) -> Result<(), Failure> {
        if self.silent || self.json {
            return Ok(());
        }
        if self.names {
            return render::put(&format!("{sender}\n"));
        }
        render::put(&line(sender, time))
    }

    fn closing(&self, times: &Times, summary: &muster_client::fleet::Summary) -> String {
        if self.json {
            return times.json(&summary.no_responses);
        }
        if self.names {
            return String::new();
        }
        let graph = if self.graph {
            times.graph()
        } else {
            String::new()
        };
        times.statistics() + &graph + &footer::shortcomings(summary, false)
    }
}
