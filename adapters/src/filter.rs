//! Which messages an adapter takes: an expression over the envelope.
//!
//! ```text
//! sender matches "^web[0-9]+\\." and subject startsWith "mcollective." and data.file == "/etc/metadata.json"
//! ```
//!
//! | name | is |
//! |---|---|
//! | `sender`, `requestid`, `time` | as in the envelope |
//! | `subject` | where the message was published |
//! | `size` | of the body, in bytes |
//! | `data` | the body: parsed where it is JSON, else a text |
//!
//! An expression that fails on a message lets it through: nothing is lost for a mistake.

use muster_protocol::expr::{Environment, EvalError, ExprError, Expression, Value};

use crate::envelope::Parts;

/// A filter.
#[derive(Debug, Clone)]
pub struct Filter(Expression);

struct Message<'m> {
    subject: &'m str,
    parts: &'m Parts<'m>,
}

impl Filter {
    /// Parses an expression.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let expression = Expression::parse(text)?;
        expression.check(&[])?;
        expression.check_functions(|_| false)?;
        Ok(Self(expression))
    }

    /// Whether the message passes.
    #[must_use]
    pub fn lets_through(&self, subject: &str, parts: &Parts<'_>) -> bool {
        let verdict = self.0.evaluate(&Message { subject, parts });
        !matches!(verdict, Ok(Value::Bool(false)))
    }
}

impl Environment for Message<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        Some(match name {
            "sender" => Value::text(&*self.parts.sender),
            "requestid" => Value::text(&*self.parts.request_id),
            "subject" => Value::text(self.subject),
            "time" => Value::text(muster_protocol::rfc3339::rfc3339_utc(self.parts.time)),
            "size" => Value::Int(i64::try_from(self.parts.body.len()).unwrap_or(i64::MAX)),
            "data" => match serde_json::from_slice(&self.parts.body) {
                Ok(json) => Value::from_json(&json),
                Err(_) => Value::text(String::from_utf8_lossy(&self.parts.body)),
            },
            _ => return None,
        })
    }

    fn call(&self, name: &str, _arguments: &[Value]) -> Result<Value, EvalError> {
        Err(EvalError::UnknownFunction(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn messages_are_judged_by_what_they_are() {
        let parts = Parts {
            body: br#"{"file":"/etc/a.json","n":3}"#[..].into(),
            sender: "web1.example".into(),
            request_id: "r".into(),
            time: Duration::from_secs(1),
        };
        let check = |text: &str, expected: bool| {
            let filter = Filter::parse(text).unwrap();
            assert_eq!(filter.lets_through("a.b", &parts), expected, "{text}");
        };
        check("sender matches \"^web[0-9]\"", true);
        check("sender == \"db1\"", false);
        check("subject startsWith \"a.\" and data.n > 2", true);
        check("data.file == \"/etc/b.json\"", false);
        check("size > 1000", false);
        // What can not be judged is not lost.
        check("sender > 3", true);
        assert!(Filter::parse("sender ==").is_err());
        assert!(Filter::parse("nosuch()").is_err());
    }
}
