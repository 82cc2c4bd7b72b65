//! The tree of an expression.
//!
//! Chains of `and` and of `or` are lists here, not trees, so that a long one is not deep.

use regex::Regex;

use super::Value;
use super::builtins::Builtin;

/// A part of an expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Literal(Value),
    /// A variable; unknown ones are nil.
    Name(Box<str>),
    /// The item a closure looks at.
    Item,
    /// Its place in the list, in the closure of `map` only.
    ItemIndex,
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Unary(Unary, Column, Box<Self>),
    /// `and`: the last value counts, the others must be true.
    All(Logic),
    /// `or`: the last value counts, the others must be false.
    Any(Logic),
    Binary(Binary, Column, Box<(Self, Self)>),
    /// `1 < x <= 5`: every neighbour is compared with the next.
    Compare(Box<Self>, Vec<(Binary, Column, Self)>),
    /// `matches` with a regex known beforehand.
    Matches(Column, Box<Self>, Regex),
    /// Condition, value if true, value if not.
    If(Column, Box<(Self, Self, Self)>),
    /// `a ?: b`: the condition itself if it is true.
    Else(Column, Box<(Self, Self)>),
    Member {
        of: Box<Self>,
        property: Box<Self>,
        optional: bool,
        column: Column,
    },
    /// Nil where an optional access within meets nil.
    Chain(Box<Self>),
    Slice {
        of: Box<Self>,
        from: Option<Box<Self>>,
        to: Option<Box<Self>>,
        column: Column,
    },
    /// A function of the environment.
    Call(Box<str>, Column, Vec<Self>),
    Builtin(Builtin, Column, Vec<Self>),
    /// A builtin with a closure; without one the items speak for themselves.
    Each(Each, Column, Box<(Self, Option<Self>)>),
}

/// A chain of conditions.
#[derive(Debug, Clone)]
pub(super) struct Logic {
    pub(super) column: Column,
    pub(super) nodes: Vec<Node>,
    /// What the chain gives whatever the variables hold.
    pub(super) constant: Option<bool>,
}

/// A place in the text, in characters from 1.
pub(super) type Column = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    Greater,
    AtMost,
    AtLeast,
    In,
    Matches,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

/// The builtins that look at every item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    All,
    None,
    Any,
    One,
    Filter,
    Map,
    Count,
}

impl Node {
    /// How deep the tree is. Without recursion, because it may be too deep for that.
    pub(super) fn depth(&self) -> usize {
        let mut deepest = 0;
        let mut open = vec![(self, 1)];
        while let Some((node, depth)) = open.pop() {
            deepest = deepest.max(depth);
            node.each_child(|child| open.push((child, depth + 1)));
        }
        deepest
    }

    /// The truth value of a literal, and of what is made of literals alone or decided by one.
    ///
    /// The reference's optimiser sees these beforehand, so that `x or true` is true even where `x` would fail.
    pub(super) fn constant(&self) -> Option<bool> {
        match self {
            Self::Literal(Value::Bool(value)) => Some(*value),
            Self::All(logic) | Self::Any(logic) => logic.constant,
            Self::Unary(Unary::Not, _, node) => node.constant().map(|value| !value),
            _ => None,
        }
    }

    /// The first call of a function that is `wanted`.
    pub(super) fn find_call(&self, wanted: &dyn Fn(&str) -> bool) -> Option<(&str, Column)> {
        let mut found = None;
        if let Self::Call(name, column, _) = self
            && wanted(name)
        {
            return Some((name, *column));
        }
        self.each_child(|child| {
            if found.is_none() {
                found = child.find_call(wanted);
            }
        });
        found
    }

    fn each_child<'n>(&'n self, mut found: impl FnMut(&'n Self)) {
        match self {
            Self::Literal(_) | Self::Name(_) | Self::Item | Self::ItemIndex => {}
            Self::Unary(_, _, node) | Self::Matches(_, node, _) | Self::Chain(node) => found(node),
            Self::List(nodes) | Self::Call(_, _, nodes) | Self::Builtin(_, _, nodes) => {
                nodes.iter().for_each(found);
            }
            Self::All(logic) | Self::Any(logic) => logic.nodes.iter().for_each(found),
            Self::Map(pairs) => {
                for (key, value) in pairs {
                    found(key);
                    found(value);
                }
            }
            Self::Binary(_, _, sides) | Self::Else(_, sides) => {
                found(&sides.0);
                found(&sides.1);
            }
            Self::Compare(first, others) => {
                found(first);
                others.iter().for_each(|(_, _, node)| found(node));
            }
            Self::If(_, parts) => {
                found(&parts.0);
                found(&parts.1);
                found(&parts.2);
            }
            Self::Member { of, property, .. } => {
                found(of);
                found(property);
            }
            Self::Slice { of, from, to, .. } => {
                found(of);
                from.iter().chain(to).for_each(|node| found(node));
            }
            Self::Each(_, _, parts) => {
                found(&parts.0);
                parts.1.iter().for_each(found);
            }
        }
    }
}

impl Logic {
    pub(super) const fn new(column: Column) -> Self {
        Self {
            column,
            nodes: Vec::new(),
            constant: None,
        }
    }

    /// The chain with one more node; one of the value `decisive` decides.
    pub(super) fn with(mut self, node: Node, decisive: bool) -> Self {
        let constant = node.constant();
        let decided = [self.constant, constant].contains(&Some(decisive));
        let is_first = self.nodes.is_empty();
        self.constant = if decided {
            Some(decisive)
        } else if is_first || self.constant.is_some() {
            constant
        } else {
            None
        };
        self.nodes.push(node);
        self
    }
}

impl Unary {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Not => "not",
            Self::Minus => "-",
            Self::Plus => "+",
        }
    }
}

impl Binary {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::In => "in",
            Self::Matches => "matches",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Range => "..",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::Coalesce => "??",
        }
    }

    pub(super) const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Less | Self::Greater | Self::AtMost | Self::AtLeast
        )
    }
}

impl Each {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "none" => Self::None,
            "any" => Self::Any,
            "one" => Self::One,
            "filter" => Self::Filter,
            "map" => Self::Map,
            "count" => Self::Count,
            _ => return None,
        })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::None => "none",
            Self::Any => "any",
            Self::One => "one",
            Self::Filter => "filter",
            Self::Map => "map",
            Self::Count => "count",
        }
    }
}
