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

use std::fmt::Display;
use std::process::ExitCode;

use muster_client::fleet::Summary;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Unable = 1,
    SomeFailed = 2,
    NoReplies = 3,
    NobodyReplied = 4,
}

/// Why a command ends early; always with [`Exit::Unable`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }

    /// Whoever read the output has gone; nothing is said.
    pub(crate) const fn silent() -> Self {
        Self(String::new())
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
pub(crate) fn report(result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(Failure(text)) => {
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
