//! A request's good replies as a table: a row a node, a column an output of the description.

use std::fmt::Write as _;

use muster_protocol::ddl::Action;
use serde_json::Value;

use super::rpc::{Reply, status_text};
use super::table::table;
use super::text::one_line;
use super::value;

/// The table, and below it who replied with something else.
pub(crate) fn nodes(replies: &[Reply<'_>], action: &Action) -> String {
    let outputs: Vec<&str> = outputs(replies, action);
    let labels = outputs.iter().map(|output| action.display_as(output));
    let head = std::iter::once("Sender").chain(labels);
    let good = replies.iter().filter(|reply| reply.is_ok());
    let rows = good.map(|reply| {
        let default = |output: &str| action.output.get(output)?.default.as_ref();
        let data = |output: &str| reply.data.get(output).or_else(|| default(output));
        let cells = outputs.iter().map(|output| cell(data(output)));
        std::iter::once(reply.sender.to_owned())
            .chain(cells)
            .collect()
    });
    let mut out = table(head, rows);
    for reply in replies.iter().filter(|reply| !reply.is_ok()) {
        let (sender, message) = (one_line(reply.sender), one_line(&reply.message));
        let _ = writeln!(out, "\n{sender}: {}: {message}", status_text(reply.status));
    }
    out.push('\n');
    out
}

/// The description's outputs. One that describes none, as that of data plugins, shows what the nodes gave.
fn outputs<'a>(replies: &'a [Reply<'_>], action: &'a Action) -> Vec<&'a str> {
    if !action.output.is_empty() {
        return action.output.keys().map(String::as_str).collect();
    }
    let data = replies.iter().filter_map(|reply| reply.data.as_object());
    let mut names: Vec<_> = data
        .flat_map(|data| data.keys().map(String::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn cell(data: Option<&Value>) -> String {
    match data {
        None | Some(Value::Null) => String::new(),
        Some(data) => value::lines(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use muster_protocol::ddl::Ddl;

    #[test]
    fn good_and_bad_nodes() {
        let replies = samples::fact_replies();
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let action = Ddl::builtin("rpcutil").unwrap().action("get_fact").unwrap();
        insta::assert_snapshot!(nodes(&replies, action));
    }

    #[test]
    fn outputs_that_nobody_described() {
        let body = r#"{"statuscode":0,"statusmsg":"OK","data":{"b":[1,2],"a":{"c":null}}}"#;
        let replies = [samples::reply("node1", body)];
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let action = Ddl::builtin("rpcutil").unwrap().action("get_data").unwrap();
        insta::assert_snapshot!(nodes(&replies, action));
    }
}
