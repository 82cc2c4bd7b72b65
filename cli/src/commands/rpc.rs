//! `muster rpc`: calls an action on many nodes, and accounts for each of them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use muster_client::fleet::{NodeReply, Summary};
use muster_protocol::ddl::Action;

use super::ask::{self, Nodes, TargetArgs};
use crate::connection::{Client, ConnectionArgs, seconds};
use crate::ddl;
use crate::exit::{Exit, Failure, Form};
use crate::output::Output;
use crate::progress::Progress;
use crate::render::rpc::{Reply, Shape, Show};
use crate::render::{self, footer, rpc_json, rpc_lines, rpc_table};

/// What the exit codes of requests mean, for the ends of help texts.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  every reply is a good one
  1  no node was discovered, the input is bad, or there is no connection
  2  some replies report a failure
  3  nodes were discovered and none replied
  4  the nodes were named by the caller and none replied
Nodes that did not reply are always named in the output.";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RpcArgs {
    /// The agent.
    agent: String,
    /// Its action.
    action: String,
    /// The action's inputs.
    #[arg(value_name = "KEY=VALUE")]
    inputs: Vec<String>,
    /// Seconds to wait for replies, in place of the action's own time.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// What is shown, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Which nodes are shown; default is what the action's description says.
    #[arg(long)]
    display: Option<Show>,
    /// Everything as one JSON document.
    #[arg(short, long)]
    json: bool,
    /// A JSON document a line, written as replies come.
    #[arg(long, conflicts_with_all = ["json", "table", "senders"])]
    jsonl: bool,
    /// A table of good replies.
    #[arg(long, conflicts_with_all = ["json", "senders"])]
    table: bool,
    /// The names of nodes with good replies only; with --json as a JSON list.
    #[arg(long)]
    senders: bool,
    /// Nodes in the order of their names, not of their replies.
    #[arg(long)]
    sort: bool,
    /// Write the result to a file.
    #[arg(short, long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// Data as it came, every name, and all statistics.
    #[arg(short, long)]
    verbose: bool,
    /// No progress bar.
    #[arg(long = "np", visible_alias = "no-progress")]
    no_progress: bool,
}

pub(crate) fn run(args: &RpcArgs) -> Result<Exit, Failure> {
    let client = args.connection.client()?;
    let description = ddl::find(&args.agent, &client.libdirs)?;
    let action = ddl::action(&description, &args.action)?;
    let data = args.data(action)?;
    let targets = args.targets.check(&client)?;
    let mut output = Output::to(args.output.output_file.as_deref())?;
    let mut fleet = client.connect()?;
    if args.output.jsonl {
        output.put(&rpc_lines::discovering(render::find::METHOD))?;
    }
    let announce = args.output.is_for_people();
    let mut nodes = args
        .targets
        .nodes(targets, &client, &mut fleet, &args.agent, announce)?;
    let count = nodes.names.len();
    if args.output.jsonl {
        output.put(&rpc_lines::discovered(
            render::find::METHOD,
            count,
            nodes.time,
        ))?;
    }
    let names = std::mem::take(&mut nodes.names);
    let request = ask::request(&client, (&description, action), data, names, args.timeout);
    let progress = Progress::start(announce && !args.output.no_progress, count);
    let mut written = Ok(());
    let mut answers = ask::ask(&mut fleet, request, progress, &mut |id, reply| {
        if args.output.jsonl && written.is_ok() {
            let line = rpc_lines::result(id, &args.agent, &args.action, reply);
            written = output.put(&line);
        }
    })?;
    written?;
    if args.output.sort {
        answers.replies.sort_by(|a, b| a.sender.cmp(&b.sender));
    }
    output.put(&args.show(&client, action, &answers.replies, &answers.summary, &nodes))?;
    if !announce {
        // The forms for machines have no room for who is missing, or have it among other things.
        eprint!(
            "{}",
            footer::shortcomings(&answers.summary, args.output.verbose)
        );
    }
    Ok(Exit::of_request(&answers.summary, nodes.discovered))
}

impl RpcArgs {
    /// What the standard output holds.
    pub(crate) fn form(&self) -> Form {
        match (self.output.json, self.output.jsonl) {
            (true, _) => Form::Json,
            (_, true) => Form::JsonLines,
            _ => Form::Text,
        }
    }

    /// The inputs as JSON; every problem with them is named.
    fn data(&self, action: &Action) -> Result<String, Failure> {
        let inputs = action.parse_inputs(&self.inputs).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::new(errors.join("\n"))
        })?;
        serde_json::to_string(&inputs).map_err(Failure::new)
    }

    fn show(
        &self,
        client: &Client,
        action: &Action,
        replies: &[NodeReply],
        summary: &Summary,
        nodes: &Nodes,
    ) -> String {
        if self.output.jsonl {
            return rpc_lines::closing(summary, nodes.time);
        }
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let output = &self.output;
        match (output.senders, output.json, output.table) {
            (true, true, _) => render::rpc::senders_json(&replies),
            (true, false, _) => render::rpc::senders(&replies),
            (_, true, _) => {
                rpc_json::document(&self.agent, &self.action, &replies, summary, nodes.time)
            }
            (_, _, true) => {
                rpc_table::nodes(&replies, action) + &footer::shortcomings(summary, output.verbose)
            }
            _ => output.text(client, action, &replies, summary, nodes),
        }
    }
}

impl OutputArgs {
    /// Whether the whole output is for people; the other forms hold nothing but what they promise.
    fn is_for_people(&self) -> bool {
        !self.json && !self.jsonl && !self.senders
    }

    fn text(
        &self,
        client: &Client,
        action: &Action,
        replies: &[Reply<'_>],
        summary: &Summary,
        nodes: &Nodes,
    ) -> String {
        let shape = Shape {
            show: self.display.unwrap_or_else(|| Show::of(action.display)),
            raw: self.verbose,
            style: client.style,
        };
        let closing = if self.verbose {
            footer::statistics(summary, nodes.time)
        } else {
            footer::finished(summary, nodes.time, client.style)
        };
        render::rpc::nodes(replies, action, shape)
            + &render::rpc::summaries(&summary.aggregates, action)
            + &closing
            + &footer::shortcomings(summary, self.verbose)
    }
}
