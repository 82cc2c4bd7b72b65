//! Functions that node filters and reply filters share.

use gjson::Kind;

use super::value::Numbers;
use super::version::{Constraints, parse_version};
use super::{EvalError, Value};

/// Longest GJSON path that is looked up; longer ones find nothing.
const PATH_BYTES_MAX: usize = 1024;

/// The value at a GJSON path, nil if there is none. Numbers are floats, whole ones too.
pub(crate) fn fact_value(json: &str, path: &str) -> Value {
    if path.len() > PATH_BYTES_MAX {
        return Value::Nil;
    }
    let found = gjson::get(json, path);
    if !found.exists() {
        return Value::Nil;
    }
    match found.kind() {
        Kind::Null => Value::Nil,
        Kind::True => Value::Bool(true),
        Kind::False => Value::Bool(false),
        Kind::String => found.str().into(),
        Kind::Number => Value::Float(found.f64()),
        // What a path puts together may be no JSON; then there is nothing.
        Kind::Array | Kind::Object => serde_json::from_str(found.json())
            .map_or(Value::Nil, |json| Value::convert(&json, Numbers::Floats)),
    }
}

/// `include(list, item)`: is the item in the list? A whole number counts as a float, because that is what numbers in
/// lists out of facts are; kinds are not mixed otherwise.
pub(crate) fn include(arguments: &[Value]) -> Result<Value, EvalError> {
    let [hay, needle] = arguments else {
        return Err(count("include", arguments));
    };
    let needle = match needle {
        Value::Int(_) => needle.as_float().map_or(Value::Nil, Value::Float),
        other => other.clone(),
    };
    match hay {
        Value::Nil => Ok(Value::Bool(false)),
        Value::List(items) => Ok(Value::Bool(items.contains(&needle))),
        _ => Err(EvalError::operands("include", &[hay, &needle])),
    }
}

/// `semver(version, constraint)`: does the version satisfy the constraint?
pub(crate) fn semver(arguments: &[Value]) -> Result<Value, EvalError> {
    let [version, constraint] = arguments else {
        return Err(count("semver", arguments));
    };
    let constraint = text("semver", constraint)?;
    let constraints = Constraints::parse(constraint).ok_or_else(|| {
        EvalError::Failed(format!("{constraint:?} is no constraint on versions").into())
    })?;
    let version = text("semver", version)?;
    let version = parse_version(version)
        .ok_or_else(|| EvalError::Failed(format!("{version:?} is no version").into()))?;
    Ok(Value::Bool(constraints.hold(&version)))
}

/// The one text a function takes; nil is an empty one.
pub(crate) fn one_text<'v>(function: &str, arguments: &'v [Value]) -> Result<&'v str, EvalError> {
    match arguments {
        [value] => text(function, value),
        _ => Err(count(function, arguments)),
    }
}

fn text<'v>(function: &str, value: &'v Value) -> Result<&'v str, EvalError> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Nil => Ok(""),
        _ => Err(EvalError::operands(function, &[value])),
    }
}

fn count(function: &str, arguments: &[Value]) -> EvalError {
    EvalError::ArgumentCount {
        function: function.into(),
        found: arguments.len(),
    }
}
