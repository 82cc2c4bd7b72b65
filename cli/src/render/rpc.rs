//! A request's result for people: a block a node, then what was summed up.

use std::borrow::Cow;
use std::fmt::Write as _;

use muster_client::fleet::{Aggregates, NodeReply};
use muster_protocol::ddl::{Action, AggregateResult, Display, format_number};
use muster_protocol::rpc::StatusCode;
use serde_json::Value;

use super::text::{columns, one_line, printable};
use super::{Paint, Style, value};

/// Which nodes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Show {
    Ok,
    Failed,
    All,
    None,
}

/// How the nodes are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) show: Show,
    /// Data as it came, without the labels of the description.
    pub(crate) raw: bool,
    pub(crate) style: Style,
}

/// One node's reply, read.
#[derive(Debug, Clone)]
pub(crate) struct Reply<'a> {
    pub(crate) sender: &'a str,
    pub(crate) status: StatusCode,
    pub(crate) message: Cow<'a, str>,
    pub(crate) data: Value,
    /// Unix seconds at the node.
    pub(crate) time: i64,
}

impl<'a> Reply<'a> {
    /// Reads a reply. One that no agent could have given is shown as a failure.
    pub(crate) fn of(reply: &'a NodeReply) -> Self {
        let (sender, time) = (&*reply.sender, reply.time);
        match reply.rpc() {
            Ok(body) => Self {
                sender,
                status: body.statuscode,
                data: serde_json::from_str(body.data).unwrap_or(Value::Null),
                message: body.statusmsg,
                time,
            },
            Err(error) => Self {
                sender,
                status: StatusCode::UnknownError,
                data: Value::Object(serde_json::Map::new()),
                message: Cow::Owned(error.to_string()),
                time,
            },
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == StatusCode::Ok
    }
}

impl Show {
    /// What the action's description asks for.
    pub(crate) fn of(display: Display) -> Self {
        match display {
            Display::Ok => Self::Ok,
            Display::Failed => Self::Failed,
            Display::Always => Self::All,
        }
    }

