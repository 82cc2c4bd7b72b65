#![no_main]

#[path = "../checks/provisioner_helper_output.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check::run(data));
