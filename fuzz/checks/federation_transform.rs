//! The federation broker's transform: no panic, the secure document stays as it was, and nothing goes through the same broker twice.

use muster_federation::bridge::{Bridge, Refusal, Way};
use muster_protocol::transport::Transport;

pub(crate) fn run(data: &[u8]) {
    let way = Way {
        came_by: "nats://a:1",
        leaves_by: "nats://b:2",
    };
    let bridge = Bridge::new("mt1", "fb", 0, true);
    let mut out = Vec::new();
    match bridge.request(data, way, &mut out) {
        Ok(request) => {
            assert!(!request.targets.is_empty());
            same_document(data, &out);
            let made = Transport::parse(&out).expect("what was made can be read");
            assert_eq!(
                made.headers.reply_to.as_deref(),
                Some(bridge.reply_subject())
            );
            let again = bridge.request(&out, way, &mut Vec::new());
            assert!(matches!(again, Err(Refusal::NoTargets)), "{again:?}");
        }
        Err(_) => assert!(out.is_empty()),
    }
    out.clear();
    match bridge.reply(data, way, &mut out) {
        Ok(subject) => {
            assert!(subject.contains(".reply."));
            same_document(data, &out);
            let made = Transport::parse(&out).expect("what was made can be read");
            assert!(made.headers.federation.is_none());
        }
        Err(_) => assert!(out.is_empty()),
    }
}

fn same_document(before: &[u8], after: &[u8]) {
    let before = Transport::parse(before).expect("it was read before");
    let after = Transport::parse(after).expect("what was made can be read");
    assert_eq!(before.data(), after.data());
    assert_eq!(before.version, after.version);
    assert_eq!(
        before.headers.seen_by.len() + 1,
        after.headers.seen_by.len()
    );
}
