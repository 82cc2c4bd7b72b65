//! The provisioner's daemon against a real broker, with nodes of ours that play being without configuration.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod lab;

use std::collections::BTreeMap;

use lab::{Lab, Manner, await_counts};

#[test]
fn nodes_found_by_discovery_are_provisioned_once() {
    let lab = Lab::new();
    let names: Vec<_> = (0..8).map(|n| format!("n{n}.example.net")).collect();
    let nodes: Vec<_> = names.iter().map(|n| lab.node(n, Manner::Good)).collect();
    let provisioner = lab.provisioner(&lab.good_helper(), "features: {pki: true}");
    await_counts(&provisioner, |m| m.provisioned.get() == 8);
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for heard in lab.all_heard() {
        calls.entry(heard.node).or_default().push(heard.action);
    }
    assert_eq!(
        calls.keys().collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    for (node, actions) in calls {
        assert_eq!(actions, ["gencsr", "configure", "restart"], "{node}");
    }
    drop(nodes);
    provisioner.stop();
}

#[test]
fn a_node_that_starts_later_is_found_by_its_event() {
    let lab = Lab::new();
    let provisioner = lab.provisioner(&lab.good_helper(), "");
    await_counts(&provisioner, |m| m.discover_cycles.get() == 1);
    let node = lab.node("late.example.net", Manner::Good);
    await_counts(&provisioner, |m| m.provisioned.get() == 1);
    let metrics = provisioner.metrics();
    // The first discovery may still be open when the node comes, and then it is found twice, and taken once.
    let found = metrics.event_discovered.get() + metrics.discovered.get();
    assert!((1..=2).contains(&found), "{found}");
    let configure = lab.heard_of("configure");
    assert!(
        configure.inputs["config"]
            .as_str()
            .unwrap()
            .contains("server.provision")
    );
    drop(node);
}

#[test]
fn a_helper_that_fails_leaves_the_node_as_it_is() {
    for script in [
        "exit 1",
        "exit 0",
        "echo garbage",
        "sleep 600",
        r#"echo '{"configuration":{"port":4222}}'"#,
    ] {
        let lab = Lab::new();
        let node = lab.node("n1.example.net", Manner::Good);
        let provisioner = lab.provisioner(&lab.helper(script), "");
        await_counts(&provisioner, |m| m.provision_errors.get() == 1);
        assert_eq!(provisioner.metrics().helper_errors.get(), 1, "{script}");
        assert_eq!(lab.all_heard().len(), 0, "{script}");
        drop(node);
    }
}

#[test]
fn a_deferred_node_is_free_to_be_found_again() {
    let lab = Lab::new();
    // The first time it defers.
    let helper = lab.helper(
        r#"if [ -e seen ]; then echo '{"configuration":{"a":"b"}}'; else touch seen; echo '{"defer":true,"msg":"later"}'; fi"#,
    );
    let node = lab.node("n1.example.net", Manner::Good);
    let provisioner = lab.provisioner(&helper, "");
    await_counts(&provisioner, |m| m.provision_errors.get() == 1);
    assert_eq!(provisioner.metrics().helper_errors.get(), 0);
    assert_eq!(provisioner.metrics().busy_workers.get(), 0);
    // It announces itself anew, which the next discovery would find as well.
    drop(node);
    let node = lab.node("n1.example.net", Manner::Good);
    await_counts(&provisioner, |m| m.provisioned.get() == 1);
    drop(node);
}

#[test]
fn a_request_for_another_name_and_a_wrong_token_get_nothing() {
    let lab = Lab::new();
    let thief = lab.node("n1.example.net", Manner::AsksFor("n2.example.net"));
    let caller = lab.node("root.mcollective", Manner::Good);
    let stranger = lab.node("n3.example.net", Manner::OtherToken);
    let provisioner = lab.provisioner(&lab.good_helper(), "features: {pki: true}");
    await_counts(&provisioner, |m| m.provision_errors.get() == 3);
    assert_eq!(
        provisioner.metrics().helper_time.count(),
        0,
        "the helper saw none of them"
    );
    assert!(lab.all_heard().iter().all(|heard| heard.action == "gencsr"));
    drop((thief, caller, stranger));
}

#[test]
fn what_a_node_refuses_is_tried_again() {
    let lab = Lab::new();
    let node = lab.node("n1.example.net", Manner::Refuses(1));
    let provisioner = lab.provisioner(&lab.good_helper(), "");
    await_counts(&provisioner, |m| m.provisioned.get() == 1);
    let configured = lab.all_heard();
    let configured = configured
        .iter()
        .filter(|heard| heard.action == "configure");
    assert_eq!(configured.count(), 2);
    drop(node);
}

#[test]
fn paused_it_does_nothing_and_resumed_it_finds_what_waits() {
    let lab = Lab::new();
    let provisioner = lab.provisioner(&lab.good_helper(), "");
    await_counts(&provisioner, |m| m.discover_cycles.get() == 1);
    provisioner.set_paused(true);
    await_counts(&provisioner, |m| m.paused.get() == 1);
    let node = lab.node("n1.example.net", Manner::Good);
    // The node's event has come once it is dropped for the pause.
    await_counts(&provisioner, |m| {
        m.dropped
            .iter()
            .map(muster_provisioner::metrics::Counter::get)
            .sum::<u64>()
            > 0
    });
    assert_eq!(lab.all_heard().len(), 0);
    provisioner.set_paused(false);
    await_counts(&provisioner, |m| m.provisioned.get() == 1);
    drop(node);
}

#[test]
fn of_two_provisioners_one_works() {
    let lab = Lab::new();
    let node = lab.node("n1.example.net", Manner::Good);
    let first = lab.provisioner(&lab.good_helper(), "leader_election: true");
    let second = lab.provisioner(&lab.good_helper(), "leader_election: true");
    let leads = |m: &muster_provisioner::metrics::Metrics| m.leader.get();
    await_counts(&first, |m| leads(m) + leads(second.metrics()) == 1);
    let (leader, other) = if first.metrics().leader.get() == 1 {
        (first, second)
    } else {
        (second, first)
    };
    await_counts(&leader, |m| m.provisioned.get() == 1);
    assert_eq!(other.metrics().discover_cycles.get(), 0);
    assert_eq!(other.metrics().paused.get(), 1);
    // The other one takes over when the leader goes.
    leader.stop();
    await_counts(&other, |m| m.leader.get() == 1);
    drop(node);
}
