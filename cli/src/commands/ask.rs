//! What commands that call agents share: which nodes, one request, all replies.
//!
//! Nodes are discovered or named first, and then asked one by one, so that it is known who is missing.
//! A discovery that finds nobody ends the command: an empty list never means everybody.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use muster_client::fleet::{
    Aggregates, Fleet, FleetEvent, NodeReply, Operation, Rpc, RpcOptions, Summary, Target,
};
use muster_protocol::ddl::{Action, Ddl};
use muster_protocol::filter::Filter;

use super::find::DiscoveryArgs;
use crate::connection::Client;
use crate::exit::Failure;
use crate::progress::Progress;
use crate::render;
use crate::selection::{FilterArgs, named_nodes, read_nodes};

/// How long an action may take whose description does not say.
const ACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Which nodes are asked.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TargetArgs {
    /// Ask the nodes this file names, without a discovery.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["facts", "classes", "identities", "agents", "with"])]
    nodes: Option<PathBuf>,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    discovery: DiscoveryArgs,
}

/// The nodes to ask, and how they became known.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) names: Vec<String>,
    /// Whether nodes were asked who they are; otherwise the caller named them.
    pub(crate) discovered: bool,
    pub(crate) time: Duration,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) replies: Vec<NodeReply>,
    pub(crate) summary: Summary,
}

/// What is asked, checked, before anybody is connected to.
#[derive(Debug)]
pub(crate) struct Targets {
    filter: Filter,
    listed: Option<Vec<String>>,
}

impl TargetArgs {
    /// Reads filters and files.
    pub(crate) fn check(&self, client: &Client) -> Result<Targets, Failure> {
        let filter = self.filters.filter()?;
        client.check_filter(self.filters.is_empty() && self.nodes.is_none())?;
        let listed = self.nodes.as_deref().map(read_nodes).transpose()?;
        Ok(Targets { filter, listed })
    }

    /// The nodes that are meant. `announce` says on the standard output that they are looked for.
    pub(crate) fn nodes(
        &self,
        targets: Targets,
        client: &Client,
        fleet: &mut Fleet,
        agent: &str,
        announce: bool,
    ) -> Result<Nodes, Failure> {
        if announce {
            render::put(render::find::DISCOVERING)?;
        }
        let nodes = match targets.listed.or_else(|| named_nodes(&targets.filter)) {
            Some(names) => Nodes {
                names,
                discovered: false,
                time: Duration::ZERO,
            },
            None => {
                let filter = targets.filter;
                let found = self
                    .discovery
                    .discover(client, fleet, filter, Some(agent))?;
                Nodes {
                    names: found.replied,
                    discovered: true,
                    time: found.request_time,
                }
            }
        };
        if announce {
            render::put(&format!(" {}\n\n", nodes.names.len()))?;
        }
        if nodes.names.is_empty() {
            return Err(Failure::new("no node was discovered"));
        }
        Ok(nodes)
    }
}

/// A call of an action on nodes that are known. Without a time of the caller's own it takes the discovery's and the action's, as in other clients.
pub(crate) fn request(
    client: &Client,
    (description, action): (&Ddl, &Action),
    data: String,
    nodes: Vec<String>,
    timeout: Option<Duration>,
) -> Rpc {
    let action_time = match description.metadata.timeout {
        0 => ACTION_TIMEOUT,
        seconds => Duration::from_secs(seconds.into()),
    };
    Rpc {
        agent: description.metadata.name.clone(),
        action: action.name.clone(),
        data,
        filter: Filter::default(),
        target: Target::Direct(nodes),
        timeout: timeout.unwrap_or(client.fleet.discovery_timeout + action_time),
        aggregates: Aggregates::of(action),
        options: RpcOptions::default(),
    }
}

/// Makes a request and keeps all replies; `on_reply` sees each as it comes, with the request's id.
pub(crate) fn ask(
    fleet: &mut Fleet,
    request: Rpc,
    progress: Progress,
    on_reply: &mut dyn FnMut(&str, &NodeReply),
) -> Result<Answers, Failure> {
    let mut replies = Vec::new();
    let operation = Operation::Rpc(Box::new(request));
    let result = fleet.run_identified(operation, &mut |id, event| match event {
        FleetEvent::Reply(reply) => {
            on_reply(id.as_str(), reply);
            replies.push(reply.clone());
        }
        FleetEvent::Progress { received, .. } => progress.show(*received),
        FleetEvent::Link(_)
        | FleetEvent::Published { .. }
        | FleetEvent::Finished(_)
        | FleetEvent::Failed(_) => {}
    });
    progress.finish();
    Ok(Answers {
        replies,
        summary: result.map_err(Failure::new)?,
    })
}

/// An action that every node has.
pub(crate) fn builtin(action: &str) -> (&'static Ddl, &'static Action) {
    let ddl = Ddl::builtin("rpcutil").expect("the agent is built in");
    (ddl, ddl.action(action).expect("the action is built in"))
}
