//! `muster find`: asks who is there, and lists the names.
//!
//! It asks the nodes also where the filter names them: a name in the list is a node that answered, unless a file or program was to be asked.

use clap::Args;

use super::ask::{Nodes, TargetArgs};
use crate::connection::ConnectionArgs;
use crate::exit::{Exit, Failure};
use crate::render;

#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// A JSON list.
    #[arg(short, long)]
    json: bool,
    /// Say how many, and how long it took.
    #[arg(short, long)]
    verbose: bool,
    /// As little as possible, which is the default.
    #[arg(long, hide = true)]
    silent: bool,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl FindArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

pub(crate) fn run(args: &FindArgs) -> Result<Exit, Failure> {
    let client = args.connection.client()?;
    let targets = args.targets.check_all(&client)?;
    let method = targets.method();
    let mut nodes = args.targets.find(targets, &client)?;
    // The order of answers is chance; people and programs that compare lists want the same each time.
    nodes.names.sort_unstable();
    render::put(&show(args, &nodes, method))?;
    if nodes.names.is_empty() {
        return Err(Failure::after_output("no node was discovered"));
    }
    Ok(Exit::Success)
}

fn show(args: &FindArgs, nodes: &Nodes, method: &str) -> String {
    let names = &nodes.names;
    if args.json {
        return render::find::json(names);
    }
    let list = render::find::names(names);
    if !args.verbose {
        return list;
    }
    render::find::discovered(method, names.len())
        + &list
        + &render::find::closing(method, names.len(), nodes.time)
}
