#![no_main]

#[path = "../checks/wire_server_op.rs"]
mod check;
#[path = "../checks/stream.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check::run(data, 4096, 1024 * 1024);
    // Small enough that short inputs reach the limits.
    check::run(data, 16, 8);
});
