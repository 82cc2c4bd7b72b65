//! What a DDL wants summed up over the replies of all nodes, function by function.
//!
//! | function | result |
//! |---|---|
//! | `summary` | how many nodes gave which value |
//! | `boolean_summary` | the same, values replaced by words of the second argument |
//! | `average` | the mean of the values that are numbers |
//! | `chart` | a histogram of the values that are numbers, in one line |
//!
//! Arguments are `["output"]` or `["output", {…}]`; the object's `format` says how a line is written, its other members replace values:
//! `{"true": "enabled", "false": "disabled", "format": "%s on %d"}`. Both summaries take both, as with peers.
//!
//! Results are added as replies arrive; nothing is kept of a reply but its count, or for a chart its number. Whoever shows results writes the lines.

mod chart;
mod format;

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Aggregate, Summary};

pub use self::chart::Chart;
pub use self::format::format_number;

/// Numbers of one output that a chart is made of; further ones are counted, not drawn.
const CHART_VALUES_MAX: usize = 4_000_000;

/// One function over one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregator {
    output: String,
    format: Option<String>,
    /// Values and the words for them.
    words: BTreeMap<String, String>,
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Counts(Summary),
    Mean { sum: f64, count: u64, skipped: u64 },
    Chart { values: Vec<f64>, skipped: u64 },
}

/// What came of one function.
#[derive(Debug, Clone, PartialEq)]
pub enum AggregateResult<'a> {
    /// How many nodes gave which value, the most frequent first.
    Counts {
        /// Values and their counts.
        entries: Vec<(&'a str, u64)>,
        /// How a line is written: `%s` the value, `%d` how many.
        format: Option<&'a str>,
    },
    /// The mean of the numbers.
    Average {
        /// The mean; none where no node gave a number.
        mean: Option<f64>,
        /// Numbers it is the mean of.
        count: u64,
        /// Values that were no number.
        skipped: u64,
        /// How the line is written, with one number in it.
        format: &'a str,
    },
    /// A histogram of the numbers.
    Chart {
        /// Least number, columns, largest number; none where no node gave a number.
        chart: Option<Chart>,
        /// Values that were no number.
        skipped: u64,
    },
}

/// Why an aggregate of a DDL can not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AggregateError {
    /// There is no such function.
    UnknownFunction {
        /// Its name.
        function: String,
        /// The output it should sum up.
        output: String,
    },
    /// The first argument is no name of an output.
    NoOutput {
        /// The function.
        function: String,
    },
}

impl Aggregator {
    /// How lines with a mean are written unless the DDL says otherwise.
    pub const AVERAGE_FORMAT: &'static str = "Average: %.3f";

    /// The function an action's DDL asks for.
    ///
    /// # Errors
    /// There is no such function, or no output.
    pub fn new(aggregate: &Aggregate) -> Result<Self, AggregateError> {
        let function = aggregate.function.as_str();
        let Some(output) = aggregate.output() else {
            return Err(AggregateError::NoOutput {
                function: function.to_owned(),
            });
        };
        let state = match function {
            "summary" | "boolean_summary" => State::Counts(Summary::default()),
            "average" => State::Mean {
                sum: 0.0,
                count: 0,
                skipped: 0,
            },
            "chart" => State::Chart {
                values: Vec::new(),
                skipped: 0,
            },
            _ => {
                return Err(AggregateError::UnknownFunction {
                    function: function.to_owned(),
                    output: output.to_owned(),
                });
            }
        };
        Ok(Self {
            output: output.to_owned(),
            format: aggregate.format().map(str::to_owned),
            words: words(aggregate),
            state,
        })
    }

    /// The output that is summed up.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Adds the value of one reply.
    pub fn add(&mut self, value: &Value) {
        match &mut self.state {
            State::Counts(summary) if self.words.is_empty() => summary.add(value),
            State::Counts(summary) => {
                let word = match value {
                    Value::String(text) => self.words.get(text),
                    other => self.words.get(&other.to_string()),
                };
                match word {
                    Some(word) => summary.add_text(word),
                    None => summary.add(value),
                }
            }
            State::Mean {
                sum,
                count,
                skipped,
            } => match number(value) {
                Some(number) => {
                    *sum += number;
                    *count += 1;
                }
                None => *skipped += 1,
            },
            State::Chart { values, skipped } => match number(value) {
                Some(number) if values.len() < CHART_VALUES_MAX => values.push(number),
                _ => *skipped += 1,
            },
        }
    }

    /// Values and their counts, the most frequent first; nothing for other functions than summaries.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, u64)> {
        match &self.state {
            State::Counts(summary) => summary.entries(),
            State::Mean { .. } | State::Chart { .. } => Vec::new(),
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn result(&self) -> AggregateResult<'_> {
        match &self.state {
            State::Counts(summary) => AggregateResult::Counts {
                entries: summary.entries(),
                format: self.format.as_deref(),
            },
            State::Mean {
                sum,
                count,
                skipped,
            } => AggregateResult::Average {
                mean: mean(*sum, *count),
                count: *count,
                skipped: *skipped,
                format: self.format.as_deref().unwrap_or(Self::AVERAGE_FORMAT),
            },
            State::Chart { values, skipped } => AggregateResult::Chart {
                chart: Chart::of(values),
                skipped: *skipped,
            },
        }
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.state {
            State::Counts(summary) => summary.is_empty(),
            State::Mean { count, .. } => *count == 0,
            State::Chart { values, .. } => values.is_empty(),
        }
    }
}

/// As the machine formats write one: counts by value, `{"average": 1.5}` or `{"chart": "…"}`; an empty object where there is nothing.
impl Serialize for Aggregator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.result() {
            AggregateResult::Counts { mut entries, .. } => {
                entries.sort_unstable();
                serializer.collect_map(entries)
            }
            AggregateResult::Average { mean, .. } => {
                serializer.collect_map(mean.map(|mean| ("average", mean)))
            }
            AggregateResult::Chart { chart, .. } => {
                let mut map = serializer.serialize_map(None)?;
                if let Some(chart) = chart {
                    map.serialize_entry("chart", &chart.to_string())?;
                }
                map.end()
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the number of nodes is below 2^52"
)]
fn mean(sum: f64, count: u64) -> Option<f64> {
    let mean = sum / count as f64;
    (count > 0 && mean.is_finite()).then_some(mean)
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    number.is_finite().then_some(number)
}

/// The words of the second argument, by the text of the value they stand for.
fn words(aggregate: &Aggregate) -> BTreeMap<String, String> {
    let Some(Value::Object(options)) = aggregate.args.get(1) else {
        return BTreeMap::new();
    };
    let options = options.iter().filter(|(value, _)| *value != "format");
    let word = |(value, word): (&String, &Value)| match word {
        Value::String(word) => (value.clone(), word.clone()),
        other => (value.clone(), other.to_string()),
    };
    options.map(word).collect()
}

impl fmt::Display for AggregateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFunction { function, output } => {
                write!(
                    f,
                    "output {output} is not summed up: there is no function {function:?}"
                )
            }
            Self::NoOutput { function } => {
                write!(f, "function {function:?} is given no output to sum up")
            }
        }
    }
}

impl std::error::Error for AggregateError {}

#[cfg(test)]
mod tests;
