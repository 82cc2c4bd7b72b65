//! Exit codes, and errors that end a command.
//!
//! | code | for a request |
//! |---|---|
//! | 0 | every reply is a good one |
//! | 1 | no node was discovered, the input is bad, or there is no connection |
//! | 2 | some replies report a failure |
//! | 3 | nodes were discovered and none replied |
//! | 4 | the nodes were named by the caller and none replied |
//!
//! These are the Ruby client's. A node that is missing while others reply well does not change the code, as there; it is named in the output.
//!
//! A command that was asked for JSON owes its reader JSON, also when it fails: see [`Form`].

use std::fmt::{self, Display, Formatter};
use std::process::ExitCode;

use muster_client::fleet::Summary;
use serde::Serialize;

use crate::render;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Unable = 1,
    SomeFailed = 2,
    NoReplies = 3,
    NobodyReplied = 4,
}

/// What the standard output of a command holds, and so how it must look where the command fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text for people: the standard error alone says what went wrong.
    #[default]
    Text,
    /// One JSON document: `{"error": …}` takes its place.
    Json,
    /// A JSON document a line: the last one is `{"k":"error","err":…}`.
    JsonLines,
}

/// Why a command ends early; always with [`Exit::Unable`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    text: String,
    /// The output is complete as it is: what is owed to a machine is out already.
    told: bool,
}

impl Failure {
    pub(crate) fn new(error: impl Display) -> Self {
        Self {
            text: error.to_string(),
            told: false,
        }
    }

    /// A failure that the output shows already, such as a list without a name in it.
    pub(crate) fn after_output(error: impl Display) -> Self {
        Self {
            text: error.to_string(),
            told: true,
        }
    }

    /// Whoever read the output has gone; nothing is said.
    pub(crate) const fn silent() -> Self {
        Self {
            text: String::new(),
            told: true,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    k: &'static str,
    err: &'a str,
}

impl Form {
    /// What the standard output must hold of a failure.
    pub(crate) fn of_failure(self, text: &str) -> String {
        let json = |document: serde_json::Result<String>| {
            document.expect("an object of texts has a JSON form") + "\n"
        };
        match self {
            Self::Text => String::new(),
            Self::Json => json(serde_json::to_string_pretty(&ErrorDocument { error: text })),
            Self::JsonLines => json(serde_json::to_string(&ErrorLine {
                k: "error",
                err: text,
            })),
        }
    }
}

impl Exit {
    /// The code of a request to named nodes; `discovered` says whether a discovery named them.
    pub(crate) fn of_request(summary: &Summary, discovered: bool) -> Self {
        match (summary.replied.is_empty(), summary.failed) {
            (true, _) if discovered => Self::NoReplies,
            (true, _) => Self::NobodyReplied,
            (false, 0) => Self::Success,
            (false, _) => Self::SomeFailed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says what went wrong, if anything, and gives the code.
pub(crate) fn report(result: Result<Exit, Failure>, form: Form) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(Failure { text, told }) => {
            if !told {
                // There is nobody left to tell when the reader is gone.
                let _ = render::put(&form.of_failure(&text));
            }
            if !text.is_empty() {
                eprintln!("muster: {text}");
            }
            Exit::Unable.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::summary;

    #[test]
    fn a_failure_is_json_where_json_was_asked_for() {
        let text = "cannot read \"a\\b\"\nnor c";
        assert_eq!(Form::Text.of_failure(text), "");
        for form in [Form::Json, Form::JsonLines] {
            let document = form.of_failure(text);
            let value: serde_json::Value = serde_json::from_str(&document).unwrap();
            let key = if form == Form::Json { "error" } else { "err" };
            assert_eq!(value[key], text, "{document}");
        }
        assert_eq!(Form::JsonLines.of_failure(text).lines().count(), 1);
    }

    #[test]
    fn codes_are_those_of_the_table() {
        let code = |replied: &[&str], failed, discovered| {
            Exit::of_request(&summary(&["a", "b"], replied, failed), discovered)
        };
        assert_eq!(code(&["a", "b"], 0, true), Exit::Success);
        assert_eq!(
            code(&["a"], 0, true),
            Exit::Success,
            "a missing node is named, not coded"
        );
        assert_eq!(code(&["a", "b"], 1, true), Exit::SomeFailed);
        assert_eq!(code(&["a"], 1, false), Exit::SomeFailed);
        assert_eq!(code(&[], 0, true), Exit::NoReplies);
        assert_eq!(code(&[], 0, false), Exit::NobodyReplied);
    }
}
