//! The command line as a whole.

use std::ffi::OsString;

use clap::Parser;

use crate::commands::Command;
use crate::exit::Exit;

/// Asks or tells a whole fleet something, and says what came of it on every machine.
#[derive(Debug, Parser)]
#[command(name = "muster", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Say on the standard error what goes on.
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Reads the words of a command line. Help and version are printed here and end well; what is wrong is printed and ends as bad input.
pub(crate) fn parse<W: Into<OsString> + Clone>(
    words: impl IntoIterator<Item = W>,
) -> Result<Cli, Exit> {
    Cli::try_parse_from(words).map_err(|error| {
        let exit = if error.use_stderr() {
            Exit::Unable
        } else {
            Exit::Success
        };
        // There is nobody left to tell when the terminal is gone.
        let _ = error.print();
        exit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn aliases_and_the_word_run_are_understood() {
        for words in [
            &["muster", "rpc", "rpcutil", "ping"][..],
            &[
                "muster",
                "req",
                "rpcutil",
                "get_fact",
                "fact=country",
                "-F",
                "a=b",
                "-F",
                "c=d",
            ],
            &["muster", "discover", "-C", "/^db/"],
            &["muster", "find", "-W", "country=de role::db", "--json"],
            &["muster", "broker", "run", "-p", "0"],
            &["muster", "server", "run", "--config", "server.conf"],
            &["muster", "server", "--config", "server.conf"],
        ] {
            assert!(Cli::try_parse_from(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn bad_input_ends_with_one() {
        assert_eq!(parse(["muster", "rpc"]).unwrap_err(), Exit::Unable);
        assert_eq!(
            parse(["muster", "ping", "--nonsense"]).unwrap_err(),
            Exit::Unable
        );
    }
}
