//! Comparing one fact with one value.
//!
//! The fact is found by a GJSON path in the node's facts; what is not found matches nothing, `!=` included. What the
//! operators mean depends on the JSON type of the fact. The servers of today have quirks here that decide which nodes
//! answer, so they are kept; each is marked *quirk* below.
//!
//! | operator | text | number | boolean | other |
//! |---|---|---|---|---|
//! | `==` | equal but for case | value with a dot: equal as floats; else the whole part in decimal is the value | true: value is truthy; false: it is not (*quirk*: any word counts as false) | no |
//! | `!=` | not so | not so | true: value is not truthy; false: it is not either (*quirk*: `false != false` holds) | no |
//! | `=~` | regex, ignoring case and outer slashes | the same over the number as text (four decimals if the pattern has a dot, else the whole part) | as `==` | no |
//! | `<` `<=` `>` `>=` | order of the lower-cased texts | floats if the value has a dot, else whole parts; *quirk*: `>` with a dot means `>=` | no | no |
//!
//! A value that should be a number and is none makes the node not match, with `!=` too.

use std::cmp::Ordering;
use std::fmt;

use gjson::Kind;
use regex::Regex;

use super::matcher::compile;
use super::{FactFilter, FactOperator};

/// Longest GJSON path looked up; longer ones match nothing.
const PATH_BYTES_MAX: usize = 1024;

/// A node's facts: JSON text of an object.
#[derive(Debug, Clone, Copy)]
pub struct FactsView<'a> {
    json: &'a str,
}

/// The facts are not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactsError(Box<str>);

impl<'a> FactsView<'a> {
    /// Checks that the text is JSON. Once, when facts are loaded: later views come from [`FactsView::from_checked`].
    pub fn parse(json: &'a str) -> Result<Self, FactsError> {
        serde_json::from_str::<serde::de::IgnoredAny>(json)
            .map_err(|error| FactsError(error.to_string().into()))?;
        Ok(Self { json })
    }

    /// A view of a text that passed [`FactsView::parse`] before. On anything else lookups give arbitrary results.
    #[must_use]
    pub const fn from_checked(json: &'a str) -> Self {
        Self { json }
    }

    /// The text.
    #[must_use]
    pub const fn json(&self) -> &'a str {
        self.json
    }

    /// JSON text of the fact at a GJSON path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        self.lookup(path, |value| value.json().to_owned())
    }

    fn lookup<T>(&self, path: &str, with: impl FnOnce(&gjson::Value<'_>) -> T) -> Option<T> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let value = gjson::get(self.json, path);
        value.exists().then(|| with(&value))
    }
}

/// A condition with its value parsed every way a fact may ask for.
#[derive(Debug, Clone)]
pub(super) struct CompiledFact {
    path: Box<str>,
    operator: FactOperator,
    value: Box<str>,
    folded: Box<str>,
    lower: Box<str>,
    number: Number,
    truthy: bool,
    regex: Option<Regex>,
}

/// The value as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Float(f64),
    Whole(i64),
    None,
}

impl CompiledFact {
    pub(super) fn new(filter: &FactFilter) -> Self {
        let value = &*filter.value;
        let is_regex = filter.operator == FactOperator::Regex;
        Self {
            path: filter.fact.as_str().into(),
            operator: filter.operator,
            value: value.into(),
            folded: fold(value).into(),
            lower: lower(value).into(),
            number: Number::parse(value),
            truthy: matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True"),
            regex: if is_regex {
                compile(value.trim_matches('/'), true)
            } else {
                None
            },
        }
    }

    pub(super) fn matches(&self, facts: &FactsView<'_>) -> bool {
        facts
            .lookup(&self.path, |fact| self.compare(fact))
            .unwrap_or(false)
    }

    fn compare(&self, fact: &gjson::Value<'_>) -> bool {
        match fact.kind() {
            Kind::String => self.compare_text(fact.str()),
            Kind::Number => self.compare_number(fact),
            Kind::True => self.compare_bool(true),
            Kind::False => self.compare_bool(false),
            Kind::Null | Kind::Array | Kind::Object => false,
        }
    }

    fn compare_text(&self, fact: &str) -> bool {
        match self.operator {
            FactOperator::Equal => fold(fact) == *self.folded,
            FactOperator::NotEqual => fold(fact) != *self.folded,
            FactOperator::Regex => self
                .regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(fact)),
            operator => holds(operator, lower(fact).as_str().cmp(&self.lower)),
        }
    }

    fn compare_number(&self, fact: &gjson::Value<'_>) -> bool {
        let dotted = self.value.contains('.');
        match self.operator {
            FactOperator::Regex => {
                let text = if dotted {
                    format!("{:.4}", fact.f64())
                } else {
                    whole_text(fact)
                };
                self.regex
                    .as_ref()
                    .is_some_and(|regex| regex.is_match(&text))
            }
            FactOperator::Equal | FactOperator::NotEqual => {
                let equal = match self.number {
                    Number::Float(value) if dotted => fact.f64() == value,
                    _ if dotted => return false,
                    _ => whole_text(fact) == *self.value,
                };
                equal == (self.operator == FactOperator::Equal)
            }
            operator => match self.number {
                Number::Float(value) => fact.f64().partial_cmp(&value).is_some_and(|order| {
                    let quirk = operator == FactOperator::Greater;
                    holds(
                        if quirk {
                            FactOperator::AtLeast
                        } else {
                            operator
                        },
                        order,
                    )
                }),
                Number::Whole(value) => holds(operator, fact.i64().cmp(&value)),
                Number::None => false,
            },
        }
    }

    const fn compare_bool(&self, fact: bool) -> bool {
        match self.operator {
            FactOperator::Equal | FactOperator::Regex => fact == self.truthy,
            FactOperator::NotEqual => !self.truthy,
            FactOperator::AtMost
            | FactOperator::AtLeast
            | FactOperator::Less
            | FactOperator::Greater => false,
        }
    }
}

impl Number {
    /// Go's number parsers: no spaces, a sign allowed.
    fn parse(value: &str) -> Self {
        if value.contains('.') {
            value.parse().map_or(Self::None, Self::Float)
        } else {
            value.parse().map_or(Self::None, Self::Whole)
        }
    }
}

/// The whole part of a number in decimal.
fn whole_text(fact: &gjson::Value<'_>) -> String {
    fact.i64().to_string()
}

/// Does the ordering operator hold for `fact.cmp(value)`?
const fn holds(operator: FactOperator, order: Ordering) -> bool {
    match operator {
        FactOperator::AtMost => order.is_le(),
        FactOperator::AtLeast => order.is_ge(),
        FactOperator::Less => order.is_lt(),
        FactOperator::Greater => order.is_gt(),
        FactOperator::Equal | FactOperator::NotEqual | FactOperator::Regex => false,
    }
}

/// Lower case, character by character: no mapping changes the number of characters.
fn lower(text: &str) -> String {
    text.chars().map(|c| single(c.to_lowercase(), c)).collect()
}

/// A text that is the same for texts that differ in case only.
fn fold(text: &str) -> String {
    let fold = |c: char| {
        let upper = single(c.to_uppercase(), c);
        single(upper.to_lowercase(), upper)
    };
    text.chars().map(fold).collect()
}

fn single(mut mapped: impl Iterator<Item = char>, fallback: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => fallback,
    }
}

impl fmt::Display for FactsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "facts are not json: {}", self.0)
    }
}

impl std::error::Error for FactsError {}
