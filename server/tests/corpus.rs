//! Replays the fuzz corpora: no panic, and nothing is allowed by what can not be read.

#[path = "../../fuzz/checks/server_config.rs"]
mod config;
#[path = "../../fuzz/checks/server_external_reply.rs"]
mod external_reply;
#[path = "../../fuzz/checks/server_facts.rs"]
mod facts;
#[path = "../../fuzz/checks/server_policy.rs"]
mod policy;
#[path = "../../fuzz/checks/server_provision_inputs.rs"]
mod provision_inputs;

use muster_testkit::corpus;

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

#[test]
fn inputs_of_provisioning() {
    replay("server_provision_inputs", provision_inputs::run);
}

/// Each input as it is, and cut and damaged at every fourth byte.
fn replay(target: &str, check: impl Fn(&[u8])) {
    corpus::replay_damaged(target, 4, check);
}
