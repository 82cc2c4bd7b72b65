//! JSON values on several lines: keys sorted, lists on one line where they fit.

use std::borrow::Cow;

use serde_json::Value;

use super::text::{one_line, printable};

/// The widest a list on one line becomes.
const WIDTH: usize = 80;
/// How much deeper each level stands.
const INDENT: usize = 2;

/// A value as its lines; texts stand without quotes.
pub(super) fn lines(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        other => {
            let mut out = String::new();
            write(&mut out, other, 0);
            out
        }
    }
}

fn write(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let column = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
            match on_one_line(value) {
                Some(line) if column + line.len() <= WIDTH => out.push_str(&line),
                _ => write_block(out, depth, ['[', ']'], items, |out, item| {
                    write(out, item, depth + 1);
                }),
            }
        }
        Value::Object(members) if !members.is_empty() => {
            write_block(out, depth, ['{', '}'], members, |out, (key, value)| {
                out.push_str(&scalar(&Value::String(key.clone())));
                out.push_str(": ");
                write(out, value, depth + 1);
            });
        }
        other => out.push_str(&scalar(other)),
    }
}

fn write_block<T>(
    out: &mut String,
    depth: usize,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut write_item: impl FnMut(&mut String, T),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.extend(std::iter::repeat_n(' ', (depth + 1) * INDENT));
        write_item(out, item);
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth * INDENT));
    out.push(close);
}

/// A list of anything but objects, on one line.
fn on_one_line(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) => {
            let items = items.iter().map(on_one_line).collect::<Option<Vec<_>>>()?;
            Some(format!("[{}]", items.join(", ")))
        }
        Value::Object(_) => None,
        other => Some(scalar(other)),
    }
}

/// JSON escapes the control characters of ASCII; there are others.
fn scalar(value: &Value) -> String {
    let json = value.to_string();
    match one_line(&json) {
        Cow::Borrowed(_) => json,
        Cow::Owned(visible) => visible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_lists_stay_on_one_line() {
        assert_eq!(
            lines(&json!(["a", 1, [true, null]])),
            r#"["a", 1, [true, null]]"#
        );
        assert_eq!(lines(&json!([])), "[]");
        assert_eq!(lines(&json!({})), "{}");
        let long = json!([format!("{:50}", "a"), format!("{:50}", "b")]);
        assert_eq!(lines(&long).lines().count(), 4);
    }

    #[test]
    fn objects_never_do_and_are_sorted() {
        assert_eq!(
            lines(&json!({"b": {"d": [1, 2]}, "a": 1, "c": [{"x": 1}]})),
            "{\n  \"a\": 1,\n  \"b\": {\n    \"d\": [1, 2]\n  },\n  \"c\": [\n    {\n      \"x\": 1\n    }\n  ]\n}"
        );
    }

    #[test]
    fn texts_stand_bare_and_harmless() {
        assert_eq!(lines(&json!("c1")), "c1");
        assert_eq!(lines(&json!("a\u{1b}[1m")), "a\\u{1b}[1m");
        assert_eq!(lines(&json!(["a\u{9b}"])), "[\"a\\u{9b}\"]");
        assert_eq!(lines(&json!(null)), "null");
    }
}
