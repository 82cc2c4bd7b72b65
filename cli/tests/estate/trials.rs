//! What an operator does with the estate.

use std::thread;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::estate::Estate;

pub(crate) type Act = fn(&Estate) -> Result<(), Failed>;

pub(crate) const ALL: &[(&str, Act)] = &[
    ("each_filter_finds_its_nodes", each_filter_finds_its_nodes),
    ("nobody_is_found", nobody_is_found),
    ("sub_collectives_are_apart", sub_collectives_are_apart),
    ("a_shell_agent_answers", a_shell_agent_answers),
    ("a_dead_node_is_named", a_dead_node_is_named),
    ("a_late_node_counts", a_late_node_counts),
    (
        "a_denied_action_is_denied_there_only",
        a_denied_action_is_denied_there_only,
    ),
    (
        "a_missing_policy_is_named_in_the_log",
        a_missing_policy_is_named_in_the_log,
    ),
    ("stock_actions_need_no_policy", stock_actions_need_no_policy),
    ("a_failing_agent_is_a_failure", a_failing_agent_is_a_failure),
    ("a_hanging_agent_is_ended", a_hanging_agent_is_ended),
    (
        "inputs_are_refused_before_they_are_sent",
        inputs_are_refused_before_they_are_sent,
    ),
    ("two_callers_get_the_same_set", two_callers_get_the_same_set),
    ("calls_are_audited", calls_are_audited),
    ("the_status_file_is_checked", the_status_file_is_checked),
    ("facts_are_counted", facts_are_counted),
    ("an_inventory_is_complete", an_inventory_is_complete),
    ("lines_of_json_are_complete", lines_of_json_are_complete),
    ("batches_and_limits", batches_and_limits),
];

/// Each filter with the nodes that match, in the main collective.
const FILTERS: &[(&[&str], &[&str])] = &[
    (&["-F", "country=de"], &["web1", "web2"]),
    (&["-F", "memory.gb>=32"], &["db1", "db2"]),
    (&["-F", "country=~/^[df]/"], &["db1", "web1", "web2"]),
    (&["-F", "country!=de", "-F", "memory.gb<64"], &["db2"]),
    (&["-C", "role::db"], &["db1", "db2"]),
    (&["-C", "/WEB$/"], &["web1", "web2"]),
    (&["-A", "parrot"], &["db1", "db2", "web1", "web2"]),
    (&["-I", "db1"], &["db1"]),
    (&["-I", "/^db/"], &["db1", "db2"]),
    (&["-W", "country=us role::db"], &["db2"]),
    (
        &["-S", "with('role::web') or fact('memory.gb') > 40"],
        &["db1", "web1", "web2"],
    ),
    (
        &["-S", "not with('country=de') and 'role::db' in classes"],
        &["db1", "db2"],
    ),
    (
        &["-S", "with('/^role::w/') and fact('os.family') == 'Debian'"],
        &["web1", "web2"],
    ),
];

fn each_filter_finds_its_nodes(estate: &Estate) -> Result<(), Failed> {
    for (filter, nodes) in FILTERS {
        let said = estate.ask(&[&["find"], *filter].concat())?.ended_with(0)?;
        same(&said.sorted_lines(), nodes, filter)?;
        let said = estate.ask(&[&["rpc", "rpcutil", "ping", "--senders"], *filter].concat())?;
        same(&said.ended_with(0)?.sorted_lines(), nodes, filter)?;
    }
    Ok(())
}

fn nobody_is_found(estate: &Estate) -> Result<(), Failed> {
    estate
        .ask(&["rpc", "rpcutil", "ping", "-F", "country=zz"])?
        .ended_with(1)?
        .says(&["no node was discovered"])?;
    estate
        .ask(&["find", "-S", "with('role::web' and"])?
        .ended_with(1)?
        .says_nothing_of(&["web1"])?;
    Ok(())
}

fn sub_collectives_are_apart(estate: &Estate) -> Result<(), Failed> {
    for (collective, nodes) in [("eu", &["web1", "web2"]), ("us", &["db2", "edge1"])] {
        let said = estate.ask(&["find", "-T", collective])?.ended_with(0)?;
        same(&said.sorted_lines(), nodes, &collective)?;
        let said = estate.ask(&["rpc", "rpcutil", "ping", "--senders", "-T", collective])?;
        same(&said.ended_with(0)?.sorted_lines(), nodes, &collective)?;
    }
    // Named outright, but in a collective it is not in.
    estate
        .ask(&["rpc", "rpcutil", "ping", "-I", "edge1", "-t", "1"])?
        .ended_with(4)?
        .says(&["edge1"])?;
    Ok(())
}

fn a_shell_agent_answers(estate: &Estate) -> Result<(), Failed> {
    estate
        .ask(&["rpc", "parrot", "echo", "message=good morning"])?
        .ended_with(0)?
        .says(&[
            "Message: good morning",
            "good morning: 4",
            "Finished processing 4 / 4 hosts",
        ])?;
    Ok(())
}

