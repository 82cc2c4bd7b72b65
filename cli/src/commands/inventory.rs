//! `muster inventory`: what one node knows about itself, or which collectives the fleet has.

use std::time::Duration;

use clap::Args;
use muster_client::fleet::Fleet;

use super::ask::{self, Answers, TargetArgs};
use crate::connection::{Client, ConnectionArgs, seconds};
use crate::exit::{Exit, Failure, Form};
use crate::progress::Progress;
use crate::render::inventory::{Collectives, Node};
use crate::render::rpc::Reply;
use crate::render::{self, footer};

#[derive(Debug, Args)]
#[command(after_help = super::rpc::EXIT_CODES)]
pub(crate) struct InventoryArgs {
    /// The node.
    #[arg(required_unless_present = "collectives")]
    identity: Option<String>,
    /// List all collectives, and how many nodes are in each.
    #[arg(long, conflicts_with = "identity")]
    collectives: bool,
    /// Leave the facts out.
    #[arg(long, overrides_with = "facts_too")]
    no_facts: bool,
    /// Show the facts, which is the default.
    #[arg(long = "facts", hide = true)]
    facts_too: bool,
    /// Everything as JSON.
    #[arg(short, long)]
    json: bool,
    /// Seconds to wait for replies, in place of the action's own time.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) fn run(args: &InventoryArgs) -> Result<Exit, Failure> {
    let client = args.connection.client()?;
    match &args.identity {
        Some(identity) => args.node(&client, identity),
        None => args.all_collectives(&client),
    }
}

impl InventoryArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    fn node(&self, client: &Client, identity: &str) -> Result<Exit, Failure> {
        let mut fleet = client.connect()?;
        let names = || vec![identity.to_owned()];
        let inventory = self.ask(client, &mut fleet, "inventory", names())?;
        let Some(known) = good_reply(&inventory)? else {
            let form = if self.json { Form::Json } else { Form::Text };
            return nobody(&inventory, identity, form);
        };
        let stats = self.ask(client, &mut fleet, "daemon_stats", names())?;
        let node = Node {
            identity,
            inventory: &known.data,
            // A node may allow one action and deny the other; what it said is shown all the same.
            stats: good_reply(&stats).ok().flatten().map(|reply| reply.data),
        };
        let text = if self.json {
            node.json()
        } else {
            node.text(!self.no_facts)
        };
        render::put(&text)?;
        if node.stats.is_none() {
            let why = match good_reply(&stats) {
                Err(_) if !stats.replies.is_empty() => {
                    Reply::of(&stats.replies[0]).message.into_owned()
                }
                _ => "no reply".to_owned(),
            };
            eprintln!("muster: {identity} did not tell its statistics: {why}");
            return Ok(Exit::SomeFailed);
        }
        Ok(Exit::Success)
    }

    fn all_collectives(&self, client: &Client) -> Result<Exit, Failure> {
        let targets = self.targets.check(client, Some("rpcutil"))?;
        let mut fleet = client.connect()?;
        let nodes = self
            .targets
            .nodes(targets, client, &mut fleet, "rpcutil", false)?;
        let answers = self.ask(client, &mut fleet, "collective_info", nodes.names)?;
        let replies: Vec<_> = answers.replies.iter().map(Reply::of).collect();
        let report = Collectives::of(&replies, &answers.summary.no_responses);
        if self.json {
            render::put(&report.json())?;
        } else {
            let closing = footer::shortcomings(&answers.summary, false);
            render::put(&(report.text() + &closing))?;
        }
        Ok(Exit::of_request(&answers.summary, nodes.discovered))
    }

    fn ask(
        &self,
        client: &Client,
        fleet: &mut Fleet,
        action: &str,
        names: Vec<String>,
    ) -> Result<Answers, Failure> {
        let progress = Progress::start(!self.json && names.len() > 1, names.len());
        let action = ask::builtin(action);
        let request = ask::request(client, action, "{}".to_owned(), names, self.timeout);
        ask::ask(fleet, request, progress, &mut |_, _| ())
    }
}

/// The reply of the one node that was asked, if there is one.
fn good_reply(answers: &Answers) -> Result<Option<Reply<'_>>, Failure> {
    let Some(reply) = answers.replies.first().map(Reply::of) else {
        return Ok(None);
    };
    if reply.is_ok() {
        return Ok(Some(reply));
    }
    Err(Failure::new(format!(
        "{} did not tell its inventory: {}",
        reply.sender, reply.message
    )))
}

/// Nobody there is a failure with a code of its own.
fn nobody(answers: &Answers, identity: &str, form: Form) -> Result<Exit, Failure> {
    let text = format!("{identity} did not reply");
    render::put(&form.of_failure(&text))?;
    eprintln!("muster: {text}");
    Ok(Exit::of_request(&answers.summary, false))
}
