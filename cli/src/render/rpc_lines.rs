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

use std::time::Duration;

use muster_client::fleet::{Aggregates, NodeReply, RequestStats, Summary};
use muster_protocol::reply::Reply;
use muster_protocol::version::ProtocolVersion;
use serde::Serialize;
use serde_json::Value;

use super::rpc;
use crate::timestamp;

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
    Summaries {
        agg: &'a Aggregates,
    },
    Stats {
        stat: RequestStats<'a>,
    },
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

/// The request that replies belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The version of the protocol it was made in, in which `pr` is written.
    pub(crate) version: ProtocolVersion,
    pub(crate) request_id: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) action: &'a str,
}

/// A node replied.
pub(crate) fn result(asked: &Asked<'_>, reply: &NodeReply) -> String {
    let read = rpc::Reply::of(reply);
    let unix = Duration::from_secs(u64::try_from(reply.time).unwrap_or(0));
    let mut pr = Vec::new();
    let whole = Reply {
        version: asked.version,
        message: String::from_utf8_lossy(&reply.body),
        request_id: asked.request_id.into(),
        sender: (&*reply.sender).into(),
        agent: asked.agent.into(),
        time: asked.version.wire_time(unix),
    };
    whole.encode_into(&mut pr);
    let rr = serde_json::to_string(&RpcReply {
        action: asked.action,
        statuscode: read.status.number(),
        statusmsg: &read.message,
        data: &read.data,
        sender: read.sender,
        time_utc: timestamp::rfc3339(reply.time),
    });
    let (pr, rr) = (String::from_utf8_lossy(&pr), rr.expect("keys are texts"));
    format!("{{\"k\":\"result\",\"pr\":{pr},\"rr\":{rr}}}\n")
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
        let asked = Asked {
            version: ProtocolVersion::V1,
            request_id: id,
            agent: "rpcutil",
            action: "get_fact",
        };
        let lines: String = [
            request_id(id),
            discovering("mc"),
            discovered("mc", 8, samples::DISCOVER_TIME),
            result(&asked, &replies[0]),
            result(&asked, &replies[1]),
            result(&asked, &replies[6]),
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
        let asked = Asked {
            version: ProtocolVersion::V1,
            request_id: "242e09877bf04d19913dd39add109a9a",
            agent: "rpcutil",
            action: "ping",
        };
        let ours = result(&asked, &reply);
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

    #[test]
    fn a_reply_of_version_2_looks_as_it_came() {
        let reply = samples::reply("n1", r#"{"statuscode":0,"statusmsg":"OK","data":{"a":1}}"#);
        let asked = Asked {
            version: ProtocolVersion::V2,
            request_id: "2hYxQzKfTn4b7LwVdR9mJ3sPq1C",
            agent: "parrot",
            action: "echo",
        };
        let line: Value = serde_json::from_str(&result(&asked, &reply)).unwrap();
        assert_eq!(line["pr"]["protocol"], "io.choria.protocol.v2.reply");
        assert_eq!(line["pr"]["request"], asked.request_id);
        assert_eq!(line["pr"]["time"], reply.time * 1_000_000_000);
        assert_eq!(line["rr"]["data"]["a"], 1);
        let mut body = Vec::new();
        let message = line["pr"]["message"].as_str().unwrap();
        muster_protocol::base64::decode(message.as_bytes(), &mut body).unwrap();
        assert_eq!(body, &*reply.body);
    }
}
