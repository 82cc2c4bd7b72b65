//! `inventory`: what a node knows about itself, in blocks; and the collectives of a fleet.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::rpc::Reply;
use super::table::table;
use super::text::{columns, one_line, printable};
use super::value;
use crate::timestamp;

/// Columns before the colon of a label.
const LABEL_WIDTH: usize = 27;
/// Columns of an agent's name.
const AGENT_WIDTH: usize = 15;
/// The widest column of classes.
const CLASS_WIDTH_MAX: usize = 40;
const INDENT: &str = "    ";

/// A node's own account of itself.
#[derive(Debug, Serialize)]
pub(crate) struct Node<'a> {
    pub(crate) identity: &'a str,
    /// What `rpcutil#inventory` says.
    pub(crate) inventory: &'a Value,
    /// What `rpcutil#daemon_stats` says, where the node tells.
    pub(crate) stats: Option<Value>,
}

impl Node<'_> {
    /// All of it as one document; `stats` is null where the node does not tell.
    pub(crate) fn json(&self) -> String {
        super::rpc_json::pretty(self)
    }

    pub(crate) fn text(&self, with_facts: bool) -> String {
        let mut out = format!("Inventory for {}\n\n", one_line(self.identity));
        self.statistics(&mut out);
        out.push_str("\n  Agents:\n\n");
        let agents = names(self.inventory.get("agents"));
        vertical(&mut out, &agents, 3, AGENT_WIDTH);
        out.push_str("\n  Tagged Classes:\n\n");
        let classes = names(self.inventory.get("classes"));
        let longest = classes.iter().map(|name| columns(name)).max().unwrap_or(0);
        vertical(&mut out, &classes, 2, longest.min(CLASS_WIDTH_MAX));
        machines(&mut out, self.inventory.get("machines"));
        if with_facts {
            out.push_str("\n  Facts:\n\n");
            let facts = self.inventory.get("facts").unwrap_or(&Value::Null);
            for line in value::lines(facts).lines() {
                let _ = writeln!(out, "{INDENT}{line}");
            }
        }
        out.push('\n');
        out
    }

    fn statistics(&self, out: &mut String) {
        let node = |key: &str| text(self.inventory.get(key));
        let stat = |key: &str| text(self.stats.as_ref().and_then(|stats| stats.get(key)));
        let start = self.stats.as_ref().and_then(|stats| stats.get("starttime"));
        let start = start
            .and_then(Value::as_i64)
            .map_or_else(|| "unknown".to_owned(), timestamp::at_length);
        out.push_str("  Server Statistics:\n\n");
        for (label, value) in [
            ("Version", node("version")),
            ("Start Time", start),
            ("Config File", stat("configfile")),
            (
                "Collectives",
                names(self.inventory.get("collectives")).join(", "),
            ),
            ("Main Collective", node("main_collective")),
            ("Process ID", stat("pid")),
            ("Total Messages", stat("total")),
            ("Messages Passed Filters", stat("passed")),
            ("Messages Filtered", stat("filtered")),
            ("Expired Messages", stat("ttlexpired")),
            ("Replies Sent", stat("replies")),
            ("Events Published", stat("events")),
        ] {
            let _ = writeln!(out, "{label:>LABEL_WIDTH$}: {value}");
        }
    }
}

/// The collectives of a fleet.
#[derive(Debug, Serialize)]
pub(crate) struct Collectives<'a> {
    /// Nodes that told.
    nodes: usize,
    /// How many nodes are in each.
    collectives: BTreeMap<String, usize>,
    /// What nodes said that did not tell.
    failed: BTreeMap<&'a str, &'a str>,
    no_responses: &'a [String],
}

impl<'a> Collectives<'a> {
    pub(crate) fn of(replies: &'a [Reply<'_>], no_responses: &'a [String]) -> Self {
        let mut report = Self {
            nodes: 0,
            collectives: BTreeMap::new(),
            failed: BTreeMap::new(),
            no_responses,
        };
        for reply in replies {
            if !reply.is_ok() {
                report.failed.insert(reply.sender, &reply.message);
                continue;
            }
            report.nodes += 1;
            for name in names(reply.data.get("collectives")) {
                *report.collectives.entry(name).or_default() += 1;
            }
        }
        report
    }

    pub(crate) fn json(&self) -> String {
        super::rpc_json::pretty(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut rows: Vec<_> = self.collectives.iter().collect();
        rows.sort_by_key(|(_, nodes)| std::cmp::Reverse(**nodes));
        let rows = rows
            .into_iter()
            .map(|(name, nodes)| vec![name.clone(), nodes.to_string()]);
        let mut out = format!("Subcollective report for {} nodes\n\n", self.nodes);
        out.push_str(&table(["Collective", "Nodes"], rows));
        for (node, message) in &self.failed {
            let _ = writeln!(out, "\n{}: {}", one_line(node), one_line(message));
        }
        out
    }
}

