//! What the provisioner counts, and how it is served.
//!
//! Names and labels are those of the fleet's dashboards. A core writes, the page's thread reads; nothing is locked.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::call::Action;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

/// How often something was done, and how long all of it took.
#[derive(Debug, Default)]
pub struct Timing {
    count: AtomicU64,
    micros: AtomicU64,
}

/// Everything that is counted. The names served begin with `choria_provisioner_`.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Nodes found by discovery that were not known.
    pub discovered: Counter,
    /// Nodes found by events that were not known.
    pub event_discovered: Counter,
    /// Discoveries begun.
    pub discover_cycles: Counter,
    /// Discoveries that could not be made.
    pub discovery_errors: Counter,
    /// Attempts on a node that did not end well, deferred ones included.
    pub provision_errors: Counter,
    /// Nodes that have their configuration.
    pub provisioned: Counter,
    /// Nodes that were brought to another version.
    pub upgraded: Counter,
    /// Nodes in work.
    pub busy_workers: Gauge,
    /// Whether the provisioner is paused.
    pub paused: Gauge,
    /// Whether it is the one that works, where one is chosen.
    pub leader: Gauge,
    /// Calls by action.
    pub rpc_time: [Timing; Action::ALL.len()],
    /// Calls that came to nothing, by action.
    pub rpc_errors: [Counter; Action::ALL.len()],
    /// Runs of the helper.
    pub helper_time: Timing,
    /// Runs that gave no decision.
    pub helper_errors: Counter,
    /// Nodes that wait.
    pub work_queue_entries: Gauge,
    /// Nodes that wait or are in work.
    pub waiting_nodes: Gauge,
    /// Nodes the helper wanted to end.
    pub helper_shutdown_requests: Counter,
    /// Nodes dropped because too many wait.
    pub queue_full: Counter,
    /// Nodes dropped because they waited too long.
    pub stale: Counter,
    /// Nodes that waited when the provisioner was paused.
    pub paused_drops: Counter,
    /// Messages that were not used, by reason.
    pub dropped: [Counter; Drop::ALL.len()],
}

/// Why a message was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Drop {
    /// It is no reply, or was meddled with.
    Malformed,
    /// It answers no request that is under way.
    UnknownRequest,
    /// It is another node's.
    OtherSender,
    /// It is no event that is looked for.
    NoEvent,
    /// The name in it is none.
    BadIdentity,
    /// A helper's answer for a node that was given up.
    LateHelper,
    /// It came while nothing may be added.
    Paused,
}

