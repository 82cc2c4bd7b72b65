//! A broker of the test's own, and callers at it.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig};
use muster_client::fleet::{
    Aggregates, Discover, Fleet, FleetEvent, FleetSettings, Rpc, RpcOptions, Surroundings, Target,
};
use muster_protocol::filter::{Filter, parse_fact_filter};
use muster_settings::Settings;

pub(crate) fn broker() -> Broker {
    Broker::start(BrokerConfig {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        shards: Some(1),
        ..BrokerConfig::default()
    })
    .unwrap()
}

/// A caller of an application's instances. Who it says it is, it is: nothing is signed.
pub(crate) fn caller(broker: &Broker, collective: &str, certname: &str) -> Fleet {
    let text = format!(
        "plugin.choria.middleware_hosts = {}\ncollectives = {collective}\n",
        broker.address()
    );
    let around = Surroundings {
        certname: Some(certname.to_owned()),
        insecure: true,
        ..Surroundings::default()
    };
    connect(&text, &around)
}

pub(crate) fn connect(settings: &str, around: &Surroundings) -> Fleet {
    let settings = Settings::parse(settings, "client.conf");
    let settings = FleetSettings::read(&settings, around).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path);
    Fleet::connect(settings.load(read).unwrap()).unwrap()
}

/// Who is there; asked again for as long as a node may need to connect.
pub(crate) fn discover(fleet: &mut Fleet, facts: &[&str]) -> Vec<String> {
    for _ in 0..100 {
        let found = discover_once(fleet, facts);
        if !found.is_empty() {
            return found;
        }
    }
    panic!("nobody came for {facts:?}");
}

/// Who answers within a moment.
pub(crate) fn discover_once(fleet: &mut Fleet, facts: &[&str]) -> Vec<String> {
    let facts = facts.iter().map(|fact| parse_fact_filter(fact).unwrap());
    let discover = Discover {
        filter: Filter {
            fact: facts.collect(),
            ..Filter::default()
        },
        timeout: Duration::from_millis(200),
        expect: Some(1),
        ..Discover::default()
    };
    fleet.discover(discover, &mut |_| ()).unwrap().replied
}

/// One node's answer: its status, that in words, and its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u8,
    pub(crate) message: String,
    pub(crate) data: String,
}

impl Answer {
    pub(crate) fn ok(data: &str) -> Self {
        Self {
            status: 0,
            message: "OK".to_owned(),
            data: data.to_owned(),
        }
    }

    pub(crate) fn failed(status: u8, message: &str) -> Self {
        Self {
            status,
            message: message.to_owned(),
            data: "{}".to_owned(),
        }
    }
}

pub(crate) fn ask(fleet: &mut Fleet, node: &str, agent: &str, action: &str) -> Answer {
    let rpc = Rpc {
        agent: agent.to_owned(),
        action: action.to_owned(),
        data: "{}".to_owned(),
        filter: Filter::default(),
        target: Target::Direct(vec![node.to_owned()]),
        timeout: Duration::from_secs(20),
        aggregates: Aggregates::default(),
        options: RpcOptions::default(),
    };
    let mut answer = None;
    let summary = fleet.rpc(rpc, &mut |event| {
        if let FleetEvent::Reply(reply) = event {
            let body = reply.rpc().unwrap();
            answer = Some(Answer {
                status: body.statuscode.number(),
                message: body.statusmsg.into_owned(),
                data: body.data.to_owned(),
            });
        }
    });
    assert_eq!(summary.unwrap().no_responses, Vec::<String>::new());
    answer.unwrap()
}
