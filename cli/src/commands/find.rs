//! `muster find`: asks who is there, and lists the names.
//!
//! It always asks, also where the filter names its nodes: a name in the list is a node that answered.

use std::time::Duration;

use clap::Args;
use muster_client::fleet::{DISCOVERY_WINDOW, Discover, Fleet, Summary};
use muster_protocol::filter::Filter;

use crate::connection::{Client, ConnectionArgs, seconds};
use crate::exit::{Exit, Failure};
use crate::render;
use crate::selection::FilterArgs;

#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// A JSON list.
    #[arg(short, long)]
    json: bool,
    /// Say how many, and how long it took.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    discovery: DiscoveryArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How long a discovery goes on.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Discovery")]
pub(crate) struct DiscoveryArgs {
    /// Seconds a discovery goes on. Without it, it ends 300 ms after the latest answer, or with the configured time.
    #[arg(long, visible_alias = "dt", value_name = "SECONDS", value_parser = seconds)]
    discovery_timeout: Option<Duration>,
    /// End a discovery 300 ms after the latest answer, also where its time is given.
    #[arg(long)]
    discovery_window: bool,
}

impl DiscoveryArgs {
    /// The time a discovery may take.
    pub(crate) fn timeout(&self, client: &Client) -> Duration {
        self.discovery_timeout
            .unwrap_or(client.fleet.discovery_timeout)
    }

    /// Asks who is there. Whoever names the time wants to wait for slow nodes, so it is waited out.
    pub(crate) fn discover(
        &self,
        client: &Client,
        fleet: &mut Fleet,
        filter: Filter,
        agent: Option<&str>,
    ) -> Result<Summary, Failure> {
        let is_windowed = self.discovery_timeout.is_none() || self.discovery_window;
        let discover = Discover {
            filter,
            agent: agent.map(str::to_owned),
            timeout: self.timeout(client),
            window: is_windowed.then_some(DISCOVERY_WINDOW),
            expect: None,
        };
        fleet.discover(discover, &mut |_| ()).map_err(Failure::new)
    }
}

impl FindArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

pub(crate) fn run(args: &FindArgs) -> Result<Exit, Failure> {
    let filter = args.filters.filter()?;
    let client = args.connection.client()?;
    client.check_filter(args.filters.is_empty())?;
    let mut fleet = client.connect()?;
    let mut found = args.discovery.discover(&client, &mut fleet, filter, None)?;
    // The order of answers is chance; people and programs that compare lists want the same each time.
    found.replied.sort_unstable();
    render::put(&show(args, &found))?;
    if found.replied.is_empty() {
        return Err(Failure::after_output("no node was discovered"));
    }
    Ok(Exit::Success)
}

fn show(args: &FindArgs, found: &Summary) -> String {
    let names = &found.replied;
    if args.json {
        return render::find::json(names);
    }
    let list = render::find::names(names);
    if !args.verbose {
        return list;
    }
    render::find::discovered(names.len())
        + &list
        + &render::find::closing(names.len(), found.request_time)
}
