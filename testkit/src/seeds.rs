//! The runner of seeded tests.
//!
//! | variable | meaning |
//! |---|---|
//! | `MUSTER_SIM_SEEDS` | how many seeds each test runs, in place of its own number |
//! | `MUSTER_SIM_SEED` | the one seed to run |

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many seeds each test runs.
pub const SEEDS_VARIABLE: &str = "MUSTER_SIM_SEEDS";

/// The one seed to run.
pub const SEED_VARIABLE: &str = "MUSTER_SIM_SEED";

/// Runs a test for each seed below `count`, or for those the environment asks for.
/// Where one fails, its seed and the command that repeats it are printed; `name` is the test's name with its modules.
///
/// Returns how many seeds were run: what only many of them together can show is not to be asked of few.
///
/// # Panics
/// When the test does, or when a variable holds no number.
pub fn for_seeds(name: &str, count: u64, run: impl Fn(u64)) -> u64 {
    let seeds = chosen(
        number(SEED_VARIABLE),
        number(SEEDS_VARIABLE).unwrap_or(count),
    );
    let ran = seeds.end - seeds.start;
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            report(&replay_command(name, seed));
            resume_unwind(panic);
        }
    }
    ran
}

fn chosen(one: Option<u64>, count: u64) -> std::ops::Range<u64> {
    one.map_or(0..count, |seed| seed..seed + 1)
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")),
    )
}

fn replay_command(name: &str, seed: u64) -> String {
    // The test runner of cargo sets it for the crate under test.
    let package = env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "muster-sim".to_owned());
    format!("{SEED_VARIABLE}={seed} cargo test -p {package} -- {name}")
}

#[expect(
    clippy::print_stderr,
    reason = "the runner of a failing test speaks to whoever ran it"
)]
fn report(command: &str) {
    eprintln!("to repeat: {command}");
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn one_seed_takes_the_place_of_all() {
        assert_eq!(chosen(None, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(chosen(Some(7), 3).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn the_command_names_seed_and_test() {
        let command = replay_command("fleet::all_reply", 12);
        assert!(
            command.starts_with("MUSTER_SIM_SEED=12 cargo test -p "),
            "{command}"
        );
        assert!(command.ends_with(" -- fleet::all_reply"), "{command}");
    }

    #[test]
    fn a_failure_stops_the_run_and_is_passed_on() {
        let seen = RefCell::new(Vec::new());
        let result = catch_unwind(AssertUnwindSafe(|| {
            for_seeds("a_failure_stops_the_run_and_is_passed_on", 5, |seed| {
                seen.borrow_mut().push(seed);
                assert!(seen.borrow().len() < 2, "the second run fails");
            });
        }));
        // With one seed chosen from outside there is no second run.
        assert_eq!(result.is_err(), seen.borrow().len() == 2);
    }
}
