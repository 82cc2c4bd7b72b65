//! The columns of a line, ready to be asked.

use muster_protocol::filter::{CompiledFilter, Filter, NoData, NodeView, parse_fact_filter};
use regex::{Regex, RegexBuilder};

use super::{CallContext, Groups};

/// Memory a compiled regex may take, twice.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The callers of a line.
#[derive(Debug, Clone)]
pub(super) enum Callers {
    Any,
    Listed(Vec<Caller>),
}

/// An entry among the callers.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// An id, or a group.
    Name(Box<str>),
    Regex(Regex),
    /// A regex that is none. The entries behind it count for nothing.
    Broken,
}

/// The actions of a line.
#[derive(Debug, Clone)]
pub(super) enum Actions {
    Any,
    Listed(Vec<Box<str>>),
}

/// The facts and classes of a line.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Always,
    Filter(Box<CompiledFilter>),
    /// They can not be told to match or not.
    Broken(Box<str>),
}

impl Callers {
    /// Reads the column; the second value is what is wrong with it.
    pub(super) fn parse(column: &str) -> (Self, Option<String>) {
        if column == "*" {
            return (Self::Any, None);
        }
        let mut problem = None;
        let callers = column.split(' ').map(|entry| {
            if !entry.starts_with('/') {
                return Caller::Name(entry.into());
            }
            let pattern = entry[1..]
                .strip_suffix('/')
                .filter(|inner| !inner.is_empty());
            match pattern.and_then(compile) {
                Some(regex) => Caller::Regex(regex),
                None => {
                    problem = Some(format!(
                        "caller {entry:?} is no regex, it and those behind it match nobody"
                    ));
                    Caller::Broken
                }
            }
        });
        let callers = Self::Listed(callers.collect());
        (callers, problem)
    }

    pub(super) fn matches(&self, caller: &str, groups: &Groups) -> bool {
        let Self::Listed(entries) = self else {
            return true;
        };
        let in_group = |entry: &Caller| match entry {
            Caller::Name(name) => groups.contains(name, caller),
            Caller::Regex(_) | Caller::Broken => false,
        };
        // Groups are looked at before a broken regex ends the list.
        if entries.iter().any(in_group) {
            return true;
        }
        for entry in entries {
            match entry {
                Caller::Name(name) if **name == *caller => return true,
                Caller::Regex(regex) if regex.is_match(caller) => return true,
                Caller::Broken => return false,
                Caller::Name(_) | Caller::Regex(_) => {}
            }
        }
        false
    }
}

impl Actions {
    pub(super) fn parse(column: &str) -> Self {
        match column {
            "*" => Self::Any,
            _ => Self::Listed(column.split(' ').map(Into::into).collect()),
        }
    }

    pub(super) fn matches(&self, action: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(actions) => actions.iter().any(|listed| **listed == *action),
        }
    }
}

impl Condition {
    pub(super) fn parse(facts: &str, classes: Option<&str>) -> Self {
        let mut filter = Filter::default();
        if facts != "*" {
            for fact in facts.split(' ') {
                match parse_fact_filter(fact) {
                    Ok(fact) => filter.fact.push(fact),
                    Err(error) => return Self::Broken(error.to_string().into()),
                }
            }
        }
        let Some(classes) = classes else {
            return Self::Broken("the column of the classes is missing".into());
        };
        if classes != "*" {
            for class in classes.split(' ') {
                if is_fact_like(class) {
                    let why = format!("{class:?} among the classes is a fact filter");
                    return Self::Broken(why.into());
                }
                filter.class.push(class.to_owned());
            }
        }
        if filter.is_empty() {
            Self::Always
        } else {
            Self::Filter(Box::new(CompiledFilter::new(&filter)))
        }
    }

    pub(super) fn matches(&self, call: &CallContext<'_>) -> Result<bool, &str> {
        match self {
            Self::Always => Ok(true),
            Self::Filter(filter) => Ok(filter.matches(&NodeView {
                identity: "",
                agents: &[],
                classes: call.classes,
                facts: &call.facts,
                data: &NoData,
            })),
            Self::Broken(why) => Err(why),
        }
    }

    pub(super) const fn problem(&self) -> Option<&str> {
        match self {
            Self::Broken(why) => Some(why),
            Self::Always | Self::Filter(_) => None,
        }
    }
}

/// Does a comparison stand inside of it?
fn is_fact_like(class: &str) -> bool {
    let inner = class.char_indices().skip(1).map(|(at, _)| at);
    let last = class.chars().next_back().map_or(0, char::len_utf8);
    let end = class.len() - last;
    inner
        .take_while(|at| *at < end)
        .any(|at| class[at..].starts_with(['<', '>', '=']))
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .ok()
}
