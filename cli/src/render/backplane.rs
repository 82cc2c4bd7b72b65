//! What came of an action on the instances of an application, for people.

use std::fmt::Write as _;

use muster_client::fleet::Summary;
use serde_json::Value;

use super::rpc::Reply;
use super::text::{columns, one_line};
use super::{Paint, Style, footer, value};

/// Where the values of a description stand.
const VALUES_AT: usize = 24;

/// Which answers are shown; failures always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// No others, unless all are asked for.
    Failures,
    /// All.
    Answers,
    /// Those of instances that are unwell, unless all are asked for.
    Health,
    /// Each at length.
    Description,
}

/// The whole result. Replies come in the order they are shown in.
pub(crate) fn show(
    shown: Shown,
    verbose: bool,
    replies: &[Reply<'_>],
    summary: &Summary,
    style: Style,
) -> String {
    let mut out = String::new();
    if shown == Shown::Description {
        for reply in replies {
            describe(&mut out, reply, verbose, style);
        }
        if !verbose {
            out.push_str("\nPass -v to show contents of individual instance facts\n");
        }
    } else {
        let rows = replies
            .iter()
            .flat_map(|reply| rows(shown, verbose, reply, style));
        table(&mut out, &rows.collect::<Vec<_>>());
    }
    out += &footer::shortcomings(summary, verbose);
    let (count, took) = (summary.ok, summary.request_time.as_millis());
    let _ = writeln!(out, "\nManaged {count} service(s) in {took}ms");
    out
}

/// What is shown of a reply: its sender, once, and texts.
fn rows(shown: Shown, verbose: bool, reply: &Reply<'_>, style: Style) -> Vec<(String, String)> {
    let name = one_line(reply.sender).into_owned();
    if !reply.is_ok() {
        return vec![(name, one_line(&reply.message).into_owned())];
    }
    let is_healthy = reply.data["healthy"] == true;
    match shown {
        Shown::Health if verbose || !is_healthy => {
            let (paint, word) = if is_healthy {
                (Paint::Green, "Healthy")
            } else {
                (Paint::Red, "Unhealthy")
            };
            let word = style.paint(paint, word).into_owned();
            let result = reply.data.get("result").unwrap_or(&Value::Null);
            vec![(name, word), (String::new(), json(result))]
        }
        Shown::Answers => vec![(name, json(&reply.data))],
        Shown::Failures | Shown::Description if verbose => vec![(name, json(&reply.data))],
        Shown::Failures | Shown::Health | Shown::Description => Vec::new(),
    }
}

fn json(data: &Value) -> String {
    one_line(&data.to_string()).into_owned()
}

/// Names at the right edge of their column, texts behind them.
fn table(out: &mut String, rows: &[(String, String)]) {
    let width = rows
        .iter()
        .map(|(name, _)| columns(name))
        .max()
        .unwrap_or(0);
    for (name, text) in rows {
        let padding = " ".repeat(width - columns(name));
        let _ = writeln!(out, "  {padding}{name}  {text}");
    }
}

/// One instance at length.
fn describe(out: &mut String, reply: &Reply<'_>, with_facts: bool, style: Style) {
    let name = one_line(reply.sender);
    if !reply.is_ok() {
        let message = one_line(&reply.message);
        let message = style.paint(Paint::Red, &message);
        let _ = writeln!(out, "{name:>40}:               {message}");
        return;
    }
    let _ = write!(out, "  {name}:\n\n");
    let data = &reply.data;
    let text = |key: &str| match &data[key] {
        Value::String(text) => one_line(text).into_owned(),
        other => json(other),
    };
    let has = |feature: &str| data[feature] == true;
    let tick = |feature: &str| if has(feature) { "✓" } else { "✘" }.to_owned();
    let rows = [
        ("App Version", Some(text("version"))),
        ("Backplane Version", Some(text("backplane_version"))),
        ("Paused", has("pause_feature").then(|| text("paused"))),
        (
            "Healthy",
            has("healthcheck_feature").then(|| text("healthy")),
        ),
        (
            "Log Level",
            has("loglevel_feature").then(|| text("loglevel")),
        ),
        ("Pause Feature", Some(tick("pause_feature"))),
        ("Facts Feature", Some(tick("facts_feature"))),
        ("Health Feature", Some(tick("healthcheck_feature"))),
        ("Shutdown Feature", Some(tick("shutdown_feature"))),
        ("Log Level Feature", Some(tick("loglevel_feature"))),
    ];
    let label_width = VALUES_AT - 2;
    for (label, value) in rows {
        if let Some(value) = value {
            let _ = writeln!(out, "{label:>label_width$}: {value}");
        }
    }
    if with_facts {
        let _ = writeln!(out, "{:>label_width$}:", "Facts");
        for line in value::lines(&data["facts"]).lines() {
            let _ = writeln!(out, "{:VALUES_AT$}{line}", "");
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    /// What is shown where these nodes give these answers.
    fn shown(shown: Shown, verbose: bool, answers: &[(&str, &str)]) -> String {
        let replies: Vec<_> = answers
            .iter()
            .map(|(name, body)| samples::reply(name, body))
            .collect();
        let replies: Vec<_> = replies.iter().map(Reply::of).collect();
        let names: Vec<_> = answers.iter().map(|(name, _)| *name).collect();
        let failed = replies.iter().filter(|reply| !reply.is_ok()).count();
        let summary = samples::summary(&names, &names, failed);
        show(shown, verbose, &replies, &summary, Style::default())
    }

    const DENIED: &str = r#"{"statuscode":1,"statusmsg":"You are not authorized to call this agent or action.","data":{}}"#;

    #[test]
    fn failures_are_shown_and_good_answers_where_they_matter() {
        let paused = r#"{"statuscode":0,"statusmsg":"OK","data":{"paused":true}}"#;
        let answers = [("app1.example.net", paused), ("app22.example.net", DENIED)];
        insta::assert_snapshot!("pause", shown(Shown::Failures, false, &answers));
        insta::assert_snapshot!("pause_verbose", shown(Shown::Failures, true, &answers));
        let level = r#"{"statuscode":0,"statusmsg":"OK","data":{"level":"debug"}}"#;
        let answers = [("app1.example.net", level)];
        insta::assert_snapshot!("level", shown(Shown::Answers, false, &answers));
    }

    #[test]
    fn the_unhealthy_are_shown() {
        let well = r#"{"statuscode":0,"statusmsg":"OK","data":{"result":{"up":1},"healthy":true}}"#;
        let unwell =
            r#"{"statuscode":0,"statusmsg":"OK","data":{"result":{"up":0},"healthy":false}}"#;
        let answers = [("app1.example.net", well), ("app2.example.net", unwell)];
        insta::assert_snapshot!("health", shown(Shown::Health, false, &answers));
        insta::assert_snapshot!("health_verbose", shown(Shown::Health, true, &answers));
    }

    #[test]
    fn instances_are_described() {
        let info = r#"{"statuscode":0,"statusmsg":"OK","data":{"backplane_version":"0.1.0","version":"1.2.3","paused":true,"facts":{"dc":"DC1","jobs":["a","b"]},"healthy":false,"loglevel":"unknown","healthcheck_feature":false,"pause_feature":true,"shutdown_feature":true,"facts_feature":true,"loglevel_feature":false}}"#;
        let answers = [("app1.example.net", info), ("app2.example.net", DENIED)];
        insta::assert_snapshot!("info", shown(Shown::Description, false, &answers));
        insta::assert_snapshot!("info_verbose", shown(Shown::Description, true, &answers));
    }
}
