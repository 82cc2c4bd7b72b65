//! The statistics pages of a node: `/metrics`, and the two pages of the servers of today.
//!
//! | path | shows |
//! |---|---|
//! | `/metrics` | everything that is counted, under our own names |
//! | `/choria/prometheus` | the series that dashboards for real servers read |
//! | `/choria/` | build, process and identity, in JSON |
//!
//! The pages show copies of figures and never touch the node. The number of series depends on nothing a caller does: the
//! reasons of refusals are a fixed set.

use std::fmt::{Display, Write as _};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use muster_reactor::http::{HttpRequest, HttpResponse, HttpServer};
use muster_reactor::process::{cores, usage};

use super::report::{Figures, SharedFigures};
use crate::members::Members;

/// The content type of Prometheus' text format 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves the pages.
pub(super) fn serve(address: SocketAddr, figures: SharedFigures) -> io::Result<HttpServer> {
    let handler = move |request: &HttpRequest| {
        let figures = figures.lock().clone();
        answer(request, &figures)
    };
    HttpServer::start(address, "stats", Arc::new(handler))
}

fn answer(request: &HttpRequest, figures: &Figures) -> HttpResponse {
    match &*request.path {
        "/metrics" => HttpResponse::new(200, METRICS_TYPE, native(figures)),
        "/choria/prometheus" => HttpResponse::new(200, METRICS_TYPE, as_choria(figures)),
        "/choria/" | "/choria" => HttpResponse::new(200, "application/json", about(figures)),
        _ => HttpResponse::text(404, "404 page not found\n"),
    }
}

/// Series in the text format.
struct Text {
    out: String,
    labels: String,
}

