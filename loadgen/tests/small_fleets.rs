//! Small fleets of each kind: every node answers every round, and the report says so.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::process::{Command, Output};

use serde_json::Value;

const NODES: u64 = 150;

fn loadgen(arguments: &[&str]) -> Output {
    let nodes = NODES.to_string();
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args([
            "--nodes",
            &nodes,
            "--rounds",
            "2",
            "--json",
            "--timeout",
            "60",
        ])
        .args(arguments)
        .output()
        .unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = loadgen(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_complete(report: &Value) {
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!((report["nodes"].as_u64(), rounds.len()), (Some(NODES), 2));
    for round in rounds {
        assert_eq!(
            (round["expected"].as_u64(), round["received"].as_u64()),
            (Some(NODES), Some(NODES))
        );
        assert!(round["ms"].as_f64().unwrap() > 0.0);
        assert!(round.get("missing").is_none());
    }
}

#[test]
fn a_broker_of_its_own_is_measured_apart() {
    let report = report(&["--scenario", "rpc"]);
    assert_complete(&report);
    assert!(report["broker_part"]["private_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_broker_in_process_is_not() {
    let report = report(&["--scenario", "rpc", "--in-process"]);
    assert_complete(&report);
    assert!(report.get("broker_part").is_none());
}

#[test]
fn every_scenario_and_kind_of_tls_is_complete() {
    for scenario in ["bare", "ping", "rpc"] {
        for tls in ["server", "mutual"] {
            assert_complete(&report(&[
                "--scenario",
                scenario,
                "--tls",
                tls,
                "--in-process",
            ]));
        }
    }
}

#[test]
fn large_replies_arrive_and_each_node_may_verify_for_itself() {
    let arguments = [
        "--reply-size",
        "20000",
        "--verify",
        "each",
        "--in-process",
        "--shards",
        "3",
    ];
    assert_complete(&report(&arguments));
}

#[test]
fn a_broker_that_is_not_there_is_an_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = loadgen(&["--broker", &free.to_string(), "--ramp-timeout", "2"]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("0 of 150 nodes are subscribed after 2 s"),
        "{errors}"
    );
}
