//! A YAML document as keys with places, read without stopping at the first mistake.
//!
//! The library stops at the first value of a wrong type. So values are taken as they are, each with its line, and judged
//! here one by one.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

/// The largest document that is looked at, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// One thing wrong with a configuration. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The line of the document, counted from 1, where that is known.
    pub line: Option<u64>,
    /// The key, with those above it; empty for the document as a whole.
    pub key: String,
    /// What is wrong; reads on from the key.
    pub problem: String,
}

/// Everything wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems {
    /// The file's name, as it was given.
    pub file: String,
    /// The problems, in the order of their lines.
    pub problems: Vec<ConfigProblem>,
}

/// The keys of a document.
#[derive(Debug)]
pub(super) struct Document {
    entries: BTreeMap<String, (u64, Value)>,
    problems: Vec<ConfigProblem>,
}

/// Only the lines of what stands below `features`.
#[derive(Deserialize)]
struct FeatureLines {
    features: BTreeMap<String, Spanned<Value>>,
}

impl Document {
    /// Takes a document apart. Keys below `features` become `features.KEY`.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigProblem> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(ConfigProblem {
                line: None,
                key: String::new(),
                problem: format!(
                    "the document has {} bytes, more than {DOCUMENT_BYTES_MAX}",
                    text.len()
                ),
            });
        }
        let top: Option<BTreeMap<String, Spanned<Value>>> =
            serde_saphyr::from_str(text).map_err(|error| {
                let line = error.location().map(|location| location.line());
                ConfigProblem {
                    line: line.filter(|line| *line > 0),
                    key: String::new(),
                    problem: format!("the document is no mapping of keys to values: {}", {
                        let why = error.without_snippet().to_string();
                        why.lines().next().unwrap_or_default().to_owned()
                    }),
                }
            })?;
        let mut document = Self {
            entries: BTreeMap::new(),
            problems: Vec::new(),
        };
        for (key, value) in top.unwrap_or_default() {
            let line = value.defined.line();
            match (&*key, value.value) {
                ("features", Value::Object(features)) => {
                    let lines = serde_saphyr::from_str::<FeatureLines>(text);
                    let lines = lines.map(|lines| lines.features).unwrap_or_default();
                    for (name, value) in features {
                        let line = lines.get(&name).map_or(line, |value| value.defined.line());
                        document
                            .entries
                            .insert(format!("features.{name}"), (line, value));
                    }
                }
                ("features", value) if !value.is_null() => {
                    document.entries.insert(key, (line, value));
                    document.problem("features", "is not a mapping of features to true or false");
                    document.entries.remove("features");
                }
                (_, value) => {
                    document.entries.insert(key, (line, value));
                }
            }
        }
        Ok(document)
    }

    /// Notes what is wrong with a key.
    pub(super) fn problem(&mut self, key: &str, problem: impl Into<String>) {
        let entry = self.entries.get(key).or_else(|| {
            let (parent, _) = key.split_once('.')?;
            self.entries.get(parent)
        });
        self.problems.push(ConfigProblem {
            line: entry.map(|(line, _)| *line).filter(|line| *line > 0),
            key: key.to_owned(),
            problem: problem.into(),
        });
    }

    /// Every key that is not one of these is a problem.
    pub(super) fn refuse_others(&mut self, known: &[&str]) {
        let others: Vec<_> = self
            .entries
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .cloned()
            .collect();
        for key in others {
            self.problem(&key, "is not a key of the provisioner");
        }
    }

    /// The problems, by line.
    pub(super) fn finish(mut self, file: &str) -> Result<(), ConfigProblems> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|problem| problem.line);
        Err(ConfigProblems {
            file: file.to_owned(),
            problems: self.problems,
        })
    }

    /// A value that is there and not null.
    pub(super) fn given(&self, key: &str) -> Option<&Value> {
        let (_, value) = self.entries.get(key)?;
        Some(value).filter(|value| !value.is_null())
    }

    /// A text on one line, none where it is empty. Numbers and booleans are texts too, as YAML takes quotes off.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let text = match self.given(key)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => {
                self.problem(key, "is not a text");
                return None;
            }
        };
        if text.chars().any(char::is_control) {
            self.problem(key, "is not a text on one line");
            return None;
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// A switch, off where it is not there.
    pub(super) fn switch(&mut self, key: &str) -> bool {
        match self.given(key) {
            None => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                self.problem(key, "is neither true nor false");
                false
            }
        }
    }

    /// A whole number within these bounds.
    pub(super) fn number(&mut self, key: &str, default: u64, min: u64, max: u64) -> u64 {
        let Some(value) = self.given(key) else {
            return default;
        };
        match value.as_u64().filter(|number| (min..=max).contains(number)) {
            Some(number) => number,
            None => {
                let problem = format!("{value} is not a number from {min} to {max}");
                self.problem(key, problem);
                default
            }
        }
    }

    /// A list of texts, none where it is not there.
    pub(super) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let items = match self.given(key)? {
            Value::Array(items) => items.clone(),
            _ => {
                self.problem(key, "is not a list");
                return None;
            }
        };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.problem(key, format!("has an item {index} that is not a text")),
            }
        }
        Some(texts)
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
            if !problem.key.is_empty() {
                write!(f, "{} ", problem.key)?;
            }
            f.write_str(&problem.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}
