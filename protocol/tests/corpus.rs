//! Replays the fuzz corpora: no panic, and what parses survives a round trip.

#[path = "../../fuzz/checks/protocol_claims.rs"]
mod claims;
#[path = "../../fuzz/checks/protocol_ddl.rs"]
mod ddl;
#[path = "../../fuzz/checks/protocol_expr.rs"]
mod expr;
#[path = "../../fuzz/checks/protocol_request.rs"]
mod request;
#[path = "../../fuzz/checks/protocol_rpc_body.rs"]
mod rpc_body;
#[path = "../../fuzz/checks/protocol_secure_request.rs"]
mod secure_request;
#[path = "../../fuzz/checks/protocol_token.rs"]
mod token;
#[path = "../../fuzz/checks/protocol_transport.rs"]
mod transport;

use muster_testkit::corpus;

#[test]
fn transports() {
    replay("protocol_transport", transport::run);
}

#[test]
fn secure_requests() {
    replay("protocol_secure_request", secure_request::run);
}

#[test]
fn requests() {
    replay("protocol_request", request::run);
}

#[test]
fn rpc_bodies() {
    replay("protocol_rpc_body", rpc_body::run);
}

#[test]
fn claims_of_tokens() {
    replay("protocol_claims", claims::run);
}

#[test]
fn ddls() {
    replay("protocol_ddl", ddl::run);
}

#[test]
fn expressions() {
    replay("protocol_expr", expr::run);
}

#[test]
fn tokens() {
    replay("protocol_token", token::run);
}

/// Each input as it is, and cut and damaged at every sixteenth byte.
fn replay(target: &str, check: impl Fn(&[u8])) {
    corpus::replay_damaged(target, 16, check);
}
