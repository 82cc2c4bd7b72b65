//! Is this node meant? Categories in the order of the servers of today: identity, agent, class, fact, compound.
//!
//! All categories that hold anything must match. Identities are alternatives, everything else is a conjunction.
//! `/…/` is a regex, unanchored, case-sensitive for identities and agents, case-insensitive for classes. A class that is
//! no regex is lower-cased before it is compared with the class names as the node stores them, which are lower-case by
//! custom; a node with a class in upper case is therefore only found by regex, as on the servers of today.
//!
//! Regexes take linear time and are bounded in size ([`REGEX_BYTES_MAX`]). One that does not compile never matches, as
//! upstream. The syntax is that of the `regex` crate: it knows no `\Q…\E` and its `\d`, `\w`, `\s` know all of Unicode.

use regex::{Regex, RegexBuilder};

use super::Filter;
use super::compound::{CompiledCompound, DataPlugins};
use super::facts::{CompiledFact, FactsView};

/// Memory one compiled regex may take, twice (program and cache). Callers are authenticated but not trusted.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// What a node knows of itself.
#[derive(Debug, Clone, Copy)]
pub struct NodeView<'a, S = String> {
    /// The node's name.
    pub identity: &'a str,
    /// Agents it runs.
    pub agents: &'a [S],
    /// Classes it is tagged with.
    pub classes: &'a [S],
    /// Its facts.
    pub facts: &'a FactsView<'a>,
    /// What its data plugins know.
    pub data: &'a dyn DataPlugins,
}

/// A filter ready to be asked many times.
#[derive(Debug, Clone)]
pub struct CompiledFilter {
    identity: Vec<Needle>,
    agent: Vec<Needle>,
    class: Vec<Needle>,
    fact: Vec<CompiledFact>,
    compound: CompiledCompound,
}

/// One entry of a list of names.
#[derive(Debug, Clone)]
pub(super) enum Needle {
    Exact(Box<str>),
    Regex(Regex),
    /// A regex that does not compile.
    Never,
}

impl CompiledFilter {
    /// Compiles a filter. Entries that can not be compiled never match.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        let needles = |entries: &[String]| {
            entries
                .iter()
                .map(|entry| Needle::new(entry, false))
                .collect::<Vec<_>>()
        };
        Self {
            identity: needles(&filter.identity),
            agent: needles(&filter.agent),
            class: filter
                .class
                .iter()
                .map(|class| Needle::new(class, true))
                .collect(),
            fact: filter.fact.iter().map(CompiledFact::new).collect(),
            compound: CompiledCompound::new(&filter.compound),
        }
    }

    /// True if the node is meant.
    #[must_use]
    pub fn matches<S: AsRef<str>>(&self, node: &NodeView<'_, S>) -> bool {
        let identity = self.identity.is_empty()
            || self
                .identity
                .iter()
                .any(|needle| needle.matches(node.identity));
        identity
            && self
                .agent
                .iter()
                .all(|needle| needle.matches_any(node.agents))
            && self
                .class
                .iter()
                .all(|needle| needle.matches_any(node.classes))
            && self.fact.iter().all(|fact| fact.matches(node.facts))
            && self.compound.matches(node)
    }

    /// True if the filter holds a compound expression, or anything else in its place.
    #[must_use]
    pub const fn has_compound(&self) -> bool {
        !matches!(self.compound, CompiledCompound::Absent)
    }
}

impl Needle {
    pub(super) fn new(entry: &str, is_class: bool) -> Self {
        let pattern = entry
            .strip_prefix('/')
            .and_then(|entry| entry.strip_suffix('/'));
        match pattern.filter(|pattern| !pattern.is_empty()) {
            Some(pattern) => compile(pattern, is_class).map_or(Self::Never, Self::Regex),
            None if is_class => Self::Exact(entry.to_lowercase().into()),
            None => Self::Exact(entry.into()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(needle) => **needle == *name,
            Self::Regex(regex) => regex.is_match(name),
            Self::Never => false,
        }
    }

    pub(super) fn matches_any<S: AsRef<str>>(&self, names: &[S]) -> bool {
        names.iter().any(|name| self.matches(name.as_ref()))
    }
}

/// A regex within the bounds, or nothing.
pub(super) fn compile(pattern: &str, case_insensitive: bool) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(case_insensitive)
        .size_limit(REGEX_BYTES_MAX)
        .dfa_size_limit(REGEX_BYTES_MAX)
        .build()
        .ok()
}