impl Drop {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::UnknownRequest,
        Self::OtherSender,
        Self::NoEvent,
        Self::BadIdentity,
        Self::LateHelper,
        Self::Paused,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownRequest => "unknown_request",
            Self::OtherSender => "other_sender",
            Self::NoEvent => "no_event",
            Self::BadIdentity => "bad_identity",
            Self::LateHelper => "late_helper",
            Self::Paused => "paused",
        }
    }
}

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn add_many(&self, count: usize) {
        self.0
            .fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// It is this.
    pub fn set(&self, value: usize) {
        self.0
            .store(u64::try_from(value).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Timing {
    /// Once more, for this long.
    pub fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// How often.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How long all of it took.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }
}

impl Metrics {
    /// Counts a message that was not used.
    pub fn drop_message(&self, why: Drop) {
        self.dropped[why as usize].add();
    }

    /// The page, in Prometheus' text format.
    #[must_use]
    pub fn render(&self, site: &str) -> String {
        let mut page = Page {
            text: String::with_capacity(8 * 1024),
            site: escape(site),
        };
        for (name, help, counter) in [
            ("discovered", "Nodes found by discovery", &self.discovered),
            (
                "event_discovered",
                "Nodes found by events",
                &self.event_discovered,
            ),
            (
                "discover_cycles",
                "Discoveries begun",
                &self.discover_cycles,
            ),
            (
                "discovery_errors",
                "Discoveries that could not be made",
                &self.discovery_errors,
            ),
            (
                "provision_errors",
                "Attempts on a node that did not end well",
                &self.provision_errors,
            ),
            (
                "provisioned",
                "Nodes that have their configuration",
                &self.provisioned,
            ),
            (
                "upgraded",
                "Nodes that were brought to another version",
                &self.upgraded,
            ),
            (
                "helper_errors",
                "Helper runs that gave no decision",
                &self.helper_errors,
            ),
            (
                "helper_shutdown_requests",
                "Nodes the helper wanted to end",
                &self.helper_shutdown_requests,
            ),
            (
                "queue_full",
                "Nodes dropped because too many wait",
                &self.queue_full,
            ),
            (
                "stale",
                "Nodes dropped because they waited too long",
                &self.stale,
            ),
            (
                "paused_drops",
                "Nodes that waited when it was paused",
                &self.paused_drops,
            ),
        ] {
            page.head(name, help, "counter");
            page.line(name, "", counter.get());
        }
        for (name, help, gauge) in [
            ("busy_workers", "Nodes in work", &self.busy_workers),
            ("paused", "Whether the provisioner is paused", &self.paused),
            (
                "leader",
                "Whether it is the provisioner that works",
                &self.leader,
            ),
            (
                "work_queue_entries",
                "Nodes that wait",
                &self.work_queue_entries,
            ),
            (
                "waiting_nodes",
                "Nodes that wait or are in work",
                &self.waiting_nodes,
            ),
        ] {
            page.head(name, help, "gauge");
            page.line(name, "", gauge.get());
        }
        page.head("rpc_time", "Time calls took, in seconds", "summary");
        for action in Action::ALL {
            let label = format!(",rpc=\"{action}\"");
            page.timing("rpc_time", &label, &self.rpc_time[action.index()]);
        }
        page.head("rpc_errors", "Calls that came to nothing", "counter");
        for action in Action::ALL {
            let label = format!(",rpc=\"{action}\"");
            page.line("rpc_errors", &label, self.rpc_errors[action.index()].get());
        }
        page.head("helper_time", "Time the helper took, in seconds", "summary");
        page.timing("helper_time", "", &self.helper_time);
        page.head("dropped", "Messages that were not used", "counter");
        for why in Drop::ALL {
            let label = format!(",reason=\"{}\"", why.name());
            page.line("dropped", &label, self.dropped[why as usize].get());
        }
        page.text
    }
}

struct Page {
    text: String,
    site: String,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = write!(
            self.text,
            "# HELP choria_provisioner_{name} {help}\n# TYPE choria_provisioner_{name} {kind}\n"
        );
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let site = &self.site;
        let _ = writeln!(
            self.text,
            "choria_provisioner_{name}{{site=\"{site}\"{labels}}} {value}"
        );
    }

    fn timing(&mut self, name: &str, labels: &str, timing: &Timing) {
        self.line(&format!("{name}_sum"), labels, timing.total().as_secs_f64());
        self.line(&format!("{name}_count"), labels, timing.count());
    }
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_fields_names_and_labels() {
        let metrics = Metrics::default();
        metrics.provisioned.add();
        metrics.rpc_time[Action::Gencsr.index()].add(Duration::from_millis(1500));
        metrics.rpc_errors[Action::Inventory.index()].add();
        metrics.drop_message(Drop::OtherSender);
        let page = metrics.render("eu\"1");
        for line in [
            "choria_provisioner_provisioned{site=\"eu\\\"1\"} 1",
            "choria_provisioner_rpc_time_sum{site=\"eu\\\"1\",rpc=\"choria_provision#gencsr\"} 1.5",
            "choria_provisioner_rpc_time_count{site=\"eu\\\"1\",rpc=\"choria_provision#gencsr\"} 1",
            "choria_provisioner_rpc_errors{site=\"eu\\\"1\",rpc=\"rpcutil#inventory\"} 1",
            "choria_provisioner_dropped{site=\"eu\\\"1\",reason=\"other_sender\"} 1",
            "# TYPE choria_provisioner_helper_time summary",
            "choria_provisioner_paused{site=\"eu\\\"1\"} 0",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
        }
    }

    #[test]
    fn the_dashboard_asks_for_nothing_that_is_not_exported() {
        const DASHBOARD: &str = include_str!("../../contrib/grafana/provisioner.json");
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
        let page = Metrics::default().render("");
        let exported: std::collections::BTreeSet<&str> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split('{').next())
            .collect();
        let name = regex::Regex::new("choria_[a-z_]+").unwrap();
        let asked: Vec<_> = name
            .find_iter(DASHBOARD)
            .map(|found| found.as_str())
            .collect();
        assert!(asked.len() > 15, "{asked:?}");
        for name in asked {
            assert!(exported.contains(name), "{name}");
        }
        let panels = dashboard["panels"].as_array().unwrap();
        let titles: Vec<_> = panels.iter().filter_map(|p| p["title"].as_str()).collect();
        for title in [
            "Nodes Provisioned/Hour",
            "Circuit Breaker",
            "RPC and Helper Times",
        ] {
            assert!(titles.contains(&title), "{title}");
        }
    }
}
