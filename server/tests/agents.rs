//! What the agents every node has answer, member by member.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::time::Duration;

use muster_protocol::Scratch;
use muster_protocol::ddl::Ddl;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::{RpcReply, RpcRequest, StatusCode};
use muster_server::setup::{About, CpuTimes};
use muster_server::{Facts, NodeOptions};
use serde_json::{Value, json};

use support::{Connected, UNIX, options, request, setup, signed};

fn node() -> Connected {
    let about = About {
        path: "/bin:/usr/bin".to_owned(),
        srv_domain: "example.net".to_owned(),
        using_srv: false,
        secure_protocol: true,
        cpu_times: Some(|| CpuTimes {
            user: Duration::from_millis(1_500),
            ..CpuTimes::default()
        }),
    };
    let mut options = NodeOptions { about, ..options() };
    let items = &mut options.config_items;
    items.insert("own.key".to_owned(), json!(["a"]));
    Connected::new(&setup(options), "node1.example.net")
}

struct Asker {
    node: Connected,
    asked: u32,
}

impl Asker {
    fn new() -> Self {
        Self {
            node: node(),
            asked: 0,
        }
    }

    fn ask(&mut self, agent: &str, action: &str, inputs: &Value) -> (StatusCode, String, String) {
        self.asked += 1;
        let id = format!("{:032x}", self.asked);
        let body = RpcRequest::encode(agent, action, &inputs.to_string());
        let subject = format!("mcollective.broadcast.agent.{agent}");
        let payload = signed(&request(&id, agent, &body));
        let published = self.node.deliver(&subject, &payload, UNIX);
        let mut scratch = Scratch::new();
        let reply = parse_reply(&published[0].payload, &mut scratch).unwrap();
        let reply = RpcReply::parse(reply.body).unwrap();
        let (message, data) = (reply.statusmsg.into_owned(), reply.data.to_owned());
        (reply.statuscode, message, data)
    }

    fn ok(&mut self, agent: &str, action: &str, inputs: &Value) -> String {
        let (status, message, data) = self.ask(agent, action, inputs);
        assert_eq!((status, &*message), (StatusCode::Ok, "OK"), "{data}");
        data
    }
}

/// The members of an object in their order.
fn keys(json: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(json).unwrap();
    let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort_by_key(|key| json.find(&format!("\"{key}\":")));
    keys
}

