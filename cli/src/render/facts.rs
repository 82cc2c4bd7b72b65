//! `facts`: which values a fact has, and on which nodes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::rpc::Reply;
use super::table::table;
use super::text::{columns, one_line};

/// How a report is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text { with_nodes: bool, reverse: bool },
    Table { with_nodes: bool, reverse: bool },
    Json,
}

/// The values of a fact.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    fact: &'a str,
    /// Nodes by value, sorted.
    values: BTreeMap<String, Vec<&'a str>>,
    /// Nodes that replied with something else than a fact, and what they said.
    failed: Vec<(&'a str, &'a str)>,
    missing: Vec<&'a str>,
}

/// What the machine form says of a value.
#[derive(Serialize)]
struct Found<'a> {
    count: usize,
    identities: &'a [&'a str],
}

impl<'a> Report<'a> {
    pub(crate) fn of(fact: &'a str, replies: &'a [Reply<'_>], missing: &'a [String]) -> Self {
        let mut report = Self {
            fact,
            values: BTreeMap::new(),
            failed: Vec::new(),
            missing: missing.iter().map(String::as_str).collect(),
        };
        for reply in replies {
            if reply.is_ok() {
                let value = value_text(reply.data.get("value"));
                report.values.entry(value).or_default().push(reply.sender);
            } else {
                report.failed.push((reply.sender, &reply.message));
            }
        }
        for nodes in report.values.values_mut() {
            nodes.sort_unstable();
        }
        report.failed.sort_unstable();
        report
    }

    pub(crate) fn show(&self, shape: Shape) -> String {
        match shape {
            Shape::Text {
                with_nodes,
                reverse,
            } => self.text(with_nodes, reverse),
            Shape::Table {
                with_nodes,
                reverse,
            } => self.table(with_nodes, reverse),
            Shape::Json => self.json(),
        }
    }

    /// The rarest first, or the most frequent; equal ones by text.
    fn sorted(&self, reverse: bool) -> Vec<(&str, &[&'a str])> {
        let values = self.values.iter();
        let mut values: Vec<_> = values
            .map(|(value, nodes)| (value.as_str(), nodes.as_slice()))
            .collect();
        if reverse {
            values.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
        } else {
            values.sort_by_key(|(_, nodes)| nodes.len());
        }
        values
    }

    fn text(&self, with_nodes: bool, reverse: bool) -> String {
        let mut out = format!("Report for fact: {}\n\n", one_line(self.fact));
        let values = self.sorted(reverse);
        let shown: Vec<_> = values.iter().map(|(value, _)| one_line(value)).collect();
        let width = shown.iter().map(|value| columns(value)).max().unwrap_or(0);
        for (value, (_, nodes)) in shown.iter().zip(&values) {
            let padding = " ".repeat(width - columns(value));
            let _ = writeln!(out, "  {value}{padding} found {} times", nodes.len());
            if with_nodes {
                out.push('\n');
                for node in *nodes {
                    let _ = writeln!(out, "    {}", one_line(node));
                }
                out.push('\n');
            }
        }
        for (node, message) in &self.failed {
            let _ = writeln!(out, "  {}: {}", one_line(node), one_line(message));
        }
        out
    }

    fn table(&self, with_nodes: bool, reverse: bool) -> String {
        let head = ["Fact", "Matches", "Nodes"];
        let row = |(value, nodes): (&str, &[&str])| {
            let mut row = vec![value.to_owned(), nodes.len().to_string()];
            if with_nodes {
                row.push(nodes.join("\n"));
            }
            row
        };
        let rows = self.sorted(reverse).into_iter().map(row);
        table(&head[..if with_nodes { 3 } else { 2 }], rows)
    }

    /// An object with a member for each value. Nodes without one have members of their own, under names that are no value here.
    fn json(&self) -> String {
        let mut document: BTreeMap<String, Found<'_>> = self
            .values
            .iter()
            .map(|(value, nodes)| (value.clone(), Found::of(nodes)))
            .collect();
        let failed: Vec<_> = self.failed.iter().map(|(node, _)| *node).collect();
        for (name, nodes) in [("_failed", &failed), ("_no_responses", &self.missing)] {
            if nodes.is_empty() {
                continue;
            }
            let mut name = name.to_owned();
            while document.contains_key(&name) {
                name.insert(0, '_');
            }
            document.insert(name, Found::of(nodes));
        }
        let text = serde_json::to_string_pretty(&document);
        text.expect("keys are texts") + "\n"
    }
}

impl<'a> Found<'a> {
    fn of(identities: &'a [&'a str]) -> Self {
        Self {
            count: identities.len(),
            identities,
        }
    }
}

/// A text stands as it is, everything else as JSON; a fact that is not there is `nil`.
fn value_text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "nil".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    const TEXT: Shape = Shape::Text {
        with_nodes: false,
        reverse: false,
    };

