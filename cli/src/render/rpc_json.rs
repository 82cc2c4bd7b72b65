//! A request's result for machines, in the field names and order of the fleet's other clients.

use std::time::Duration;

use muster_client::fleet::{Aggregates, RequestStats, Summary, rfc3339_utc};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::rpc::Reply;

#[derive(Serialize)]
struct Document<'a> {
    agent: &'a str,
    action: &'a str,
    replies: Vec<ReplyDocument<'a>>,
    request_stats: RequestStats<'a>,
    summaries: &'a Aggregates,
}

#[derive(Serialize)]
struct ReplyDocument<'a> {
    sender: &'a str,
    action: &'a str,
    statuscode: u8,
    statusmsg: &'a str,
    data: &'a Value,
    time_utc: String,
}

/// The whole result as one document.
pub(crate) fn document(
    agent: &str,
    action: &str,
    replies: &[Reply<'_>],
    summary: &Summary,
    discover_time: Duration,
) -> String {
    let replies = replies.iter().map(|reply| ReplyDocument {
        sender: reply.sender,
        action,
        statuscode: reply.status.number(),
        statusmsg: &reply.message,
        data: &reply.data,
        time_utc: rfc3339_utc(Duration::from_secs(u64::try_from(reply.time).unwrap_or(0))),
    });
    pretty(&Document {
        agent,
        action,
        replies: replies.collect(),
        request_stats: summary.stats(discover_time),
        summaries: &summary.aggregates,
    })
}

/// The result of a request nobody waits for.
pub(crate) fn request_id(id: &str) -> String {
    pretty(&serde_json::json!({ "requestid": id }))
}

/// JSON with each level three blanks deeper.
pub(super) fn pretty(document: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"   "));
    document
        .serialize(&mut serializer)
        .expect("keys are texts, and a list takes every byte");
    out.push(b'\n');
    String::from_utf8(out).expect("JSON is text")
}

#[cfg(test)]
mod tests {
    use crate::render::{rpc, samples};

    #[test]
    fn a_whole_result() {
        let replies = samples::fact_replies();
        let replies: Vec<_> = replies.iter().map(rpc::Reply::of).collect();
        let summary = samples::fact_summary();
        insta::assert_snapshot!(super::document(
            "rpcutil",
            "get_fact",
            &replies,
            &summary,
            samples::DISCOVER_TIME
        ));
    }
}
