//! `/varz`: the broker as a whole.
//!
//! Counters come as the shards last published them. The number of subscriptions is the sublists' own.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_broker_core::config::TlsOffer;
use muster_reactor::process::cores;
use serde::Serialize;

use super::cluster::ClusterView;
use super::format::{nanos, rfc3339, seconds, uptime};
use super::{Moment, Monitor};

/// What a feature that is absent says of itself.
#[derive(Debug, Default, Serialize)]
struct Absent {}

#[derive(Debug, Serialize)]
pub(super) struct Varz {
    server_id: String,
    server_name: String,
    version: String,
    proto: u32,
    go: String,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connect_urls: Vec<String>,
    max_connections: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_subscriptions: usize,
    #[serde(serialize_with = "nanos")]
    ping_interval: Duration,
    ping_max: u8,
    http_host: String,
    http_port: u16,
    http_base_path: &'static str,
    https_port: u16,
    #[serde(serialize_with = "seconds")]
    auth_timeout: Duration,
    max_control_line: usize,
    max_payload: usize,
    max_pending: u64,
    cluster: ClusterView,
    gateway: Absent,
    leaf: Absent,
    mqtt: Absent,
    websocket: Absent,
    jetstream: Absent,
    #[serde(serialize_with = "seconds")]
    tls_timeout: Duration,
    #[serde(serialize_with = "nanos")]
    write_deadline: Duration,
    start: String,
    now: String,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    cpu: f64,
    connections: u64,
    total_connections: u64,
    routes: u64,
    remotes: u64,
    leafnodes: u64,
    in_msgs: u64,
    in_bytes: u64,
    in_client_msgs: u64,
    in_client_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    out_client_msgs: u64,
    out_client_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    stalled_clients: u64,
    subscriptions: u64,
    http_req_stats: BTreeMap<&'static str, u64>,
    config_load_time: String,
    config_digest: &'static str,
    slow_consumer_stats: ByKind,
    stale_connection_stats: ByKind,
    disk_io_wait_stats: DiskWaits,
}

/// A count for each kind of connection.
#[derive(Debug, Default, Serialize)]
struct ByKind {
    clients: u64,
    routes: u64,
    gateways: u64,
    leafs: u64,
}

/// A broker without storage never waits for a disk.
#[derive(Debug, Default, Serialize)]
struct DiskWaits {
    waiters: u64,
    waits: u64,
    wait_time: u64,
    max_wait_time: u64,
}

impl Monitor {
    pub(super) fn varz(&self) -> Varz {
        let core = self.broker.core();
        let config = &core.config;
        let info = &config.info;
        let counters = core.counters();
        let moment = Moment::of(&self.broker);
        let sample = self.usage.sample();
        let started = rfc3339(self.broker.started_unix());
        let address = self.address.get();
        Varz {
            server_id: info.server_id.clone(),
            server_name: info.server_name.clone(),
            version: info.version.clone(),
            proto: info.proto,
            go: info.go.clone(),
            host: info.host.clone(),
            port: info.port,
            auth_required: config.authenticator.is_some(),
            tls_required: config.tls != TlsOffer::Off,
            tls_verify: config.tls == TlsOffer::Mutual,
            connect_urls: self.connect_urls(),
            max_connections: config.connections_max,
            max_subscriptions: config.subscriptions_max,
            ping_interval: config.ping_interval,
            ping_max: config.pings_out_max,
            http_host: address
                .map(|address| address.ip().to_string())
                .unwrap_or_default(),
            http_port: address.map_or(0, |address| address.port()),
            http_base_path: "",
            https_port: 0,
            auth_timeout: config.auth_timeout,
            max_control_line: config.limits.control_line_max,
            max_payload: config.limits.payload_max,
            max_pending: config.pending_max,
            cluster: self.cluster_view(),
            gateway: Absent {},
            leaf: Absent {},
            mqtt: Absent {},
            websocket: Absent {},
            jetstream: Absent {},
            tls_timeout: config.tls_timeout,
            write_deadline: config.write_deadline,
            start: started.clone(),
            now: rfc3339(moment.unix),
            uptime: uptime(moment.now),
            mem: sample.usage.resident_bytes,
            cores: cores(),
            gomaxprocs: cores(),
            cpu: (sample.cpu_percent * 10.0).round() / 10.0,
            connections: counters.connections,
            total_connections: counters.connections_total,
            routes: counters.routes,
            remotes: self.remotes(),
            leafnodes: 0,
            in_msgs: counters.in_msgs,
            in_bytes: counters.in_bytes,
            in_client_msgs: counters.in_msgs,
            in_client_bytes: counters.in_bytes,
            out_msgs: counters.out_msgs,
            out_bytes: counters.out_bytes,
            out_client_msgs: counters.out_msgs,
            out_client_bytes: counters.out_bytes,
            slow_consumers: counters.slow_consumers(),
            stale_connections: counters.stale_connections,
            stalled_clients: counters.held_publishers + counters.stalled_publishers,
            subscriptions: self.subscriptions(),
            http_req_stats: self.request_counts().collect(),
            config_load_time: started,
            config_digest: "",
            slow_consumer_stats: ByKind {
                clients: counters.slow_consumers(),
                ..ByKind::default()
            },
            stale_connection_stats: ByKind {
                clients: counters.stale_connections,
                ..ByKind::default()
            },
            disk_io_wait_stats: DiskWaits::default(),
        }
    }

    /// Subscriptions of all accounts. Each stripe of a sublist is read-locked for as long as it takes to copy three numbers.
    pub(super) fn subscriptions(&self) -> u64 {
        self.broker
            .core()
            .accounts()
            .iter()
            .map(|account| account.sublist.stats().subscriptions)
            .sum()
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}
