//! Random expressions give what the reference said they give; see `testdata/expr/README.md`.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads its inputs; the crate itself does not"
)]

use std::fmt::Write as _;

use muster_protocol::expr::{
    Environment, EvalError, Expression, Function, Kind, ReplyFilter, Value,
};
use muster_protocol::json;
use muster_protocol::rpc::RpcReply;

/// The environment the reference was given.
struct Recorded(serde_json::Value);

const FUNCTIONS: [Function; 3] = [
    Function {
        name: "v",
        parameters: &[Kind::Text],
        gives: Kind::Any,
    },
    Function {
        name: "with",
        parameters: &[Kind::Text],
        gives: Kind::Bool,
    },
    Function {
        name: "semver",
        parameters: &[Kind::Text, Kind::Text],
        gives: Kind::Bool,
    },
];

impl Environment for Recorded {
    fn variable(&self, _name: &str) -> Option<Value> {
        None
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, EvalError> {
        match (name, arguments) {
            ("v", [Value::Text(name)]) => {
                Ok(self.0.get(&**name).map_or(Value::Nil, Value::from_json))
            }
            ("with", [Value::Text(class)]) => Ok(Value::Bool(&**class == "apache")),
            ("semver", [Value::Text(version), Value::Text(constraint)]) => {
                semver(version, constraint)
            }
            _ => Err(EvalError::UnknownFunction(name.into())),
        }
    }
}

/// The function is within reach by a reply filter only.
fn semver(version: &str, constraint: &str) -> Result<Value, EvalError> {
    let body =
        serde_json::json!({"statuscode": 0, "statusmsg": version, "data": {"c": constraint}});
    let body = body.to_string();
    let reply = RpcReply::parse(body.as_bytes()).unwrap();
    let filter = ReplyFilter::parse("semver(msg, data('c'))").unwrap();
    let holds = filter.matches(&reply, "", 0);
    holds.map(Value::Bool).map_err(|error| error.0)
}

fn show(out: &mut String, value: &Value) {
    match value {
        Value::Nil => out.push_str("nil"),
        Value::Bool(value) => write!(out, "{value}").unwrap(),
        Value::Int(number) => write!(out, "i{number}").unwrap(),
        Value::Float(number) => out.push_str(&show_float(*number)),
        Value::Text(text) => {
            let mut quoted = Vec::new();
            json::write_string(&mut quoted, text);
            out.push_str(&String::from_utf8(quoted).unwrap());
        }
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                show(out, item);
            }
            out.push(']');
        }
        Value::Map(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write!(out, "{key}:").unwrap();
                show(out, member);
            }
            out.push('}');
        }
    }
}

fn show_float(number: f64) -> String {
    if number.is_nan() {
        return "fNaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "f+Inf" } else { "f-Inf" }.to_owned();
    }
    let text = format!("{number:.10e}");
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("f{mantissa}e{sign}{:02}", exponent.abs())
}

/// What ours makes of an expression; `None` for any error.
fn ours(text: &str, environment: &Recorded) -> Option<String> {
    let expression = Expression::parse(text).ok()?;
    if let Err(error) = expression.check(&FUNCTIONS)
        // The reference was not told to expect a truth value.
        && !error.message.starts_with("the expression gives")
    {
        return None;
    }
    let value = expression.evaluate(environment).ok()?;
    let mut out = String::new();
    show(&mut out, &value);
    Some(out)
}

#[test]
fn expressions_give_what_the_reference_says() {
    let environment = Recorded(serde_json::json!({
        "host": "web1.example.net", "n": 3, "f": 2.5, "yes": true, "no": false,
        "list": [1, 2, 3], "words": ["a", "b"], "empty": [],
        "os": {"family": "Debian", "release": {"major": 12}, "not": 1},
        "disks": [{"name": "sda", "size": 100}, {"name": "loop0", "size": 1}],
    }));
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/expr/reference.jsonl"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let (mut values, mut errors) = (0, 0);
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let expression = row["expr"].as_str().unwrap();
        let expected = row["gives"].as_str();
        assert_eq!(
            ours(expression, &environment).as_deref(),
            expected,
            "{expression}"
        );
        match expected {
            Some(_) => values += 1,
            None => errors += 1,
        }
    }
    assert!(values >= 800 && errors >= 400, "{values} {errors}");
}
