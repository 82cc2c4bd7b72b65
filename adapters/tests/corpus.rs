//! Replays the fuzz corpora.

#[path = "../../fuzz/checks/adapter_envelope.rs"]
mod envelope;

use muster_testkit::corpus::replay_damaged;

#[test]
fn envelopes() {
    replay_damaged("adapter_envelope", 64, envelope::run);
}
