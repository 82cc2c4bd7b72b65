//! The command line as a whole.

use std::ffi::OsString;

use clap::Parser;

use crate::commands::Command;
use crate::exit::{Exit, Form};
use crate::render;

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
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    Cli::try_parse_from(&words).map_err(|error| {
        let exit = if error.use_stderr() {
            // Only the words say what was asked for: there are no arguments yet.
            let text = form_of(&words).of_failure(error.to_string().trim_end());
            let _ = render::put(&text);
            Exit::Unable
        } else {
            Exit::Success
        };
        // There is nobody left to tell when the terminal is gone.
        let _ = error.print();
        exit
    })
}

/// What the standard output should hold, by words that are no arguments.
fn form_of(words: &[OsString]) -> Form {
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    if has("--jsonl") {
        Form::JsonLines
    } else if has("--json") || has("-j") {
        Form::Json
    } else {
        Form::Text
    }
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
            &[
                "muster",
                "rpc",
                "rpcutil",
                "ping",
                "-1",
                "--np",
                "--workers",
                "3",
            ],
            &[
                "muster", "rpc", "rpcutil", "ping", "-t", "5", "--ttl", "60", "--dt", "3", "--nr",
            ],
            &[
                "muster",
                "rpc",
                "rpcutil",
                "ping",
                "--ln",
                "10%",
                "--limit-seed",
                "1",
            ],
            &[
                "muster",
                "rpc",
                "rpcutil",
                "ping",
                "--batch",
                "5",
                "--batch-sleep-time",
                "2",
            ],
            &[
                "muster", "rpc", "rpcutil", "ping", "-r", "x.y", "-S", "true", "-T", "eu",
            ],
            &[
                "muster",
                "ping",
                "--silent",
                "--graph",
                "--federations",
                "a,b",
                "--expect",
                "3",
            ],
            &[
                "muster",
                "discover",
                "--dm",
                "inventory",
                "--do",
                "file=x",
                "--do",
                "novalidate=1",
            ],
            &[
                "muster",
                "facts",
                "os.family",
                "-n",
                "-r",
                "-t",
                "-v",
                "--nodes",
                "x",
            ],
            &["muster", "inventory", "n1", "--no-facts"],
            &["muster", "inventory", "--collectives", "-C", "web"],
            &["muster", "plugin", "describe", "rpcutil", "ping"],
            &[
                "muster",
                "tool",
                "status",
                "--status-file",
                "x",
                "--no-disconnected",
                "--max-age",
                "0",
            ],
            &[
                "muster",
                "tool",
                "event",
                "--type",
                "startup",
                "--component",
                "server",
                "-j",
            ],
            &[
                "muster",
                "tool",
                "config",
                "plugin.nats",
                "--list",
                "--role",
                "server",
            ],
        ] {
            assert!(Cli::try_parse_from(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_seen_in_a_line_that_cannot_be_read() {
        let form = |words: &[&str]| form_of(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(form(&["rpc", "-j", "--nonsense"]), Form::Json);
        assert_eq!(form(&["rpc", "--jsonl", "--nonsense"]), Form::JsonLines);
        assert_eq!(form(&["rpc", "--nonsense"]), Form::Text);
    }

    #[test]
    fn the_document_names_every_command_and_flag() {
        const DOCUMENT: &str = include_str!("../../docs/cli.md");
        // Their flags are for those who install, and stand in their help.
        const APART: [&str; 4] = ["broker", "server", "ca", "demo"];
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let is_group = command.has_subcommands();
            assert!(is_group || DOCUMENT.contains(path.trim()), "{path}");
            let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
            for flag in flags.filter_map(clap::Arg::get_long) {
                let is_there = flag == "help" || DOCUMENT.contains(&format!("--{flag}"));
                assert!(is_there, "{path} --{flag}");
            }
            let apart = |command: &&clap::Command| !APART.contains(&command.get_name());
            command
                .get_subcommands()
                .filter(apart)
                .for_each(|command| check(command, &path));
        }
        check(&Cli::command(), "");
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
