//! Inputs of an action: from words to values, and the checks on both sides.
//!
//! A deliberate difference to the servers of today: a `maxlength` of 0 means any length, and does not switch the regex
//! off as it does there.

use std::fmt;

use serde_json::{Map, Value};

use super::{Action, Input, InputType};

/// Inputs by name.
pub type Inputs = Map<String, Value>;

/// Ruby clients add this to every request; it is no input of any action.
const PROCESS_RESULTS: &str = "process_results";

/// Why an input is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputError {
    /// A word without `=`.
    NotAPair(String),
    /// The action has no such input.
    Undeclared(String),
    /// A required input is missing.
    Missing(String),
    /// The value is not of the input's type.
    WrongType {
        /// Name of the input.
        name: String,
        /// The value given.
        value: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// The text is too long.
    TooLong {
        /// Name of the input.
        name: String,
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The text fails its validation.
    Invalid {
        /// Name of the input.
        name: String,
        /// The value given.
        value: String,
        /// The validator's name, the regex, or the allowed values.
        rule: String,
    },
}

impl InputError {
    /// The input it is about; of a word that is no pair, the word.
    #[must_use]
    pub fn input(&self) -> &str {
        match self {
            Self::NotAPair(name) | Self::Undeclared(name) | Self::Missing(name) => name,
            Self::WrongType { name, .. }
            | Self::TooLong { name, .. }
            | Self::Invalid { name, .. } => name,
        }
    }
}

/// Splits `key=value`; keys are lower-cased.
pub fn split_pair(word: &str) -> Result<(String, &str), InputError> {
    match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_lowercase(), value)),
        _ => Err(InputError::NotAPair(word.to_owned())),
    }
}

impl Action {
    /// Turns `key=value` words into inputs, fills in defaults and validates. Every problem is reported.
    pub fn parse_inputs<S: AsRef<str>>(&self, words: &[S]) -> Result<Inputs, Vec<InputError>> {
        let mut inputs = Inputs::new();
        let mut errors = Vec::new();
        for word in words {
            match self.parse_word(word.as_ref()) {
                Ok((name, value)) => {
                    inputs.insert(name, value);
                }
                Err(error) => errors.push(error),
            }
        }
        self.fill_defaults(&mut inputs);
        // A word that failed to parse must not be reported as missing too.
        let failed_words = errors.len();
        for error in self.problems(&inputs) {
            if !is_known(&errors[..failed_words], &error) {
                errors.push(error);
            }
        }
        if errors.is_empty() {
            Ok(inputs)
        } else {
            Err(errors)
        }
    }

    /// Adds the defaults of inputs that are not there.
    pub fn fill_defaults(&self, inputs: &mut Inputs) {
        for (name, input) in &self.input {
            if let Some(default) = &input.default
                && !default.is_null()
                && !inputs.contains_key(name)
            {
                inputs.insert(name.clone(), default.clone());
            }
        }
    }

    /// Checks inputs: declared, there, of the right type, valid. Every problem is reported.
    pub fn validate(&self, inputs: &Inputs) -> Result<(), Vec<InputError>> {
        let errors: Vec<_> = self.problems(inputs).collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn parse_word(&self, word: &str) -> Result<(String, Value), InputError> {
        let (name, text) = split_pair(word)?;
        let Some(input) = self.input.get(&name) else {
            return Err(InputError::Undeclared(name));
        };
        match input.kind.parse(text) {
            Some(value) => Ok((name, value)),
            None => Err(InputError::WrongType {
                name,
                value: text.to_owned(),
                expected: input.kind.expected(),
            }),
        }
    }

    fn problems<'a>(&'a self, inputs: &'a Inputs) -> impl Iterator<Item = InputError> + 'a {
        let undeclared = inputs
            .keys()
            .filter(|name| !self.input.contains_key(*name) && *name != PROCESS_RESULTS)
            .map(|name| InputError::Undeclared(name.clone()));
        let declared = self
            .input
            .iter()
            .filter_map(|(name, input)| match inputs.get(name) {
                Some(value) => input.check(name, value).err(),
                None if input.optional => None,
                None => Some(InputError::Missing(name.clone())),
            });
        undeclared.chain(declared)
    }
}

fn is_known(errors: &[InputError], candidate: &InputError) -> bool {
    let InputError::Missing(missing) = candidate else {
        return false;
    };
    errors
        .iter()
        .any(|error| matches!(error, InputError::WrongType { name, .. } if name == missing))
}

impl InputType {
    /// The value of a word on the command line.
    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::String | Self::List => Some(Value::from(text)),
            Self::Integer => text.parse::<i64>().ok().map(Value::from),
            Self::Float => parse_float(text),
            Self::Number => text
                .parse::<i64>()
                .ok()
                .map(Value::from)
                .or_else(|| parse_float(text)),
            Self::Boolean => match text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Hash => serde_json::from_str(text).ok().filter(Value::is_object),
            Self::Array => serde_json::from_str(text).ok().filter(Value::is_array),
        }
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Self::String | Self::List => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Float | Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Hash => value.is_object(),
            Self::Array => value.is_array(),
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::String | Self::List => "a text",
            Self::Integer => "a whole number",
            Self::Float | Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Hash => "a json object",
            Self::Array => "a json array",
        }
    }
}

fn parse_float(text: &str) -> Option<Value> {
    // Infinities and NaN parse as floats and have no JSON form.
    let float: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(float).map(Value::Number)
}

impl Input {
    /// Checks one value against type, length and validation.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), InputError> {
        if !self.kind.admits(value) {
            return Err(InputError::WrongType {
                name: name.to_owned(),
                value: value.to_string(),
                expected: self.kind.expected(),
            });
        }
        let Some(text) = value.as_str() else {
            return Ok(());
        };
        let invalid = |rule: &str| InputError::Invalid {
            name: name.to_owned(),
            value: text.to_owned(),
            rule: rule.to_owned(),
        };
        if self.kind == InputType::List {
            if !self.list.iter().any(|allowed| allowed == text) {
                return Err(invalid(&self.list.join(", ")));
            }
            return Ok(());
        }
        if let Some(max) = self.maxlength.filter(|&max| max > 0 && text.len() > max) {
            return Err(InputError::TooLong {
                name: name.to_owned(),
                len: text.len(),
                max,
            });
        }
        match &self.validation {
            Some(rule) if !rule.admits(text) => Err(invalid(rule)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPair(word) => write!(f, "{word:?} is not of the form key=value"),
            Self::Undeclared(name) => write!(f, "the action has no input {name}"),
            Self::Missing(name) => write!(f, "input {name} is required"),
            Self::WrongType {
                name,
                value,
                expected,
            } => {
                write!(f, "input {name} is {value:?}, not {expected}")
            }
            Self::TooLong { name, len, max } => {
                write!(f, "input {name} has {len} bytes, more than {max}")
            }
            Self::Invalid { name, value, rule } => {
                write!(
                    f,
                    "input {name} is {value:?}, which does not satisfy {rule}"
                )
            }
        }
    }
}

impl std::error::Error for InputError {}
