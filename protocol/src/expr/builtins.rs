//! The functions of the language itself that take plain arguments.
//!
//! Those with closures are in the evaluator. What the reference has beyond these is refused by name when an expression
//! is parsed ([`UNSUPPORTED`]), so that nobody waits for nodes that can not answer.

use super::{EvalError, Value};

/// A function without closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    Abs,
    Ceil,
    First,
    Float,
    Floor,
    HasPrefix,
    HasSuffix,
    IndexOf,
    Int,
    Join,
    Keys,
    Last,
    Len,
    Lower,
    Replace,
    Round,
    Split,
    String,
    Trim,
    TrimPrefix,
    TrimSuffix,
    Type,
    Upper,
    Values,
}

/// Functions of the reference that are not here.
pub(super) const UNSUPPORTED: [&str; 40] = [
    "sum",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "groupBy",
    "sortBy",
    "reduce",
    "splitAfter",
    "repeat",
    "lastIndexOf",
    "max",
    "min",
    "mean",
    "median",
    "toJSON",
    "fromJSON",
    "toBase64",
    "fromBase64",
    "now",
    "duration",
    "date",
    "timezone",
    "get",
    "take",
    "toPairs",
    "fromPairs",
    "reverse",
    "uniq",
    "concat",
    "flatten",
    "sort",
    "bitnot",
    "bitand",
    "bitor",
    "bitxor",
    "bitnand",
    "bitshl",
    "bitshr",
    "bitushr",
];

