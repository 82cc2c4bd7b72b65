//! Action policies: who may call which action of an agent, on nodes with which facts and classes.
//!
//! ```text
//! policy default deny
//! # effect  callers                      actions           facts         classes
//! allow     choria=rip.mcollective       status restart    *             *
//! deny      /^up=guest/                  *                 *             *
//! allow     admins                       *                 country=mt    apache /^role::web/
//! ```
//!
//! Columns stand between tabs, the entries of one between single blanks. The first line that matches decides, else the
//! last `policy default`, else the call is denied. A name among the callers is a caller's id or a group of the
//! [`Groups`] file. All facts and all classes of a line must match.
//!
//! A line that can not be read is skipped, with a [`PolicyWarning`]. One whose callers and actions match and whose
//! facts or classes are malformed or missing denies: what its author wanted to allow is not known.
//!
//! This module decides; [`store`] finds the files. Facts: section 12 of the server's fact sheet.

mod condition;
mod groups;
mod parse;
mod shipped;
pub mod store;

#[cfg(test)]
mod tests;

use std::fmt;

use muster_protocol::filter::FactsView;

use self::condition::{Actions, Callers, Condition};

pub use self::groups::Groups;
pub use self::shipped::shipped_policy;
pub use self::store::{PolicyOptions, PolicyStore};

/// Longest line of a policy or groups file, in bytes. A longer one ends the file: what follows counts for nothing, and
/// calls that are not decided before it are denied.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What a line does to the calls it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They may be made.
    Allow,
    /// They may not.
    Deny,
}

/// A policy file.
#[derive(Debug, Clone)]
pub struct Policy {
    file_name: Box<str>,
    default: Option<Effect>,
    lines: Vec<Line>,
}

/// A line that can match.
#[derive(Debug, Clone)]
struct Line {
    number: u32,
    effect: Effect,
    callers: Callers,
    actions: Actions,
    condition: Condition,
}

/// Something in a file that is not as its author meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWarning {
    /// The file.
    pub file_name: Box<str>,
    /// The line, the first being 1.
    pub line: u32,
    /// What is wrong, and what comes of it.
    pub message: Box<str>,
}

/// The call that is decided about, and the node it is for.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'c> {
    /// Who calls, such as `choria=rip.mcollective`.
    pub caller: &'c str,
    /// The agent.
    pub agent: &'c str,
    /// Its action.
    pub action: &'c str,
    /// The node's facts.
    pub facts: FactsView<'c>,
    /// The node's classes.
    pub classes: &'c [String],
}

/// What a policy says to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be made.
    Allow,
    /// It may not.
    Deny {
        /// The line that decided, if one did.
        line: Option<u32>,
        /// Why, for the log of the node.
        why: Box<str>,
    },
}

impl Policy {
    /// Reads the text of a policy file. `file_name` is for messages.
    #[must_use]
    pub fn parse(text: &str, file_name: &str) -> (Self, Vec<PolicyWarning>) {
        parse::policy(text, file_name)
    }

    /// The same policy, with this in place of a `policy default` that it lacks.
    #[must_use]
    pub const fn with_default(mut self, effect: Effect) -> Self {
        if self.default.is_none() {
            self.default = Some(effect);
        }
        self
    }

    /// Decides about a call.
    #[must_use]
    pub fn decide(&self, call: &CallContext<'_>, groups: &Groups) -> Decision {
        for line in &self.lines {
            if !line.callers.matches(call.caller, groups) || !line.actions.matches(call.action) {
                continue;
            }
            match line.condition.matches(call) {
                Ok(false) => {}
                Ok(true) if line.effect == Effect::Allow => return Decision::Allow,
                Ok(true) => return self.deny(Some(line.number), "the line denies"),
                Err(why) => return self.deny(Some(line.number), why),
            }
        }
        match self.default {
            Some(Effect::Allow) => Decision::Allow,
            Some(Effect::Deny) => {
                self.deny(None, "no line matches, and the policy's default is to deny")
            }
            None => self.deny(None, "no line matches, and the policy has no default"),
        }
    }

    fn deny(&self, line: Option<u32>, why: &str) -> Decision {
        let why = match line {
            Some(line) => format!("{}:{line}: {why}", self.file_name),
            None => format!("{}: {why}", self.file_name),
        };
        Decision::Deny {
            line,
            why: why.into(),
        }
    }
}

impl fmt::Display for PolicyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file_name, self.line, self.message)
    }
}
