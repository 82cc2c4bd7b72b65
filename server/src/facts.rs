//! A node's facts: JSON text of one object, shared by whoever holds it.

use std::fmt;
use std::sync::Arc;

use muster_protocol::filter::FactsView;
use serde_json::{Map, Value};

/// Checked facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts(Arc<str>);

/// Why a text is no set of facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactsError {
    /// It is not JSON.
    Json(Box<str>),
    /// It is not YAML, or holds what has no JSON form.
    Yaml(Box<str>),
    /// It is something other than an object.
    NotAnObject,
}

/// How a text of facts is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactsFormat {
    /// One JSON object.
    Json,
    /// One YAML mapping.
    Yaml,
}

impl FactsFormat {
    /// The format by a file's name: `.yaml` is YAML, everything else JSON.
    #[must_use]
    pub fn of_file_name(name: &str) -> Self {
        if name.ends_with(".yaml") || name.ends_with(".yml") {
            Self::Yaml
        } else {
            Self::Json
        }
    }

    fn parse(self, text: &str) -> Result<Map<String, Value>, FactsError> {
        let value: Value = match self {
            Self::Json => serde_json::from_str(text)
                .map_err(|error| FactsError::Json(error.to_string().into()))?,
            Self::Yaml => serde_saphyr::from_str(text)
                .map_err(|error| FactsError::Yaml(first_line(&error.to_string())))?,
        };
        match value {
            Value::Object(members) => Ok(members),
            // An empty YAML file is a null.
            Value::Null => Ok(Map::new()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(FactsError::NotAnObject)
            }
        }
    }
}

impl Facts {
    /// No facts.
    #[must_use]
    pub fn none() -> Self {
        Self("{}".into())
    }

    /// Checks a JSON object and keeps its text.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn parse(json: impl Into<Arc<str>>) -> Result<Self, FactsError> {
        let json = json.into();
        FactsFormat::Json.parse(&json)?;
        Ok(Self(json))
    }

    /// Merges texts, the top level only: of two members with one name the later one counts.
    /// A text that is no set of facts is left out and reported with its index; the rest counts.
    pub fn merge<'t>(
        texts: impl IntoIterator<Item = (FactsFormat, &'t str)>,
    ) -> (Self, Vec<(usize, FactsError)>) {
        let mut merged = Map::new();
        let mut errors = Vec::new();
        for (index, (format, text)) in texts.into_iter().enumerate() {
            match format.parse(text) {
                Ok(members) => merged.extend(members),
                Err(error) => errors.push((index, error)),
            }
        }
        (Self(Value::Object(merged).to_string().into()), errors)
    }

    /// The JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// The facts as filters see them.
    #[must_use]
    pub fn view(&self) -> FactsView<'_> {
        FactsView::from_checked(&self.0)
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self::none()
    }
}

fn first_line(text: &str) -> Box<str> {
    text.lines().next().unwrap_or_default().into()
}

impl fmt::Display for FactsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "facts are not json: {why}"),
            Self::Yaml(why) => write!(f, "facts are not yaml: {why}"),
            Self::NotAnObject => f.write_str("facts are not an object"),
        }
    }
}

impl std::error::Error for FactsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_merged_at_the_top_level_only() {
        let (facts, errors) = Facts::merge([
            (
                FactsFormat::Json,
                r#"{"a":1,"os":{"family":"Debian","release":12}}"#,
            ),
            (
                FactsFormat::Yaml,
                "os:\n  family: RedHat\nlist: [1, x]\nflag: true\n",
            ),
            (FactsFormat::Json, "[1]"),
            (FactsFormat::Json, "{"),
            (FactsFormat::Yaml, ""),
        ]);
        assert_eq!(
            facts.json(),
            r#"{"a":1,"flag":true,"list":[1,"x"],"os":{"family":"RedHat"}}"#
        );
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert_eq!(errors[0], (2, FactsError::NotAnObject));
        assert!(matches!(errors[1], (3, FactsError::Json(_))));
    }

    #[test]
    fn the_format_is_told_by_the_name() {
        assert_eq!(FactsFormat::of_file_name("facts.yaml"), FactsFormat::Yaml);
        assert_eq!(FactsFormat::of_file_name("facts.json"), FactsFormat::Json);
        assert_eq!(FactsFormat::of_file_name("facts"), FactsFormat::Json);
    }

    #[test]
    fn a_given_text_is_kept() {
        let text = "{ \"a\" : 1 }";
        assert_eq!(Facts::parse(text).unwrap().json(), text);
        assert!(Facts::parse("null x").is_err());
        assert_eq!(Facts::parse("3"), Err(FactsError::NotAnObject));
        assert_eq!(
            Facts::parse(text).unwrap().view().get("a").as_deref(),
            Some("1")
        );
    }
}
