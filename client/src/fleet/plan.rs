//! What the operations have in common: each is one request, and a rule whose replies are waited for.

use std::time::Duration;

use muster_protocol::filter::Filter;
use muster_protocol::rpc::{DISCOVERY_AGENT, DISCOVERY_PING, RpcRequest};

use super::collect::Expect;
use super::error::StartError;
use super::operation::{Operation, Rpc, RpcOptions, Target};
use super::summary::Aggregates;

/// An operation, reduced to one request.
pub(super) struct Plan {
    pub(super) agent: String,
    pub(super) body: String,
    pub(super) filter: Filter,
    pub(super) addressing: Addressing,
    pub(super) expect: Expect,
    pub(super) timeout: Duration,
    pub(super) is_rpc: bool,
    pub(super) aggregates: Aggregates,
    pub(super) options: RpcOptions,
}

/// Which subjects a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addressing {
    Broadcast,
    Direct,
    Service,
}

impl Plan {
    pub(super) fn of(operation: Operation) -> Result<Self, StartError> {
        match operation {
            Operation::Discover(discover) => {
                let mut filter = discover.filter;
                if let Some(agent) = &discover.agent {
                    filter.add_agent(agent);
                }
                let unknown = Expect::Unknown {
                    window: discover.window,
                };
                let expect = discover.expect.map_or(unknown, Expect::Count);
                Ok(Self::discovery(filter, expect, discover.timeout))
            }
            Operation::Ping(ping) => {
                let unknown = Expect::Unknown { window: None };
                let expect = ping.expect.map_or(unknown, Expect::Count);
                Ok(Self::discovery(ping.filter, expect, ping.timeout))
            }
            Operation::Rpc(rpc) => Self::rpc(*rpc),
        }
    }

    fn discovery(filter: Filter, expect: Expect, timeout: Duration) -> Self {
        Self {
            agent: DISCOVERY_AGENT.to_owned(),
            body: DISCOVERY_PING.to_owned(),
            filter,
            addressing: Addressing::Broadcast,
            expect,
            timeout,
            is_rpc: false,
            aggregates: Aggregates::default(),
            options: RpcOptions::default(),
        }
    }

    fn rpc(rpc: Rpc) -> Result<Self, StartError> {
        let data: serde_json::Value = serde_json::from_str(&rpc.data)
            .map_err(|error| StartError::BadData(error.to_string()))?;
        if !data.is_object() {
            return Err(StartError::BadData("the text is another value".to_owned()));
        }
        if rpc.options.batch.is_some() && !matches!(rpc.target, Target::Direct(_)) {
            return Err(StartError::BatchWithoutNodes);
        }
        let (addressing, expect, mut filter) = match rpc.target {
            Target::Broadcast(expect) => (Addressing::Broadcast, expect, rpc.filter),
            Target::Direct(nodes) if nodes.is_empty() => return Err(StartError::NoTargets),
            // The filter has found these nodes; whether it still holds there is not asked again.
            Target::Direct(nodes) => (Addressing::Direct, Expect::Nodes(nodes), Filter::default()),
            // Whoever takes it acts on it: there is nothing to choose by.
            Target::Service => (Addressing::Service, Expect::Count(1), Filter::default()),
        };
        if addressing != Addressing::Service {
            filter.add_agent(&rpc.agent);
        }
        Ok(Self {
            body: RpcRequest::encode(&rpc.agent, &rpc.action, &rpc.data),
            agent: rpc.agent,
            filter,
            addressing,
            expect,
            timeout: rpc.timeout,
            is_rpc: true,
            aggregates: rpc.aggregates,
            options: rpc.options,
        })
    }
}
