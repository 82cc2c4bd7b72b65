//! A request for machines that do not want to wait: a JSON document a line, each with its kind under `k`.
//!
//! ```text
//! {"k":"discovery","dm":"mc"}
//! {"k":"discovery","count":3,"dt":2.009,"dm":"mc"}
//! {"k":"result","pr":{…},"rr":{…}}          one a reply, as it comes
//! {"k":"summaries","agg":{…}}
//! {"k":"stats","stat":{…}}
//! {"k":"error","err":"…"}                   in place of what would follow
//! {"k":"request","requestid":"…"}           of a request nobody waits for, alone
//! ```

use std::borrow::Cow;
use std::time::Duration;

use muster_client::fleet::{Aggregates, NodeReply, RequestStats, Summary};
use serde::Serialize;
use serde_json::Value;

use super::rpc::Reply;
use crate::timestamp;

/// The protocol of the reply that `pr` holds.
const REPLY_PROTOCOL: &str = "choria:reply:1";

#[derive(Serialize)]
struct Line<'a> {
    k: &'static str,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Request {
        requestid: &'a str,
    },
    Discovery {
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dt: Option<f64>,
        dm: &'a str,
    },
    Result {
        pr: ProtocolReply<'a>,
        rr: RpcReply<'a>,
    },
    Summaries {
        agg: &'a Aggregates,
    },
    Stats {
        stat: RequestStats<'a>,
    },
}

#[derive(Serialize)]
struct ProtocolReply<'a> {
    protocol: &'static str,
    message: Cow<'a, str>,
    envelope: Envelope<'a>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    requestid: &'a str,
    senderid: &'a str,
    agent: &'a str,
    time: i64,
}

#[derive(Serialize)]
struct RpcReply<'a> {
    action: &'a str,
    statuscode: u8,
    statusmsg: &'a str,
    data: &'a Value,
    sender: &'a str,
    time_utc: String,
}

/// A request was sent that nobody waits for.
pub(crate) fn request_id(id: &str) -> String {
    line("request", Content::Request { requestid: id })
}

/// Nodes are being looked for.
pub(crate) fn discovering(method: &str) -> String {
    line(
        "discovery",
        Content::Discovery {
            count: None,
            dt: None,
            dm: method,
        },
    )
}

/// Nodes are known.
pub(crate) fn discovered(method: &str, count: usize, took: Duration) -> String {
    let (count, dt) = (Some(count), Some(took.as_secs_f64()));
    line(
        "discovery",
        Content::Discovery {
            count,
            dt,
            dm: method,
        },
    )
}

/// A node replied.
pub(crate) fn result(request_id: &str, agent: &str, action: &str, reply: &NodeReply) -> String {
    let read = Reply::of(reply);
    let pr = ProtocolReply {
        protocol: REPLY_PROTOCOL,
        message: String::from_utf8_lossy(&reply.body),
        envelope: Envelope {
            requestid: request_id,
            senderid: &reply.sender,
            agent,
            time: reply.time,
        },
    };
    let rr = RpcReply {
        action,
        statuscode: read.status.number(),
        statusmsg: &read.message,
        data: &read.data,
        sender: read.sender,
        time_utc: timestamp::rfc3339(reply.time),
    };
    line("result", Content::Result { pr, rr })
}

/// What was summed up, and the statistics.
pub(crate) fn closing(summary: &Summary, discover_time: Duration) -> String {
    let summaries = Content::Summaries {
        agg: &summary.aggregates,
    };
    let stats = Content::Stats {
        stat: summary.stats(discover_time),
    };
    line("summaries", summaries) + &line("stats", stats)
}

fn line(k: &'static str, content: Content<'_>) -> String {
    let text = serde_json::to_string(&Line { k, content });
    text.expect("keys are texts, and times are numbers") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn every_kind_of_line() {
        let summary = samples::fact_summary();
        let id = summary.request_id.as_str();
        let replies = samples::fact_replies();
        let lines: String = [
            request_id(id),
            discovering("mc"),
            discovered("mc", 8, samples::DISCOVER_TIME),
            result(id, "rpcutil", "get_fact", &replies[0]),
            result(id, "rpcutil", "get_fact", &replies[1]),
            result(id, "rpcutil", "get_fact", &replies[6]),
            closing(&summary, samples::DISCOVER_TIME),
        ]
        .concat();
        for line in lines.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
        insta::assert_snapshot!(lines);
    }

    #[test]
    fn the_members_are_those_of_the_recorded_lines() {
        let recorded = include_str!("../../../testdata/choria-0.30.2/cli/req_ping_jsonl.txt");
        let recorded: Vec<Value> = recorded
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let body =
            br#"{"action":"ping","statuscode":0,"statusmsg":"OK","data":{"pong":1795587832}}"#;
        let reply = NodeReply {
            sender: "node3.example.net".into(),
            body: body.as_slice().into(),
            time: 1_795_587_832,
            elapsed: Duration::ZERO,
        };
        let ours = result(
            "242e09877bf04d19913dd39add109a9a",
            "rpcutil",
            "ping",
            &reply,
        );
        assert_eq!(serde_json::from_str::<Value>(&ours).unwrap(), recorded[2]);
        let summary = samples::summary(&["n1"], &["n1"], 0);
        let ours = closing(&summary, Duration::ZERO);
        let members = |value: &Value| -> Vec<String> {
            let stat = value["stat"].as_object().unwrap();
            stat.keys().cloned().collect()
        };
        let stats = serde_json::from_str(ours.lines().last().unwrap()).unwrap();
        assert_eq!(members(&stats), members(recorded.last().unwrap()));
    }
}
