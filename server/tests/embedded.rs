//! A node inside another program: the example, asked by a client of the fleet over a real broker.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig};
use muster_client::fleet::{
    Aggregates, Discover, Fleet, FleetSettings, Rpc, RpcOptions, Surroundings, Target,
};
use muster_protocol::filter::{Filter, parse_fact_filter};
use muster_protocol::rpc::StatusCode;
use muster_server::daemon::{Daemon, RunError};
use muster_server::embed::Outbox;
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

#[path = "../examples/embedded.rs"]
#[allow(dead_code, reason = "a test needs no main function")]
mod example;

const TANK: &str = "tank1.example.net";

fn broker() -> Broker {
    Broker::start(BrokerConfig {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        shards: Some(1),
        ..BrokerConfig::default()
    })
    .unwrap()
}

fn fleet(broker: &Broker, collective: &str) -> Fleet {
    let text = format!(
        "plugin.choria.middleware_hosts = {}\ncollectives = {collective}\n",
        broker.address()
    );
    let around = Surroundings {
        certname: Some("rip.mcollective".to_owned()),
        insecure: true,
        ..Surroundings::default()
    };
    let settings = FleetSettings::read(&Settings::parse(&text, "client.conf"), &around).unwrap();
    let config = settings
        .load(|path: &Path| panic!("no file is needed: {path:?}"))
        .unwrap();
    Fleet::connect(config).unwrap()
}

/// Who is there; asked again for as long as a node may need to connect.
fn discover(fleet: &mut Fleet, filter: &Filter) -> Vec<String> {
    for _ in 0..100 {
        let discover = Discover {
            filter: filter.clone(),
            timeout: Duration::from_millis(200),
            expect: Some(1),
            ..Discover::default()
        };
        let found = fleet.discover(discover, &mut |_| ()).unwrap().replied;
        if !found.is_empty() {
            return found;
        }
    }
    panic!("nobody came");
}

/// The status and the data of the tank's reply.
fn ask(fleet: &mut Fleet, agent: &str, action: &str, data: &str) -> (StatusCode, String) {
    let mut answer = None;
    let rpc = Rpc {
        agent: agent.to_owned(),
        action: action.to_owned(),
        data: data.to_owned(),
        filter: Filter::default(),
        target: Target::Direct(vec![TANK.to_owned()]),
        timeout: Duration::from_secs(10),
        aggregates: Aggregates::default(),
        options: RpcOptions::default(),
    };
    let summary = fleet.rpc(rpc, &mut |event| {
        if let muster_client::fleet::FleetEvent::Reply(reply) = event {
            let body = reply.rpc().unwrap();
            answer = Some((body.statuscode, body.data.to_owned()));
        }
    });
    assert!(summary.unwrap().no_responses.is_empty());
    answer.unwrap()
}

#[test]
fn the_example_answers_by_its_own_state_and_facts_and_ends_when_told() {
    let broker = broker();
    let node = example::start(&broker.address().to_string()).unwrap();
    let mut fleet = fleet(&broker, "tanks");
    assert_eq!(discover(&mut fleet, &Filter::default()), [TANK]);
    let reply = ask(&mut fleet, "tank", "fill", r#"{"litres":5}"#);
    assert_eq!(reply, (StatusCode::Ok, r#"{"level":5}"#.to_owned()));
    let reply = ask(&mut fleet, "tank", "fill", r#"{"litres":1}"#);
    assert_eq!(reply, (StatusCode::Ok, r#"{"level":6}"#.to_owned()));
    let (status, _) = ask(&mut fleet, "tank", "drain", "{}");
    assert_eq!(status, StatusCode::UnknownAction);
    let filter = Filter {
        fact: vec![parse_fact_filter("level=6").unwrap()],
        agent: vec!["tank".to_owned()],
        ..Filter::default()
    };
    assert_eq!(discover(&mut fleet, &filter), [TANK]);
    let others = Filter {
        agent: vec!["rpcutil".to_owned()],
        ..Filter::default()
    };
    let wait = Discover {
        filter: others,
        timeout: Duration::from_millis(200),
        ..Discover::default()
    };
    let found = fleet.discover(wait, &mut |_| ()).unwrap();
    assert!(found.replied.is_empty(), "only its own agents are there");
    assert!(!node.is_over());
    node.stop().unwrap();
}

#[test]
fn a_program_is_told_at_once_what_it_configured_wrongly_and_never_waits_for_a_broker() {
    let config = |text: &str| {
        let flags = NodeFlags {
            disable_tls: true,
            ..NodeFlags::default()
        };
        NodeConfig::from_settings(&Settings::parse(text, "built in"), &flags).unwrap()
    };
    let text = "identity = n1\nplugin.security.provider = file\nplugin.choria.middleware_hosts = 127.0.0.1:1\n";
    let missing = format!("{text}plugin.security.file.ca = /nonexistent/ca.pem\n");
    let error = Daemon::new(config(&missing)).start().unwrap_err();
    assert!(
        matches!(&error, RunError::File(path, _) if path.ends_with("ca.pem")),
        "{error}"
    );
    let ca = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/choria-0.30.2/pki/ca.pem"
    );
    let valid = format!("{text}plugin.security.file.ca = {ca}\n");
    let daemon = Daemon::new(config(&valid)).with_outbox(&Outbox::new());
    let error = daemon.start().unwrap_err();
    assert!(matches!(error, RunError::NoKey), "{error}");
    // Nobody listens on that port, and the program goes on.
    let node = Daemon::new(config(&valid)).start().unwrap();
    assert!(!node.is_over());
    drop(node);
}
