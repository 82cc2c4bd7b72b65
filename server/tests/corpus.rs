//! Replays the fuzz corpora: no panic, and nothing is allowed by what can not be read.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

#[path = "../../fuzz/checks/server_config.rs"]
mod config;
#[path = "../../fuzz/checks/server_external_reply.rs"]
mod external_reply;
#[path = "../../fuzz/checks/server_facts.rs"]
mod facts;
#[path = "../../fuzz/checks/server_policy.rs"]
mod policy;

use std::fs;
use std::path::Path;

#[test]
fn policies() {
    replay("server_policy", policy::run);
}

#[test]
fn facts_files() {
    replay("server_facts", facts::run);
}

#[test]
fn configuration_files() {
    replay("server_config", config::run);
}

#[test]
fn external_replies() {
    replay("server_external_reply", external_reply::run);
}

/// Each input as it is, and cut and damaged at every fourth byte.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let input = fs::read(entry.unwrap().path()).unwrap();
        check(&input);
        for at in (0..input.len()).step_by(4) {
            check(&input[..at]);
            let mut damaged = input.clone();
            damaged[at] ^= 0x02;
            check(&damaged);
        }
        count += 1;
    }
    assert!(count >= 20, "only {count} inputs for {target}");
}
