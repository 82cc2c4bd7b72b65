//! The inputs that fuzzing has found worth keeping, replayed in ordinary tests.
//!
//! They lie in `fuzz/corpus/<target>/`, one file an input.

use std::path::Path;

/// A corpus of fewer inputs than this has lost some on its way.
const INPUTS_MIN: usize = 20;

/// Hands every input of a target to `check`.
///
/// # Panics
/// Where the corpus is missing or has shrunk.
pub fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let file = entry.expect("the corpus can be listed").path();
        check(&std::fs::read(file).expect("an input can be read"));
        inputs += 1;
    }
    assert!(inputs >= INPUTS_MIN, "only {inputs} inputs for {target}");
}

/// Hands every input to `check`, and then also cut, and with one bit turned, at every `step`-th byte.
///
/// # Panics
/// As [`replay`], and where `step` is 0.
pub fn replay_damaged(target: &str, step: usize, check: impl Fn(&[u8])) {
    replay(target, |input| {
        check(input);
        for at in (0..input.len()).step_by(step) {
            check(&input[..at]);
            let mut damaged = input.to_vec();
            damaged[at] ^= 0x02;
            check(&damaged);
        }
    });
}
