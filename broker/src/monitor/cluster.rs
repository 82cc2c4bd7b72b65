//! What `/varz` and `/metrics` show of the cluster.
//!
//! The series of single routes carry the peer's name, and there are as many as peers: a bound keeps a mistake in somebody's cluster
//! from filling this broker's monitoring.

use muster_broker_core::cluster::DialFailure;
use muster_broker_core::shard::RouteSnapshot;
use serde::Serialize;

use super::Monitor;
use super::heard;
use super::metrics::Text;

/// Routes that have series of their own.
const ROUTES_MAX: usize = 64;

/// The cluster as `/varz` has it; nothing at all without one.
#[derive(Debug, Default, Serialize)]
pub(super) struct ClusterView {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addr: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_required: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_verify: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_size: Option<i32>,
}

impl Monitor {
    pub(super) fn cluster_view(&self) -> ClusterView {
        let Some(cluster) = self.broker.core().attend_cluster() else {
            return ClusterView::default();
        };
        let config = cluster.config();
        ClusterView {
            name: Some(config.name.clone()),
            addr: Some(config.listen.host.clone()),
            cluster_port: Some(config.listen.port),
            auth_required: Some(config.credentials.is_some()),
            urls: config.routes.iter().map(ToString::to_string).collect(),
            tls_required: Some(config.tls),
            tls_verify: Some(config.tls),
            pool_size: Some(-1),
        }
    }

    /// Where clients may connect, as they are told it.
    pub(super) fn connect_urls(&self) -> Vec<String> {
        let cluster = self.broker.core().attend_cluster();
        cluster.map_or_else(Vec::new, |cluster| cluster.connect_urls())
    }

    /// How many peers are connected.
    pub(super) fn remotes(&self) -> u64 {
        let cluster = self.broker.core().attend_cluster();
        cluster.map_or(0, |cluster| cluster.peers().count() as u64)
    }

    pub(super) fn cluster(&self, text: &mut Text) {
        let figures = {
            let Some(cluster) = self.broker.core().attend_cluster() else {
                return;
            };
            cluster.figures()
        };
        let counters = self.broker.core().counters();
        text.gauge("routes", counters.routes, "Routes open now.");
        text.gauge(
            "remotes",
            self.remotes(),
            "Peers of the cluster connected now.",
        );
        // The names of the fleet's dashboards.
        text.foreign_gauge("choria_network_routes", counters.routes, "Routes open now.");
        text.foreign_gauge(
            "choria_network_remotes",
            self.remotes(),
            "Peers connected now.",
        );
        text.counter(
            "routes_registered_total",
            counters.routes_total,
            "Routes that came to be.",
        );
        let cut = counters.routes_cut;
        text.counter(
            "routes_cut_total",
            cut,
            "Routes cut because too much waited for the peer.",
        );
        text.counter(
            "peers_joined_total",
            figures.peers_joined,
            "Times a peer came.",
        );
        text.counter(
            "peers_lost_total",
            figures.peers_lost,
            "Times a peer was lost.",
        );
        text.counter("route_dials_total", figures.dials, "Dials to peers.");
        let failures: Vec<(String, u64)> = DialFailure::ALL
            .iter()
            .zip(figures.dial_failures)
            .map(|(failure, count)| (format!("{{reason=\"{}\"}}", failure.label()), count))
            .collect();
        text.labelled(
            "route_dial_failures_total",
            "counter",
            "Dials that failed.",
            &failures,
        );
        let refused = [
            ("{reason=\"cluster_name\"}", figures.refused_name),
            ("{reason=\"server_name\"}", figures.refused_duplicate),
            ("{reason=\"credentials\"}", figures.refused_credentials),
            ("{reason=\"other\"}", figures.refused_other),
        ];
        text.family(
            "routes_refused_total",
            "counter",
            "Routes refused.",
            &refused,
        );
        let surplus = figures.surplus_closed;
        text.counter(
            "routes_surplus_total",
            surplus,
            "Second routes to a peer that were closed.",
        );
        let gossip = [
            ("{what=\"sent\"}", figures.gossip_sent),
            ("{what=\"taken\"}", figures.gossip_taken),
            ("{what=\"ignored\"}", figures.gossip_ignored),
        ];
        text.family("gossip_total", "counter", "News of brokers.", &gossip);
        let unknown = counters.route_unknown_account;
        text.counter(
            "route_unknown_account_total",
            unknown,
            "Operations of peers for an account that is not here.",
        );
        let unserved = counters.route_unserved_queues;
        text.counter(
            "route_unserved_queues_total",
            unserved,
            "Messages for a queue group of which nobody was left.",
        );
        self.each_route(text);
    }

    fn each_route(&self, text: &mut Text) {
        let (shards, _) = heard(
            self.broker
                .ask(|core, _| core.open_routes().collect::<Vec<RouteSnapshot>>()),
        );
        let registered = shards
            .into_iter()
            .flatten()
            .filter(|route| route.registered);
        let mut routes: Vec<RouteSnapshot> = registered.collect();
        routes.sort_unstable_by(|a, b| (&a.remote_name, a.rid).cmp(&(&b.remote_name, b.rid)));
        // One series a name, whatever peers call themselves.
        routes.dedup_by(|later, first| later.remote_name == first.remote_name);
        routes.truncate(ROUTES_MAX);
        let mut family = |name: &str, kind: &str, help: &str, value: fn(&RouteSnapshot) -> u64| {
            let series: Vec<(String, u64)> = routes
                .iter()
                .map(|route| (label(&route.remote_name), value(route)))
                .collect();
            text.labelled(name, kind, help, &series);
        };
        family(
            "route_in_msgs_total",
            "counter",
            "Messages of a peer.",
            |r| r.in_msgs,
        );
        family("route_in_bytes_total", "counter", "Bytes of a peer.", |r| {
            r.in_bytes
        });
        family(
            "route_out_msgs_total",
            "counter",
            "Messages to a peer.",
            |r| r.out_msgs,
        );
        family(
            "route_out_bytes_total",
            "counter",
            "Bytes to a peer.",
            |r| r.out_bytes,
        );
        family(
            "route_pending_bytes",
            "gauge",
            "Bytes that wait for a peer.",
            |r| r.pending_bytes,
        );
        family("route_subscriptions", "gauge", "Interest of a peer.", |r| {
            r.subscriptions as u64
        });
    }
}

fn label(name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{{peer=\"{name}\"}}")
}
