//! What a program answers must become an outcome or an error; an outcome is a reply that a caller can read, with all
//! outputs that have defaults, and reads the same when it comes back as a reply of a program, but for floats.

use muster_protocol::ddl::Ddl;
use muster_protocol::rpc::RpcReply;
use muster_server::external::contract::{parse_activation, parse_reply};

const DDL: &str = r#"{"metadata":{"name":"a"},"actions":[{"action":"b","output":{
    "said":{"type":"string","default":"nothing"},"count":{"type":"integer","default":0},"none":{"default":null}}}]}"#;

pub(crate) fn run(data: &[u8]) {
    let _ = parse_activation(data);
    let ddl = Ddl::parse(DDL.as_bytes()).expect("a ddl");
    let action = ddl.action("b").expect("an action");
    let Ok(outcome) = parse_reply(data, action) else {
        return;
    };
    let mut out = Vec::new();
    RpcReply::encode_into(
        &mut out,
        "b",
        outcome.status,
        &outcome.message,
        &outcome.data,
    );
    let reply = RpcReply::parse(&out).expect("callers can read it");
    assert_eq!(reply.statuscode, outcome.status);
    assert_eq!(reply.statusmsg, outcome.message);
    let data: serde_json::Value = serde_json::from_str(reply.data).expect("json");
    assert!(data.get("said").is_some() && data.get("count").is_some());
    // A number may move by its last digit on the way through a float; all else stays.
    let again = parse_reply(&out, action).expect("our own encoding parses");
    assert_eq!(again.status, outcome.status);
    assert_eq!(again.message, outcome.message);
}
