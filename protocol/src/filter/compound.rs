//! Compound filters: expressions over all a node knows of itself.
//!
//! | name | what |
//! |---|---|
//! | `agents`, `classes` | lists of names |
//! | `facts` | the facts as a map |
//! | `with(text)` | a fact filter (`"country=de"`) if it parses as one, else a class, else an agent; `/…/` is a regex |
//! | `fact(path)` | the fact at a GJSON path; numbers are floats, a missing one is nil |
//! | `include(list, item)` | is it in the list? |
//! | `semver(version, constraint)` | does the version satisfy the constraint (`">= 1.0, < 2"`, `"1.2.x"`)? |
//! | `choria()`, `scout("check")`, … | what a data plugin knows, a map |
//!
//! `facts` is raw bytes on the servers of today, of no use in an expression; here it is the map one would expect.
//!
//! A filter may hold several expressions. As on the servers of today a true one counts for the node and a false one
//! against it, and the sum must be above zero. One that is no expression, or can not be evaluated, or an entry of
//! another shape than `[{"expr":"…"}]`, makes the node not match.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::facts::CompiledFact;
use super::matcher::{Needle, NodeView};
use super::parse_fact_filter;
use crate::expr::{
    self, CALL_STEPS, Environment, EvalError, ExprError, Expression, Function, Kind, Value,
};

/// Most expressions in one filter; a filter with more matches no node. Command lines send one.
pub const COMPOUND_MAX: usize = 8;
/// What a call costs that compiles a regex, or asks a data plugin.
const DEAR_CALL_STEPS: usize = 10 * CALL_STEPS;

/// What a node's data plugins know.
pub trait DataPlugins: fmt::Debug {
    /// What a plugin says to a query: an object; an empty one if it fails. `None` if there is no such plugin.
    fn query(&self, plugin: &str, query: Option<&str>) -> Option<Json>;
}

/// A node without data plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoData;

impl DataPlugins for NoData {
    fn query(&self, _plugin: &str, _query: Option<&str>) -> Option<Json> {
        None
    }
}

/// The functions of every node.
const FUNCTIONS: [Function; 4] = [
    Function {
        name: "with",
        parameters: &[Kind::Text],
        gives: Kind::Bool,
    },
    Function {
        name: "fact",
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
];

/// Whether a text is an expression nodes can evaluate. Which data plugins they have is not known here, so any function
/// may be called.
///
/// # Errors
/// It is no expression, can not work, or does not give true or false.
pub fn check_compound(text: &str) -> Result<(), ExprError> {
    compile(text).map(|_| ())
}

fn compile(text: &str) -> Result<Expression, ExprError> {
    let expression = Expression::parse(text)?;
    expression.check(&FUNCTIONS)?;
    Ok(expression)
}

/// The compound entries of a filter.
#[derive(Debug, Clone)]
pub(super) enum CompiledCompound {
    /// None: everybody matches.
    Absent,
    /// One that can not match spoils them all.
    Never,
    Expressions(Vec<Expression>),
}

impl CompiledCompound {
    pub(super) fn new(entries: &[Json]) -> Self {
        if entries.is_empty() {
            return Self::Absent;
        }
        if entries.len() > COMPOUND_MAX {
            return Self::Never;
        }
        let expressions = entries.iter().map(|entry| {
            let [Json::Object(members)] = entry.as_array()?.as_slice() else {
                return None;
            };
            compile(members.get("expr")?.as_str()?).ok()
        });
        expressions
            .collect::<Option<_>>()
            .map_or(Self::Never, Self::Expressions)
    }

    pub(super) fn matches<S: AsRef<str>>(&self, node: &NodeView<'_, S>) -> bool {
        let expressions = match self {
            Self::Absent => return true,
            Self::Never => return false,
            Self::Expressions(expressions) => expressions,
        };
        let environment = NodeEnvironment::new(node);
        let mut sum = 0;
        for expression in expressions {
            match expression.evaluate(&environment) {
                Ok(Value::Bool(true)) => sum += 1,
                Ok(Value::Bool(false) | Value::Nil) => sum -= 1,
                Ok(_) | Err(_) => return false,
            }
        }
        sum > 0
    }
}

/// A data plugin and what it is asked.
type Query = (Box<str>, Option<Box<str>>);

/// A node as an expression sees it. What is dear to make is made once.
struct NodeEnvironment<'n, S> {
    node: &'n NodeView<'n, S>,
    facts: OnceCell<Value>,
    agents: OnceCell<Value>,
    classes: OnceCell<Value>,
    data: RefCell<BTreeMap<Query, Option<Value>>>,
}

impl<'n, S: AsRef<str>> NodeEnvironment<'n, S> {
    const fn new(node: &'n NodeView<'n, S>) -> Self {
        Self {
            node,
            facts: OnceCell::new(),
            agents: OnceCell::new(),
            classes: OnceCell::new(),
            data: RefCell::new(BTreeMap::new()),
        }
    }

    fn with(&self, text: &str) -> bool {
        if let Ok(fact) = parse_fact_filter(text) {
            return CompiledFact::new(&fact).matches(self.node.facts);
        }
        Needle::new(text, true).matches_any(self.node.classes)
            || Needle::new(text, false).matches_any(self.node.agents)
    }

    /// What a data plugin says. It is asked once, however often the expression does.
    fn data(&self, plugin: &str, query: Option<&str>) -> Result<Value, EvalError> {
        let mut known = self.data.borrow_mut();
        let answer = known
            .entry((plugin.into(), query.map(Into::into)))
            .or_insert_with(|| {
                let answer = self.node.data.query(plugin, query)?;
                Some(Value::from_json(&answer))
            });
        answer
            .clone()
            .ok_or_else(|| EvalError::UnknownFunction(plugin.into()))
    }
}

impl<S: AsRef<str>> Environment for NodeEnvironment<'_, S> {
    fn variable(&self, name: &str) -> Option<Value> {
        let names = |names: &[S]| Value::list(names.iter().map(|name| name.as_ref().into()));
        let value = match name {
            "agents" => self.agents.get_or_init(|| names(self.node.agents)),
            "classes" => self.classes.get_or_init(|| names(self.node.classes)),
            "facts" => self.facts.get_or_init(|| {
                serde_json::from_str(self.node.facts.json())
                    .map_or(Value::Nil, |facts| Value::from_json(&facts))
            }),
            _ => return None,
        };
        Some(value.clone())
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, EvalError> {
        match (name, arguments) {
            ("with", _) => expr::one_text(name, arguments).map(|text| Value::Bool(self.with(text))),
            ("fact", _) => expr::one_text(name, arguments)
                .map(|path| expr::fact_value(self.node.facts.json(), path)),
            ("include", _) => expr::include(arguments),
            ("semver", _) => expr::semver(arguments),
            (plugin, []) => self.data(plugin, None),
            (plugin, _) => self.data(plugin, Some(expr::one_text(name, arguments)?)),
        }
    }

    fn cost(&self, name: &str, arguments: &[Value]) -> usize {
        let has_regex = matches!(arguments, [Value::Text(text)] if text.starts_with('/') || text.contains("=~"));
        match name {
            "with" if !has_regex => CALL_STEPS,
            "fact" | "include" | "semver" => CALL_STEPS,
            _ => DEAR_CALL_STEPS,
        }
    }
}