impl Builtin {
    const NAMES: [(&str, Self); 24] = [
        ("abs", Self::Abs),
        ("ceil", Self::Ceil),
        ("first", Self::First),
        ("float", Self::Float),
        ("floor", Self::Floor),
        ("hasPrefix", Self::HasPrefix),
        ("hasSuffix", Self::HasSuffix),
        ("indexOf", Self::IndexOf),
        ("int", Self::Int),
        ("join", Self::Join),
        ("keys", Self::Keys),
        ("last", Self::Last),
        ("len", Self::Len),
        ("lower", Self::Lower),
        ("replace", Self::Replace),
        ("round", Self::Round),
        ("split", Self::Split),
        ("string", Self::String),
        ("trim", Self::Trim),
        ("trimPrefix", Self::TrimPrefix),
        ("trimSuffix", Self::TrimSuffix),
        ("type", Self::Type),
        ("upper", Self::Upper),
        ("values", Self::Values),
    ];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::NAMES
            .into_iter()
            .find_map(|(known, builtin)| (known == name).then_some(builtin))
    }

    pub(super) fn as_str(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, builtin)| *builtin == self);
        named.map_or("?", |(name, _)| name)
    }

    /// Can it have that many arguments?
    pub(super) const fn takes(self, arguments: usize) -> bool {
        match self {
            Self::HasPrefix | Self::HasSuffix | Self::IndexOf | Self::Split => arguments == 2,
            Self::Trim | Self::TrimPrefix | Self::TrimSuffix | Self::Join => {
                arguments == 1 || arguments == 2
            }
            Self::Replace => arguments == 3,
            _ => arguments == 1,
        }
    }

    /// The value for arguments of a number it [takes](Self::takes).
    pub(super) fn call(self, arguments: &[Value]) -> Result<Value, EvalError> {
        use Value::{Int, List, Map, Nil, Text};
        Ok(match (self, arguments) {
            (Self::Type, [value]) => value.kind().into(),
            (Self::String, [value]) => Value::text(text_of(value)),
            (Self::Len, [value]) => {
                let length = match value {
                    Text(text) => text.chars().count(),
                    List(items) => items.len(),
                    Map(members) => members.len(),
                    _ => return Err(self.mismatch(arguments)),
                };
                Int(i64::try_from(length).unwrap_or(i64::MAX))
            }
            (
                Self::Abs | Self::Ceil | Self::Floor | Self::Round | Self::Int | Self::Float,
                [value],
            ) => return self.call_on_number(value),
            (Self::First, [List(items)]) => items.first().cloned().unwrap_or(Nil),
            (Self::Last, [List(items)]) => items.last().cloned().unwrap_or(Nil),
            // A text is a row of bytes, and everything else is empty.
            (Self::First, [Text(text)]) => byte(text.as_bytes().first()),
            (Self::Last, [Text(text)]) => byte(text.as_bytes().last()),
            (Self::First | Self::Last, _) => Nil,
            (Self::Keys, [Map(members)]) => {
                Value::list(members.keys().map(|key| key.as_str().into()))
            }
            (Self::Values, [Map(members)]) => Value::list(members.values().cloned()),
            (Self::Join, [List(items), rest @ ..]) => {
                let separator = rest.first().map_or(Some(""), as_text);
                let separator = separator.ok_or_else(|| self.mismatch(arguments))?;
                let texts: Option<Vec<_>> = items.iter().map(as_text).collect();
                let texts = texts.ok_or_else(|| self.mismatch(arguments))?;
                Value::text(texts.join(separator))
            }
            _ => return self.call_on_texts(arguments),
        })
    }

    fn call_on_number(self, value: &Value) -> Result<Value, EvalError> {
        use Value::{Float, Int, Text};
        let mismatch = || EvalError::operands(self.as_str(), &[value]);
        Ok(match (self, value) {
            (Self::Abs, Int(number)) => Int(number.wrapping_abs()),
            (Self::Abs, Float(number)) => Float(number.abs()),
            (Self::Int, Int(number)) => Int(*number),
            (Self::Int, Float(number)) => Int(truncate(*number)),
            (Self::Int, Text(text)) => Int(text.parse().map_err(|_| self.no_number(text))?),
            (Self::Float, Text(text)) => Float(text.parse().map_err(|_| self.no_number(text))?),
            (Self::Float, _) => Float(value.as_float().ok_or_else(mismatch)?),
            (Self::Ceil, _) => Float(value.as_float().ok_or_else(mismatch)?.ceil()),
            (Self::Floor, _) => Float(value.as_float().ok_or_else(mismatch)?.floor()),
            (Self::Round, _) => Float(value.as_float().ok_or_else(mismatch)?.round()),
            _ => return Err(mismatch()),
        })
    }

    fn call_on_texts(self, arguments: &[Value]) -> Result<Value, EvalError> {
        let texts: Option<Vec<_>> = arguments.iter().map(as_text).collect();
        let texts = texts.ok_or_else(|| self.mismatch(arguments))?;
        Ok(match (self, &*texts) {
            (Self::Lower, [text]) => Value::text(text.to_lowercase()),
            (Self::Upper, [text]) => Value::text(text.to_uppercase()),
            (Self::Trim, [text]) => text.trim().into(),
            (Self::Trim, [text, set]) => text.trim_matches(|c| set.contains(c)).into(),
            (Self::TrimPrefix, [text, rest @ ..]) => {
                let prefix = rest.first().unwrap_or(&" ");
                text.strip_prefix(prefix).unwrap_or(text).into()
            }
            (Self::TrimSuffix, [text, rest @ ..]) => {
                let suffix = rest.first().unwrap_or(&" ");
                text.strip_suffix(suffix).unwrap_or(text).into()
            }
            (Self::HasPrefix, [text, prefix]) => text.starts_with(prefix).into(),
            (Self::HasSuffix, [text, suffix]) => text.ends_with(suffix).into(),
            (Self::IndexOf, [text, part]) => {
                let at = text
                    .find(part)
                    .map_or(-1, |at| i64::try_from(at).unwrap_or(i64::MAX));
                Value::Int(at)
            }
            (Self::Split, [text, ""]) => Value::list(text.chars().map(|c| c.to_string().into())),
            (Self::Split, [text, separator]) => Value::list(text.split(separator).map(Into::into)),
            (Self::Replace, [text, from, to]) => Value::text(text.replace(from, to)),
            _ => return Err(self.mismatch(arguments)),
        })
    }

    fn mismatch(self, arguments: &[Value]) -> EvalError {
        EvalError::operands(self.as_str(), &arguments.iter().collect::<Vec<_>>())
    }

    fn no_number(self, text: &str) -> EvalError {
        EvalError::Failed(format!("{} finds no number in {text:?}", self.as_str()).into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

fn byte(byte: Option<&u8>) -> Value {
    byte.map_or(Value::Nil, |byte| Value::Int((*byte).into()))
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The whole part; out of range it is the nearest that is in.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and cutting the fraction off is the point"
)]
pub(super) const fn truncate(number: f64) -> i64 {
    number as i64
}

/// How a value prints.
fn text_of(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
        Value::List(items) => {
            let texts: Vec<_> = items.iter().map(text_of).collect();
            format!("[{}]", texts.join(" "))
        }
        Value::Map(members) => {
            let texts: Vec<_> = members
                .iter()
                .map(|(key, member)| format!("{key}:{}", text_of(member)))
                .collect();
            format!("map[{}]", texts.join(" "))
        }
    }
}