    fn admits(self, reply: &Reply<'_>) -> bool {
        match self {
            Self::Ok => reply.is_ok(),
            Self::Failed => !reply.is_ok(),
            Self::All => true,
            Self::None => false,
        }
    }
}

/// The blocks of all nodes that are shown.
pub(crate) fn nodes(replies: &[Reply<'_>], action: &Action, shape: Shape) -> String {
    let mut out = String::new();
    for reply in replies.iter().filter(|reply| shape.show.admits(reply)) {
        head(&mut out, reply, shape.style);
        if !reply.is_ok() {
            for line in printable(&reply.message).lines() {
                let _ = writeln!(out, "    {line}");
            }
        } else if shape.raw {
            raw(&mut out, &reply.data);
        } else {
            labelled(&mut out, &reply.data, action);
        }
        out.push('\n');
    }
    out
}

/// Names of the nodes with good replies.
pub(crate) fn senders(replies: &[Reply<'_>]) -> String {
    let good = replies.iter().filter(|reply| reply.is_ok());
    good.map(|reply| format!("{}\n", one_line(reply.sender)))
        .collect()
}

/// The same as a JSON list.
pub(crate) fn senders_json(replies: &[Reply<'_>]) -> String {
    let good = replies.iter().filter(|reply| reply.is_ok());
    let names: Vec<_> = good.map(|reply| reply.sender).collect();
    serde_json::to_string_pretty(&names).expect("a list of texts has a JSON form") + "\n"
}

/// What the action's description wants summed up.
pub(crate) fn summaries(aggregates: &Aggregates, action: &Action) -> String {
    let mut out = String::new();
    for (output, aggregator) in aggregates.outputs() {
        let label = one_line(action.display_as(output));
        let _ = write!(out, "Summary of {label}:\n\n");
        match aggregator.result() {
            _ if aggregator.is_empty() => out.push_str("   No summary received\n"),
            AggregateResult::Counts { entries, format } => counts(&mut out, &entries, format),
            AggregateResult::Average { mean, format, .. } => {
                let mean = mean.map(|mean| format_number(format, mean));
                let _ = writeln!(out, "   {}", one_line(&mean.unwrap_or_default()));
            }
            AggregateResult::Chart { chart, .. } => {
                let chart = chart.map(|chart| chart.to_string());
                let _ = writeln!(out, "   {}", chart.unwrap_or_default());
            }
        }
        let (AggregateResult::Average { skipped, .. } | AggregateResult::Chart { skipped, .. }) =
            aggregator.result()
        else {
            out.push('\n');
            continue;
        };
        if skipped > 0 {
            let _ = writeln!(out, "   Values that are no numbers: {skipped}");
        }
        out.push('\n');
    }
    out
}

/// Values and how many nodes gave each.
fn counts(out: &mut String, entries: &[(&str, u64)], format: Option<&str>) {
    let entries: Vec<_> = entries
        .iter()
        .map(|(value, count)| (one_line(value), count))
        .collect();
    let widths = entries.iter().map(|(value, _)| columns(value));
    let width = widths.max().unwrap_or(0);
    for (value, count) in entries {
        let padding = " ".repeat(width - columns(&value));
        let _ = match format {
            Some(format) => {
                // The value goes in last, so that nothing in it is taken for a place holder.
                let line = one_line(format).replace("%d", &count.to_string());
                writeln!(out, "   {}", line.replacen("%s", &value, 1))
            }
            None => writeln!(out, "   {padding}{value}: {count}"),
        };
    }
}

/// The status of a reply in words; nothing for a good one.
pub(super) fn status_text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Ok => "",
        StatusCode::Aborted => "Request Aborted",
        StatusCode::UnknownAction => "Unknown Action",
        StatusCode::MissingData => "Missing Request Data",
        StatusCode::InvalidData => "Invalid Request Data",
        StatusCode::UnknownError => "Unknown Request Status",
    }
}

fn head(out: &mut String, reply: &Reply<'_>, style: Style) {
    let text = status_text(reply.status);
    let paint = match reply.status {
        StatusCode::Ok => Paint::Green,
        StatusCode::Aborted | StatusCode::UnknownError => Paint::Red,
        StatusCode::UnknownAction | StatusCode::MissingData | StatusCode::InvalidData => {
            Paint::Yellow
        }
    };
    let _ = write!(
        out,
        "{:<40} {}\n\n",
        one_line(reply.sender),
        style.paint(paint, text)
    );
}

fn raw(out: &mut String, data: &Value) {
    let text = match data {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        data => super::rpc_json::pretty(data),
    };
    for line in printable(&text).lines() {
        let _ = writeln!(out, "   {line}");
    }
}

/// A line an output, those among them that the node left out and the description has a value for: its label, right-aligned, and its value. Further lines of a value stand below its first.
fn labelled(out: &mut String, data: &Value, action: &Action) {
    let Value::Object(members) = data else {
        for line in value::lines(data).lines() {
            let _ = writeln!(out, "   {line}");
        }
        return;
    };
    let mut members = members.clone();
    action.fill_outputs(&mut members);
    let label = |output| one_line(action.display_as(output));
    let width = members
        .keys()
        .map(|output| columns(&label(output)))
        .max()
        .unwrap_or(0)
        + 3;
    for (output, data) in &members {
        let label = label(output);
        let padding = " ".repeat(width - columns(&label));
        let text = value::lines(data);
        let mut lines = text.split('\n');
        let _ = writeln!(
            out,
            "{padding}{label}: {}",
            lines.next().unwrap_or_default()
        );
        for line in lines {
            let _ = writeln!(out, "{:1$}{line}", "", width + 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use muster_protocol::ddl::Ddl;

    fn action(name: &str) -> &'static Action {
        Ddl::builtin("rpcutil").unwrap().action(name).unwrap()
    }

    fn shown(show: Show, raw: bool) -> String {
        let replies = samples::fact_replies();
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        nodes(
            &replies,
            action("get_fact"),
            Shape {
                show,
                raw,
                style: Style::default(),
            },
        )
    }

    #[test]
    fn all_nodes() {
        insta::assert_snapshot!(shown(Show::All, false));
    }

    #[test]
    fn failed_nodes() {
        insta::assert_snapshot!(shown(Show::Failed, false));
    }

    #[test]
    fn good_nodes() {
        insta::assert_snapshot!(shown(Show::Ok, false));
        assert_eq!(shown(Show::None, false), "");
    }

    #[test]
    fn all_nodes_raw() {
        insta::assert_snapshot!(shown(Show::All, true));
    }

    #[test]
    fn names_of_good_nodes() {
        let replies = samples::fact_replies();
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        assert_eq!(senders(&replies), "node1.example.net\nnode3.example.net\n");
    }

    #[test]
    fn summed_up() {
        insta::assert_snapshot!(summaries(
            &samples::fact_summary().aggregates,
            action("get_fact")
        ));
        let nothing = Aggregates::of(action("get_fact"));
        assert!(summaries(&nothing, action("get_fact")).contains("   No summary received\n"));
        assert_eq!(summaries(&Aggregates::default(), action("ping")), "");
    }

    #[test]
    fn summed_up_by_every_function() {
        let ddl = r#"{"metadata":{"name":"load"},"actions":[{"action":"show","output":{"load":{"display_as":"Load"}},"aggregate":[
            {"function":"average","args":["load"]},
            {"function":"chart","args":["cores"]},
            {"function":"boolean_summary","args":["up",{"true":"Up","false":"Down"}]},
            {"function":"summary","args":["os",{"format":"%s on %d nodes"}]},
            {"function":"average","args":["nothing"]}]}]}"#;
        let ddl = Ddl::parse(ddl.as_bytes()).unwrap();
        let action = ddl.action("show").unwrap();
        let mut aggregates = Aggregates::of(action);
        for data in [
            r#"{"load":1.5,"cores":2,"up":true,"os":"a%d"}"#,
            r#"{"load":2,"cores":64,"up":true,"os":"b"}"#,
            r#"{"load":"high","cores":4,"up":false,"os":"b"}"#,
        ] {
            let body = format!(r#"{{"statuscode":0,"statusmsg":"OK","data":{data}}}"#);
            aggregates.add(&samples::reply("n", &body).rpc().unwrap());
        }
        insta::assert_snapshot!(summaries(&aggregates, action));
    }

    #[test]
    fn nested_values() {
        let replies = [samples::reply("node1.example.net", samples::INVENTORY)];
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let shape = Shape {
            show: Show::All,
            raw: false,
            style: Style::default(),
        };
        insta::assert_snapshot!(nodes(&replies, action("inventory"), shape));
    }

    #[test]
    fn outputs_left_out_have_their_defaults() {
        let ddl = r#"{"metadata":{"name":"x"},"actions":[{"action":"y","output":{
            "state":{"display_as":"State","default":"idle"},"count":{"default":null}}}]}"#;
        let ddl = Ddl::parse(ddl.as_bytes()).unwrap();
        let action = ddl.action("y").unwrap();
        let shown = |data: &str| {
            let body = format!(r#"{{"statuscode":0,"statusmsg":"OK","data":{data}}}"#);
            let replies = [samples::reply("n1", &body)];
            let replies: Vec<_> = replies.iter().map(Reply::of).collect();
            let shape = Shape {
                show: Show::All,
                raw: false,
                style: Style::default(),
            };
            let table = crate::render::rpc_table::nodes(&replies, action);
            (nodes(&replies, action, shape), table)
        };
        let (text, table) = shown("{}");
        assert!(text.contains("   State: idle\n"), "{text}");
        assert!(table.contains("idle"), "{table}");
        let (text, table) = shown(r#"{"state":"busy"}"#);
        assert!(text.contains("   State: busy\n"), "{text}");
        assert!(!table.contains("idle"), "{table}");
    }

    #[test]
    fn the_head_of_a_failed_node_is_coloured() {
        let replies = samples::fact_replies();
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let shape = Shape {
            show: Show::Failed,
            raw: false,
            style: Style { color: true },
        };
        let text = nodes(&replies, action("get_fact"), shape);
        assert!(
            text.contains("\u{1b}[31mRequest Aborted\u{1b}[0m"),
            "{text:?}"
        );
    }
}