/// A value on one line, nothing for what is not there.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "unknown".to_owned(),
        Some(Value::String(text)) => one_line(text).into_owned(),
        Some(other) => one_line(&other.to_string()).into_owned(),
    }
}

/// A list of texts; what is no text is written as JSON.
fn names(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .map(|item| text(Some(item)))
        .collect()
}

/// Names in columns that are read downwards.
fn vertical(out: &mut String, names: &[String], count: usize, width: usize) {
    let rows = names.len().div_ceil(count);
    for row in 0..rows {
        let line = names.iter().skip(row).step_by(rows);
        let line = line.fold(String::new(), |mut line, name| {
            let _ = write!(line, "{name:<width$} ");
            line
        });
        let _ = writeln!(out, "{INDENT}{}", line.trim_end());
    }
}

/// The block is only there where a node has any.
fn machines(out: &mut String, value: Option<&Value>) {
    let Some(machines) = value.and_then(Value::as_array) else {
        return;
    };
    if machines.is_empty() {
        return;
    }
    out.push_str("\n  Autonomous Agents:\n\n");
    for machine in machines {
        let cell = |key: &str| printable(&text(machine.get(key))).into_owned();
        let line = format!(
            "{:<20} {:<10} {}",
            cell("name"),
            cell("version"),
            cell("state")
        );
        let _ = writeln!(out, "{INDENT}{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "agents": ["choria_util", "discovery", "rpcutil", "scout"],
            "classes": ["base", "role::web"],
            "collectives": ["mcollective"],
            "facts": {"country": "c1", "os": {"family": "Debian", "release": 12}},
            "machines": [],
            "main_collective": "mcollective",
            "version": "0.29.4",
        })
    }

    fn stats() -> Value {
        json!({
            "configfile": "/etc/choria/node1.conf", "starttime": 1_795_587_658, "pid": 17960, "total": 40,
            "passed": 40, "filtered": 0, "ttlexpired": 0, "replies": 39, "events": 1,
        })
    }

    fn node<'a>(inventory: &'a Value, stats: Option<Value>) -> Node<'a> {
        Node {
            identity: "node1.example.net",
            inventory,
            stats,
        }
    }

    #[test]
    fn it_says_what_the_recorded_one_says() {
        let recorded = include_str!("../../../testdata/choria-0.30.2/cli/inventory.txt");
        let text = node(&sample(), Some(stats())).text(true);
        let lines = recorded
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with('['));
        let lines = lines.map(|line| line.replace("Choria Server", "Server"));
        let theirs: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
        let ours: Vec<_> = text.lines().collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn machines_have_a_block() {
        let mut inventory = sample();
        inventory["machines"] =
            json!([{"name": "puppet", "version": "1.0.0", "state": "RUN\u{1b}"}]);
        insta::assert_snapshot!(node(&inventory, Some(stats())).text(false));
    }

    #[test]
    fn a_node_that_tells_nothing() {
        insta::assert_snapshot!(node(&json!({"facts": []}), None).text(true));
        let nothing = node(&Value::Null, None).text(true);
        assert!(nothing.ends_with("Facts:\n\n    null\n\n"), "{nothing}");
    }

    #[test]
    fn for_machines() {
        let json: Value = serde_json::from_str(&node(&sample(), None).json()).unwrap();
        assert_eq!(json["inventory"]["facts"]["country"], "c1");
        assert_eq!(json["stats"], Value::Null);
    }

    #[test]
    fn collectives() {
        let body = |list: &str| {
            format!(r#"{{"statuscode":0,"statusmsg":"OK","data":{{"collectives":[{list}]}}}}"#)
        };
        let denied = r#"{"statuscode":1,"statusmsg":"denied","data":{}}"#.to_owned();
        let bodies = [
            body("\"mcollective\",\"eu\""),
            body("\"mcollective\""),
            denied,
        ];
        let replies: Vec<_> = (1..)
            .zip(&bodies)
            .map(|(number, body)| samples::reply(&format!("node{number}"), body))
            .collect();
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let missing = ["gone".to_owned()];
        let report = Collectives::of(&replies, &missing);
        insta::assert_snapshot!(report.text());
        insta::assert_snapshot!("collectives_for_machines", report.json());
    }
}
