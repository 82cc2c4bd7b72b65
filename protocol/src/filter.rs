//! Filters: which nodes a request is meant for.
//!
//! A [`Filter`] is the form on the wire. A node compiles what it received once ([`CompiledFilter`]) and asks whether it
//! is meant. A client builds filters from command-line words ([`parse_fact_filter`], [`parse_with`]).
//!
//! ```text
//! {"fact":[{"fact":"os.name","operator":"==","value":"debian"}],"cf_class":["apache","/^db/"],
//!  "agent":["rpcutil"],"identity":["node1.example.net","/^web/"],"compound":[[{"expr":"…"}]]}
//! ```
//!
//! Compound expressions are those of [`expr`](crate::expr), with the node's facts, classes, agents and data plugins in
//! sight: see [`check_compound`].

mod cli;
mod compound;
mod facts;
mod matcher;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json;

pub use self::cli::{FactFilterError, parse_fact_filter, parse_with};
pub use self::compound::{COMPOUND_MAX, DataPlugins, NoData, check_compound};
pub use self::facts::{FactsError, FactsView};
pub use self::matcher::{CompiledFilter, NodeView, REGEX_BYTES_MAX};

/// The form on the wire. All five lists are always written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// All must hold.
    pub fact: Vec<FactFilter>,
    /// Classes (`cf_class`), all must be there; `/…/` is a regex.
    #[serde(rename = "cf_class")]
    pub class: Vec<String>,
    /// Agents, all must be there; `/…/` is a regex.
    pub agent: Vec<String>,
    /// Identities, one must be the node's; `/…/` is a regex.
    pub identity: Vec<String>,
    /// Compound expressions, each an array of one object with `expr`.
    pub compound: Vec<Value>,
}

/// One condition on a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactFilter {
    /// GJSON path of the fact.
    pub fact: String,
    /// How the fact is compared.
    pub operator: FactOperator,
    /// What it is compared with.
    pub value: String,
}

/// How a fact is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FactOperator {
    /// `==`
    #[serde(rename = "==")]
    Equal,
    /// `!=`
    #[serde(rename = "!=")]
    NotEqual,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `=~`
    #[serde(rename = "=~")]
    Regex,
}

impl Filter {
    /// True if every node is meant.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fact.is_empty()
            && self.class.is_empty()
            && self.agent.is_empty()
            && self.identity.is_empty()
            && self.compound.is_empty()
    }

    /// Adds an agent that must be there, unless it is listed already.
    pub fn add_agent(&mut self, agent: &str) {
        if !self.agent.iter().any(|listed| listed == agent) {
            self.agent.push(agent.to_owned());
        }
    }

    /// Adds a compound expression.
    pub fn add_compound(&mut self, expression: &str) {
        self.compound
            .push(serde_json::json!([{ "expr": expression }]));
    }

    /// True if the node is meant. Compiles the filter each time: a node that is asked often keeps a
    /// [`CompiledFilter`].
    #[must_use]
    pub fn matches<S: AsRef<str>>(&self, node: &NodeView<'_, S>) -> bool {
        CompiledFilter::new(self).matches(node)
    }

    /// Appends the form on the wire.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"fact":["#);
        for (index, fact) in self.fact.iter().enumerate() {
            out.extend_from_slice(if index == 0 {
                br#"{"fact":"#
            } else {
                br#",{"fact":"#
            });
            json::write_string(out, &fact.fact);
            out.extend_from_slice(br#","operator":"#);
            json::write_string(out, fact.operator.as_str());
            out.extend_from_slice(br#","value":"#);
            json::write_string(out, &fact.value);
            out.push(b'}');
        }
        for (key, texts) in [
            (&br#"],"cf_class":["#[..], &self.class),
            (br#"],"agent":["#, &self.agent),
            (br#"],"identity":["#, &self.identity),
        ] {
            out.extend_from_slice(key);
            for (index, text) in texts.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::write_string(out, text);
            }
        }
        out.extend_from_slice(br#"],"compound":["#);
        for (index, entry) in self.compound.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_value(out, entry);
        }
        out.extend_from_slice(b"]}");
    }
}

impl FactOperator {
    /// Every operator.
    pub const ALL: [Self; 7] = [
        Self::Equal,
        Self::NotEqual,
        Self::AtMost,
        Self::AtLeast,
        Self::Less,
        Self::Greater,
        Self::Regex,
    ];

    /// The operator as written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::Greater => ">",
            Self::Regex => "=~",
        }
    }

    /// The operator of a text on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.as_str() == text)
    }
}

/// Writes a value with the escapes of the peers' encoder; its depth is bounded by what the readers let in.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => json::write_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::write_string(out, key);
                out.push(b':');
                write_value(out, member);
            }
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
}
