//! `/metrics`: Prometheus' text format.
//!
//! The number of series depends on the number of shards and on nothing that a client does.
//! Names end in their unit, counters in `_total`; everything is of the process's life.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::Monitor;

/// Collects series in the text format.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// A family: its name behind the common prefix, its type, what it means, and its series as labels and values.
    pub(super) fn family<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        series: &[(&str, V)],
    ) {
        let out = &mut self.0;
        let _ = write!(
            out,
            "# HELP muster_broker_{name} {help}\n# TYPE muster_broker_{name} {kind}\n"
        );
        for (labels, value) in series {
            let _ = writeln!(out, "muster_broker_{name}{labels} {value}");
        }
    }

    pub(super) fn counter(&mut self, name: &str, value: impl Display, help: &str) {
        self.family(name, "counter", help, &[("", value)]);
    }

    pub(super) fn gauge(&mut self, name: &str, value: impl Display, help: &str) {
        self.family(name, "gauge", help, &[("", value)]);
    }

    /// A family whose labels are made as they come.
    pub(super) fn labelled(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        series: &[(String, u64)],
    ) {
        let series: Vec<(&str, u64)> = series
            .iter()
            .map(|(labels, value)| (labels.as_str(), *value))
            .collect();
        self.family(name, kind, help, &series);
    }

    /// A gauge by the whole name that others gave it.
    pub(super) fn foreign_gauge(&mut self, name: &str, value: impl Display, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
        );
    }
}

impl Monitor {
    pub(super) fn metrics(&self) -> String {
        let mut text = Text::default();
        self.connections(&mut text);
        self.messages(&mut text);
        self.back_pressure(&mut text);
        self.refusals(&mut text);
        self.cluster(&mut text);
        self.process(&mut text);
        for render in &self.guests.metrics {
            render(&mut text.0);
        }
        text.0
    }

    fn connections(&self, text: &mut Text) {
        let core = self.broker.core();
        let counters = core.counters();
        text.gauge("connections", counters.connections, "Connections open now.");
        let shards: Vec<(String, u64)> = core
            .shard_counters()
            .enumerate()
            .map(|(shard, counters)| (format!("{{shard=\"{shard}\"}}"), counters.connections))
            .collect();
        let shards: Vec<(&str, u64)> = shards
            .iter()
            .map(|(labels, open)| (labels.as_str(), *open))
            .collect();
        text.family(
            "shard_connections",
            "gauge",
            "Connections open now on one shard.",
            &shards,
        );
        let accounts: Vec<(String, u64)> = core
            .accounts()
            .iter()
            .map(|account| {
                (
                    format!("{{account=\"{}\"}}", account.name),
                    account.connections(),
                )
            })
            .collect();
        let accounts: Vec<(&str, u64)> = accounts
            .iter()
            .map(|(labels, open)| (labels.as_str(), *open))
            .collect();
        text.family(
            "account_connections",
            "gauge",
            "Connections open now in one account.",
            &accounts,
        );
        let most = core.config.connections_max;
        text.gauge(
            "connections_max",
            most,
            "Connections this broker will hold.",
        );
        let accepted = counters.connections_total;
        text.counter(
            "connections_accepted_total",
            accepted,
            "Connections accepted.",
        );
        let refused = counters.connections_refused;
        text.counter(
            "connections_refused_total",
            refused,
            "Connections refused because the broker was full.",
        );
        text.gauge(
            "subscriptions",
            self.subscriptions(),
            "Subscriptions held now.",
        );
    }

