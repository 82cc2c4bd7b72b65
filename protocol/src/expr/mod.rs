//! The expression language of compound filters and reply filters.
//!
//! A subset of the language of Go's `expr` library, which the servers of today use: what operators write in `-S`, with
//! its precedences, its kinds of numbers and its errors. An [`Expression`] is parsed once and evaluated often, against
//! an [`Environment`] of variables and functions. Names the environment does not know are nil; functions it does not
//! know are an error, as are operators between values they do not fit (`1 + "a"`, `nil > 1`).
//!
//! ```text
//! with("apache") and fact("mem.gb") > 8
//! any(facts.disks, {.size > 100 and not (.name startsWith "loop")})
//! semver(choria().version, ">= 0.29, < 1.0") ? "eu" in classes : false
//! ```
//!
//! Not here: variables of one's own (`let`), statements, methods, dates, and some functions (refused by name).
//! Expressions come from callers, so text, nesting, regexes and work are bounded by the constants below, and nothing an
//! expression does can panic. Facts: section 8.4 of the protocol's fact sheet.

mod ast;
mod builtins;
mod check;
mod error;
mod eval;
mod functions;
mod lexer;
mod parser;
mod reply;
mod value;
mod version;

#[cfg(test)]
mod tests;

use regex::{Regex, RegexBuilder};

pub use self::check::{Function, Kind};
pub use self::error::{EvalError, ExprError};
pub(crate) use self::functions::{fact_value, include, one_text, semver};
pub use self::reply::{ReplyFilter, ReplyFilterError};
pub use self::value::Value;

/// Longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 16 << 10;
/// Most words, literals and signs of an expression: some 400 conditions joined by `or`.
pub const TOKENS_MAX: usize = 4_096;
/// How many expressions may be nested in each other by brackets and the right sides of operators; bounds the parser's
/// recursion.
pub const NESTING_MAX: usize = 64;
/// How deep the tree may be; bounds the evaluator's recursion.
pub const DEPTH_MAX: usize = 128;
/// Most regexes that stand in one expression.
pub const REGEXES_MAX: usize = 16;
/// Memory one compiled regex may take, twice (program and cache).
pub const REGEX_BYTES_MAX: usize = 256 << 10;
/// Most work of one evaluation: about a step a node of the tree visited, an item of a list, 16 bytes of text; what a
/// call costs is the environment's to say. It is a few milliseconds.
pub const STEPS_MAX: usize = 200_000;
/// What a call costs unless the environment says otherwise.
pub const CALL_STEPS: usize = 100;

/// What an expression can see.
pub trait Environment {
    /// A variable; `None` is nil.
    fn variable(&self, name: &str) -> Option<Value>;

    /// Calls a function.
    ///
    /// # Errors
    /// There is none of that name, or it does not take these arguments or fails.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, EvalError>;

    /// Steps a call costs, out of [`STEPS_MAX`].
    fn cost(&self, _name: &str, _arguments: &[Value]) -> usize {
        CALL_STEPS
    }
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Expression {
    root: ast::Node,
}

impl Expression {
    /// Parses a text.
    ///
    /// # Errors
    /// It is no expression, uses what is not supported, or exceeds a bound.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        parser::parse(text).map(|root| Self { root })
    }

    /// Looks for operations that can not work whatever the variables hold, and for a result that is neither true nor
    /// false. Functions that are not listed may be called with anything and may give anything.
    ///
    /// # Errors
    /// The first place where kinds do not fit.
    pub fn check(&self, functions: &[Function]) -> Result<(), ExprError> {
        check::check(&self.root, functions)
    }

    /// Looks for calls of functions nobody knows.
    ///
    /// # Errors
    /// The first such call.
    pub fn check_functions(&self, is_known: impl Fn(&str) -> bool) -> Result<(), ExprError> {
        match self.root.find_call(&|name| !is_known(name)) {
            Some((name, column)) => {
                let message = format!("there is no function {name}");
                Err(ExprError::new(message, column))
            }
            None => Ok(()),
        }
    }

    /// Evaluates.
    ///
    /// # Errors
    /// The values do not fit the operations on them, or it is [too much work](STEPS_MAX).
    pub fn evaluate(&self, environment: &impl Environment) -> Result<Value, EvalError> {
        eval::Evaluator::new(environment).eval(&self.root)
    }
}

/// A regex within the bounds, or nothing.
fn compile_regex(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .ok()
}