#[test]
fn info_tells_of_the_connection() {
    let mut asker = Asker::new();
    let facts = r#"{"networking":{"domain":"example.org"}}"#;
    asker.node.node.set_facts(Facts::parse(facts).unwrap());
    let data = asker.ok("choria_util", "info", &json!({}));
    assert_eq!(
        keys(&data),
        [
            "security",
            "connector",
            "client_version",
            "client_flavour",
            "client_options",
            "client_stats",
            "connected_server",
            "facter_domain",
            "facter_command",
            "srv_domain",
            "using_srv",
            "middleware_servers",
            "path",
            "choria_version",
            "secure_protocol",
            "connector_tls"
        ]
    );
    let info: Value = serde_json::from_str(&data).unwrap();
    let ddl = Ddl::builtin("choria_util").unwrap();
    let outputs = &ddl.action("info").unwrap().output;
    let given: Vec<_> = info.as_object().unwrap().keys().collect();
    assert_eq!(given, outputs.keys().collect::<Vec<_>>());
    assert_eq!(info["connected_server"], "nats://localhost:24222");
    assert_eq!(info["facter_domain"], "example.org");
    assert_eq!(info["srv_domain"], "example.net");
    assert_eq!(info["middleware_servers"], json!(["localhost:24222"]));
    assert_eq!(
        (&info["secure_protocol"], &info["connector_tls"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        info["client_options"],
        json!({
            "servers": ["nats://localhost:24222"], "dont_randomize_servers": false, "name": "node1.example.net",
            "pedantic": false, "secure": false, "allow_reconnect": true, "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.5, "connect_timeout": 2, "ping_interval": 120, "max_outstanding_pings": 2
        })
    );
    assert_eq!(info["client_stats"]["in_msgs"], 1);
    assert_eq!(info["client_stats"]["reconnects"], 0);
}

#[test]
fn there_are_no_machines() {
    let mut asker = Asker::new();
    assert_eq!(
        asker.ok("choria_util", "machine_states", &json!({})),
        r#"{"machine_ids":[],"machine_names":[],"states":{}}"#
    );
    for (inputs, expected) in [
        (json!({}), "No search criteria given"),
        (json!({"name": "puppet"}), "No running machines"),
    ] {
        let (status, message, data) = asker.ask("choria_util", "machine_state", &inputs);
        assert_eq!((status, &*message), (StatusCode::Aborted, expected));
        assert_eq!(
            keys(&data),
            [
                "name",
                "version",
                "state",
                "path",
                "id",
                "start_time",
                "available_transitions",
                "scout",
                "current_state"
            ]
        );
    }
    let inputs = json!({"name": "puppet", "transition": "RUN"});
    let (status, message, data) = asker.ask("choria_util", "machine_transition", &inputs);
    assert_eq!(status, StatusCode::Aborted);
    assert!(message.starts_with("Could not perform RUN transition"));
    assert_eq!(data, r#"{"success":false}"#);
    let (status, message, _) = asker.ask("choria_util", "machine_transition", &json!({}));
    assert_eq!(status, StatusCode::MissingData, "{message}");
}

#[test]
fn every_action_of_the_ddls_is_there() {
    let mut asker = Asker::new();
    let inputs = json!({"fact": "a", "facts": "a", "item": "own.key", "source": "choria", "transition": "GO", "name": "abc"});
    for agent in ["choria_util", "rpcutil"] {
        for action in &Ddl::builtin(agent).unwrap().actions {
            let mut own = inputs.clone();
            own.as_object_mut()
                .unwrap()
                .retain(|key, _| action.input.contains_key(key));
            let (status, message, _) = asker.ask(agent, &action.name, &own);
            assert_ne!(status, StatusCode::UnknownAction, "{agent}#{}", action.name);
            assert_ne!(status, StatusCode::InvalidData, "{message}");
        }
    }
}

#[test]
fn data_plugins_answer_by_name() {
    let mut asker = Asker::new();
    let mut get = |source: &str, query: &str| {
        asker.ok(
            "rpcutil",
            "get_data",
            &json!({"source": source, "query": query}),
        )
    };
    assert_eq!(
        get("config_item", "own.key"),
        r#"{"present":true,"value":["a"]}"#
    );
    assert_eq!(get("config_item", "x"), r#"{"present":false,"value":null}"#);
    assert_eq!(get("machine_state", "puppet"), "{}");
    assert_eq!(get("scout", "check"), "{}");
    assert_eq!(keys(&get("choria", "x")).len(), 26);
    let (status, message, _) = asker.ask("rpcutil", "get_data", &json!({"source": "x"}));
    assert_eq!(
        (status, &*message),
        (StatusCode::Aborted, "Unknown data source x")
    );
}

#[test]
fn the_inventory_names_agents_and_data_plugins() {
    let mut asker = Asker::new();
    let data = asker.ok("rpcutil", "inventory", &json!({}));
    let inventory: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(
        inventory["agents"],
        json!(["choria_util", "discovery", "rpcutil"])
    );
    assert_eq!(
        inventory["data_plugins"],
        json!(["choria", "config_item", "machine_state", "scout"])
    );
}

#[test]
fn cpu_times_are_whole_seconds_as_clients_read_them() {
    let mut asker = Asker::new();
    let data = asker.ok("rpcutil", "daemon_stats", &json!({}));
    assert!(
        data.contains(r#""times":{"cstime":0,"cutime":0,"stime":0,"utime":1}"#),
        "{data}"
    );
}
