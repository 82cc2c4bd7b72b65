//! What is said at the end.

use std::time::Duration;

use hdrhistogram::Histogram;
use muster_reactor::process::Usage;
use serde::Serialize;

use crate::rounds::Round;

/// Names listed for a round that misses nodes; the JSON report has them all.
const NAMES_SHOWN: usize = 10;

/// One round, as the JSON report has it.
#[derive(Debug, Serialize)]
struct RoundReport {
    expected: usize,
    received: usize,
    ms: f64,
    #[serde(skip)]
    micros: u64,
    #[serde(skip_serializing_if = "is_zero")]
    doubled: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

/// CPU and memory of one part.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Part {
    /// CPU seconds during the rounds.
    pub(crate) cpu_s: f64,
    /// Private memory at the end, in bytes; absent where it cannot be told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) private_bytes: Option<u64>,
}

/// How the fleet came up.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct RampReport {
    /// Until every subscription of every node was in place.
    pub(crate) s: f64,
    /// Attempts to connect that failed and were made again.
    pub(crate) failed: u64,
    /// Connections lost, rounds included.
    pub(crate) lost: u64,
}

/// Everything a run has to say.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    nodes: usize,
    scenario: String,
    tls: String,
    verify: String,
    seed: u64,
    broker: String,
    ramp: RampReport,
    rounds: Vec<RoundReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_part: Option<Part>,
    nodes_part: Part,
    client_part: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_bytes_per_connection: Option<u64>,
    limited_by: String,
}

/// What is known of a run, before it is put into words.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) args: crate::args::Args,
    pub(crate) broker: String,
    pub(crate) ramp: RampReport,
    pub(crate) rounds: Vec<Round>,
    pub(crate) broker_idle: Option<Usage>,
    pub(crate) broker_before: Option<Usage>,
    pub(crate) broker_after: Option<Usage>,
    pub(crate) nodes_cpu: Duration,
    pub(crate) client_cpu: Duration,
    pub(crate) own_private_bytes: Option<u64>,
    pub(crate) cores: usize,
}

impl Run {
    pub(crate) fn report(&self) -> Report {
        let broker_part = self
            .broker_before
            .zip(self.broker_after)
            .map(|(before, after)| Part {
                cpu_s: (after.cpu.saturating_sub(before.cpu)).as_secs_f64(),
                private_bytes: Some(after.private_bytes),
            });
        let per_connection = self
            .broker_idle
            .zip(self.broker_after)
            .map(|(idle, after)| {
                after.private_bytes.saturating_sub(idle.private_bytes)
                    / self.args.nodes.max(1) as u64
            });
        Report {
            nodes: self.args.nodes,
            scenario: name(self.args.scenario),
            tls: name(self.args.tls),
            verify: name(self.args.verify),
            seed: self.args.seed,
            broker: self.broker.clone(),
            ramp: self.ramp,
            rounds: self.rounds.iter().map(round_report).collect(),
            broker_part,
            nodes_part: Part {
                cpu_s: self.nodes_cpu.as_secs_f64(),
                private_bytes: self.own_private_bytes,
            },
            client_part: Part {
                cpu_s: self.client_cpu.as_secs_f64(),
                private_bytes: None,
            },
            broker_bytes_per_connection: per_connection,
            limited_by: self.limited_by(broker_part),
        }
    }

    /// Names the part that used most of the machine while the rounds ran.
    fn limited_by(&self, broker: Option<Part>) -> String {
        let wall: f64 = self
            .rounds
            .iter()
            .map(|round| round.took.as_secs_f64())
            .sum();
        let mut parts = vec![
            ("nodes", self.nodes_cpu.as_secs_f64()),
            ("client", self.client_cpu.as_secs_f64()),
        ];
        parts.extend(broker.map(|part| ("broker", part.cpu_s)));
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        let used: f64 = parts.iter().map(|(_, cpu)| cpu).sum();
        let share = if wall > 0.0 {
            used / (wall * self.cores as f64) * 100.0
        } else {
            0.0
        };
        let list: Vec<String> = parts
            .iter()
            .map(|(part, cpu)| format!("{part} {cpu:.2} s"))
            .collect();
        let unknown = if broker.is_none() {
            "; the broker's share is not known"
        } else {
            ""
        };
        format!(
            "{share:.0} % of {} cores' CPU in use: {}{unknown}",
            self.cores,
            list.join(", ")
        )
    }
}

