//! Scenarios on whole fleets, each over many seeds.

mod breaks;
mod fan;
mod fleet;
mod groups;
mod order;
mod partition;
mod replay;
mod responders;

use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The options of a client that wants nothing.
const QUIET: &str = r#"{"verbose":false,"pedantic":false}"#;

/// The options of a client that wants to know when nobody listens.
const ASKING: &str = r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;

/// A publish as it stands on the wire.
fn publish(subject: &str, payload: &str) -> String {
    format!("PUB {subject} {}\r\n{payload}\r\n", payload.len())
}
