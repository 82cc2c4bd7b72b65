//! `muster rpc`: calls an action on many nodes, and accounts for each of them.
//!
//! Nodes are discovered or named first, and then asked one by one, so that it is known who is missing.
//! A discovery that finds nobody ends the command: an empty list never means everybody.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use muster_client::fleet::{Aggregates, Fleet, FleetEvent, NodeReply, Rpc, Summary, Target};
use muster_protocol::ddl::Action;
use muster_protocol::filter::Filter;

use super::find::DiscoveryArgs;
use crate::connection::{Client, ConnectionArgs, seconds};
use crate::ddl;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::render::rpc::{Reply, Shape, Show};
use crate::render::{self, footer, rpc_json};
use crate::selection::{FilterArgs, named_nodes, read_nodes};

/// How long an action may take whose description does not say.
const ACTION_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct RpcArgs {
    /// The agent.
    agent: String,
    /// Its action.
    action: String,
    /// The action's inputs.
    #[arg(value_name = "KEY=VALUE")]
    inputs: Vec<String>,
    /// Ask the nodes this file names, without a discovery.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["facts", "classes", "identities", "agents", "with"])]
    nodes: Option<PathBuf>,
    /// Seconds to wait for replies, in place of the action's own time.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Which nodes are shown; default is what the action's description says.
    #[arg(long)]
    display: Option<Show>,
    /// The names of nodes with good replies only.
    #[arg(long)]
    senders: bool,
    /// Everything as JSON.
    #[arg(short, long, conflicts_with = "senders")]
    json: bool,
    /// Data as it came, every name, and all statistics.
    #[arg(short, long)]
    verbose: bool,
    /// No progress bar.
    #[arg(long = "np", visible_alias = "no-progress")]
    no_progress: bool,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    discovery: DiscoveryArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The nodes to ask, and how they became known.
struct Nodes {
    names: Vec<String>,
    discovered: bool,
    discover_time: Duration,
}

pub(crate) fn run(args: &RpcArgs) -> Result<Exit, Failure> {
    let filter = args.filters.filter()?;
    let client = args.connection.client()?;
    client.check_filter(args.filters.is_empty() && args.nodes.is_none())?;
    let description = ddl::find(&args.agent, &client.libdirs)?;
    let action = ddl::action(&description, &args.action)?;
    let data = args.data(action)?;
    let listed = args.nodes.as_deref().map(read_nodes).transpose()?;
    let mut fleet = client.connect()?;
    if args.is_for_people() {
        render::put(render::find::DISCOVERING)?;
    }
    let nodes = args.nodes(&client, &mut fleet, filter, listed)?;
    if args.is_for_people() {
        render::put(&format!(" {}\n\n", nodes.names.len()))?;
    }
    if nodes.names.is_empty() {
        return Err(Failure::new("no node was discovered"));
    }
    let action_time = match description.metadata.timeout {
        0 => ACTION_TIMEOUT,
        seconds => Duration::from_secs(seconds.into()),
    };
    let request = Rpc {
        agent: args.agent.clone(),
        action: args.action.clone(),
        data,
        filter: Filter::default(),
        target: Target::Direct(nodes.names.clone()),
        timeout: args
            .timeout
            .unwrap_or(client.fleet.discovery_timeout + action_time),
        aggregates: Aggregates::of(action),
        options: Default::default(),
    };
    let (replies, summary) = args.ask(&mut fleet, request, nodes.names.len())?;
    let replies: Vec<_> = replies.iter().map(Reply::of).collect();
    render::put(&args.show(&client, action, &replies, &summary, nodes.discover_time))?;
    if args.senders {
        // The list has no room for who is missing.
        eprint!("{}", footer::shortcomings(&summary, args.verbose));
    }
    Ok(Exit::of_request(&summary, nodes.discovered))
}

impl RpcArgs {
    /// Whether the whole output is for people; the other forms hold nothing but what they promise.
    fn is_for_people(&self) -> bool {
        !self.json && !self.senders
    }

    /// The inputs as JSON; every problem with them is named.
    fn data(&self, action: &Action) -> Result<String, Failure> {
        let inputs = action.parse_inputs(&self.inputs).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::new(errors.join("\n"))
        })?;
        serde_json::to_string(&inputs).map_err(Failure::new)
    }

    fn nodes(
        &self,
        client: &Client,
        fleet: &mut Fleet,
        filter: Filter,
        listed: Option<Vec<String>>,
    ) -> Result<Nodes, Failure> {
        if let Some(names) = listed.or_else(|| named_nodes(&filter)) {
            return Ok(Nodes {
                names,
                discovered: false,
                discover_time: Duration::ZERO,
            });
        }
        let found = self
            .discovery
            .discover(client, fleet, filter, Some(&self.agent))?;
        Ok(Nodes {
            names: found.replied,
            discovered: true,
            discover_time: found.request_time,
        })
    }

    fn ask(
        &self,
        fleet: &mut Fleet,
        request: Rpc,
        nodes: usize,
    ) -> Result<(Vec<NodeReply>, Summary), Failure> {
        let progress = Progress::start(self.is_for_people() && !self.no_progress, nodes);
        let mut replies = Vec::with_capacity(nodes);
        let result = fleet.rpc(request, &mut |event| match event {
            FleetEvent::Reply(reply) => replies.push(reply.clone()),
            FleetEvent::Progress { received, .. } => progress.show(*received),
            FleetEvent::Link(_)
            | FleetEvent::Published { .. }
            | FleetEvent::Finished(_)
            | FleetEvent::Failed(_) => {}
        });
        progress.finish();
        Ok((replies, result.map_err(Failure::new)?))
    }

    fn show(
        &self,
        client: &Client,
        action: &Action,
        replies: &[Reply<'_>],
        summary: &Summary,
        discover_time: Duration,
    ) -> String {
        if self.json {
            return rpc_json::document(&self.agent, &self.action, replies, summary, discover_time);
        }
        if self.senders {
            return render::rpc::senders(replies);
        }
        let shape = Shape {
            show: self.display.unwrap_or_else(|| Show::of(action.display)),
            raw: self.verbose,
            style: client.style,
        };
        let closing = if self.verbose {
            footer::statistics(summary, discover_time)
        } else {
            footer::finished(summary, discover_time, client.style)
        };
        render::rpc::nodes(replies, action, shape)
            + &render::rpc::summaries(&summary.aggregates, action)
            + &closing
            + &footer::shortcomings(summary, self.verbose)
    }
}