    fn messages(&self, text: &mut Text) {
        let counters = self.broker.core().counters();
        text.counter(
            "in_msgs_total",
            counters.in_msgs,
            "Messages that clients published.",
        );
        text.counter(
            "in_bytes_total",
            counters.in_bytes,
            "Bytes of headers and payload that clients published.",
        );
        text.counter(
            "out_msgs_total",
            counters.out_msgs,
            "Messages delivered to clients.",
        );
        text.counter(
            "out_bytes_total",
            counters.out_bytes,
            "Bytes of headers and payload delivered to clients.",
        );
        text.counter(
            "unheard_msgs_total",
            counters.unheard_msgs,
            "Messages that nobody had subscribed to.",
        );
        let dropped = counters.dropped_msgs;
        text.counter(
            "dropped_msgs_total",
            dropped,
            "Deliveries given up because the receiver was being cut.",
        );
        let answers = counters.no_responders;
        text.counter(
            "no_responders_total",
            answers,
            "Requests answered with no responders.",
        );
        let sliced = counters.sliced_fanouts;
        text.counter(
            "sliced_fanouts_total",
            sliced,
            "Messages delivered in more than one slice.",
        );
        text.counter(
            "cache_hits_total",
            counters.cache_hits,
            "Subjects matched from a cache.",
        );
        text.counter(
            "cache_misses_total",
            counters.cache_misses,
            "Subjects matched in the sublist.",
        );
    }

    fn back_pressure(&self, text: &mut Text) {
        let counters = self.broker.core().counters();
        let slow = [
            (
                "{reason=\"pending_bytes\"}",
                counters.slow_consumers_pending,
            ),
            (
                "{reason=\"write_deadline\"}",
                counters.slow_consumers_deadline,
            ),
        ];
        text.family(
            "slow_consumers_total",
            "counter",
            "Connections cut for reading too slowly.",
            &slow,
        );
        let stale = counters.stale_connections;
        text.counter(
            "stale_connections_total",
            stale,
            "Connections closed for unanswered keep-alives.",
        );
        let held = counters.held_publishers;
        text.counter(
            "held_publishers_total",
            held,
            "Times a publisher was held until its one receiver had drained.",
        );
        let seconds = Duration::from_micros(counters.held_us).as_secs_f64();
        text.counter("held_seconds_total", seconds, "Time publishers were held.");
        let stalled = counters.stalled_publishers;
        text.counter(
            "stalled_publishers_total",
            stalled,
            "Times a publisher was stalled for a moment because one of several receivers was behind.",
        );
    }

    fn refusals(&self, text: &mut Text) {
        let counters = self.broker.core().counters();
        let errors = counters.protocol_errors;
        text.counter(
            "protocol_errors_total",
            errors,
            "Connections closed for a breach of the protocol.",
        );
        let failures = counters.auth_failures;
        text.counter(
            "auth_failures_total",
            failures,
            "Connections closed for credentials missing, wrong or late.",
        );
        let refusals: Vec<(String, u64)> = self
            .broker
            .core()
            .login_refusals()
            .into_iter()
            .map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), count))
            .collect();
        let refusals: Vec<(&str, u64)> = refusals
            .iter()
            .map(|(labels, count)| (labels.as_str(), *count))
            .collect();
        // Reasons are known only once they occur.
        if !refusals.is_empty() {
            text.family(
                "login_refusals_total",
                "counter",
                "Logins refused, by reason.",
                &refusals,
            );
        }
        text.counter(
            "auth_expired_total",
            counters.auth_expired,
            "Connections closed because what they were let in for had ended.",
        );
        let denied = [
            ("{what=\"publish\"}", counters.denied_publishes),
            ("{what=\"subscribe\"}", counters.denied_subscriptions),
            ("{what=\"deliver\"}", counters.denied_deliveries),
        ];
        text.family(
            "permission_denials_total",
            "counter",
            "Messages and subscriptions refused, and deliveries left out, for want of permission.",
            &denied,
        );
        text.counter(
            "tls_failures_total",
            counters.tls_failures,
            "TLS handshakes that failed or were late.",
        );
    }

    fn process(&self, text: &mut Text) {
        let usage = self.usage.sample().usage;
        text.gauge(
            "resident_bytes",
            usage.resident_bytes,
            "Resident memory of the process.",
        );
        let cpu = usage.cpu.as_secs_f64();
        text.counter(
            "cpu_seconds_total",
            cpu,
            "Processor time of the process, user and system.",
        );
        let started = self.broker.started_unix().as_secs_f64();
        text.gauge(
            "start_time_seconds",
            started,
            "When the broker started, in seconds since the Unix epoch.",
        );
    }
}
