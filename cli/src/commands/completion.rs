//! `muster completion`: what a shell must know to complete our command lines.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::render;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell, such as bash, zsh or fish.
    shell: Shell,
}

pub(crate) fn run(args: &CompletionArgs) -> Result<Exit, Failure> {
    render::put(&script(args.shell)?)?;
    Ok(Exit::Success)
}

fn script(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "muster", &mut script);
    String::from_utf8(script).map_err(Failure::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_every_visible_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell).unwrap();
            for word in ["inventory", "buildinfo", "display", "discovery-timeout"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
