#![no_main]

#[path = "../checks/adapter_envelope.rs"]
mod check;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check::run(data));
