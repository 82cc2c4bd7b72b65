//! Who may publish and subscribe to what.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use muster_broker_core::permissions::{Permissions, PublishRules, SubscribeRules};
use muster_protocol::security::tokens::{ClientClaims, DEFAULT_ORGANIZATION, ServerClaims};
use muster_protocol::subject::caller_hash;
use muster_wire::subject::{has_wildcard, is_argument, is_valid_publish};

/// Requests to nodes, direct, to all, to services, and through federations.
const REQUESTS: [&str; 4] = [
    "*.broadcast.agent.>",
    "*.broadcast.service.>",
    "*.node.>",
    "choria.federation.*.federation",
];

/// What a node in provisioning mode says.
const NODE_PUBLISH: [&str; 3] = [
    "choria.lifecycle.>",
    "provisioning.reply.>",
    "provisioning.registration.>",
];

/// What a node in provisioning mode hears.
const NODE_SUBSCRIBE: [&str; 5] = [
    "provisioning.node.>",
    "provisioning.broadcast.agent.discovery",
    "provisioning.broadcast.agent.rpcutil",
    "provisioning.broadcast.agent.choria_util",
    "provisioning.broadcast.agent.choria_provision",
];

/// What users of streams ask of them.
const STREAM_REQUESTS: [&str; 16] = [
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.API.CONSUMER.LIST.*",
    "$JS.API.CONSUMER.INFO.>",
    "$JS.API.CONSUMER.MSG.NEXT.>",
    "$JS.API.DIRECT.GET.>",
    "$JS.ACK.>",
    "$JS.FC.>",
    "$KV.>",
];

/// Leader elections.
const ELECTIONS: [&str; 2] = [
    "$JS.API.STREAM.INFO.KV_CHORIA_LEADER_ELECTION",
    "$KV.CHORIA_LEADER_ELECTION.>",
];

/// The rights of a node in provisioning mode.
pub(super) fn provisioning_node() -> Permissions {
    let publish = PublishRules::new(Some(&NODE_PUBLISH), &[]);
    let subscribe = SubscribeRules::new(Some(&NODE_SUBSCRIBE), &[]);
    Permissions::new(Arc::new(publish), subscribe)
}

/// The rights of a client by its token; `None` is everything. `share` makes one of equal lists for publishing.
pub(super) fn client(
    claims: &ClientClaims,
    share: impl FnOnce(&[&str]) -> Arc<PublishRules>,
) -> Option<Permissions> {
    let may = claims.permissions.unwrap_or_default();
    if may.org_admin {
        return None;
    }
    let mut publish = vec!["$SYS.REQ.USER.INFO"];
    let own = [
        caller_hash(&claims.caller_id),
        sha256_hex(&claims.caller_id),
    ];
    let mut subscribe = own.map(|hash| format!("*.reply.{hash}.>")).to_vec();
    let organization = organization(&claims.organization);
    if may.fleet_management || may.signed_fleet_management {
        publish.extend(REQUESTS);
    }
    if may.streams_admin {
        publish.push("$JS.>");
        subscribe.push("$JS.EVENT.>".to_owned());
    }
    if may.streams_user {
        publish.extend(STREAM_REQUESTS);
        publish.push("$O.>");
        subscribe.push(format!("{organization}.republish.>"));
    }
    if may.events_viewer {
        let events = [
            "choria.lifecycle.event.>",
            "choria.machine.watcher.>",
            "choria.machine.transition",
        ];
        subscribe.extend(events.map(str::to_owned));
    }
    if may.election_user {
        publish.extend(ELECTIONS);
    }
    if may.governor && (may.streams_admin || may.streams_user) {
        publish.extend(["*.governor.*", "choria.lifecycle.event.governor.>"]);
    }
    publish.extend(claims.pub_subjects.iter().map(String::as_str));
    subscribe.extend(claims.sub_subjects.iter().cloned());
    Some(Permissions::new(share(&publish), allowed(&subscribe)))
}

/// The rights of a server by its token; `None` where the token holds what cannot stand in a subject.
/// One that names no collective may do nothing.
pub(super) fn server(
    claims: &ServerClaims,
    share: impl FnOnce(&[&str]) -> Arc<PublishRules>,
) -> Option<Permissions> {
    let identity = &claims.identity;
    let is_collective = |name: &String| is_plain(name) && !name.contains('.');
    if !is_plain(identity) || !claims.collectives.iter().all(is_collective) {
        return None;
    }
    if claims.collectives.is_empty() {
        return Some(Permissions::nothing());
    }
    let may = claims.permissions.unwrap_or_default();
    let mut publish: Vec<String> = [
        "choria.lifecycle.>",
        "choria.machine.transition",
        "choria.machine.watcher.>",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut subscribe: Vec<String> = Vec::new();
    for collective in &claims.collectives {
        publish.push(format!("{collective}.reply.>"));
        publish.push(format!("{collective}.broadcast.agent.registration"));
        publish.push(format!("choria.federation.{collective}.collective"));
        subscribe.push(format!("{collective}.broadcast.agent.>"));
        subscribe.push(format!("{collective}.node.{identity}"));
        let own = [caller_hash(identity), sha256_hex(identity)];
        subscribe.extend(own.map(|hash| format!("{collective}.reply.{hash}.>")));
        if may.service_host {
            subscribe.push(format!("{collective}.broadcast.service.>"));
        }
        if may.submission {
            publish.push(format!("{collective}.submission.in.>"));
        }
        if may.governor && may.streams {
            publish.push(format!("{collective}.governor.*"));
        }
    }
    if may.streams {
        publish.extend(STREAM_REQUESTS.map(str::to_owned));
        let organization = organization(&claims.organization);
        subscribe.push(format!("{organization}.republish.>"));
    }
    publish.extend(claims.pub_subjects.iter().cloned());
    let publish: Vec<&str> = publish.iter().map(String::as_str).collect();
    Some(Permissions::new(share(&publish), allowed(&subscribe)))
}

/// The rights of a host that is not among those of clients: a server's, as far as that can be said without claims.
pub(super) fn unlisted_host() -> Permissions {
    let publish = PublishRules::new(None, &REQUESTS);
    let hidden = ["*.reply.>", "choria.federation.>", "choria.lifecycle.>"];
    Permissions::new(Arc::new(publish), SubscribeRules::new(None, &hidden))
}

/// The rights of a certificate where tokens rule: what is not the fleet's.
pub(super) fn generic() -> Permissions {
    let fleet = [
        "*.broadcast.>",
        "*.node.>",
        "*.reply.>",
        "choria.federation.>",
        "choria.lifecycle.>",
        "choria.machine.>",
    ];
    let publish = PublishRules::new(None, &fleet);
    Permissions::new(Arc::new(publish), SubscribeRules::new(None, &fleet))
}

fn allowed(subjects: &[String]) -> SubscribeRules {
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    SubscribeRules::new(Some(&subjects), &[])
}

fn organization(name: &str) -> &str {
    if is_plain(name) {
        name
    } else {
        DEFAULT_ORGANIZATION
    }
}

/// Whether a name can stand in a subject and means itself there.
fn is_plain(name: &str) -> bool {
    let name = name.as_bytes();
    is_argument(name) && is_valid_publish(name) && !has_wildcard(name)
}

fn sha256_hex(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
