//! What a node tells of itself as a whole: the status file, and the inventory it registers.
//!
//! Both are read by tools that exist, so keys and their order are those of the servers of today.
//! Nothing here opens a file; the daemon writes what is made here.

use std::time::Duration;

use muster_protocol::rfc3339::rfc3339_utc;

use crate::agent::Agent;
use crate::counters::Counters;
use crate::facts::Facts;
use crate::members::Members;
use crate::setup::NodeSetup;

/// What stands for a moment that there is none of.
const NO_MOMENT: &str = "0001-01-01T00:00:00Z";
/// Stands where a server of today names its build.
const UNKNOWN: &str = "unknown";

/// A node at one moment.
#[derive(Debug, Clone, Copy)]
pub struct NodeStatus<'s> {
    /// The node's name.
    pub identity: &'s str,
    /// Seconds since it started.
    pub uptime: u64,
    /// The broker it is connected to, as a URL; none without a connection.
    pub connected_server: Option<&'s str>,
    /// Unix second of the last message; 0 before the first.
    pub last_message: i64,
    /// What it counted.
    pub counters: &'s Counters,
    /// Unix second in which its certificate ends, if it has one.
    pub certificate_expires: Option<i64>,
    /// Unix second in which its token ends, if it has one.
    pub token_expires: Option<i64>,
}

impl NodeStatus<'_> {
    /// The text of the status file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let counters = self.counters;
        let stats = Members::new()
            .count("total", counters.total)
            .count("valid", counters.validated)
            .count("invalid", counters.unvalidated)
            .count("passed", counters.passed)
            .count("filtered", counters.filtered)
            .count("replies", counters.replies)
            .count("ttlexpired", counters.ttl_expired)
            .count("events", counters.events);
        Members::new()
            .text("identity", self.identity)
            .count("uptime", self.uptime)
            .text("connected_server", self.connected_server.unwrap_or(UNKNOWN))
            .integer("last_message", self.last_message)
            .boolean("provisioning_mode", false)
            .raw("stats", &stats.finish())
            .text("certificate_expires", &moment(self.certificate_expires))
            .text("token_expires", &moment(self.token_expires))
            .finish()
    }
}

/// The inventory a node registers, as JSON text.
#[must_use]
pub fn inventory(
    setup: &NodeSetup,
    facts: &Facts,
    classes: &[String],
    status: &NodeStatus<'_>,
) -> String {
    let options = setup.options();
    let agents: Vec<_> = options.agents.iter().map(agent).collect();
    let build = Members::new()
        .text("version", &options.version)
        .text("sha", UNKNOWN);
    Members::new()
        .raw("agents", &format!("[{}]", agents.join(",")))
        .texts("classes", classes)
        .raw("facts", facts.json())
        .raw("status", &status.to_json())
        .texts("collectives", &options.collectives)
        .raw("build_info", &build.finish())
        .raw("machines", "[]")
        .finish()
}

fn agent(agent: &dyn Agent) -> String {
    crate::agents::write_metadata(Members::new(), agent.metadata()).finish()
}

fn moment(unix: Option<i64>) -> String {
    match unix.map(u64::try_from) {
        Some(Ok(secs)) => rfc3339_utc(Duration::from_secs(secs)),
        _ => NO_MOMENT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_keys_of_the_servers_of_today() {
        let mut counters = Counters::default();
        (counters.total, counters.validated) = (120, 118);
        (counters.passed, counters.filtered) = (90, 28);
        (counters.replies, counters.ttl_expired) = (90, 2);
        counters.events = 4;
        let mut status = NodeStatus {
            identity: "n1.example.net",
            uptime: 86_400,
            connected_server: Some("nats://broker1.example.net:4222"),
            last_message: 1_767_323_045,
            counters: &counters,
            certificate_expires: Some(1_924_916_645),
            token_expires: None,
        };
        assert_eq!(
            status.to_json(),
            r#"{"identity":"n1.example.net","uptime":86400,"connected_server":"nats://broker1.example.net:4222","last_message":1767323045,"provisioning_mode":false,"stats":{"total":120,"valid":118,"invalid":0,"passed":90,"filtered":28,"replies":90,"ttlexpired":2,"events":4},"certificate_expires":"2030-12-31T03:04:05Z","token_expires":"0001-01-01T00:00:00Z"}"#
        );
        status.connected_server = None;
        assert!(status.to_json().contains(r#""connected_server":"unknown""#));
    }
}
