//! `muster plugin`: what agents are there for, what their actions take and give.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use muster_client::fleet::DdlLibrary;

use crate::connection::ConnectionArgs;
use crate::exit::{Exit, Failure};
use crate::{ddl, render};

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Describe an agent, or list those that are known.
    #[command(visible_alias = "describe")]
    Doc(DocArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DocArgs {
    /// The agent, also as agent/NAME; without it the known ones are listed.
    agent: Option<String>,
    /// One action of it.
    #[arg(requires = "agent")]
    action: Option<String>,
    /// The description as JSON.
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub(crate) fn run(command: &PluginCommand) -> Result<Exit, Failure> {
    let PluginCommand::Doc(args) = command;
    let client = args.connection.libdirs()?;
    let text = match &args.agent {
        Some(agent) => args.describe(agent, &client)?,
        None => args.list(&client),
    };
    render::put(&text)?;
    Ok(Exit::Success)
}

impl PluginCommand {
    pub(crate) fn is_json(&self) -> bool {
        let Self::Doc(args) = self;
        args.json
    }
}

impl DocArgs {
    fn describe(&self, agent: &str, libdirs: &[PathBuf]) -> Result<String, Failure> {
        let name = agent.strip_prefix("agent/").unwrap_or(agent);
        let mut ddl = ddl::find(name, libdirs)?.into_owned();
        if let Some(action) = &self.action {
            ddl.actions = vec![ddl::action(&ddl, action)?.clone()];
        }
        Ok(if self.json {
            render::plugin::json(&ddl)
        } else {
            render::plugin::agent(&ddl)
        })
    }

    /// Names and descriptions. A file that is no description is named on the standard error and left out.
    fn list(&self, libdirs: &[PathBuf]) -> String {
        let library = DdlLibrary::new(libdirs);
        let mut agents = BTreeMap::new();
        for name in library.agents().into_keys() {
            match library.find(&name) {
                Ok(ddl) => drop(agents.insert(name, ddl.metadata.description.clone())),
                Err(error) => eprintln!("warning: {error}"),
            }
        }
        if self.json {
            render::plugin::list_json(&agents)
        } else {
            render::plugin::list(&agents)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_library_folders_are_listed_once() {
        let libdir = tempfile::tempdir().unwrap();
        let folder = libdir.path().join("choria/agent");
        std::fs::create_dir_all(folder.join("nested")).unwrap();
        let ddl = |name: &str| {
            format!(
                r#"{{"metadata":{{"name":"{name}","description":"Says {name}"}},"actions":[]}}"#
            )
        };
        std::fs::write(folder.join("parrot.json"), ddl("parrot")).unwrap();
        std::fs::write(folder.join("rpcutil.json"), ddl("rpcutil")).unwrap();
        std::fs::write(folder.join("nested/nested.json"), ddl("nested")).unwrap();
        std::fs::write(folder.join("parrot.rb"), "").unwrap();
        std::fs::write(folder.join("broken.json"), "{").unwrap();
        let args = DocArgs {
            agent: None,
            action: None,
            json: false,
            connection: ConnectionArgs::default(),
        };
        let list = args.list(&[libdir.path().to_owned()]);
        assert!(
            list.contains(" nested: ") && !list.contains("broken"),
            "{list}"
        );
        assert!(
            list.contains("              parrot: Says parrot\n"),
            "{list}"
        );
        assert_eq!(list.matches(" rpcutil: ").count(), 1, "{list}");
        assert!(!list.contains("Says rpcutil"), "{list}");
    }
}
