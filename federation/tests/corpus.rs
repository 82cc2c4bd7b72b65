//! Replays the fuzz corpus: no panic, and the secure document stays as it was.

#[path = "../../fuzz/checks/federation_transform.rs"]
mod transform;

use muster_testkit::corpus::replay_damaged;

#[test]
fn transforms() {
    replay_damaged("federation_transform", 4, transform::run);
}