fn a_dead_node_is_named(estate: &Estate) -> Result<(), Failed> {
    let said = estate.ask(&[
        "rpc", "rpcutil", "ping", "-I", "web1", "-I", "gone1", "-t", "1",
    ])?;
    said.ended_with(0)?.says(&[
        "Finished processing 1 / 2 hosts",
        "No Responses from",
        "gone1",
    ])?;
    let said = estate.ask(&[
        "rpc", "rpcutil", "ping", "-I", "web1", "-I", "gone1", "-t", "1", "-j",
    ])?;
    let result: Value = serde_json::from_str(&said.ended_with(0)?.out).unwrap();
    assert_eq!(
        result["request_stats"]["no_responses"],
        serde_json::json!(["gone1"])
    );
    Ok(())
}

fn a_late_node_counts(estate: &Estate) -> Result<(), Failed> {
    let late = [
        "rpc",
        "parrot",
        "late",
        "message=still",
        "-I",
        "web1",
        "-I",
        "db1",
    ];
    estate
        .ask(&late)?
        .ended_with(0)?
        .says(&["Finished processing 2 / 2 hosts"])?;
    estate
        .ask(&[&late[..], &["-t", "0.3"]].concat())?
        .ended_with(4)?
        .says(&["Finished processing 0 / 2 hosts", "db1", "web1"])?;
    Ok(())
}

fn a_denied_action_is_denied_there_only(estate: &Estate) -> Result<(), Failed> {
    let said = estate.ask(&["rpc", "parrot", "late", "message=a", "-C", "role::db", "-j"])?;
    let result: Value = serde_json::from_str(&said.ended_with(2)?.out).unwrap();
    for reply in result["replies"].as_array().unwrap() {
        let (code, text) = match reply["sender"].as_str().unwrap() {
            "db2" => (1, "You are not authorized to call this agent or action"),
            _ => (0, "OK"),
        };
        assert_eq!(reply["statuscode"], code, "{reply}");
        assert_eq!(reply["statusmsg"], text, "{reply}");
    }
    Ok(())
}

