//! DDL: what an agent is called, what its actions take and give, and how results are shown.
//!
//! The JSON form is that of the fleet, so DDL files written for other servers load here. [`Ddl::builtin`] has those of the
//! agents every node runs. Inputs from a command line become JSON values by [`Action::parse_inputs`]; values that are
//! typed already are checked by [`Action::validate`]. What is summed up over all replies is an [`Aggregator`] each.
//! [`Ddl::check`] says all that is wrong with a DDL. This module loads no files and asks no registry.

mod aggregate;
mod check;
mod input;
mod summary;
mod validation;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use self::aggregate::{AggregateError, AggregateResult, Aggregator, Chart, format_number};
pub use self::check::DdlProblem;
pub use self::input::{InputError, Inputs, split_pair};
pub use self::summary::Summary;
pub use self::validation::Validation;

/// Description of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ddl {
    /// Who it is.
    pub metadata: Metadata,
    /// What it does.
    #[serde(default, deserialize_with = "null_as_default")]
    pub actions: Vec<Action>,
}

/// Who an agent is. Serialises in the order nodes report it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Licence of the agent.
    pub license: String,
    /// Who wrote it.
    pub author: String,
    /// Seconds an action may take.
    pub timeout: u32,
    /// Name of the agent.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where to read more.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Kind of agent, such as `external`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// One node of many answers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
}

/// One action of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Name of the action.
    #[serde(rename = "action")]
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Which replies are shown.
    #[serde(default)]
    pub display: Display,
    /// What it takes, by name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub input: BTreeMap<String, Input>,
    /// What it gives, by name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub output: BTreeMap<String, Output>,
    /// What is summed up over all replies.
    #[serde(default, deserialize_with = "null_as_default")]
    pub aggregate: Vec<Aggregate>,
}

/// Which replies a client shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", rename_all = "lowercase")]
pub enum Display {
    /// Only good ones.
    Ok,
    /// Only failed ones; also what an unknown or empty word means.
    #[default]
    Failed,
    /// All.
    Always,
}

/// One input of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Short label.
    #[serde(default)]
    pub prompt: String,
    /// What it means.
    #[serde(default)]
    pub description: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: InputType,
    /// Taken where the caller gives nothing.
    #[serde(default)]
    pub default: Option<Value>,
    /// May be left out.
    #[serde(default)]
    pub optional: bool,
    /// A validator's name or a regex; texts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Longest text in bytes; 0 and absent mean any length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxlength: Option<usize>,
    /// The values a list allows.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub list: Vec<String>,
}

/// Type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of the texts in [`Input::list`].
    List,
    /// A JSON object.
    #[serde(alias = "Hash")]
    Hash,
    /// A JSON array.
    #[serde(alias = "Array")]
    Array,
}

/// One output of an action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Output {
    /// What it means.
    pub description: String,
    /// Label in listings.
    pub display_as: String,
    /// Its type, by name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Taken where a node gives nothing.
    pub default: Option<Value>,
}

/// Something summed up over all replies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// `summary` and others.
    pub function: String,
    /// The output, then options.
    #[serde(default, deserialize_with = "null_as_default")]
    pub args: Vec<Value>,
}

impl Ddl {
    /// Reads a DDL document.
    pub fn parse(document: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(document)
    }

    /// The agents whose DDL is built in.
    pub const BUILTIN: [&'static str; 4] =
        ["choria_provision", "choria_util", "discovery", "rpcutil"];

    /// The DDL of one of [`Ddl::BUILTIN`].
    #[must_use]
    pub fn builtin(agent: &str) -> Option<&'static Self> {
        static BUILTIN: LazyLock<[Ddl; 4]> = LazyLock::new(|| {
            [
                include_str!("ddl/choria_provision.json"),
                include_str!("ddl/choria_util.json"),
                include_str!("ddl/discovery.json"),
                include_str!("ddl/rpcutil.json"),
            ]
            .map(|text| Ddl::parse(text.as_bytes()).expect("a test reads every builtin ddl"))
        });
        BUILTIN.iter().find(|ddl| ddl.metadata.name == agent)
    }

    /// An action by name.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }
}

impl Action {
    /// Adds the defaults of outputs that are not there, as a server does for agents that leave them out.
    pub fn fill_outputs(&self, outputs: &mut Inputs) {
        for (name, output) in &self.output {
            if let Some(default) = &output.default
                && !default.is_null()
                && !outputs.contains_key(name)
            {
                outputs.insert(name.clone(), default.clone());
            }
        }
    }

    /// The label of an output, its name where it has none.
    #[must_use]
    pub fn display_as<'a>(&'a self, output: &'a str) -> &'a str {
        match self.output.get(output) {
            Some(output) if !output.display_as.is_empty() => &output.display_as,
            _ => output,
        }
    }
}

impl Aggregate {
    /// The output that is summed up.
    #[must_use]
    pub fn output(&self) -> Option<&str> {
        self.args.first().and_then(Value::as_str)
    }

    /// How a line of the summary is written, if the DDL says so: `%s` the value, `%d` how many.
    #[must_use]
    pub fn format(&self) -> Option<&str> {
        self.args
            .get(1)
            .and_then(|options| options.get("format"))
            .and_then(Value::as_str)
    }
}

impl From<String> for Display {
    fn from(word: String) -> Self {
        match word.as_str() {
            "ok" => Self::Ok,
            "always" => Self::Always,
            _ => Self::Failed,
        }
    }
}

impl InputType {
    /// Name of the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Hash => "hash",
            Self::Array => "array",
        }
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
