//! What commands that call agents share: which nodes, one request, all replies.
//!
//! Nodes become known first and are then asked one by one, so that it is known who is missing.
//! A discovery that finds nobody ends the command: an empty list never means everybody.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use muster_client::fleet::discovery::{LocalSource, Method, Query, Source, Wish, choose};
use muster_client::fleet::{
    Aggregates, DISCOVERY_WINDOW, Discover, Fleet, FleetEvent, NodeReply, Operation, Rpc,
    RpcOptions, Summary, Target,
};
use muster_protocol::ddl::{Action, Ddl};
use muster_protocol::filter::Filter;
use muster_reactor::clock::Clock;

use super::piped;
use crate::connection::{Client, seconds};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::render;
use crate::selection::FilterArgs;

/// How long an action may take whose description does not say.
const ACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Which nodes are asked.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TargetArgs {
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    discovery: DiscoveryArgs,
}

/// How nodes become known.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Discovery")]
struct DiscoveryArgs {
    /// Seconds a discovery goes on. Without it, it ends 300 ms after the latest answer, or with the configured time.
    #[arg(long, visible_alias = "dt", value_name = "SECONDS", value_parser = seconds)]
    discovery_timeout: Option<Duration>,
    /// End a discovery 300 ms after the latest answer, also where its time is given.
    #[arg(long)]
    discovery_window: bool,
    /// How nodes become known: mc (or broadcast), file (or flatfile), inventory, external.
    #[arg(long, value_name = "METHOD")]
    dm: Option<String>,
    /// An option of that method; may be given several times.
    #[arg(long = "do", value_name = "KEY=VALUE", value_parser = option)]
    options: Vec<(String, String)>,
    /// The nodes a file names: JSON, YAML, or a name a line.
    #[arg(long, value_name = "FILE")]
    nodes: Option<PathBuf>,
}

/// Who is meant, checked, before anybody is connected to.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) filter: Filter,
    method: &'static str,
    /// The nodes, unless they have to be asked who they are.
    known: Option<Nodes>,
}

/// The nodes to ask, and how they became known.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) names: Vec<String>,
    /// Whether it was found out who they are; otherwise the caller named them.
    pub(crate) discovered: bool,
    pub(crate) time: Duration,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) replies: Vec<NodeReply>,
    pub(crate) summary: Summary,
}

impl Targets {
    /// The name of the method, for people.
    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    /// Whether the nodes have to be asked who they are.
    pub(crate) fn is_broadcast(&self) -> bool {
        self.known.is_none()
    }
}

impl TargetArgs {
    /// Finds out who is meant by everything but asking the fleet: filters, files, programs, and what was piped in.
    pub(crate) fn check(&self, client: &Client, agent: Option<&str>) -> Result<Targets, Failure> {
        let filter = self.filters.filter()?;
        match self.source(client, &filter)? {
            Source::Broadcast => self.everybody(client, filter),
            Source::Local(source) => self.known(client, filter, &source, agent),
        }
    }

    /// As [`check`](Self::check), but nodes that the filter names are asked whether they are there.
    pub(crate) fn check_all(&self, client: &Client) -> Result<Targets, Failure> {
        let filter = self.filters.filter()?;
        match self.source(client, &filter)? {
            Source::Broadcast | Source::Local(LocalSource::Names(_)) => {
                self.everybody(client, filter)
            }
            Source::Local(source) => self.known(client, filter, &source, None),
        }
    }

    fn source(&self, client: &Client, filter: &Filter) -> Result<Source, Failure> {
        let discovery = &self.discovery;
        let reads_input = discovery.dm.is_none() && discovery.nodes.is_none();
        let wish = Wish {
            method: discovery.dm.as_deref(),
            nodes: discovery.nodes.clone(),
            piped: if reads_input { piped::read()? } else { None },
            options: discovery.options.iter().cloned().collect(),
        };
        choose(wish, filter, &client.discovery).map_err(Failure::new)
    }

    fn everybody(&self, client: &Client, filter: Filter) -> Result<Targets, Failure> {
        client.check_filter(self.filters.is_empty())?;
        Ok(Targets {
            filter,
            method: Source::Broadcast.name(),
            known: None,
        })
    }

    fn known(
        &self,
        client: &Client,
        filter: Filter,
        source: &LocalSource,
        agent: Option<&str>,
    ) -> Result<Targets, Failure> {
        // Names that stand in the command or in its file were found out by nobody.
        let (discovered, method) = match source {
            // Other clients call this by the name of the usual method.
            LocalSource::Names(_) => (false, Source::Broadcast.name()),
            LocalSource::FlatFile(_) | LocalSource::Results(_) => (false, Method::FlatFile.name()),
            LocalSource::Inventory(_) => (true, Method::Inventory.name()),
            LocalSource::External(_) => (true, Method::External.name()),
        };
        client.check_filter(self.filters.is_empty() && discovered)?;
        let clock = Clock::start();
        let query = Query {
            filter: &filter,
            agent,
            collective: &client.fleet.caller.collective,
            federations: client.federations(),
            timeout: self.timeout(client),
        };
        let names = source.discover(&query).map_err(Failure::new)?;
        let time = if discovered {
            clock.now()
        } else {
            Duration::ZERO
        };
        Ok(Targets {
            filter,
            method,
            known: Some(Nodes {
                names,
                discovered,
                time,
            }),
        })
    }

    /// The nodes that are meant, for a command that needs a connection for nothing else.
    pub(crate) fn find(&self, targets: Targets, client: &Client) -> Result<Nodes, Failure> {
        match targets.known {
            Some(nodes) => Ok(nodes),
            None => self.broadcast(targets.filter, client, &mut client.connect()?, None),
        }
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
            render::put(&render::find::discovering(targets.method()))?;
        }
        let nodes = match targets.known {
            Some(nodes) => nodes,
            None => self.broadcast(targets.filter, client, fleet, Some(agent))?,
        };
        if announce {
            render::put(&format!(" {}\n\n", nodes.names.len()))?;
        }
        if nodes.names.is_empty() {
            return Err(Failure::new("no node was discovered"));
        }
        Ok(nodes)
    }

    /// Asks who is there. Whoever names the time wants to wait for slow nodes, so it is waited out.
    fn broadcast(
        &self,
        filter: Filter,
        client: &Client,
        fleet: &mut Fleet,
        agent: Option<&str>,
    ) -> Result<Nodes, Failure> {
        let args = &self.discovery;
        let is_windowed =
            args.discovery_timeout.is_none() || args.discovery_window || client.discovery.windowed;
        let discover = Discover {
            filter,
            agent: agent.map(str::to_owned),
            timeout: self.timeout(client),
            window: is_windowed.then_some(DISCOVERY_WINDOW),
            expect: None,
        };
        let found = fleet
            .discover(discover, &mut |_| ())
            .map_err(Failure::new)?;
        Ok(Nodes {
            names: found.replied,
            discovered: true,
            time: found.request_time,
        })
    }

    fn timeout(&self, client: &Client) -> Duration {
        let given = self.discovery.discovery_timeout;
        given.unwrap_or(client.fleet.discovery_timeout)
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
    let summary = result.map_err(Failure::new)?;
    for problem in summary.aggregates.problems() {
        eprintln!("warning: {problem}");
    }
    Ok(Answers { replies, summary })
}

/// An action that every node has.
pub(crate) fn builtin(action: &str) -> (&'static Ddl, &'static Action) {
    let ddl = Ddl::builtin("rpcutil").expect("the agent is built in");
    (ddl, ddl.action(action).expect("the action is built in"))
}

/// `key=value`.
fn option(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not of the form key=value"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