fn a_missing_policy_is_named_in_the_log(estate: &Estate) -> Result<(), Failed> {
    estate
        .ask(&["rpc", "guarded", "echo", "message=a", "-I", "web1"])?
        .ended_with(2)?
        .says(&["You are not authorized to call this agent or action"])?;
    let log = estate.file_of("web1", "log")?;
    let line = log.lines().find(|line| line.contains("call denied"));
    let line = line.ok_or("no line about the denied call")?;
    for part in ["guarded.policy", "choria=rip.mcollective", "echo"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    Ok(())
}

fn stock_actions_need_no_policy(estate: &Estate) -> Result<(), Failed> {
    for action in [
        &["rpcutil", "agent_inventory"][..],
        &["choria_util", "info"],
    ] {
        let words = [&["rpc"], action, &["-I", "web1"]].concat();
        estate.ask(&words)?.ended_with(0)?;
    }
    Ok(())
}

fn a_failing_agent_is_a_failure(estate: &Estate) -> Result<(), Failed> {
    estate
        .ask(&["rpc", "parrot", "fail", "message=a", "-I", "web2"])?
        .ended_with(2)?
        .says(&[
            "Request Aborted",
            "parrot#fail",
            "Finished processing 1 / 1 hosts",
        ])?;
    Ok(())
}

fn a_hanging_agent_is_ended(estate: &Estate) -> Result<(), Failed> {
    estate
        .ask(&[
            "rpc",
            "parrot",
            "hang",
            "message=a",
            "-I",
            "web2",
            "-t",
            "20",
        ])?
        .ended_with(2)?
        .says(&["Request Aborted", "parrot#hang"])?;
    // The node itself was never held up.
    estate
        .ask(&["rpc", "rpcutil", "ping", "-I", "web2"])?
        .ended_with(0)?;
    Ok(())
}

fn inputs_are_refused_before_they_are_sent(estate: &Estate) -> Result<(), Failed> {
    for (inputs, name) in [
        (&["message=Loud!"][..], "message"),
        (&["message=abcdefghijklmnopqrstuvwxyz"], "message"),
        (&[], "message"),
        (&["message=a", "volume=11"], "volume"),
    ] {
        let words = [&["rpc", "parrot", "echo"], inputs].concat();
        estate
            .ask(&words)?
            .ended_with(1)?
            .says(&[name])?
            .says_nothing_of(&["Finished processing"])?;
    }
    Ok(())
}

fn two_callers_get_the_same_set(estate: &Estate) -> Result<(), Failed> {
    let ask = || {
        estate
            .ask(&["rpc", "rpcutil", "ping", "--senders"])
            .unwrap()
    };
    let (first, second) = thread::scope(|scope| {
        let other = scope.spawn(ask);
        (ask(), other.join().unwrap())
    });
    same(
        &first.ended_with(0)?.sorted_lines(),
        &["db1", "db2", "web1", "web2"],
        &"first",
    )?;
    same(
        &second.ended_with(0)?.sorted_lines(),
        &["db1", "db2", "web1", "web2"],
        &"second",
    )?;
    Ok(())
}

fn calls_are_audited(estate: &Estate) -> Result<(), Failed> {
    estate
        .ask(&[
            "rpc",
            "parrot",
            "echo",
            "message=remember this",
            "-I",
            "db2",
        ])?
        .ended_with(0)?;
    // Denied calls leave no line.
    estate
        .ask(&["rpc", "parrot", "fail", "message=forget this", "-I", "db2"])?
        .ended_with(2)?;
    let audit = estate.file_of("db2", "audit.log")?;
    let lines: Vec<Value> = (audit.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let line = lines
        .iter()
        .find(|line| line["data"]["message"] == "remember this");
    let line = line.ok_or("the call is not in the audit log")?;
    assert_eq!(line["caller"], "choria=rip.mcollective");
    assert_eq!(
        (&line["agent"], &line["action"]),
        (&"parrot".into(), &"echo".into())
    );
    assert!(!audit.contains("forget this"), "{audit}");
    Ok(())
}

fn the_status_file_is_checked(estate: &Estate) -> Result<(), Failed> {
    let file = |node: &str| format!("{node}/status.json");
    estate
        .ask(&["rpc", "rpcutil", "ping", "-I", "web1"])?
        .ended_with(0)?;
    let good = file("web1");
    let check = |more: &[&str]| {
        let words = ["tool", "status", "--status-file", &good];
        estate.run(&[&words[..], more].concat())
    };
    check(&[])?.ended_with(0)?.says(&["OK"])?;
    check(&["--provisioned"])?.ended_with(0)?;
    check(&["--unprovisioned"])?.ended_with(1)?;
    check(&["--certificate-age", "900000h"])?.ended_with(1)?;
    Ok(())
}

fn facts_are_counted(estate: &Estate) -> Result<(), Failed> {
    estate.ask(&["facts", "country"])?.ended_with(0)?.says(&[
        "Report for fact: country",
        "de found 2 times",
        "Finished processing 4 / 4 hosts",
    ])?;
    let said = estate.ask(&["facts", "country", "--json"])?.ended_with(0)?;
    let facts: Value = serde_json::from_str(&said.out).unwrap();
    let mut nodes: Vec<_> = (facts["de"]["identities"].as_array().unwrap().iter())
        .map(|name| name.as_str().unwrap())
        .collect();
    nodes.sort_unstable();
    same(&nodes, &["web1", "web2"], &"de")
}

fn an_inventory_is_complete(estate: &Estate) -> Result<(), Failed> {
    estate.ask(&["inventory", "db2"])?.ended_with(0)?.says(&[
        "Inventory for db2",
        "Main Collective: mcollective",
        "parrot",
        "role::db",
        "\"country\": \"us\"",
    ])?;
    Ok(())
}

fn lines_of_json_are_complete(estate: &Estate) -> Result<(), Failed> {
    let said = estate.ask(&["rpc", "rpcutil", "get_fact", "fact=country", "--jsonl"])?;
    let lines: Vec<Value> = (said.ended_with(0)?.out.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = lines
        .iter()
        .map(|line| line["k"].as_str().unwrap())
        .collect();
    same(
        &kinds,
        &[
            "discovery",
            "discovery",
            "result",
            "result",
            "result",
            "result",
            "summaries",
            "stats",
        ],
        &"kinds",
    )?;
    assert_eq!(lines[6]["agg"]["value"]["de"], 2, "{}", lines[6]);
    assert_eq!(lines[7]["stat"]["ok"], 4, "{}", lines[7]);
    Ok(())
}

fn batches_and_limits(estate: &Estate) -> Result<(), Failed> {
    let said = estate.ask(&["rpc", "rpcutil", "ping", "--limit", "50%", "--json"])?;
    let result: Value = serde_json::from_str(&said.ended_with(0)?.out).unwrap();
    assert_eq!(result["request_stats"]["discovered"], 2);
    assert_eq!(result["replies"].as_array().unwrap().len(), 2);
    let words = [
        "rpc",
        "rpcutil",
        "ping",
        "--batch",
        "3",
        "--batch-sleep",
        "0.1",
        "--senders",
    ];
    let said = estate.ask(&words)?.ended_with(0)?;
    same(
        &said.sorted_lines(),
        &["db1", "db2", "web1", "web2"],
        &"batches",
    )
}

fn same(got: &[&str], wanted: &[&str], about: &dyn std::fmt::Debug) -> Result<(), Failed> {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{about:?}: {got:?} is not {wanted:?}").into())
    }
}
