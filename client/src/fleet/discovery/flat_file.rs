//! Names from a file: a name a line, a JSON or YAML list, or the results of an earlier request.
//!
//! In JSON and YAML a GJSON query may find the list in a larger document. Blank lines and lines that begin with `#` are no names.
//! The file knows nothing of a node but its name, so that only identities can be filtered by.

use std::path::{Path, PathBuf};

use muster_protocol::filter::{FactsView, Filter};
use serde::Deserialize;
use serde_json::Value;

use super::{
    DiscoveryError, Method, Query, check_names, is_yaml, read_text, read_value, retain_identities,
};

/// What stands for a file's name where results are piped in.
const STANDARD_INPUT: &str = "standard input";

/// A file of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatFile {
    /// The file.
    pub path: PathBuf,
    /// How it is written.
    pub format: FileFormat,
    /// Where the list is in a JSON or YAML document, as a GJSON query.
    pub query: Option<String>,
}

/// How a file of names is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// A name a line.
    Text,
    /// A JSON list.
    Json,
    /// A YAML list.
    Yaml,
    /// The machine format of a request's results.
    Results,
}

/// The part of a request's results that matters here.
#[derive(Deserialize)]
struct Results {
    replies: Vec<Reply>,
}

#[derive(Deserialize)]
struct Reply {
    sender: String,
}

impl FileFormat {
    /// Reads a format's name, as `--do format=` has it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "text" | "txt" => Some(Self::Text),
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "choriarpc" | "results" | "rpc" | "response" => Some(Self::Results),
            _ => None,
        }
    }

    /// The format of a file, by the end of its name; text, unless it ends in `.json`, `.yaml` or `.yml`.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        if is_yaml(path) {
            Self::Yaml
        } else if path.extension().is_some_and(|e| e == "json") {
            Self::Json
        } else {
            Self::Text
        }
    }
}

impl FlatFile {
    pub(super) fn discover(&self, query: &Query<'_>) -> Result<Vec<String>, DiscoveryError> {
        check_filter(query.filter)?;
        let text = read_text(&self.path)?;
        let place = self.path.display().to_string();
        let names = names(&text, self.format, self.query.as_deref(), &place)?;
        filtered(names, query, &place)
    }
}

pub(super) fn discover_results(
    text: &str,
    query: &Query<'_>,
) -> Result<Vec<String>, DiscoveryError> {
    check_filter(query.filter)?;
    let names = names(text, FileFormat::Results, None, STANDARD_INPUT)?;
    filtered(names, query, STANDARD_INPUT)
}

fn filtered(
    names: Vec<String>,
    query: &Query<'_>,
    place: &str,
) -> Result<Vec<String>, DiscoveryError> {
    let mut names = check_names(names, place)?;
    if !query.filter.identity.is_empty() {
        retain_identities(&mut names, query.filter);
    }
    Ok(names)
}

fn check_filter(filter: &Filter) -> Result<(), DiscoveryError> {
    let others = [
        filter.fact.len(),
        filter.class.len(),
        filter.agent.len(),
        filter.compound.len(),
    ];
    if others == [0; 4] {
        return Ok(());
    }
    Err(DiscoveryError::BadFilter {
        method: Method::FlatFile,
        why: "only identities can be filtered by, a file of names holds nothing else",
    })
}

