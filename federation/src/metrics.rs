//! What a federation broker did, for Prometheus and for people.

use std::fmt::Write as _;

use serde::Serialize;

use crate::bridge::Refusal;
use crate::daemon::{Federation, WorkerReport};
use crate::exchange::{Counts, Role};

/// One stage of one worker, as the series name it.
struct Stage {
    name: &'static str,
    connected_to: &'static str,
    received: u64,
    published: u64,
    errors: u64,
}

/// The document behind `/choria/federation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// The process's name in hops.
    pub instance: String,
    /// `OK` when every worker is connected on both sides, else `CRITICAL`.
    pub status: &'static str,
    /// One entry a member.
    pub clusters: Vec<ClusterStatus>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub cluster: String,
    /// Its workers.
    pub workers: usize,
    /// The clients' side.
    pub federation: SideStatus,
    /// The nodes' side.
    pub collective: SideStatus,
}

/// One side of a member, over all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SideStatus {
    /// Messages that came from it.
    pub received: u64,
    /// Messages that were published to it.
    pub sent: u64,
    /// Messages that came from it and were refused.
    pub refused: u64,
    /// Publishes to it that were lost.
    pub lost: u64,
    /// Messages that wait for it.
    pub work_queue: usize,
    /// The servers its workers are connected to, each once.
    pub connected_servers: Vec<String>,
}

impl Federation {
    /// Appends all series to a page of Prometheus' text format.
    pub fn write_metrics(&self, page: &mut String) {
        let reports: Vec<_> = self
            .workers()
            .iter()
            .map(|worker| (worker, worker.report()))
            .collect();
        let family = |page: &mut String, name: &str, help: &str, of: fn(&Stage) -> u64| {
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
            for (worker, report) in &reports {
                for stage in stages(report) {
                    let labels = self.labels(&worker.cluster, worker.number, &stage);
                    let _ = writeln!(page, "{name}{{{labels}}} {}", of(&stage));
                }
            }
        };
        let help = "Messages that reached a stage.";
        family(page, "choria_federation_received_msgs", help, |stage| {
            stage.received
        });
        let help = "Messages that left a stage, one for each target.";
        family(page, "choria_federation_published_msgs", help, |stage| {
            stage.published
        });
        let help = "Messages that were refused or lost at a stage.";
        family(page, "choria_federation_errors", help, |stage| stage.errors);

        let name = "choria_federation_time";
        let _ = writeln!(
            page,
            "# HELP {name} Seconds from the arrival of a message to its publication.\n# TYPE {name} summary"
        );
        for (worker, report) in &reports {
            for (role, counts) in lanes(report) {
                let to = connected_to(report, role);
                let labels = format!(
                    "name=\"nats_egest\",worker=\"{}\",connected_to=\"{to}\",cluster=\"{}\",identity=\"{}\"",
                    worker.number,
                    worker.cluster,
                    self.identity()
                );
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a sum of microseconds loses nothing that matters"
                )]
                let seconds = counts.micros as f64 / 1e6;
                let _ = writeln!(page, "{name}_sum{{{labels}}} {seconds}");
                let _ = writeln!(page, "{name}_count{{{labels}}} {}", counts.published);
            }
        }
        self.write_drops(
            page,
            &reports.iter().map(|(_, report)| report).collect::<Vec<_>>(),
        );
    }

    /// Every drop with its reason, over all workers.
    fn write_drops(&self, page: &mut String, reports: &[&WorkerReport]) {
        let name = "muster_federation_dropped_msgs";
        let _ = writeln!(
            page,
            "# HELP {name} Messages that were not passed on, by the side they were for and the reason.\n# TYPE {name} counter"
        );
        for role in [Role::Collective, Role::Federation] {
            let mut sum = Counts::default();
            for report in reports {
                sum.add(lane(report, role));
            }
            let refusals =
                Refusal::ALL.map(|refusal| (refusal.name(), sum.refused[refusal as usize]));
            let losses = [
                ("queue_full", sum.full),
                ("too_old", sum.late),
                ("publish_failed", sum.unpublishable),
            ];
            for (reason, count) in refusals.into_iter().chain(losses) {
                let _ = writeln!(
                    page,
                    "{name}{{to=\"{}\",reason=\"{reason}\",identity=\"{}\"}} {count}",
                    role.name(),
                    self.identity()
                );
            }
        }
    }

    fn labels(&self, cluster: &str, worker: usize, stage: &Stage) -> String {
        format!(
            "name=\"{}\",worker=\"{worker}\",connected_to=\"{}\",cluster=\"{cluster}\",identity=\"{}\"",
            stage.name,
            stage.connected_to,
            self.identity()
        )
    }

    /// The document behind `/choria/federation`.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut clusters: Vec<ClusterStatus> = Vec::new();
        let mut connected = true;
        for worker in self.workers() {
            let report = worker.report();
            connected &= report.servers.iter().all(Option::is_some);
            let place = clusters
                .iter()
                .position(|status| status.cluster == worker.cluster);
            let place = place.unwrap_or_else(|| {
                clusters.push(ClusterStatus {
                    cluster: worker.cluster.clone(),
                    workers: 0,
                    federation: SideStatus::default(),
                    collective: SideStatus::default(),
                });
                clusters.len() - 1
            });
            let status = &mut clusters[place];
            status.workers += 1;
            status.federation.add(&report, Role::Federation);
            status.collective.add(&report, Role::Collective);
        }
        Status {
            version: env!("CARGO_PKG_VERSION"),
            instance: self.identity().to_owned(),
            status: if connected { "OK" } else { "CRITICAL" },
            clusters,
        }
    }
}

impl SideStatus {
    fn add(&mut self, report: &WorkerReport, role: Role) {
        let (towards, from) = (lane(report, role), lane(report, role.other()));
        self.received += from.received;
        self.refused += from.refusals();
        self.sent += towards.published;
        self.lost += towards.losses();
        self.work_queue += match role {
            Role::Collective => report.waiting[0],
            Role::Federation => report.waiting[1],
        };
        if let Some(server) = &report.servers[role as usize]
            && !self
                .connected_servers
                .iter()
                .any(|known| **known == **server)
        {
            self.connected_servers.push(server.to_string());
        }
    }
}

/// The lane that leads to a side.
const fn lane(report: &WorkerReport, to: Role) -> &Counts {
    match to {
        Role::Collective => &report.requests,
        Role::Federation => &report.replies,
    }
}

fn lanes(report: &WorkerReport) -> [(Role, &Counts); 2] {
    [Role::Collective, Role::Federation].map(|role| (role, lane(report, role)))
}

fn connected_to(report: &WorkerReport, role: Role) -> &'static str {
    match report.servers[role as usize] {
        Some(_) => role.name(),
        None => "unconnected",
    }
}

/// The three stages of both ways.
fn stages(report: &WorkerReport) -> Vec<Stage> {
    let mut stages = Vec::with_capacity(6);
    for (to, counts) in lanes(report) {
        stages.push(Stage {
            name: "nats_ingest",
            connected_to: connected_to(report, to.other()),
            received: counts.received,
            published: counts.received,
            errors: 0,
        });
        stages.push(Stage {
            name: match to {
                Role::Collective => "choria_request_transformer",
                Role::Federation => "choria_reply_transformer",
            },
            connected_to: "unconnected",
            received: counts.received,
            published: counts.transformed,
            errors: counts.refusals(),
        });
        stages.push(Stage {
            name: "nats_egest",
            connected_to: connected_to(report, to),
            received: counts.transformed,
            published: counts.published,
            errors: counts.losses(),
        });
    }
    stages
}
