//! How the result of a request is shown.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use muster_client::fleet::{NodeReply, Summary};

use super::Call;
use crate::exit::{Failure, Form};
use crate::output::Output;
use crate::render::rpc::{Reply, Shape, Show};
use crate::render::{self, footer, rpc_json, rpc_lines, rpc_table};

/// What is shown, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Which nodes are shown; default is what the action's description says.
    #[arg(long)]
    display: Option<Show>,
    /// Everything as one JSON document.
    #[arg(short, long)]
    json: bool,
    /// A JSON document a line, written as replies come.
    #[arg(long, conflicts_with_all = ["json", "table", "senders"])]
    pub(super) jsonl: bool,
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
    pub(super) verbose: bool,
    /// No progress bar.
    #[arg(long = "np", visible_alias = "no-progress")]
    no_progress: bool,
}

impl OutputArgs {
    /// What the standard output holds.
    pub(super) fn form(&self) -> Form {
        match (self.json, self.jsonl) {
            (true, _) => Form::Json,
            (_, true) => Form::JsonLines,
            _ => Form::Text,
        }
    }

    /// Where the result goes.
    pub(super) fn open(&self) -> Result<Output, Failure> {
        Output::to(self.output_file.as_deref())
    }

    /// Whether the whole output is for people; the other forms hold nothing but what they promise.
    pub(super) fn is_for_people(&self) -> bool {
        !self.json && !self.jsonl && !self.senders
    }

    pub(super) fn has_progress(&self) -> bool {
        self.is_for_people() && !self.no_progress
    }

    /// The result of a request nobody waits for.
    pub(super) fn request_id(&self, id: &str) -> String {
        match self.form() {
            Form::Text => format!("{id}\n"),
            Form::Json => rpc_json::request_id(id),
            Form::JsonLines => rpc_lines::request_id(id),
        }
    }

    /// The result of a request; of JSON lines, what is left of them.
    pub(super) fn show(
        &self,
        call: &Call<'_>,
        mut replies: Vec<NodeReply>,
        summary: &Summary,
        discover_time: Duration,
    ) -> String {
        if self.jsonl {
            return rpc_lines::closing(summary, discover_time);
        }
        if self.sort {
            replies.sort_by(|a, b| a.sender.cmp(&b.sender));
        }
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let (agent, action) = (&call.description.metadata.name, call.action);
        match (self.senders, self.json, self.table) {
            (true, true, _) => render::rpc::senders_json(&replies),
            (true, false, _) => render::rpc::senders(&replies),
            (_, true, _) => {
                rpc_json::document(agent, &action.name, &replies, summary, discover_time)
            }
            (_, _, true) => {
                rpc_table::nodes(&replies, action) + &footer::shortcomings(summary, self.verbose)
            }
            _ => self.text(call, &replies, summary, discover_time),
        }
    }

    fn text(
        &self,
        call: &Call<'_>,
        replies: &[Reply<'_>],
        summary: &Summary,
        discover_time: Duration,
    ) -> String {
        let style = call.client.style;
        let shape = Shape {
            show: self
                .display
                .unwrap_or_else(|| Show::of(call.action.display)),
            raw: self.verbose,
            style,
        };
        let closing = if self.verbose {
            footer::statistics(summary, discover_time)
        } else {
            footer::finished(summary, discover_time, style)
        };
        render::rpc::nodes(replies, call.action, shape)
            + &render::rpc::summaries(&summary.aggregates, call.action)
            + &closing
            + &footer::shortcomings(summary, self.verbose)
    }
}
