#![no_main]

#[path = "../checks/wire_route_op.rs"]
mod check;
#[path = "../checks/stream.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;
use muster_wire::route_op::RouteLimits;

fuzz_target!(|data: &[u8]| {
    check::run(data, &RouteLimits::default());
    // Small enough that short inputs reach the limits.
    check::run(
        data,
        &RouteLimits {
            control_line_max: 24,
            json_max: 24,
            payload_max: 8,
        },
    );
});
