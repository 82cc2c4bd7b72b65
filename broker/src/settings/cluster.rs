//! The keys of a cluster.

use std::net::{IpAddr, SocketAddr};

use muster_broker_core::cluster::{ClusterConfig, RouteUrl};
use muster_settings::Reader;

use crate::cluster::ClusterSetting;
use crate::config::CLIENT_PORT;

const PEERS: &str = "plugin.choria.network.peers";
const PEER_PORT: &str = "plugin.choria.network.peer_port";
const PEER_TLS: &str = "plugin.choria.network.peer_tls";
const PEER_USER: &str = "plugin.choria.network.peer_user";
const PEER_PASSWORD: &str = "plugin.choria.network.peer_password";
const PEER_LISTEN: &str = "plugin.choria.network.peer_listen";
const SRV_DOMAIN: &str = "plugin.choria.srv_domain";

/// What the cluster depends on of the rest of the file.
pub(super) struct Around<'a> {
    pub(super) address: IpAddr,
    pub(super) identity: Option<&'a str>,
    /// Whether the broker's TLS checks its clients against a CA.
    pub(super) has_mutual_tls: bool,
    pub(super) has_tls: bool,
}

/// The cluster of the file; none without peers, unless the file wants a listener all the same.
pub(super) fn cluster(reader: &mut Reader<'_>, around: &Around<'_>) -> Option<ClusterSetting> {
    let default_port = ClusterSetting::PORT;
    let port = reader.whole(PEER_PORT, default_port, 0..=u16::MAX);
    let configured = routes(reader, port);
    let credentials = credentials(reader);
    let listens = reader.bool(PEER_LISTEN, false);
    let advertise = url(reader, "plugin.choria.network.peer_advertise", port);
    let client_advertise = url(reader, "plugin.choria.network.public_url", CLIENT_PORT);
    let name = reader.string("plugin.choria.network.gateway_name", "CHORIA");
    if name == "_" || name.contains(char::is_whitespace) {
        let problem = "is no name of a cluster: it must not be _ nor have blanks in it";
        reader.problem("plugin.choria.network.gateway_name", problem);
    }
    let wants_tls = reader.bool(PEER_TLS, around.has_tls);
    let use_srv = reader.bool("plugin.choria.use_srv", true);
    let srv_domain = reader.opt_string(SRV_DOMAIN).filter(|_| use_srv);
    let has_peers = !configured.is_empty();
    let defaults = ClusterConfig::default();
    let core = ClusterConfig {
        name: name.into(),
        advertise,
        no_advertise: reader.bool("plugin.choria.network.peer_no_advertise", false),
        credentials,
        connect_retries: reader.u32(
            "plugin.choria.network.peer_connect_retries",
            defaults.connect_retries,
        ),
        backoff: reader.bool("plugin.choria.network.peer_backoff", false),
        routes: configured,
        ..defaults
    };
    let setting = ClusterSetting {
        listen: SocketAddr::new(around.address, port),
        tls: wants_tls,
        client_advertise,
        srv_domain,
        listens,
        core: without_own(core, port, around.identity),
    };
    let is_wanted = has_peers || listens || setting.srv_domain.is_some();
    if is_wanted && wants_tls && !around.has_mutual_tls {
        let key = [PEER_TLS, PEERS, PEER_LISTEN, SRV_DOMAIN].into_iter();
        let key = key.clone().find(|key| reader.has(key)).unwrap_or(PEER_TLS);
        let problem = "means routes in TLS, which needs plugin.security.file.certificate, .key and .ca: \
                       set them, or plugin.choria.network.peer_tls = false for routes in clear";
        reader.hidden_problem(key, problem);
    }
    is_wanted.then_some(setting)
}

fn routes(reader: &mut Reader<'_>, port: u16) -> Vec<RouteUrl> {
    let mut routes = Vec::new();
    for text in reader.list(PEERS, &[]) {
        match RouteUrl::parse(&text, port) {
            Ok(url) if routes.contains(&url) => {}
            Ok(url) => routes.push(url),
            Err(error) => {
                // What may hold a password is not repeated.
                let shown = text.rsplit_once('@').map_or(&*text, |(_, host)| host);
                reader.hidden_problem(PEERS, format!("has {shown:?}, which {error}"));
            }
        }
    }
    routes
}

fn credentials(reader: &mut Reader<'_>) -> Option<(Box<str>, Box<str>)> {
    let user = reader.opt_string(PEER_USER);
    let password = reader.opt_string(PEER_PASSWORD);
    match (user, password) {
        (Some(user), Some(password)) => Some((user.into(), password.into())),
        (None, None) => None,
        (Some(_), None) => {
            reader.problem(PEER_USER, format!("is of use only with {PEER_PASSWORD}"));
            None
        }
        (None, Some(_)) => {
            reader.hidden_problem(PEER_PASSWORD, format!("is of use only with {PEER_USER}"));
            None
        }
    }
}

fn url(reader: &mut Reader<'_>, key: &str, port: u16) -> Option<RouteUrl> {
    reader.parsed(key, |text| {
        RouteUrl::parse(text, port).map_err(|error| error.to_string())
    })
}

/// The same list may stand on every broker, so each finds itself in it.
fn without_own(mut core: ClusterConfig, port: u16, identity: Option<&str>) -> ClusterConfig {
    let own: Vec<RouteUrl> = identity
        .map(|identity| RouteUrl::new(identity, port))
        .into_iter()
        .chain(core.advertise.clone())
        .collect();
    let is_own = |route: &RouteUrl| own.iter().any(|own| route.is_place(&own.host, own.port));
    core.routes.retain(|route| !is_own(route));
    core
}
