//! Replays the fuzz corpora: whatever the input, there is a value or a reason, and no panic.

#[path = "../../fuzz/checks/provisioner_config.rs"]
mod config;
#[path = "../../fuzz/checks/provisioner_helper_output.rs"]
mod helper_output;
#[path = "../../fuzz/checks/provisioner_replies.rs"]
mod replies;

use std::fs;
use std::path::Path;

#[test]
fn configurations() {
    replay("provisioner_config", config::run);
}

#[test]
fn helpers_answers() {
    replay("provisioner_helper_output", helper_output::run);
}

#[test]
fn replies_of_nodes() {
    replay("provisioner_replies", replies::run);
}

/// Each input as it is, and cut and damaged at every sixteenth byte.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        let input = fs::read(entry.expect("the corpus can be listed").path()).expect("readable");
        check(&input);
        for at in (0..input.len()).step_by(16) {
            check(&input[..at]);
            let mut damaged = input.clone();
            damaged[at] ^= 0x02;
            check(&damaged);
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} inputs for {target}");
}
