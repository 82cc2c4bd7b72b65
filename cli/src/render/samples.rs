//! Results made by hand, for the tests of what is shown.

use std::time::Duration;

use muster_client::fleet::{Aggregates, Drops, Ended, NodeReply, Summary};
use muster_protocol::ddl::Ddl;
use muster_protocol::request_id::RequestId;

pub(crate) const DISCOVER_TIME: Duration = Duration::from_micros(2_001_364);

/// Seconds since 1970 of all samples.
const UNIX: u32 = 1_795_587_802;

pub(crate) const INVENTORY: &str = r#"{"action":"inventory","statuscode":0,"statusmsg":"OK","data":{"agents":["discovery","rpcutil"],"classes":["base","role::web"],"collectives":["mcollective"],"data_plugins":["choria"],"facts":{"country":"c1","os":{"family":"Debian","release":12}},"machines":[],"main_collective":"mcollective","version":"0.1.0","upgradable":false}}"#;

pub(crate) fn reply(sender: &str, body: &str) -> NodeReply {
    NodeReply {
        sender: sender.into(),
        body: body.as_bytes().into(),
        time: UNIX.into(),
        elapsed: Duration::from_millis(20),
    }
}

/// Two good replies to a request for a fact, and five bad ones.
pub(crate) fn fact_replies() -> Vec<NodeReply> {
    let good = |value: &str| {
        format!(
            r#"{{"action":"get_fact","statuscode":0,"statusmsg":"OK","data":{{"fact":"country","value":"{value}"}}}}"#
        )
    };
    let bad = |code: u8, message: &str| {
        format!(
            r#"{{"action":"get_fact","statuscode":{code},"statusmsg":"{message}","data":{{}}}}"#
        )
    };
    vec![
        reply("node1.example.net", &good("c1")),
        reply("node2.example.net", &bad(1, "could not read\\nthe file")),
        reply("node3.example.net", &good("c3")),
        reply(
            "node4.example.net",
            &bad(2, "Unknown action get_fact for agent rpcutil"),
        ),
        reply("node5.example.net", &bad(3, "input fact is required")),
        reply("node6.example.net", &bad(4, "input fact is wrong")),
        reply("node7.example.net", "pong"),
    ]
}

/// What came of the request those are replies to.
pub(crate) fn fact_summary() -> Summary {
    let replies = fact_replies();
    let names: Vec<_> = replies.iter().map(|reply| &*reply.sender).collect();
    let mut summary = summary(&[&names[..], &["gone.example.net"]].concat(), &names, 5);
    let action = Ddl::builtin("rpcutil").and_then(|ddl| ddl.action("get_fact"));
    summary.aggregates = Aggregates::of(action.expect("rpcutil has it"));
    for body in replies.iter().filter_map(|reply| reply.rpc().ok()) {
        summary.aggregates.add(&body);
    }
    summary
}

/// What came of a request to some nodes, of which some replied, some of those with a failure.
pub(crate) fn summary(asked: &[&str], replied: &[&str], failed: usize) -> Summary {
    let missing = asked.iter().filter(|name| !replied.contains(name));
    Summary {
        request_id: RequestId::from_random([7; 16]),
        ended: if asked.len() == replied.len() {
            Ended::Complete
        } else {
            Ended::Deadline
        },
        started: Duration::new(UNIX.into(), 567_095_769),
        expected: Some(asked.len()),
        replied: replied.iter().map(|name| (*name).to_owned()).collect(),
        ok: replied.len() - failed,
        failed,
        filtered: 0,
        no_responses: missing.map(|name| (*name).to_owned()).collect(),
        unexpected: Vec::new(),
        drops: Drops::default(),
        unsent: 0,
        links_lost: 0,
        publish_time: Duration::from_nanos(8_048_440),
        request_time: Duration::from_nanos(35_522_350),
        last_reply: Some(Duration::from_millis(20)),
        aggregates: Aggregates::default(),
    }
}
