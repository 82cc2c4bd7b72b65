//! The client of real nodes: signed requests by broadcast, every node accounted for by name.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_client::fleet::{
    Aggregates, Caller, CallerSecurity, Expect, Fleet, FleetConfig, FleetEvent, Operation, Ping,
    Rpc, Summary, Target,
};
use muster_protocol::caller::choria_caller;
use muster_protocol::filter::Filter;
use muster_protocol::security::Signer;

use crate::args::Scenario;
use crate::emulated;
use crate::rounds::{Asker, Round};
use crate::setup::{AnyError, CLIENT_NAME, Keys, node_name};

/// How long a request may be acted on.
const TTL: Duration = Duration::from_secs(60);

/// Most time for the client to be connected.
const PREPARE_MAX: Duration = Duration::from_secs(30);

/// Asks real nodes.
#[derive(Debug)]
pub(crate) struct FleetClient {
    fleet: Fleet,
    scenario: Scenario,
    reply_size: usize,
    names: Vec<String>,
}

impl FleetClient {
    pub(crate) fn connect(
        keys: &Keys,
        address: SocketAddr,
        scenario: Scenario,
        reply_size: usize,
        nodes: usize,
    ) -> Result<Self, AnyError> {
        let signer = Signer::from_pem(&keys.client.cert_pem, &keys.client.key_pem)?;
        let caller = Caller {
            sender: CLIENT_NAME.to_owned(),
            caller_id: choria_caller(CLIENT_NAME),
            security: CallerSecurity::X509(Arc::new(signer)),
            main_collective: "mcollective".to_owned(),
            collective: "mcollective".to_owned(),
            ttl: TTL,
        };
        let fleet = Fleet::connect(FleetConfig {
            caller,
            client: keys.client_config(address),
            tls: keys.client_tls()?,
            prepare_timeout: PREPARE_MAX,
            discovery_timeout: TTL,
            require_filter: false,
        })?;
        Ok(Self {
            fleet,
            scenario,
            reply_size,
            names: (0..nodes).map(node_name).collect(),
        })
    }

    fn operation(&self, timeout: Duration) -> Operation {
        let (agent, action, data) = match (self.scenario, self.reply_size) {
            (Scenario::Rpc, 0) => ("rpcutil", "ping", "{}".to_owned()),
            (Scenario::Rpc, size) => (
                emulated::AGENT,
                emulated::ACTION,
                format!("{{\"size\":{size}}}"),
            ),
            (Scenario::Ping | Scenario::Bare, _) => {
                return Operation::Ping(Ping {
                    filter: Filter::default(),
                    timeout,
                    expect: Some(self.names.len()),
                });
            }
        };
        Operation::Rpc(Box::new(Rpc {
            agent: agent.to_owned(),
            action: action.to_owned(),
            data,
            filter: Filter::default(),
            target: Target::Broadcast(Expect::Nodes(self.names.clone())),
            timeout,
            aggregates: Aggregates::default(),
            options: Default::default(),
        }))
    }

    fn round_of(&self, summary: &Summary) -> Round {
        let replied: HashSet<&str> = summary.replied.iter().map(String::as_str).collect();
        let missing = self
            .names
            .iter()
            .filter(|name| !replied.contains(name.as_str()));
        let drops = &summary.drops;
        Round {
            expected: self.names.len(),
            received: replied.len(),
            doubled: usize::try_from(drops.duplicate + drops.unexpected).unwrap_or(usize::MAX)
                + summary.failed,
            missing: missing.cloned().collect(),
            took: summary.last_reply.unwrap_or(summary.request_time),
        }
    }
}

impl Asker for FleetClient {
    fn round(&mut self, timeout: Duration) -> io::Result<Round> {
        let operation = self.operation(timeout);
        let summary = self
            .fleet
            .run(operation, &mut |_: &FleetEvent| {})
            .map_err(io::Error::other)?;
        Ok(self.round_of(&summary))
    }
}
