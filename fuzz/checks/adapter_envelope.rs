//! Whatever arrives, an envelope is a JSON document with the sender and the request's id in it, or there is none.

use muster_adapters::envelope::{Kind, Workspace, open};
use muster_adapters::item::{MessageId, Topic};

pub(crate) fn run(data: &[u8]) {
    let mut work = Workspace::default();
    for kind in [Kind::Request, Kind::Reply] {
        let Ok(parts) = open(kind, data, &mut work) else {
            continue;
        };
        let mut out = Vec::new();
        parts.encode_into("choria_streams", &mut out);
        let read: serde_json::Value =
            serde_json::from_slice(&out).expect("an envelope is a JSON document");
        assert_eq!(read["sender"], *parts.sender);
        assert_eq!(read["requestid"], *parts.request_id);
        if let Some(subject) = Topic::new("in.%s").subject(&parts.sender) {
            assert!(!subject.contains(['*', '>', ' ', '\r', '\n']));
            let id = MessageId::of(kind, &subject, &parts);
            assert_eq!(id, MessageId::of(kind, &subject, &parts));
        }
    }
}