    fn shown(shape: Shape, bodies: &[(&str, &str)], missing: &[&str]) -> String {
        let replies: Vec<_> = bodies
            .iter()
            .map(|(node, body)| samples::reply(node, body))
            .collect();
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let missing: Vec<_> = missing.iter().map(|name| (*name).to_owned()).collect();
        Report::of("country", &replies, &missing).show(shape)
    }

    const BODIES: [(&str, &str); 6] = [
        (
            "node2",
            r#"{"statuscode":0,"statusmsg":"OK","data":{"value":"c1"}}"#,
        ),
        (
            "node1",
            r#"{"statuscode":0,"statusmsg":"OK","data":{"value":"c1"}}"#,
        ),
        (
            "node3",
            r#"{"statuscode":0,"statusmsg":"OK","data":{"value":{"a":[1]}}}"#,
        ),
        (
            "node4",
            r#"{"statuscode":0,"statusmsg":"OK","data":{"value":null}}"#,
        ),
        (
            "node5",
            r#"{"statuscode":1,"statusmsg":"not\nallowed","data":{}}"#,
        ),
        ("node6", "pong"),
    ];

    #[test]
    fn text() {
        insta::assert_snapshot!(shown(TEXT, &BODIES, &["gone"]));
    }

    #[test]
    fn text_with_nodes_in_reverse() {
        let shape = Shape::Text {
            with_nodes: true,
            reverse: true,
        };
        insta::assert_snapshot!(shown(shape, &BODIES, &[]));
    }

    #[test]
    fn tables() {
        for (with_nodes, name) in [(false, "table"), (true, "table_with_nodes")] {
            let shape = Shape::Table {
                with_nodes,
                reverse: true,
            };
            insta::assert_snapshot!(name, shown(shape, &BODIES, &[]));
        }
    }

    #[test]
    fn json_accounts_for_every_node() {
        insta::assert_snapshot!(shown(Shape::Json, &BODIES, &["gone"]));
    }

    #[test]
    fn a_value_is_never_taken_for_missing_nodes() {
        let body = r#"{"statuscode":0,"statusmsg":"OK","data":{"value":"_no_responses"}}"#;
        let text = shown(Shape::Json, &[("node1", body)], &["gone"]);
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["_no_responses"]["identities"][0], "node1");
        assert_eq!(json["__no_responses"]["identities"][0], "gone");
    }

    #[test]
    fn it_looks_as_the_recorded_ones() {
        let recorded = include_str!("../../../testdata/choria-0.30.2/cli/facts.txt");
        let bodies = ["c1", "c2", "c3"].map(|value| {
            format!(r#"{{"statuscode":0,"statusmsg":"OK","data":{{"value":"{value}"}}}}"#)
        });
        let nodes = [
            "node1.example.net",
            "node2.example.net",
            "node3.example.net",
        ];
        let bodies: Vec<_> = nodes
            .into_iter()
            .zip(bodies.iter().map(String::as_str))
            .collect();
        let text = shown(TEXT, &bodies, &[]);
        let mut ours: Vec<_> = text.lines().collect();
        // Values that are equally frequent come in no order there.
        let mut theirs: Vec<_> = recorded.lines().skip(1).take(ours.len()).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs);
        let recorded = include_str!("../../../testdata/choria-0.30.2/cli/facts_json.txt");
        let json = recorded.split_once('\n').unwrap().1;
        let json = json.split_once("\n[exit").unwrap().0;
        assert_eq!(shown(Shape::Json, &bodies, &[]), format!("{json}\n"));
    }
}
