//! Any text is an expression or is refused at a place within it; evaluating one ends, and gives the same twice.

use muster_protocol::expr::{EXPRESSION_BYTES_MAX, Expression, ReplyFilter};
use muster_protocol::filter::{FactsView, Filter, NoData, NodeView, check_compound};
use muster_protocol::rpc::RpcReply;

const FACTS: &str = r#"{"country":"de","os":{"family":"Debian","release":12},"load":1.5,"up":true,
    "list":[{"name":"eth0","size":1},{"name":"lo","size":2}],"nil":null}"#;
const REPLY: &[u8] =
    br#"{"statuscode":0,"statusmsg":"OK","data":{"version":"1.2.3","list":[1,2],"n":5}}"#;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Expression::parse(text) {
        Ok(_) => assert!(text.len() <= EXPRESSION_BYTES_MAX),
        Err(error) => {
            assert!(
                (1..=text.chars().count() + 1).contains(&error.column),
                "{error}"
            );
            assert!(check_compound(text).is_err());
        }
    }
    let facts = FactsView::from_checked(FACTS);
    let node = NodeView {
        identity: "node1.example.net",
        agents: &["discovery", "rpcutil"],
        classes: &["role::web", "base"],
        facts: &facts,
        data: &NoData,
    };
    let mut filter = Filter::default();
    filter.add_compound(text);
    let matched = filter.matches(&node);
    assert_eq!(filter.matches(&node), matched);
    // What the command line refuses matches no node.
    assert!(!matched || check_compound(text).is_ok());
    if let Ok(filter) = ReplyFilter::parse(text) {
        let reply = RpcReply::parse(REPLY).expect("a reply");
        let wanted = filter.matches(&reply, "node1.example.net", 1_700_000_000);
        assert_eq!(
            filter.matches(&reply, "node1.example.net", 1_700_000_000),
            wanted
        );
    }
}
