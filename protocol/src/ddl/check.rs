//! Is a DDL one that peers would take, and does it hold together?
//!
//! A DDL with problems still works as far as it goes: [`Ddl::parse`] takes what can be understood, since one bad aggregate must not hide an agent.
//! Whoever writes one wants to know all that is wrong with it.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::{Action, Aggregator, Ddl, Input, InputType};

/// The least timeout peers allow, in seconds; 0 leaves it to the caller.
const TIMEOUT_MIN: u32 = 2;
/// Names of output types; an output without one may be anything.
const OUTPUT_TYPES: [&str; 10] = [
    "", "any", "string", "integer", "float", "number", "boolean", "list", "hash", "array",
];

/// Something wrong in a DDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DdlProblem {
    /// Where it is, such as `action echo, input message`.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl Ddl {
    /// All that is wrong, in the order of the document.
    #[must_use]
    pub fn check(&self) -> Vec<DdlProblem> {
        let mut problems = Problems::default();
        self.check_metadata(&mut problems);
        let mut seen = HashSet::new();
        for action in &self.actions {
            let place = format!("action {}", action.name);
            problems.name(&place, &action.name);
            if !seen.insert(action.name.as_str()) {
                problems.note(&place, "is there twice");
            }
            action.check(&place, &mut problems);
        }
        problems.0
    }

    fn check_metadata(&self, problems: &mut Problems) {
        let metadata = &self.metadata;
        let place = "metadata";
        problems.name(place, &metadata.name);
        if (1..TIMEOUT_MIN).contains(&metadata.timeout) {
            let seconds = metadata.timeout;
            problems.note(
                place,
                format!("timeout of {seconds} s is less than {TIMEOUT_MIN} s"),
            );
        }
        for (key, text) in [
            ("license", &metadata.license),
            ("author", &metadata.author),
            ("version", &metadata.version),
            ("description", &metadata.description),
        ] {
            if text.is_empty() {
                problems.note(place, format!("{key} is not given"));
            }
        }
        if !metadata.version.is_empty()
            && let Err(error) = semver::Version::parse(&metadata.version)
        {
            let version = &metadata.version;
            problems.note(
                place,
                format!("version {version:?} is no semantic version: {error}"),
            );
        }
    }
}

impl Action {
    fn check(&self, place: &str, problems: &mut Problems) {
        for (name, input) in &self.input {
            let place = format!("{place}, input {name}");
            problems.name(&place, name);
            input.check_rules(name, &place, problems);
        }
        for (name, output) in &self.output {
            let place = format!("{place}, output {name}");
            problems.name(&place, name);
            let kind = output.kind.to_lowercase();
            if !OUTPUT_TYPES.contains(&kind.as_str()) {
                problems.note(&place, format!("type {:?} is none there is", output.kind));
            }
        }
        for aggregate in &self.aggregate {
            let place = format!("{place}, aggregate");
            match Aggregator::new(aggregate) {
                Ok(aggregator) if !self.output.contains_key(aggregator.output()) => {
                    let output = aggregator.output();
                    problems.note(&place, format!("the action has no output {output}"));
                }
                Ok(_) => {}
                Err(error) => problems.note(&place, error.to_string()),
            }
        }
    }
}

impl Input {
    fn check_rules(&self, name: &str, place: &str, problems: &mut Problems) {
        if self.kind == InputType::List && self.list.is_empty() {
            problems.note(place, "is a list that allows nothing");
        }
        if let Some(problem) = self.validation.as_ref().and_then(|rule| rule.problem()) {
            problems.note(place, problem);
        }
        let default = self.default.as_ref().filter(|value| !value.is_null());
        if let Some(Err(error)) = default.map(|value: &Value| self.check(name, value)) {
            problems.note(place, format!("the default is refused: {error}"));
        }
    }
}

#[derive(Default)]
struct Problems(Vec<DdlProblem>);

impl Problems {
    fn note(&mut self, place: &str, problem: impl Into<String>) {
        self.0.push(DdlProblem {
            place: place.to_owned(),
            problem: problem.into(),
        });
    }

    fn name(&mut self, place: &str, name: &str) {
        let is_name_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            self.note(
                place,
                format!("{name:?} is no name (small letters, digits, _)"),
            );
        }
    }
}

impl fmt::Display for DdlProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(ddl: Value) -> Vec<String> {
        let ddl = Ddl::parse(ddl.to_string().as_bytes()).unwrap();
        ddl.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_ddls_we_bring_have_no_problems() {
        for name in Ddl::BUILTIN {
            let ddl = Ddl::builtin(name).unwrap();
            let mut problems = ddl.check();
            // The parts of a certificate's name are called so on every node.
            problems.retain(|problem| !problem.place.starts_with("action gencsr, input "));
            assert_eq!(problems, [], "{name}");
        }
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let metadata =
            json!({"name": "Parrot", "timeout": 1, "version": "1", "license": "x", "author": "y"});
        let input = json!({
            "Big": {"type": "string"},
            "empty": {"type": "list"},
            "broken": {"type": "string", "validation": "["},
            "odd": {"type": "integer", "default": "one"}
        });
        let echo = json!({
            "action": "echo", "input": input, "output": {"o": {"type": "blob"}},
            "aggregate": [{"function": "summary", "args": ["p"]}, {"function": "mode", "args": ["o"]}]
        });
        let ddl = json!({"metadata": metadata, "actions": [echo, {"action": "echo"}]});
        assert_eq!(
            problems(ddl),
            [
                "metadata: \"Parrot\" is no name (small letters, digits, _)",
                "metadata: timeout of 1 s is less than 2 s",
                "metadata: description is not given",
                "metadata: version \"1\" is no semantic version: unexpected end of input while parsing major version number",
                "action echo, input Big: \"Big\" is no name (small letters, digits, _)",
                "action echo, input broken: validation \"[\" is no regex: unclosed character class",
                "action echo, input empty: is a list that allows nothing",
                "action echo, input odd: the default is refused: input odd is \"\\\"one\\\"\", not a whole number",
                "action echo, output o: type \"blob\" is none there is",
                "action echo, aggregate: the action has no output p",
                "action echo, aggregate: output o is not summed up: there is no function \"mode\"",
                "action echo: is there twice",
            ]
        );
    }
}
