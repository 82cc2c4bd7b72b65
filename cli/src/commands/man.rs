//! `muster man`: manual pages for packages, one a command.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::args::Cli;
use crate::exit::{Exit, Failure};

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder they are written to; made where it is not there.
    folder: PathBuf,
}

pub(crate) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let folder = &args.folder;
    let failed = |error| {
        Failure::new(format!(
            "cannot write manual pages to {}: {error}",
            folder.display()
        ))
    };
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs {
            folder: folder.path().join("man1"),
        };
        assert_eq!(run(&args), Ok(Exit::Success));
        let visible = Cli::command();
        let visible = visible
            .get_subcommands()
            .filter(|command| !command.is_hide_set());
        for command in visible {
            let page = args.folder.join(format!("muster-{}.1", command.get_name()));
            let page = fs::read_to_string(&page).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{page}");
        }
        assert!(args.folder.join("muster-tool-event.1").is_file());
    }
}
