//! The `rpcutil` agent: what a node is, has and counts.
//!
//! | action | inputs | outputs |
//! |---|---|---|
//! | `agent_inventory` | | `agents` |
//! | `collective_info` | | `main_collective`, `collectives` |
//! | `daemon_stats` | | counters, process, version |
//! | `get_config_item` | `item` | `item`, `value` |
//! | `get_data` | `source`, `query` | what the source gives |
//! | `get_fact` | `fact` | `fact`, `value` |
//! | `get_facts` | `facts`, a comma list | `values` |
//! | `inventory` | | agents, classes, collectives, facts, … |
//! | `ping` | | `pong`, unix seconds |

use std::collections::BTreeSet;

use muster_protocol::ddl::{Ddl, Metadata};
use muster_protocol::rpc::StatusCode;
use tracing::debug;

use crate::agent::{HostView, Rpc, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};
use crate::members::Members;
use crate::setup::CpuTimes;

/// The actions of the agent.
#[derive(Debug)]
pub struct Rpcutil {
    ddl: &'static Ddl,
}

/// The agent.
#[must_use]
pub fn rpcutil() -> Rpc<Rpcutil> {
    Rpc::new(Rpcutil {
        ddl: Ddl::builtin("rpcutil").expect("rpcutil has a builtin ddl"),
    })
}

impl RpcAgent for Rpcutil {
    fn ddl(&self) -> &Ddl {
        self.ddl
    }

    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer {
        let outcome = match call.action {
            "agent_inventory" => agent_inventory(host),
            "collective_info" => collective_info(host),
            "daemon_stats" => daemon_stats(host),
            "get_config_item" => get_config_item(call.text("item"), host),
            "get_data" => get_data(call.text("source"), call.text("query"), host),
            "get_fact" => get_fact(call.text("fact"), host),
            "get_facts" => get_facts(call.text("facts"), host),
            "inventory" => inventory(host),
            "ping" => ping(host),
            // The DDL and this table are of one making; a test calls every action of the DDL.
            action => RpcOutcome::failed(
                StatusCode::UnknownAction,
                muster_protocol::rpc::unknown_action(action, "rpcutil"),
            ),
        };
        outcome.into()
    }
}

fn agent_inventory(host: &HostView<'_>) -> RpcOutcome {
    let agents = host.setup.options().agents.iter().map(|agent| {
        let metadata = agent.metadata();
        let members = Members::new().text("agent", &metadata.name);
        write_metadata(members, metadata).finish()
    });
    let agents = agents.collect::<Vec<_>>().join(",");
    RpcOutcome::ok(
        Members::new()
            .raw("agents", &format!("[{agents}]"))
            .finish(),
    )
}

/// An agent's metadata, with the members of the servers of today.
pub(crate) fn write_metadata(members: Members, metadata: &Metadata) -> Members {
    let members = members
        .text("license", &metadata.license)
        .text("author", &metadata.author)
        .count("timeout", metadata.timeout.into())
        .text("name", &metadata.name)
        .text("version", &metadata.version)
        .text("url", &metadata.url)
        .text("description", &metadata.description);
    let members = match &*metadata.provider {
        "" => members,
        provider => members.text("provider", provider),
    };
    if metadata.service {
        members.boolean("service", true)
    } else {
        members
    }
}

fn collective_info(host: &HostView<'_>) -> RpcOutcome {
    let options = host.setup.options();
    let data = Members::new()
        .text("main_collective", &options.main_collective)
        .texts("collectives", &options.collectives);
    RpcOutcome::ok(data.finish())
}

fn daemon_stats(host: &HostView<'_>) -> RpcOutcome {
    let (options, counters) = (host.setup.options(), host.counters);
    let threads = format!("muster {} on {} cores", options.version, options.cpus);
    let data = Members::new()
        .texts("agents", host.setup.agent_names())
        .text("configfile", &options.config_file)
        .count("filtered", counters.filtered)
        .count("pid", options.pid.into())
        .count("passed", counters.passed)
        .texts("threads", &[threads])
        .count("replies", counters.replies)
        .integer("starttime", options.start_unix)
        .count("ttlexpired", counters.ttl_expired)
        .count("events", counters.events)
        .raw("times", &times(options.about.cpu_times))
        .count("total", counters.total)
        .count("unvalidated", counters.unvalidated)
        .count("validated", counters.validated)
        .text("version", &options.version);
    RpcOutcome::ok(data.finish())
}

/// CPU time in whole seconds: the clients of today read whole numbers, and drop the statistics of a node that gives
/// fractions. The servers of today give noughts here.
fn times(read: Option<fn() -> CpuTimes>) -> String {
    let times = read.map(|read| read()).unwrap_or_default();
    Members::new()
        .count("cstime", times.children_system.as_secs())
        .count("cutime", times.children_user.as_secs())
        .count("stime", times.system.as_secs())
        .count("utime", times.user.as_secs())
        .finish()
}

fn get_config_item(item: &str, host: &HostView<'_>) -> RpcOutcome {
    match host.setup.options().config_items.get(item) {
        Some(value) => RpcOutcome::ok(
            Members::new()
                .text("item", item)
                .raw("value", &value.to_string())
                .finish(),
        ),
        None => RpcOutcome::failed(
            StatusCode::Aborted,
            format!("Unknown configuration property {item}"),
        ),
    }
}

fn get_data(source: &str, query: &str, host: &HostView<'_>) -> RpcOutcome {
    let Some(plugin) = host.setup.options().data.find(source) else {
        return RpcOutcome::failed(StatusCode::Aborted, format!("Unknown data source {source}"));
    };
    let query = Some(query).filter(|query| !query.is_empty());
    match plugin.query(query, host) {
        Ok(data) => RpcOutcome::ok(data),
        Err(error) => {
            debug!(identity = host.identity, source, %error, "no data");
            RpcOutcome::ok("{}")
        }
    }
}

fn get_fact(fact: &str, host: &HostView<'_>) -> RpcOutcome {
    let value = host.facts.get(fact);
    let value = value.as_deref().unwrap_or("null");
    RpcOutcome::ok(
        Members::new()
            .text("fact", fact)
            .raw("value", value)
            .finish(),
    )
}

fn get_facts(facts: &str, host: &HostView<'_>) -> RpcOutcome {
    let names: BTreeSet<_> = facts
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let values = names.into_iter().fold(Members::new(), |values, name| {
        values.raw(name, host.facts.get(name).as_deref().unwrap_or("null"))
    });
    RpcOutcome::ok(Members::new().raw("values", &values.finish()).finish())
}

fn inventory(host: &HostView<'_>) -> RpcOutcome {
    let options = host.setup.options();
    let data = Members::new()
        .texts("agents", host.setup.agent_names())
        .texts("classes", host.classes)
        .texts("collectives", &options.collectives)
        .texts("data_plugins", &options.data.names())
        .raw("facts", host.facts.json())
        .raw("machines", "[]")
        .text("main_collective", &options.main_collective)
        .text("version", &options.version)
        .boolean("upgradable", false);
    RpcOutcome::ok(data.finish())
}

fn ping(host: &HostView<'_>) -> RpcOutcome {
    RpcOutcome::ok(Members::new().count("pong", host.unix.as_secs()).finish())
}
