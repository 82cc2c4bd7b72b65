//! Filters over replies: which answers a caller wants to see.
//!
//! | name | what |
//! |---|---|
//! | `code`, `msg` | status code and message |
//! | `ok()` `aborted()` `unknown_action()` `missing_data()` `invalid_data()` `unknown_error()` | is it that status? |
//! | `data(path)` | the value at a GJSON path in the data; numbers are floats |
//! | `include(list, item)`, `semver(version, constraint)` | as in node filters |
//! | `sender()` | the node |
//! | `time()` | when it answered, in unix seconds |
//!
//! `time()` is a number here and an object with methods in the reference.

use std::fmt;

use super::check::{Function, Kind};
use super::functions::{fact_value, include, one_text, semver};
use super::{Environment, EvalError, ExprError, Expression, Value};
use crate::rpc::{RpcReply, StatusCode};

/// The functions of a status.
const STATUSES: [(&str, StatusCode); 6] = [
    ("ok", StatusCode::Ok),
    ("aborted", StatusCode::Aborted),
    ("unknown_action", StatusCode::UnknownAction),
    ("missing_data", StatusCode::MissingData),
    ("invalid_data", StatusCode::InvalidData),
    ("unknown_error", StatusCode::UnknownError),
];

/// All functions, for checks beforehand.
const FUNCTIONS: [Function; 11] = {
    const fn status(name: &'static str) -> Function {
        Function {
            name,
            parameters: &[],
            gives: Kind::Bool,
        }
    }
    [
        status("ok"),
        status("aborted"),
        status("unknown_action"),
        status("missing_data"),
        status("invalid_data"),
        status("unknown_error"),
        Function {
            name: "data",
            parameters: &[Kind::Text],
            gives: Kind::Any,
        },
        Function {
            name: "include",
            parameters: &[Kind::List, Kind::Any],
            gives: Kind::Bool,
        },
        Function {
            name: "semver",
            parameters: &[Kind::Text, Kind::Text],
            gives: Kind::Bool,
        },
        Function {
            name: "sender",
            parameters: &[],
            gives: Kind::Text,
        },
        Function {
            name: "time",
            parameters: &[],
            gives: Kind::Int,
        },
    ]
};

/// An expression over a reply.
#[derive(Debug, Clone)]
pub struct ReplyFilter {
    expression: Expression,
}

/// Why a reply can not be told to match or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyFilterError(pub EvalError);

impl ReplyFilter {
    /// Parses and checks an expression.
    ///
    /// # Errors
    /// It is none, can not work, or does not give true or false.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let expression = Expression::parse(text)?;
        expression.check(&FUNCTIONS)?;
        expression.check_functions(|name| FUNCTIONS.iter().any(|known| known.name == name))?;
        Ok(Self { expression })
    }

    /// Whether a reply of `sender`, received at the unix second `time`, is wanted.
    ///
    /// # Errors
    /// The expression does not fit the reply's values; nil is no answer either.
    pub fn matches(
        &self,
        reply: &RpcReply<'_>,
        sender: &str,
        time: i64,
    ) -> Result<bool, ReplyFilterError> {
        let environment = ReplyEnvironment {
            reply,
            sender,
            time,
        };
        match self.expression.evaluate(&environment) {
            Ok(Value::Bool(wanted)) => Ok(wanted),
            Ok(other) => Err(ReplyFilterError(EvalError::NotBool(other.kind()))),
            Err(error) => Err(ReplyFilterError(error)),
        }
    }
}

struct ReplyEnvironment<'r> {
    reply: &'r RpcReply<'r>,
    sender: &'r str,
    time: i64,
}

impl Environment for ReplyEnvironment<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        match name {
            "msg" => Some((&*self.reply.statusmsg).into()),
            "code" => Some(Value::Int(self.reply.statuscode.number().into())),
            _ => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, EvalError> {
        match (name, arguments) {
            ("data", _) => Ok(fact_value(self.reply.data, one_text(name, arguments)?)),
            ("include", _) => include(arguments),
            ("semver", _) => semver(arguments),
            ("sender", []) => Ok(self.sender.into()),
            ("time", []) => Ok(Value::Int(self.time)),
            (_, []) => STATUSES
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, code)| Value::Bool(self.reply.statuscode == *code))
                .ok_or_else(|| EvalError::UnknownFunction(name.into())),
            _ => Err(EvalError::UnknownFunction(name.into())),
        }
    }
}

impl fmt::Display for ReplyFilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reply filter: {}", self.0)
    }
}

impl std::error::Error for ReplyFilterError {}
