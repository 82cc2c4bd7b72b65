//! `muster plugin`: what agents are there for, what their actions take and give.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, Subcommand};
use muster_protocol::ddl::Ddl;

use crate::connection::ConnectionArgs;
use crate::exit::{Exit, Failure};
use crate::{ddl, files, render};

/// Agents whose descriptions are part of this program, where it has them.
const BUILTIN: [&str; 4] = ["choria_provision", "choria_util", "discovery", "rpcutil"];
/// Folders below a library folder that may hold agents.
const FOLDERS: [&str; 2] = ["choria/agent", "mcollective/agent"];

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
    fn describe(&self, agent: &str, libdirs: &[std::path::PathBuf]) -> Result<String, Failure> {
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
    fn list(&self, libdirs: &[std::path::PathBuf]) -> String {
        let mut agents: BTreeMap<_, _> = BUILTIN
            .iter()
            .filter_map(|name| Ddl::builtin(name))
            .map(|ddl| (ddl.metadata.name.clone(), ddl.metadata.description.clone()))
            .collect();
        let folders = libdirs
            .iter()
            .flat_map(|libdir| FOLDERS.map(|folder| libdir.join(folder)));
        for name in folders.flat_map(|folder| names_in(&folder)) {
            if agents.contains_key(&name) {
                continue;
            }
            match ddl::find(&name, libdirs) {
                Ok(ddl) => drop(agents.insert(name, ddl.metadata.description.clone())),
                Err(failure) => eprintln!("warning: {failure}"),
            }
        }
        if self.json {
            render::plugin::list_json(&agents)
        } else {
            render::plugin::list(&agents)
        }
    }
}

/// Agents that a folder may describe: `NAME.json`, or `NAME/NAME.json`.
fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = files::list(folder)
        .iter()
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?;
            let is_file = path.extension().is_some_and(|ending| ending == "json");
            let is_folder = path.join(format!("{name}.json")).is_file();
            (is_file || is_folder).then(|| name.to_owned())
        })
        .collect();
    names.sort_unstable();
    names
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
        assert_eq!(names_in(&folder), ["nested", "parrot", "rpcutil"]);
        assert_eq!(names_in(&folder.join("absent")), [""; 0]);
        let args = DocArgs {
            agent: None,
            action: None,
            json: false,
            connection: ConnectionArgs::default(),
        };
        let list = args.list(&[libdir.path().to_owned()]);
        assert!(
            list.contains("              parrot: Says parrot\n"),
            "{list}"
        );
        assert_eq!(list.matches(" rpcutil: ").count(), 1, "{list}");
        assert!(!list.contains("Says rpcutil"), "{list}");
    }
}