fn names(
    text: &str,
    format: FileFormat,
    query: Option<&str>,
    place: &str,
) -> Result<Vec<String>, DiscoveryError> {
    let malformed = |why: String| DiscoveryError::Malformed {
        place: place.to_owned(),
        why,
    };
    let value = match format {
        FileFormat::Text => return Ok(lines(text)),
        FileFormat::Results => {
            let results: Results = serde_json::from_str(text)
                .map_err(|error| malformed(format!("holds no results of a request: {error}")))?;
            return Ok(results.replies.into_iter().map(|r| r.sender).collect());
        }
        FileFormat::Json => read_value(text, false, place)?,
        FileFormat::Yaml => read_value(text, true, place)?,
    };
    let list = match query {
        None => value,
        Some(query) => {
            let text = value.to_string();
            let found = FactsView::from_checked(&text).get(query);
            let found = found.ok_or_else(|| malformed(format!("query {query:?} finds nothing")))?;
            serde_json::from_str(&found).map_err(|error| malformed(error.to_string()))?
        }
    };
    let Value::Array(items) = list else {
        return Err(malformed("holds no list of names".to_owned()));
    };
    let name = |item: Value| match item {
        Value::String(name) => Ok(name),
        other => Err(malformed(format!("lists {other}, which is no name"))),
    };
    items.into_iter().map(name).collect()
}

fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"{"agent":"a","replies":[{"sender":"n1","statuscode":0},{"sender":"n2","statuscode":1}],"summaries":{}}"#;

    fn read(text: &str, format: FileFormat, query: Option<&str>) -> Result<Vec<String>, String> {
        let names = names(text, format, query, "nodes");
        let names = names.and_then(|names| check_names(names, "nodes"));
        names.map_err(|error| error.to_string())
    }

    #[test]
    fn every_format_gives_its_names() {
        use FileFormat::{Json, Results, Text, Yaml};
        let document = r#"{"web":[{"host":"n1","up":true},{"host":"n2","up":false}],"n":3}"#;
        for (text, format, query) in [
            ("# web\nn1\n\n n2 \r\n", Text, None),
            (r#"["n1","n2"]"#, Json, None),
            ("---\n- n1\n- \"n2\"\n", Yaml, None),
            (document, Json, Some("web.#.host")),
            (
                "web:\n  - host: n1\n  - host: n2\n",
                Yaml,
                Some("web.#.host"),
            ),
            (RESULTS, Results, None),
        ] {
            let names = read(text, format, query);
            assert_eq!(names.unwrap(), ["n1", "n2"], "{text}");
        }
        let some = read(document, Json, Some("web.#(up==true)#.host"));
        assert_eq!(some.unwrap(), ["n1"]);
        assert_eq!(read("[]", Json, None).unwrap(), Vec::<String>::new());
        for (name, format) in [
            ("a/nodes.json", Json),
            ("nodes.yaml", Yaml),
            ("nodes.yml", Yaml),
            ("nodes", Text),
            ("nodes.txt", Text),
        ] {
            assert_eq!(FileFormat::of(Path::new(name)), format);
        }
        for name in ["choriarpc", "results", "rpc", "response"] {
            assert_eq!(FileFormat::parse(name), Some(Results));
        }
    }

    #[test]
    fn what_is_no_list_of_names_is_refused_whole() {
        use FileFormat::{Json, Results, Text, Yaml};
        for (text, format, query, expected) in [
            ("{}", Json, None, "nodes: holds no list of names"),
            ("n1", Json, None, "nodes: expected ident at line 1 column 2"),
            (
                r#"["n1",7]"#,
                Json,
                None,
                "nodes: lists 7, which is no name",
            ),
            (
                r#"["n1"]"#,
                Json,
                Some("web"),
                "nodes: query \"web\" finds nothing",
            ),
            (
                r#"{"a":1}"#,
                Json,
                Some("a"),
                "nodes: holds no list of names",
            ),
            (
                "- n1\n- {}\n",
                Yaml,
                None,
                "nodes: lists {}, which is no name",
            ),
            (
                "n1\nn*\n",
                Text,
                None,
                "nodes names \"n*\", which is no node",
            ),
        ] {
            let error = read(text, format, query).unwrap_err();
            assert_eq!(error, expected, "{text}");
        }
        let results = read("{}", Results, None).unwrap_err();
        assert!(
            results.starts_with("nodes: holds no results of a request: missing field `replies`"),
            "{results}"
        );
    }
}
