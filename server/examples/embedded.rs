//! A program that joins a fleet with an agent of its own: a tank that is filled over the network.
//! It reads no file and listens on no port; the node has a thread of its own. Argument: the broker, `127.0.0.1:4222`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_protocol::ddl::Ddl;
use muster_server::agent::{HostView, Rpc, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};
use muster_server::embed::{Running, SharedFacts};
use muster_server::{AgentSet, Facts, NodeConfig, NodeFlags, daemon::Daemon};
use muster_settings::Settings;

/// Callers read the same text: `muster rpc` finds it as `mcollective/agent/tank.json` in its libdir.
const DDL: &str = r#"{"metadata": {"name": "tank", "version": "1.0.0", "timeout": 2}, "actions": [{
    "action": "fill", "display": "always", "input": {"litres": {"type": "integer"}},
    "output": {"level": {"display_as": "Level"}}}]}"#;

#[derive(Debug)]
struct Tank {
    ddl: Ddl,
    level: AtomicU64,
    facts: SharedFacts,
}

impl RpcAgent for Tank {
    fn ddl(&self) -> &Ddl {
        &self.ddl
    }

    fn call(&self, call: &RpcCall<'_>, _host: &HostView<'_>) -> RpcAnswer {
        let litres = call.inputs["litres"].as_u64().unwrap_or(0);
        let level = self.level.fetch_add(litres, Ordering::Relaxed) + litres;
        let json = format!(r#"{{"level":{level}}}"#);
        // The node is discovered by the new level from the next message on.
        self.facts.set(Facts::parse(&*json).unwrap_or_default());
        RpcOutcome::ok(json).into()
    }
}

/// Starts the node. This one is for laboratories; others name certificate, key and authority in the settings.
pub(crate) fn start(broker: &str) -> Result<Running, Box<dyn std::error::Error>> {
    let settings = format!(
        "identity = tank1.example.net\ncollectives = tanks\nrpcauthorization = false
        plugin.choria.middleware_hosts = {broker}\nplugin.choria.use_srv = false"
    );
    let settings = Settings::parse(&settings, "built in");
    let config = NodeConfig::from_settings(&settings, &NodeFlags::laboratory())?;
    let (facts, level) = (SharedFacts::default(), AtomicU64::new(0));
    let ddl = Ddl::parse(DDL.as_bytes())?;
    let daemon = Daemon::new(config).with_agents(AgentSet::discovery_only());
    let daemon = daemon.with_facts(Arc::new(facts.clone()));
    Ok(daemon
        .with_agent(Arc::new(Rpc::new(Tank { ddl, level, facts })))
        .start()?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Ok(start(&std::env::args().nth(1).ok_or("which broker? HOST:PORT")?)?.join()?)
}
