//! `/routez`: routes to other brokers, as nats-server shows them.
//!
//! A connection whose peer has not said who it is yet is none of them. Peers of ours have one route each; a second one for a moment,
//! while both sides find out which stays, is shown too.

use muster_broker_core::shard::RouteSnapshot;
use serde::Serialize;

use super::format::{go_duration, rfc3339, uptime};
use super::params::{ParamError, Params, Subs};
use super::{Moment, heard};
use crate::Broker;

/// Subscriptions of one route that are listed at most.
const SUBS_MAX: usize = 10_000;

#[derive(Debug, Serialize)]
pub(super) struct Routez {
    server_id: String,
    server_name: String,
    now: String,
    num_routes: usize,
    routes: Vec<Route>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    muster_silent_shards: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct Route {
    rid: u64,
    remote_id: Box<str>,
    remote_name: Box<str>,
    did_solicit: bool,
    is_configured: bool,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<String>,
    uptime: String,
    idle: String,
    pending_size: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<String>,
    compression: &'static str,
}

pub(super) fn routez(broker: &Broker, params: Params<'_>) -> Result<Routez, ParamError> {
    let subs = params.subs()? != Subs::Omit;
    let moment = Moment::of(broker);
    let (shards, silent) = heard(broker.ask(move |core, _| {
        core.open_routes()
            .filter(|route| !route.remote_id.is_empty())
            .map(|route| {
                let most = if subs { SUBS_MAX } else { 0 };
                let list = core.route_subjects(route.key, most);
                (route, list)
            })
            .collect::<Vec<_>>()
    }));
    let mut routes: Vec<Route> = shards
        .into_iter()
        .flatten()
        .map(|(route, list)| Route::of(route, list, moment))
        .collect();
    routes.sort_unstable_by_key(|route| route.rid);
    let info = &broker.core().config.info;
    Ok(Routez {
        server_id: info.server_id.clone(),
        server_name: info.server_name.clone(),
        now: rfc3339(moment.unix),
        num_routes: routes.len(),
        routes,
        muster_silent_shards: silent,
    })
}

impl Route {
    fn of(route: RouteSnapshot, subscriptions_list: Vec<String>, moment: Moment) -> Self {
        Self {
            rid: route.rid.0,
            remote_id: route.remote_id,
            remote_name: route.remote_name,
            did_solicit: route.did_solicit,
            is_configured: route.is_configured,
            ip: route.peer.ip().to_canonical().to_string(),
            port: route.peer.port(),
            start: rfc3339(moment.unix_at(route.started)),
            last_activity: rfc3339(moment.unix_at(route.last_activity)),
            rtt: route.rtt.map(go_duration),
            uptime: uptime(moment.now.saturating_sub(route.started)),
            idle: uptime(moment.now.saturating_sub(route.last_activity)),
            pending_size: route.pending_bytes,
            in_msgs: route.in_msgs,
            out_msgs: route.out_msgs,
            in_bytes: route.in_bytes,
            out_bytes: route.out_bytes,
            subscriptions: route.subscriptions,
            subscriptions_list,
            compression: "off",
        }
    }
}
