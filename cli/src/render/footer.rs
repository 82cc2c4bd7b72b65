//! What stands below every request: how many replied, who did not, what was not counted.

use std::fmt::Write as _;
use std::time::Duration;

use muster_client::fleet::{Ended, Summary, rfc3339_utc};

use super::duration::{exact, whole_millis};
use super::text::name_columns;
use super::{Paint, Style};

/// Names shown at most where not all are asked for.
const NAMES_MAX: usize = 200;

/// The last lines of a request.
pub(crate) fn finished(summary: &Summary, discover_time: Duration, style: Style) -> String {
    let (replied, asked) = counts(summary);
    let took = whole_millis(discover_time + summary.request_time);
    let line = format!("Finished processing {replied} / {asked} hosts in {took}");
    let paint = match replied {
        0 => Paint::Red,
        _ if replied < asked => Paint::Yellow,
        _ => Paint::Green,
    };
    format!("\n{}\n", style.paint(paint, &line))
}

/// The same at length.
pub(crate) fn statistics(summary: &Summary, discover_time: Duration) -> String {
    let (replied, asked) = counts(summary);
    // Seconds are enough for people.
    let start = rfc3339_utc(Duration::from_secs(summary.started.as_secs())).replace('Z', "+0000");
    let agent_time = summary.request_time.saturating_sub(summary.publish_time);
    let rows = [
        ("Nodes", format!("{replied} / {asked}")),
        (
            "Pass / Fail",
            format!("{} / {}", summary.ok, summary.failed),
        ),
        ("No Responses", summary.no_responses.len().to_string()),
        ("Unexpected Responses", summary.unexpected.len().to_string()),
        ("Start Time", start),
        ("Discovery Time", exact(discover_time)),
        ("Publish Time", exact(summary.publish_time)),
        ("Agent Time", exact(agent_time)),
        ("Total Time", exact(discover_time + summary.request_time)),
    ];
    let mut out = String::from("---- request stats ----\n");
    for (label, value) in rows {
        let _ = writeln!(out, "{label:>20}: {value}");
    }
    out
}

/// Who is missing and who came unasked, by name; what else was not counted.
pub(crate) fn shortcomings(summary: &Summary, all_names: bool) -> String {
    let mut out = String::new();
    name_block(
        &mut out,
        "No Responses from",
        &summary.no_responses,
        all_names,
    );
    name_block(
        &mut out,
        "Unexpected Responses from",
        &summary.unexpected,
        all_names,
    );
    let drops = &summary.drops;
    let counted = [
        (drops.duplicate, "duplicate"),
        (drops.bad_hash, "damaged"),
        (drops.malformed, "unreadable"),
        (drops.wrong_request, "to another request"),
    ];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let counted: Vec<_> = counted
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !counted.is_empty() {
        let _ = writeln!(out, "\nReplies not counted: {}", counted.join(", "));
    }
    if summary.filtered > 0 {
        let count = summary.filtered;
        let _ = writeln!(
            out,
            "\nReplies not shown, since they do not match the filter: {count}"
        );
    }
    if summary.unsent > 0 {
        let _ = writeln!(out, "\nRequests that could not be sent: {}", summary.unsent);
    }
    if summary.links_lost > 0 {
        let _ = writeln!(
            out,
            "\nThe connection was lost {} times while replies were waited for; some may be lost",
            summary.links_lost
        );
    }
    if summary.ended == Ended::Cancelled {
        out.push_str("\nEnded before all replies were there\n");
    }
    out
}

/// Nodes that replied, and nodes that were asked.
fn counts(summary: &Summary) -> (usize, usize) {
    let replied = summary.replied.len();
    (replied, summary.expected.unwrap_or(replied))
}

fn name_block(out: &mut String, heading: &str, names: &[String], all_names: bool) {
    if names.is_empty() {
        return;
    }
    let shown = if all_names {
        names.len()
    } else {
        names.len().min(NAMES_MAX)
    };
    let _ = write!(
        out,
        "\n{heading}: {}\n\n{}",
        names.len(),
        name_columns(&names[..shown])
    );
    if shown < names.len() {
        let _ = writeln!(out, "    and {} more; -v shows all", names.len() - shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn missing_nodes_are_named() {
        let summary = samples::summary(&["n1", "n2", "gone1", "gone2"], &["n1", "n2"], 0);
        let text = finished(&summary, samples::DISCOVER_TIME, Style::default())
            + &shortcomings(&summary, false);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_was_not_counted_is_said() {
        let mut summary = samples::summary(&["n1"], &["n1"], 1);
        summary.drops.duplicate = 2;
        summary.drops.bad_hash = 1;
        summary.unexpected = vec!["stranger".to_owned()];
        summary.links_lost = 1;
        summary.unsent = 3;
        summary.filtered = 4;
        insta::assert_snapshot!(shortcomings(&summary, false));
    }

    #[test]
    fn the_long_form_has_every_time() {
        let summary = samples::summary(&["n1", "n2", "gone1"], &["n1", "n2"], 1);
        insta::assert_snapshot!(statistics(&summary, samples::DISCOVER_TIME));
    }

    #[test]
    fn of_many_missing_nodes_some_are_named_unless_all_are_wanted() {
        let names: Vec<_> = (0..250).map(|n| format!("n{n:03}")).collect();
        let asked: Vec<_> = names.iter().map(String::as_str).collect();
        let summary = samples::summary(&asked, &[], 0);
        let some = shortcomings(&summary, false);
        assert!(
            some.contains("No Responses from: 250") && some.contains("and 50 more"),
            "{some}"
        );
        assert!(!some.contains("n200") && shortcomings(&summary, true).contains("n249"));
    }

    #[test]
    fn colour_says_how_complete_it_is() {
        let style = Style { color: true };
        for (replied, code) in [(&[][..], "[31m"), (&["a"], "[33m"), (&["a", "b"], "[32m")] {
            let text = finished(
                &samples::summary(&["a", "b"], replied, 0),
                Duration::ZERO,
                style,
            );
            assert!(text.contains(code), "{text:?}");
        }
    }
}
