//! From a configuration to what a node and its connection are made with.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use muster_client::nats::{ClientConfig, ServerAddr, TlsMode};
use muster_client::resolve::{Resolver, SrvQuery, search};
use muster_protocol::security::RequestSecurity;
use muster_reactor::clock::unix_now;
use muster_reactor::process::{cores, cpu_times};
use tracing::{debug, info};

use super::error::RunError;
use crate::agent::{Audit, Authorise};
use crate::audit::AuditLog;
use crate::config::NodeConfig;
use crate::gate::VerifyEach;
use crate::policy::store::PolicyStore;
use crate::setup::{About, Authorisation, NodeOptions};

/// The folder of policies beside the configuration file.
const POLICIES: &str = "policies";
/// Requests a daemon remembers to have acted on: 64 KiB.
const REPLAY_MAX: usize = 4096;

pub(super) fn node_options(config: &NodeConfig, requests: RequestSecurity) -> NodeOptions {
    NodeOptions {
        collectives: config.collectives.clone(),
        main_collective: config.main_collective.clone(),
        authorise: authorise(config),
        audit: (config.audit.clone())
            .map(|options| Arc::new(AuditLog::new(options)) as Arc<dyn Audit>),
        about: About {
            path: std::env::var("PATH").unwrap_or_default(),
            srv_domain: (config.raw_options.0.get("plugin.choria.srv_domain"))
                .cloned()
                .unwrap_or_default(),
            using_srv: config.srv.is_some(),
            secure_protocol: !config.insecure,
            cpu_times: Some(cpu_times),
        },
        raw_options: config.raw_options.clone(),
        ttl_max: config.ttl_max,
        replay_max: REPLAY_MAX,
        config_items: config.config_items.clone(),
        config_file: config.config_file.clone(),
        pid: std::process::id(),
        cpus: u32::try_from(cores()).unwrap_or(u32::MAX),
        start_unix: i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX),
        ..NodeOptions::new(Arc::new(VerifyEach::new(requests)))
    }
}

/// Who may call RPC agents.
fn authorise(config: &NodeConfig) -> Arc<dyn Authorise> {
    let Some(options) = &config.policies else {
        return Arc::new(Authorisation::AllowAll);
    };
    let beside = Path::new(&config.config_file).parent();
    let folder = beside.unwrap_or_else(|| Path::new("")).join(POLICIES);
    Arc::new(PolicyStore::new(options.clone(), folder))
}

pub(super) fn broker_config(config: &NodeConfig) -> ClientConfig {
    let servers = match &config.srv {
        Some(query) => look_up(query),
        None => config.servers.clone(),
    };
    let mut client = ClientConfig::new(servers);
    client.connect_timeout = config.connect_timeout;
    client.tls = if config.tls {
        TlsMode::Required
    } else {
        TlsMode::Off
    };
    if let Some((user, pass)) = &config.credentials {
        client.connect.user = Some(user.as_str().into());
        client.connect.pass = Some(pass.as_str().into());
    }
    client.connect.token = config.auth_token.as_deref().map(Into::into);
    client
}

/// Asks the domain name system for the brokers; takes some seconds where it does not answer.
fn look_up(query: &SrvQuery) -> Vec<ServerAddr> {
    let found = search(query, &mut Resolver::system());
    for problem in &found.problems {
        debug!(%problem, "looking for brokers");
    }
    info!(servers = ?found.servers, how = ?found.how, "brokers");
    found.servers
}

pub(super) fn read(path: &Path) -> Result<String, RunError> {
    fs::read_to_string(path).map_err(|error| RunError::File(path.to_owned(), error))
}
