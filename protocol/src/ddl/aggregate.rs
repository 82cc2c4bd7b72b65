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

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Aggregate, Summary};

/// Numbers of one output that a chart is made of; further ones are counted, not drawn.
const CHART_VALUES_MAX: usize = 4_000_000;
/// Columns of a chart at most.
const CHART_BUCKETS_MAX: usize = 50;
/// Heights of a column; an empty one is a blank.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

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

/// A histogram in one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The least number.
    pub min: f64,
    /// The largest number.
    pub max: f64,
    /// One character for each bucket from the least to the largest number, at most fifty.
    pub bars: String,
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

impl Chart {
    /// The histogram of these numbers, each of them finite.
    fn of(values: &[f64]) -> Option<Self> {
        let min = values.iter().copied().reduce(f64::min)?;
        let max = values.iter().copied().reduce(f64::max)?;
        // No more buckets than numbers: a column for each of three nodes says more than fifty with three bars in them.
        let buckets = if min < max {
            values.len().min(CHART_BUCKETS_MAX)
        } else {
            1
        };
        let mut counts = vec![0_usize; buckets];
        for value in values {
            counts[bucket(*value, min, max, buckets)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(1).max(1);
        let bar = |count: &usize| match count {
            0 => ' ',
            // From the lowest bar for one of many to the highest for the most.
            count => BARS[(count * BARS.len()).div_ceil(most) - 1],
        };
        Some(Self {
            min,
            max,
            bars: counts.iter().map(bar).collect(),
        })
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}", self.min, self.bars, self.max)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place from 0 to the number of buckets, which is at most fifty"
)]
fn bucket(value: f64, min: f64, max: f64, buckets: usize) -> usize {
    // Halves, so that the span of the largest numbers there are is still a number.
    let place = (value / 2.0 - min / 2.0) / (max / 2.0 - min / 2.0) * buckets as f64;
    // The largest number belongs to the last bucket; one bucket has no span to divide.
    (place.max(0.0) as usize).min(buckets - 1)
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

/// Writes a number into a format with one of `%f`, `%.2f`, `%5.1f`, `%d`, `%s`, `%v`; `%%` is a percent sign. What is no such place stays as it is.
#[must_use]
pub fn format_number(format: &str, number: f64) -> String {
    let mut out = String::with_capacity(format.len() + 8);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match place(rest) {
            Some((len, None)) => {
                out.push('%');
                rest = &rest[len..];
            }
            Some((len, Some(place))) => {
                out.push_str(&place.write(number));
                rest = &rest[len..];
            }
            None => {
                out.push('%');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// A place for a number.
struct Place {
    width: usize,
    decimals: Option<usize>,
    verb: u8,
}

/// Columns and decimals a format may ask for; files of others are not trusted with memory.
const PLACE_MAX: usize = 64;

/// Reads the place a text begins with, and its length; no place for `%%`.
fn place(text: &str) -> Option<(usize, Option<Place>)> {
    let bytes = text.as_bytes();
    if bytes.get(1) == Some(&b'%') {
        return Some((2, None));
    }
    let digits = |from: usize| {
        let len = bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        (from + len, text[from..from + len].parse::<usize>().ok())
    };
    let (mut at, width) = digits(1);
    let mut decimals = None;
    if bytes.get(at) == Some(&b'.') {
        let (end, number) = digits(at + 1);
        decimals = Some(number.unwrap_or(0).min(PLACE_MAX));
        at = end;
    }
    let verb = *bytes
        .get(at)
        .filter(|verb| matches!(verb, b'f' | b'd' | b's' | b'v'))?;
    let width = width.unwrap_or(0).min(PLACE_MAX);
    let place = Place {
        width,
        decimals,
        verb,
    };
    Some((at + 1, Some(place)))
}

impl Place {
    fn write(&self, number: f64) -> String {
        let width = self.width;
        match (self.verb, self.decimals) {
            (b'd', _) => format!("{number:width$.0}"),
            (b'f', decimals) => format!("{number:width$.0$}", decimals.unwrap_or(6)),
            (_, Some(decimals)) => format!("{number:width$.decimals$}"),
            (_, None) => format!("{number:width$}"),
        }
    }
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
mod tests {
    use serde_json::json;

    use super::*;

    fn aggregator(aggregate: Value, values: &[Value]) -> Aggregator {
        let aggregate: Aggregate = serde_json::from_value(aggregate).unwrap();
        let mut aggregator = Aggregator::new(&aggregate).unwrap();
        values.iter().for_each(|value| aggregator.add(value));
        aggregator
    }

    #[test]
    fn words_stand_for_values() {
        for function in ["summary", "boolean_summary"] {
            let words = json!({"true": "enabled", "false": "disabled", "thing": 7, "1": "one", "format": "%s=%d"});
            let values = [
                json!(true),
                json!("true"),
                json!(false),
                json!("thing"),
                json!(1),
                json!("else"),
            ];
            let function = json!({"function": function, "args": ["o", words]});
            let summed = aggregator(function, &values);
            let AggregateResult::Counts { entries, format } = summed.result() else {
                panic!("{summed:?}")
            };
            assert_eq!(
                entries,
                [
                    ("enabled", 2),
                    ("7", 1),
                    ("disabled", 1),
                    ("else", 1),
                    ("one", 1)
                ]
            );
            assert_eq!(format, Some("%s=%d"));
            assert_eq!(
                serde_json::to_string(&summed).unwrap(),
                r#"{"7":1,"disabled":1,"else":1,"enabled":2,"one":1}"#
            );
        }
    }

    #[test]
    fn an_average_is_that_of_the_numbers() {
        let function = json!({"function": "average", "args": ["o"]});
        let values = [json!(1), json!("2.5"), json!(2.5), json!("x"), json!(null)];
        let summed = aggregator(function.clone(), &values);
        let AggregateResult::Average {
            mean,
            count,
            skipped,
            format,
        } = summed.result()
        else {
            panic!("{summed:?}")
        };
        assert_eq!((mean, count, skipped), (Some(2.0), 3, 2));
        assert_eq!(format_number(format, 2.0), "Average: 2.000");
        assert_eq!(
            serde_json::to_string(&summed).unwrap(),
            r#"{"average":2.0}"#
        );

        let nothing = aggregator(function, &[json!("x"), json!("inf"), json!("NaN")]);
        assert!(nothing.is_empty());
        assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
    }

    #[test]
    fn a_chart_has_a_bar_for_each_bucket() {
        let chart = |values: &[f64]| Chart::of(values).map(|chart| chart.to_string());
        assert_eq!(chart(&[]), None);
        assert_eq!(chart(&[3.0, 3.0]).unwrap(), "3 [█] 3");
        assert_eq!(chart(&[1.0, 1.0, 4.0]).unwrap(), "1 [█ ▄] 4");
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        let line = chart(&many).unwrap();
        assert_eq!(line.chars().filter(|c| *c == '█').count(), 50, "{line}");
        let extremes = chart(&[f64::MIN, 0.0, f64::MAX]).unwrap();
        assert!(extremes.contains("[███]"), "{extremes}");
        let summed = aggregator(
            json!({"function": "chart", "args": ["o"]}),
            &[json!(1), json!("2"), json!("x")],
        );
        assert_eq!(
            serde_json::to_string(&summed).unwrap(),
            r#"{"chart":"1 [██] 2"}"#
        );
        let AggregateResult::Chart { skipped: 1, .. } = summed.result() else {
            panic!("{summed:?}")
        };
    }

    #[test]
    fn what_is_unknown_is_named() {
        let new = |aggregate: Value| {
            let aggregate: Aggregate = serde_json::from_value(aggregate).unwrap();
            Aggregator::new(&aggregate).unwrap_err().to_string()
        };
        assert_eq!(
            new(json!({"function": "median", "args": ["o"]})),
            "output o is not summed up: there is no function \"median\""
        );
        for args in [json!([]), json!([{}]), json!([7]), json!(null)] {
            assert_eq!(
                new(json!({"function": "summary", "args": args})),
                "function \"summary\" is given no output to sum up"
            );
        }
    }

    #[test]
    fn formats_hold_a_number() {
        for (format, expected) in [
            ("%.1f hours", "2.5 hours"),
            ("%f", "2.500000"),
            ("%6.2f|", "  2.50|"),
            ("%d", "2"),
            ("%s and %v", "2.5 and 2.5"),
            ("100%% of %.0f", "100% of 2"),
            ("no place", "no place"),
            ("%q %", "%q %"),
            ("größe %.2f%", "größe 2.50%"),
        ] {
            assert_eq!(format_number(format, 2.5), expected, "{format}");
        }
        assert!(format_number("%999999999.999999999f", 2.5).len() < 200);
    }
}