impl Report {
    /// Whether every node answered every round, once.
    pub(crate) fn is_complete(&self) -> bool {
        !self.rounds.is_empty()
            && self
                .rounds
                .iter()
                .all(|round| round.received == round.expected && round.doubled == 0)
    }

    pub(crate) fn text(&self) -> String {
        let mut out = format!(
            "{} nodes over {} (tls {}), all subscribed after {:.2} s; {} attempts failed, {} connections lost\n",
            self.nodes, self.broker, self.tls, self.ramp.s, self.ramp.failed, self.ramp.lost
        );
        for (number, round) in self.rounds.iter().enumerate() {
            out += &format!(
                "round {:>3}: {} / {} replies in {:.1} ms\n",
                number + 1,
                round.received,
                round.expected,
                round.ms
            );
            if !round.missing.is_empty() {
                let shown = round.missing.len().min(NAMES_SHOWN);
                let more = round.missing.len() - shown;
                out += &format!("  missing: {}", round.missing[..shown].join(", "));
                out += &if more > 0 {
                    format!(" and {more} more\n")
                } else {
                    "\n".to_owned()
                };
            }
        }
        out += &self.spread();
        if let Some(part) = self.broker_part {
            let memory = part.private_bytes.unwrap_or(0) as f64 / 1e6;
            out += &format!("broker: {:.2} CPU-s, {memory:.1} MB private", part.cpu_s);
            if let Some(bytes) = self.broker_bytes_per_connection {
                out += &format!(", {bytes} bytes a connection");
            }
            out.push('\n');
        }
        let memory = self.nodes_part.private_bytes.unwrap_or(0) as f64 / 1e6;
        out += &format!(
            "nodes: {:.2} CPU-s; client: {:.2} CPU-s; nodes and client {memory:.1} MB private\n",
            self.nodes_part.cpu_s, self.client_part.cpu_s
        );
        if self.scenario != "bare" {
            out += &format!("requests verified: {}\n", self.verify_text());
        }
        out += &format!("limited by: {}\n", self.limited_by);
        out
    }

    fn verify_text(&self) -> &'static str {
        if self.verify == "each" {
            "by each node"
        } else {
            "once for all nodes of the process (--verify each switches that off)"
        }
    }

    fn spread(&self) -> String {
        let mut histogram: Histogram<u64> = Histogram::new(3).expect("three digits are allowed");
        for round in &self.rounds {
            // An auto-resizing histogram takes every value.
            let _ = histogram.record(round.micros);
        }
        let ms = |micros: u64| micros as f64 / 1000.0;
        format!(
            "min {:.1} ms, median {:.1} ms, p99 {:.1} ms, max {:.1} ms over {} rounds\n",
            ms(histogram.min()),
            ms(histogram.value_at_quantile(0.5)),
            ms(histogram.value_at_quantile(0.99)),
            ms(histogram.max()),
            self.rounds.len()
        )
    }
}

fn round_report(round: &Round) -> RoundReport {
    RoundReport {
        expected: round.expected,
        received: round.received,
        ms: (round.took.as_secs_f64() * 1e6).round() / 1e3,
        micros: u64::try_from(round.took.as_micros()).unwrap_or(u64::MAX),
        doubled: round.doubled,
        missing: round.missing.clone(),
    }
}

fn name(choice: impl std::fmt::Debug) -> String {
    format!("{choice:?}").to_lowercase()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
