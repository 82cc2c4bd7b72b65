//! Replays the fuzz corpora: no panic, and the same operations however the input is cut.
#![expect(
    clippy::disallowed_methods,
    reason = "a test reads its inputs; the crate itself does not"
)]
#![expect(clippy::unwrap_used, reason = "only the helpers of tests are here")]

#[path = "../../fuzz/checks/wire_client_op.rs"]
mod client;
#[path = "../../fuzz/checks/wire_server_op.rs"]
mod server;
#[path = "../../fuzz/checks/stream.rs"]
mod stream;

use std::fs;
use std::path::Path;

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

fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 20, "only {count} inputs for {target}");
}
