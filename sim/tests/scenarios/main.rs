//! Scenarios on whole fleets, each over many seeds.

mod breaks;
mod cluster;
mod fan;
mod fleet;
mod groups;
mod order;
mod partition;
mod peers;
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

/// Publisher and number of a message that begins with both.
fn numbered(text: &str) -> (usize, usize) {
    let mut parts = text
        .split(':')
        .map(|part| part.parse().expect("messages begin with numbers"));
    parts
        .next()
        .zip(parts.next())
        .expect("messages begin with two numbers")
}
