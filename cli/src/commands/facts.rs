//! `muster facts`: the values of one fact over the fleet.

use std::time::Duration;

use clap::Args;

use super::ask::{self, TargetArgs};
use crate::connection::{ConnectionArgs, seconds};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::render::facts::{Report, Shape};
use crate::render::rpc::Reply;
use crate::render::{self, footer};

#[derive(Debug, Args)]
#[command(after_help = super::rpc::EXIT_CODES)]
pub(crate) struct FactsArgs {
    /// The fact, such as os.family.
    fact: String,
    /// A table.
    #[arg(short, long, conflicts_with = "json")]
    table: bool,
    /// A JSON object with a member for each value.
    #[arg(short, long)]
    json: bool,
    /// Name the nodes of each value, and give all statistics.
    #[arg(short, long)]
    verbose: bool,
    /// Name the nodes of each value.
    #[arg(short = 'n', long)]
    show_nodes: bool,
    /// The most frequent value first.
    #[arg(short, long)]
    reverse: bool,
    /// Seconds to wait for replies, in place of the action's own time.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) fn run(args: &FactsArgs) -> Result<Exit, Failure> {
    let client = args.connection.client()?;
    let (description, action) = ask::builtin("get_fact");
    let inputs = action.parse_inputs(&[format!("fact={}", args.fact)]);
    let inputs = inputs.map_err(|errors| Failure::new(errors[0].to_string()))?;
    let data = serde_json::to_string(&inputs).map_err(Failure::new)?;
    let agent = &description.metadata.name;
    let targets = args.targets.check(&client, Some(agent))?;
    let mut fleet = client.connect()?;
    let nodes = args
        .targets
        .nodes(targets, &client, &mut fleet, agent, false)?;
    let progress = Progress::start(args.is_for_people(), nodes.names.len());
    let action = (description, action);
    let request = ask::request(&client, action, data, nodes.names, args.timeout);
    let answers = ask::ask(&mut fleet, request, progress, &mut |_, _| ())?;
    let replies: Vec<_> = answers.replies.iter().map(Reply::of).collect();
    let report = Report::of(&args.fact, &replies, &answers.summary.no_responses);
    render::put(&report.show(args.shape()))?;
    if args.is_for_people() {
        let summary = &answers.summary;
        let closing = if args.verbose {
            footer::statistics(summary, nodes.time)
        } else {
            footer::finished(summary, nodes.time, client.style)
        };
        render::put(&(closing + &footer::shortcomings(summary, args.verbose)))?;
    } else {
        eprint!("{}", footer::shortcomings(&answers.summary, args.verbose));
    }
    Ok(Exit::of_request(&answers.summary, nodes.discovered))
}

impl FactsArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    fn is_for_people(&self) -> bool {
        !self.json && !self.table
    }

    fn shape(&self) -> Shape {
        let with_nodes = self.show_nodes || self.verbose;
        let reverse = self.reverse;
        if self.json {
            Shape::Json
        } else if self.table {
            Shape::Table {
                with_nodes,
                reverse,
            }
        } else {
            Shape::Text {
                with_nodes,
                reverse,
            }
        }
    }
}
