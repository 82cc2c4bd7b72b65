//! Replays the fuzz corpora: no panic, and the same operations however the input is cut.
#[path = "../../fuzz/checks/wire_client_op.rs"]
mod client;
#[path = "../../fuzz/checks/wire_route_info.rs"]
mod route_info;
#[path = "../../fuzz/checks/wire_server_op.rs"]
mod server;
#[path = "../../fuzz/checks/stream.rs"]
mod stream;

use muster_testkit::corpus::replay;
use muster_wire::limits::Limits;

#[test]
fn client_op() {
    let small = Limits {
        control_line_max: 16,
        payload_max: 8,
        headers: false,
    };
    replay("wire_client_op", |data| {
        client::run(data, &Limits::default());
        client::run(data, &small);
    });
}

#[test]
fn server_op() {
    replay("wire_server_op", |data| {
        server::run(data, 4096, 1024 * 1024);
        server::run(data, 16, 8);
    });
}

#[test]
fn infos_of_routes() {
    replay("wire_route_info", route_info::run);
}