impl Text {
    fn new(figures: &Figures) -> Self {
        let identity = figures.identity.replace('\\', "\\\\").replace('"', "\\\"");
        Self {
            out: String::new(),
            labels: format!("identity=\"{identity}\""),
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn series(&mut self, name: &str, more: &str, value: impl Display) {
        let labels = &self.labels;
        let _ = writeln!(self.out, "{name}{{{labels}{more}}} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.series(name, "", value);
    }
}

fn native(figures: &Figures) -> String {
    let mut text = Text::new(figures);
    let (counters, connection) = (&figures.counters, &figures.connection);
    for (name, help, value) in [
        ("messages", "Messages that came in.", counters.total),
        (
            "passed",
            "Requests whose filter means this node.",
            counters.passed,
        ),
        (
            "filtered",
            "Requests whose filter means others.",
            counters.filtered,
        ),
        (
            "unknown_collective",
            "Requests for a collective the node is not in.",
            counters.unknown_collective,
        ),
        (
            "ttl_expired",
            "Requests outside their time to live.",
            counters.ttl_expired,
        ),
        ("replayed", "Requests seen before.", counters.replayed),
        (
            "validated",
            "Requests handed to an agent.",
            counters.validated,
        ),
        (
            "unknown_agent",
            "Requests for an agent the node does not have.",
            counters.unknown_agent,
        ),
        (
            "unanswered",
            "Requests the agent did not answer.",
            counters.unanswered,
        ),
        ("replies", "Replies published.", counters.replies),
        (
            "unsent",
            "Messages that could not be published.",
            counters.unsent,
        ),
        ("events", "Lifecycle events published.", counters.events),
        (
            "registrations",
            "Registrations published.",
            counters.registrations,
        ),
        (
            "connects",
            "Times a broker took the node.",
            connection.connects.into(),
        ),
        (
            "in_bytes",
            "Bytes of messages that came in.",
            connection.in_bytes,
        ),
        (
            "out_bytes",
            "Bytes of messages published.",
            connection.out_bytes,
        ),
        (
            "discarded_bytes",
            "Bytes of output lost with a connection.",
            connection.discarded_bytes,
        ),
    ] {
        text.one(
            &format!("muster_server_{name}_total"),
            "counter",
            help,
            value,
        );
    }
    let name = "muster_server_refused_total";
    text.family(name, "counter", "Messages refused at the gate, by reason.");
    for (reason, count) in counters.refused() {
        text.series(name, &format!(",reason=\"{reason}\""), count);
    }
    for (name, help, value) in [
        (
            "connected",
            "Whether a broker has the node.",
            i64::from(figures.connected),
        ),
        (
            "last_message_seconds",
            "Unix time of the last message.",
            figures.last_message,
        ),
        (
            "certificate_expires_seconds",
            "Unix time when the certificate ends, 0 without one.",
            figures.certificate_expires.unwrap_or(0),
        ),
    ] {
        text.one(&format!("muster_server_{name}"), "gauge", help, value);
    }
    let uptime = figures.uptime.as_secs();
    text.one(
        "muster_server_uptime_seconds",
        "gauge",
        "Seconds since the start.",
        uptime,
    );
    text.out
}

fn as_choria(figures: &Figures) -> String {
    let mut text = Text::new(figures);
    let (counters, connection) = (&figures.counters, &figures.connection);
    for (name, help, value) in [
        ("server_total", "Messages received", counters.total),
        ("server_validated", "Messages validated", counters.validated),
        (
            "server_unvalidated",
            "Messages that failed validation",
            counters.unvalidated,
        ),
        (
            "server_passed",
            "Messages that passed filters",
            counters.passed,
        ),
        (
            "server_filtered",
            "Messages that did not",
            counters.filtered,
        ),
        ("server_replies", "Replies sent", counters.replies),
        (
            "server_ttlexpired",
            "Messages that were too old",
            counters.ttl_expired,
        ),
        ("server_events", "Events sent", counters.events),
        (
            "connector_reconnections",
            "Reconnections to a broker",
            connection.reconnects().into(),
        ),
    ] {
        text.one(&format!("choria_{name}"), "counter", help, value);
    }
    let version = format!(",version=\"{}\"", figures.version);
    text.family("choria_build_info", "gauge", "The build");
    text.series("choria_build_info", &version, 1);
    text.out
}

fn about(figures: &Figures) -> String {
    let build = Members::new()
        .text("version", &figures.version)
        .text("sha", "unknown")
        .text("build_date", "unknown")
        .text("license", env!("CARGO_PKG_LICENSE"))
        .boolean("tls", figures.tls)
        .boolean("secure", figures.secure)
        .text("go", "none")
        .integer("max_broker_clients", 0);
    let usage = usage(None).unwrap_or_default();
    let uptime = figures.uptime.as_secs_f64().max(1.0);
    let percent = usage.cpu.as_secs_f64() / uptime * 100.0;
    let system = Members::new()
        .count("rss", usage.resident_bytes)
        .raw("cpu_percent", &format!("{percent:.2}"))
        .count("cpu_cores", cores() as u64);
    Members::new()
        .raw("build", &build.finish())
        .raw("system", &system.finish())
        .text("config_file", &figures.config_file)
        .text("identity", &figures.identity)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_reactor::http::Method;

    fn page(path: &str) -> (u16, String) {
        let mut figures = Figures {
            identity: "n\"1".to_owned(),
            version: "0.1.0".to_owned(),
            ..Figures::default()
        };
        figures.counters.refuse("bad_transport");
        let request = HttpRequest {
            method: Method::Get,
            path: path.to_owned(),
            query: Vec::new(),
        };
        let response = answer(&request, &figures);
        (response.status, String::from_utf8(response.body).unwrap())
    }

    #[test]
    fn pages_show_what_was_counted() {
        let (_, text) = page("/metrics");
        for line in [
            "muster_server_messages_total{identity=\"n\\\"1\"} 1",
            "muster_server_refused_total{identity=\"n\\\"1\",reason=\"bad_transport\"} 1",
            "muster_server_connected{identity=\"n\\\"1\"} 0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} in\n{text}");
        }
        let (_, text) = page("/choria/prometheus");
        for line in [
            "choria_server_total{identity=\"n\\\"1\"} 1",
            "choria_server_unvalidated{identity=\"n\\\"1\"} 1",
            "choria_build_info{identity=\"n\\\"1\",version=\"0.1.0\"} 1",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} in\n{text}");
        }
        let (_, text) = page("/choria/");
        let about: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(about["identity"], "n\"1");
        assert_eq!(about["build"]["tls"], false);
        assert!(about["system"]["rss"].as_u64().unwrap() > 0);
        assert_eq!(page("/x").0, 404);
    }

    #[test]
    fn operators_are_told_what_each_series_means() {
        let manual = include_str!("../../../docs/operations.md");
        let (_, text) = page("/metrics");
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names = names.filter_map(|line| line.split(' ').next());
        let missing: Vec<&str> = names
            .filter(|name| !manual.contains(&format!("`{name}`")))
            .collect();
        assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
    }
}
