//! The values of the language, and when two of them are equal.
//!
//! Whole numbers and floats are two kinds that compare and mix; nothing else mixes. Lists and maps are shared, so a
//! copy of a value is cheap whatever it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: an unknown name, a missing member.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number; arithmetic wraps around.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Self>>),
    /// A map with texts as keys.
    Map(Arc<BTreeMap<String, Self>>),
}

/// What JSON numbers become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Floats, whatever they look like: what comes out of a GJSON path.
    Floats,
    /// Whole numbers where they are written as such.
    AsWritten,
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(Arc::new(items.into_iter().collect()))
    }

    /// A value from JSON; whole numbers stay whole.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self::convert(json, Numbers::AsWritten)
    }

    /// A value from JSON. The depth of `json` bounds the recursion.
    pub(crate) fn convert(json: &serde_json::Value, numbers: Numbers) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) if numbers == Numbers::AsWritten => Self::Int(whole),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::text(text.as_str()),
            serde_json::Value::Array(items) => {
                Self::list(items.iter().map(|item| Self::convert(item, numbers)))
            }
            serde_json::Value::Object(members) => Self::Map(Arc::new(
                members
                    .iter()
                    .map(|(key, member)| (key.clone(), Self::convert(member, numbers)))
                    .collect(),
            )),
        }
    }

    /// The name of the value's kind, as in error messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "map",
        }
    }

    /// The operator `==`: numbers of both kinds compare, lists member by member. Members of maps are not converted.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(a, b)| a.equals(b))
            }
            _ => match (self.as_float(), other.as_float()) {
                (Some(left), Some(right)) if self.kind() != other.kind() => left == right,
                _ => self == other,
            },
        }
    }

    /// A number as a float.
    #[expect(
        clippy::cast_precision_loss,
        reason = "comparing and mixing numbers of both kinds is meant to round"
    )]
    pub(crate) const fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(whole) => Some(*whole as f64),
            Self::Float(float) => Some(*float),
            Self::Nil | Self::Bool(_) | Self::Text(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}
