//! `muster rpc`: calls an action on many nodes, and accounts for each of them.

mod output;
mod sending;

use std::time::Duration;

use clap::Args;
use muster_client::fleet::{Expect, Fleet, Rpc, RpcOptions, Target};
use muster_protocol::ddl::{Action, Ddl};
use muster_protocol::filter::Filter;

use self::output::OutputArgs;
use self::sending::{Judge, SendingArgs};
use super::ask::{self, Answers, Nodes, TargetArgs, Targets};
use crate::connection::{Client, ConnectionArgs, seconds};
use crate::ddl;
use crate::exit::{Exit, Failure, Form};
use crate::output::Output;
use crate::progress::Progress;
use crate::render::rpc_lines::Asked;
use crate::render::{footer, rpc_lines};

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
    sending: SendingArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// One call, ready to be made.
struct Call<'a> {
    args: &'a RpcArgs,
    client: &'a Client,
    description: &'a Ddl,
    action: &'a Action,
    output: Output,
    fleet: Fleet,
}

pub(crate) fn run(args: &RpcArgs) -> Result<Exit, Failure> {
    let client = args.connection.client()?;
    let description = ddl::find(&args.agent, &client.libdirs)?;
    let action = ddl::action(&description, &args.action)?;
    let data = args.data(action)?;
    let judge = args.sending.judge()?;
    let targets = args.targets.check(&client, Some(&args.agent))?;
    args.sending.check(&targets)?;
    let mut call = Call {
        args,
        client: &client,
        description: &description,
        action,
        output: args.output.open()?,
        fleet: client.connect()?,
    };
    let exit = if args.sending.is_unheard() {
        call.send(data, targets)
    } else if description.metadata.service {
        call.ask_service(data, judge.as_ref())
    } else {
        call.ask_nodes(data, targets, judge.as_ref())
    };
    if let Some(judge) = judge {
        judge.report();
    }
    exit
}

impl Call<'_> {
    /// Sends a request whose replies are not for us; its id is the result.
    fn send(&mut self, data: String, targets: Targets) -> Result<Exit, Failure> {
        let sending = &self.args.sending;
        let (filter, target) = if targets.is_broadcast() && !sending.needs_names() {
            let everybody = Target::Broadcast(Expect::Unknown { window: None });
            (targets.filter, everybody)
        } else {
            let nodes = self.nodes(targets, false)?;
            (Filter::default(), Target::Direct(nodes.names))
        };
        let mut request = self.request(data, target, 0, None)?;
        request.filter = filter;
        request.options.results = sending.results();
        let answers = ask::ask(&mut self.fleet, request, Progress::none(), &mut |_, _| ())?;
        let id = answers.summary.request_id.as_str();
        self.output.put(&self.args.output.request_id(id))?;
        Ok(Exit::Success)
    }

    /// Asks whichever node offers the agent as a service; there is nobody to be discovered.
    fn ask_service(&mut self, data: String, judge: Option<&Judge>) -> Result<Exit, Failure> {
        let request = self.request(data, Target::Service, 1, judge)?;
        let nodes = Nodes {
            names: Vec::new(),
            discovered: false,
            time: Duration::ZERO,
        };
        self.ask(request, 1, &nodes)
    }

    fn ask_nodes(
        &mut self,
        data: String,
        targets: Targets,
        judge: Option<&Judge>,
    ) -> Result<Exit, Failure> {
        let method = targets.method();
        let args = self.args;
        if args.output.jsonl {
            self.output.put(&rpc_lines::discovering(method))?;
        }
        let mut nodes = self.nodes(targets, args.output.is_for_people())?;
        let count = nodes.names.len();
        if args.output.jsonl {
            let line = rpc_lines::discovered(method, count, nodes.time);
            self.output.put(&line)?;
        }
        let target = Target::Direct(std::mem::take(&mut nodes.names));
        let request = self.request(data, target, count, judge)?;
        self.ask(request, count, &nodes)
    }

    /// The nodes that are meant, within the limit.
    fn nodes(&mut self, targets: Targets, announce: bool) -> Result<Nodes, Failure> {
        let args = self.args;
        let agent = &args.agent;
        let mut nodes =
            args.targets
                .nodes(targets, self.client, &mut self.fleet, agent, announce)?;
        let is_random = self.client.limit_is_random;
        nodes.names = args.sending.limit(nodes.names, is_random)?;
        Ok(nodes)
    }

    fn request(
        &self,
        data: String,
        target: Target,
        nodes: usize,
        judge: Option<&Judge>,
    ) -> Result<Rpc, Failure> {
        let action = (self.description, self.action);
        let timeout = self.args.timeout;
        Ok(Rpc {
            target,
            options: RpcOptions {
                batch: self.args.sending.batch(nodes)?,
                reply_filter: judge.map(Judge::filter),
                ..RpcOptions::default()
            },
            ..ask::request(self.client, action, data, Vec::new(), timeout)
        })
    }

    /// Makes the request, and shows what came of it.
    fn ask(&mut self, request: Rpc, count: usize, nodes: &Nodes) -> Result<Exit, Failure> {
        let (args, output) = (self.args, &mut self.output);
        let progress = Progress::start(args.output.has_progress(), count);
        let version = self.client.fleet.caller.security.version();
        let mut written = Ok(());
        let answers = ask::ask(&mut self.fleet, request, progress, &mut |id, reply| {
            if args.output.jsonl && written.is_ok() {
                let asked = Asked {
                    version,
                    request_id: id,
                    agent: &args.agent,
                    action: &args.action,
                };
                written = output.put(&rpc_lines::result(&asked, reply));
            }
        })?;
        written?;
        let Answers { replies, summary } = answers;
        let text = args.output.show(self, replies, &summary, nodes.time);
        self.output.put(&text)?;
        if !args.output.is_for_people() {
            // The forms for machines have no room for who is missing, or have it among other things.
            eprint!("{}", footer::shortcomings(&summary, args.output.verbose));
        }
        Ok(Exit::of_request(&summary, nodes.discovered))
    }
}

impl RpcArgs {
    /// What the standard output holds.
    pub(crate) fn form(&self) -> Form {
        self.output.form()
    }

    /// The inputs as JSON; every problem with them is named.
    fn data(&self, action: &Action) -> Result<String, Failure> {
        let inputs = action.parse_inputs(&self.inputs).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::new(errors.join("\n"))
        })?;
        serde_json::to_string(&inputs).map_err(Failure::new)
    }
}
