//! The `choria_util` agent: the node's connection, and its autonomous agents.
//!
//! | action | inputs | outputs |
//! |---|---|---|
//! | `info` | | security, connection, versions |
//! | `machine_state` | `instance`, `name`, `path` | the state of one autonomous agent |
//! | `machine_states` | | the states of all |
//! | `machine_transition` | the same, `version`, `transition` | `success` |
//!
//! This product runs no autonomous agents, so the last three answer as a server does that has none.

use std::time::Duration;

use muster_client::nats::{ClientCore, TlsMode};
use muster_protocol::ddl::Ddl;
use muster_protocol::rpc::{self, StatusCode};

use crate::agent::{HostView, Rpc, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};
use crate::members::Members;

/// Seconds the agent is said to take at most; its DDL has less.
const TIMEOUT_SECS: u32 = 10;

/// The actions of the agent.
#[derive(Debug)]
pub struct ChoriaUtil {
    ddl: &'static Ddl,
}

/// The agent.
#[must_use]
pub fn choria_util() -> Rpc<ChoriaUtil> {
    let ddl = Ddl::builtin("choria_util").expect("choria_util has a builtin ddl");
    Rpc::new(ChoriaUtil { ddl }).with_timeout(TIMEOUT_SECS)
}

impl RpcAgent for ChoriaUtil {
    fn ddl(&self) -> &Ddl {
        self.ddl
    }

    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer {
        let outcome = match call.action {
            "info" => RpcOutcome::ok(info(host)),
            "machine_state" => machine_state(call),
            "machine_states" => {
                RpcOutcome::ok(r#"{"machine_ids":[],"machine_names":[],"states":{}}"#)
            }
            "machine_transition" => machine_transition(call),
            // The DDL and this table are of one making; a test calls every action of the DDL.
            action => RpcOutcome::failed(
                StatusCode::UnknownAction,
                rpc::unknown_action(action, "choria_util"),
            ),
        };
        outcome.into()
    }
}

/// What `info` gives, in the order of the servers of today.
fn info(host: &HostView<'_>) -> String {
    let options = host.setup.options();
    let about = &options.about;
    let servers: Vec<_> = host.connection.config().servers.iter().collect();
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let is_tls = host.connection.config().tls == TlsMode::Required;
    let domain = host.facts.get("networking.domain");
    let domain = domain.and_then(|json| serde_json::from_str::<String>(&json).ok());
    Members::new()
        .text("security", "choria")
        .text("connector", "choria")
        .text("client_version", env!("CARGO_PKG_VERSION"))
        .text("client_flavour", "muster rust")
        .raw("client_options", &client_options(host.connection))
        .raw("client_stats", &client_stats(host.connection))
        .text("connected_server", host.broker)
        .text("facter_domain", &domain.unwrap_or_default())
        // No program is run to learn facts.
        .text("facter_command", "")
        .text("srv_domain", &about.srv_domain)
        .boolean("using_srv", about.using_srv)
        .texts("middleware_servers", &servers)
        .text("path", &about.path)
        .text("choria_version", &format!("muster {}", options.version))
        .boolean("secure_protocol", about.secure_protocol)
        .boolean("connector_tls", is_tls)
        .finish()
}

fn client_options(connection: &ClientCore) -> String {
    let config = connection.config();
    let servers = config.servers.iter();
    let servers: Vec<_> = servers.map(|server| format!("nats://{server}")).collect();
    let wait = config.backoff.steps().first().copied().unwrap_or_default();
    Members::new()
        .texts("servers", &servers)
        .boolean("dont_randomize_servers", false)
        .text("name", connection.name())
        .boolean("pedantic", false)
        .boolean("secure", config.tls == TlsMode::Required)
        .boolean("allow_reconnect", true)
        // For ever.
        .integer("max_reconnect_attempts", -1)
        .raw("reconnect_time_wait", &seconds(wait))
        .raw("connect_timeout", &seconds(config.connect_timeout))
        .raw("ping_interval", &seconds(config.ping_interval))
        .count("max_outstanding_pings", config.pings_out_max.into())
        .finish()
}

fn client_stats(connection: &ClientCore) -> String {
    let stats = connection.stats();
    Members::new()
        .count("in_msgs", stats.in_messages)
        .count("out_msgs", stats.out_messages)
        .count("in_bytes", stats.in_bytes)
        .count("out_bytes", stats.out_bytes)
        .count("reconnects", stats.reconnects().into())
        .finish()
}

fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

fn machine_state(call: &RpcCall<'_>) -> RpcOutcome {
    const UNKNOWN: &str = "unknown machine";
    let is_asked = ["instance", "name", "path"]
        .iter()
        .any(|input| !call.text(input).is_empty());
    let data = Members::new()
        .text("name", UNKNOWN)
        .text("version", UNKNOWN)
        .text("state", UNKNOWN)
        .text("path", "")
        .text("id", "")
        .integer("start_time", 0)
        .raw("available_transitions", "null")
        .boolean("scout", false)
        .raw("current_state", "null");
    let message = if is_asked {
        "No running machines"
    } else {
        "No search criteria given"
    };
    RpcOutcome {
        data: data.finish().into(),
        ..RpcOutcome::failed(StatusCode::Aborted, message)
    }
}

fn machine_transition(call: &RpcCall<'_>) -> RpcOutcome {
    let transition = call.text("transition");
    let message =
        format!("Could not perform {transition} transition: autonomous agent host not initialized");
    RpcOutcome {
        data: r#"{"success":false}"#.into(),
        ..RpcOutcome::failed(StatusCode::Aborted, message)
    }
}
