//! A request or reply that parses must come out of the encoder with the same meaning, and its filter must be answerable.

use muster_protocol::filter::{FactsView, NoData, NodeView};
use muster_protocol::reply::Reply;
use muster_protocol::request::Request;

const FACTS: &str = r#"{"country":"de","os":{"family":"Debian","release":12},"load":1.5,"up":true,
    "list":[{"name":"eth0","ip":"10.0.0.1"},{"name":"lo","ip":"127.0.0.1"}],"nil":null}"#;

pub(crate) fn run(data: &[u8]) {
    if let Ok(request) = Request::parse(data) {
        let document = request.to_document();
        let again = Request::parse(document.as_bytes()).expect("our own encoding parses");
        // A free-form number in a compound entry may move by its last digit on the way through a float.
        if request.filter.compound.is_empty() {
            assert_eq!(again, request);
        }
        let _ = request.body();
        let facts = FactsView::from_checked(FACTS);
        let _ = request.filter.matches(&NodeView {
            identity: "node1.example.net",
            agents: &["discovery", "rpcutil"],
            classes: &["role::web", "base"],
            facts: &facts,
            data: &NoData,
        });
    }
    if let Ok(reply) = Reply::parse(data) {
        let mut out = Vec::new();
        reply.encode_into(&mut out);
        assert_eq!(Reply::parse(&out), Ok(reply));
    }
}
