#![no_main]

#[path = "../checks/wire_client_op.rs"]
mod check;
#[path = "../checks/stream.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;
use muster_wire::limits::Limits;

fuzz_target!(|data: &[u8]| {
    check::run(data, &Limits::default());
    // Small enough that short inputs reach the limits.
    check::run(
        data,
        &Limits {
            control_line_max: 16,
            payload_max: 8,
            headers: false,
        },
    );
});
