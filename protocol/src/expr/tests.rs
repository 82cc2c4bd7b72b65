use std::collections::BTreeMap;

use serde_json::json;

use super::*;

mod bounds;
mod functions;
mod prop;

/// Variables from JSON; functions `twice` and `fails`.
pub(super) struct Table(BTreeMap<String, Value>);

impl Table {
    pub(super) fn new(json: &serde_json::Value) -> Self {
        let members = json.as_object().unwrap();
        Self(
            members
                .iter()
                .map(|(name, value)| (name.clone(), Value::from_json(value)))
                .collect(),
        )
    }
}

impl Environment for Table {
    fn variable(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, EvalError> {
        match (name, arguments) {
            ("twice", [Value::Int(number)]) => Ok(Value::Int(number * 2)),
            ("fails", _) => Err(EvalError::Failed("it was asked to".into())),
            _ => Err(EvalError::UnknownFunction(name.into())),
        }
    }
}

fn table() -> Table {
    Table::new(&json!({
        "host": "web1.example.net", "n": 3, "f": 2.5, "yes": true, "no": false,
        "list": [1, 2, 3], "words": ["a", "b"], "empty": [],
        "os": {"family": "Debian", "release": {"major": 12}, "not": 1},
        "disks": [{"name": "sda", "size": 100}, {"name": "loop0", "size": 1}],
    }))
}

fn evaluate(text: &str) -> Result<Value, EvalError> {
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    expression.evaluate(&table())
}

/// The expression on the left gives what the JSON on the right says, whole numbers and floats kept apart.
#[track_caller]
fn gives(text: &str, expected: serde_json::Value) {
    assert_eq!(evaluate(text), Ok(Value::from_json(&expected)), "{text}");
}

#[track_caller]
fn holds(texts: &[&str]) {
    for text in texts {
        assert_eq!(evaluate(text), Ok(Value::Bool(true)), "{text}");
    }
}

#[track_caller]
fn fails(text: &str, message: &str) {
    let error = evaluate(text).expect_err(text);
    assert_eq!(error.to_string(), message, "{text}");
}

#[track_caller]
fn refused(text: &str, message: &str) {
    let error = Expression::parse(text).expect_err(text);
    assert_eq!(error.to_string(), message, "{text}");
}

#[test]
fn literals() {
    gives("42", json!(42));
    gives("0x2A + 0o52 + 0b101010 + 1_000", json!(1126));
    gives("[.5, 1e3, 2., 1.5e-1]", json!([0.5, 1000.0, 2.0, 0.15]));
    gives(
        r#""a\"b\n\x41\u00e4\u{1F600}\101\'""#,
        json!("a\"b\nAä😀A'"),
    );
    gives(r"'it\'s'", json!("it's"));
    gives("`raw \\n ``x```", json!("raw \\n `x`"));
    gives("nil", json!(null));
    gives(
        "{a: 1, 'b c': [true,], 3: nil, (\"x\" + \"y\"): {},}",
        json!({"a": 1, "b c": [true], "3": null, "xy": {}}),
    );
    gives("1 // one\n + /* two */ 2", json!(3));
}

#[test]
fn arithmetic_keeps_whole_numbers_whole() {
    gives("1 + 2 * 3 - 4", json!(3));
    gives("1 + 2.0", json!(3.0));
    gives("7 / 2", json!(3.5));
    gives("4 / 2", json!(2.0));
    gives("-7 % 3", json!(-1));
    gives("2 ** 3 ** 2", json!(512.0));
    gives("-2 ^ 2 + 0", json!(-4.0));
    gives("+n - -n", json!(6));
    gives("9223372036854775807 + 1", json!(i64::MIN));
    gives("\"a\" + 'b'", json!("ab"));
    holds(&[
        "1 / 0 > 1e300",
        "1 == 1.0",
        "n > f",
        "2 in [1.0, 2.0]",
        "[1, 2] == [1.0, 2]",
    ]);
    fails("1 % 0", "division by zero");
    fails("f % 2", "% does not work on float and int");
    fails("1 + 'a'", "+ does not work on int and string");
    fails("-'a'", "- does not work on string");
    fails("missing > 1", "> does not work on nil and int");
    fails("'a' < 1", "< does not work on string and int");
}

#[test]
fn operators_bind_as_the_reference_has_it() {
    holds(&[
        "true or false and false",
        "(yes or no) and not no",
        "not no == true",
        "!no && yes || fails()",
        "1 < 2 == true",
        "1 + 1 == 2 and 2 * 3 == 6",
        "1 < n < 5",
        "1 < n <= 3 < 9 > 8",
        "not (5 > n > 4)",
        "1 in 1..3",
        "n - 1 in 1..n - 1",
        "no ? false : yes",
        "no ? false : no ? false : true",
        "yes ?: fails()",
        "no ?: yes",
        "(missing ?? 5) == 5",
    ]);
    refused(
        "missing ?? 1 + 1",
        "column 14: ?? can not be mixed with other operators without brackets",
    );
    gives("1 + missing ?? 1", json!(2));
    gives("missing ?? nil ?? 'x'", json!("x"));
}

#[test]
fn conditions_are_bools_and_stop_early() {
    gives("no and fails()", json!(false));
    gives("yes or fails()", json!(true));
    // The last side counts as it is.
    gives("yes and missing", json!(null));
    // Literals that decide are seen beforehand.
    holds(&[
        "fails() or true",
        "not (fails() and not true)",
        "n or (fails() or true)",
    ]);
    gives("missing and true", json!(null));
    gives("false or n", json!(3));
    fails("missing and yes", "and does not work on nil");
    fails("1 or yes", "or does not work on int");
    fails("not missing", "not does not work on nil");
    fails("n ? 1 : 2", "? does not work on int");
    fails("yes and fails()", "it was asked to");
}

#[test]
fn texts_are_searched() {
    holds(&[
        "host contains 'example'",
        "host startsWith 'web'",
        "host endsWith '.net'",
        "host matches '^web[0-9]'",
        "host matches '^' + 'web'",
        "not (host matches '^WEB')",
        "host not matches 'db'",
        "host not contains 'db' and host not startsWith 'x' and host not endsWith 'x'",
        "'c' not in words",
        "missing contains 'x' == false",
        "not (missing matches 'x')",
        "'Apache' == 'Apache' and 'a' < 'b'",
    ]);
    fails("n contains 'x'", "contains does not work on int and string");
    fails("n matches 'x'", "matches does not work on int");
    fails(
        "host matches '(' + ''",
        "\"(\" is no regex, or too large a one",
    );
    refused(
        "host matches '('",
        "column 6: \"(\" is no regex, or too large a one",
    );
}

#[test]
fn members_and_indices() {
    gives("os.family", json!("Debian"));
    gives("os['release'].major", json!(12));
    gives("os.release[\"major\"]", json!(12));
    gives("os.not", json!(1));
    gives("os.missing", json!(null));
    gives("os.missing?.deeper.still", json!(null));
    gives("os?.release?.major", json!(12));
    gives("missing?.[0]", json!(null));
    gives("(missing?.x) ?? 'none'", json!("none"));
    gives("list[0] + list[-1]", json!(4));
    gives("host[0]", json!(119));
    gives("list[1:]", json!([2, 3]));
    gives("list[:-1]", json!([1, 2]));
    gives("list[1:2]", json!([2]));
    gives("list[2:1]", json!([]));
    gives("list[:]", json!([1, 2, 3]));
    gives("host[:3]", json!("web"));
    gives("host[-3:99]", json!("net"));
    fails(
        "os.missing.deeper",
        "access to a member does not work on nil and string",
    );
    fails(
        "missing?.x[0]",
        "access to a member does not work on nil and int",
    );
    fails("list[3]", "index 3 is outside of a length of 3");
    fails("list[-4]", "index -4 is outside of a length of 3");
    fails(
        "list.x",
        "access to a member does not work on array and string",
    );
    refused(
        "os.family()",
        "column 4: family is no function, and values have no methods",
    );
}

#[test]
fn membership() {
    holds(&[
        "2 in list",
        "9 not in list",
        "'family' in os",
        "not ('x' in os)",
        "not (1 in missing)",
        "nil in [nil]",
    ]);
    fails("'a' in host", "in does not work on string and string");
    fails("1 in os", "in does not work on int and map");
}

#[test]
fn closures_look_at_every_item() {
    holds(&[
        "all(list, {# > 0})",
        "none(list, # > 3)",
        "any(disks, .size > 50)",
        "one(disks, {.name startsWith 'loop'})",
        "count(list, # > 1) == 2",
        "count([true, false, true]) == 2",
        "filter(disks, {.size > 50 and not (.name contains 'loop')})[0].name == 'sda'",
        "map(list, # * 2) == [2, 4, 6]",
        "map(words, #index) == [0, 1]",
        "any(list, {any(list, # > 2)})",
        "list | filter(# > 1) | len() == 2",
        "all(empty, fails())",
        "not any(empty, fails())",
    ]);
    fails("any(list, #)", "any does not work on int");
    fails("any(missing, true)", "any does not work on nil");
    refused("any(list)", "column 9: any needs a list and a condition");
    refused("# > 1", "column 1: # is not expected here");
    refused("any(list, #acc)", "column 12: #acc is not known here");
    refused("any(list, #index)", "column 12: #index is not known here");
}

#[test]
fn builtins() {
    holds(&[
        "len(host) == 16 and len(list) == 3 and len(os) == 3 and len('ä') == 1",
        "lower('A') == 'a' and upper('a') == 'A'",
        "trim('  a ') == 'a' and trim('xxaxx', 'x') == 'a'",
        "trimPrefix('abc', 'a') == 'bc' and trimSuffix('abc', 'c') == 'ab'",
        "hasPrefix('abc', 'a') and hasSuffix('abc', 'c')",
        "split('a,b', ',') == ['a', 'b'] and split('ab', '') == ['a', 'b']",
        "join(words) == 'ab' and join(words, '-') == 'a-b'",
        "replace('a.b.c', '.', '') == 'abc'",
        "int('12') == 12 and int(2.9) == 2 and float('1.5') == 1.5 and string(12) == '12'",
        "abs(-3) == 3 and ceil(1.2) == 2.0 and floor(1.8) == 1.0 and round(1.5) == 2.0",
        "first(list) == 1 and last(list) == 3 and first(empty) == nil",
        "keys(os)[0] == 'family' and len(values(os)) == 3",
        "indexOf('abc', 'c') == 2 and indexOf('abc', 'x') == -1",
        "type(1) == 'int' and type(1.0) == 'float' and type(nil) == 'nil' and type(os) == 'map'",
        "host | upper() | hasPrefix('WEB')",
        "twice(n) == 6",
    ]);
    fails("len(n)", "len does not work on int");
    fails("lower(n)", "lower does not work on int");
    fails("int('x')", "int finds no number in \"x\"");
    fails("nobody(1)", "there is no function nobody");
    refused("len(1, 2)", "column 1: len does not take 2 arguments");
    refused("now() > 1", "column 1: the function now is not supported");
}
