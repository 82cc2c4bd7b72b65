//! What is asked of a laboratory's fleet beyond calls: reports, limits, other ways to name nodes, and forms for machines.

use std::io::Write;
use std::process::Stdio;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::lab::{Lab, NODES};
use crate::process::{Said, muster};
use crate::questions::{Question, names, same};

pub(crate) const ALL: &[(&str, Question)] = &[
    ("facts", facts),
    ("facts_account_for_every_node", facts_account_for_every_node),
    ("inventory", inventory),
    ("inventory_of_nobody", inventory_of_nobody),
    ("collectives", collectives),
    ("compound_filters", compound_filters),
    ("limits_and_batches", limits_and_batches),
    ("reply_filters", reply_filters),
    ("requests_without_replies", requests_without_replies),
    ("tables_and_lines", tables_and_lines),
    ("nodes_from_files", nodes_from_files),
    ("nodes_from_results", nodes_from_results),
    ("failures_are_json_too", failures_are_json_too),
    ("ping_graph", ping_graph),
    ("events", crate::events::nobody_comes),
    ("configuration", configuration),
];

fn json(said: &Said) -> Result<Value, Failed> {
    serde_json::from_str(&said.out).map_err(|error| format!("{error}: {said:#?}").into())
}

fn facts(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["facts", "country"])?.ended_with(0)?.says(&[
        "Report for fact: country\n\n  c1 found 1 times\n  c2 found 1 times\n  c3 found 1 times\n\nFinished processing 3 / 3 hosts in ",
    ])?;
    lab.ask(&["facts", "os.family", "-n", "-C", "role::web"])?
        .ended_with(0)?
        .says(&["  Debian found 2 times\n\n    node2.example.net\n    node3.example.net\n\n"])?;
    lab.ask(&["facts", "nosuch", "--table"])?
        .ended_with(0)?
        .says(&["│ Fact │ Matches │", "│ nil  │ 3       │"])?;
    lab.ask(&["facts", "country", "-C", "nosuch"])?
        .ended_with(1)?
        .says(&["no node was discovered"])?
        .says_nothing_of(&["Report"])?;
    Ok(())
}

fn facts_account_for_every_node(lab: &Lab) -> Result<(), Failed> {
    let nodes = ["-I", "node1.example.net", "-I", "gone.example.net"];
    let words = [
        &["facts", "country", "--json", "--timeout", "1"][..],
        &nodes,
    ]
    .concat();
    let json = json(
        &lab.ask(&words)?
            .ended_with(0)?
            .says(&["gone.example.net"])?,
    )?;
    assert_eq!(json["c1"]["identities"][0], "node1.example.net");
    assert_eq!(json["_no_responses"]["identities"][0], "gone.example.net");
    Ok(())
}

fn inventory(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["inventory", "node1.example.net"])?
        .ended_with(0)?
        .says(&[
            "Inventory for node1.example.net\n\n  Server Statistics:\n\n                    Version: ",
            "            Main Collective: mcollective\n",
            "  Agents:\n\n",
            "  Tagged Classes:\n\n    base     role::db\n",
            "  Facts:\n\n    {\n      \"country\": \"c1\",\n",
        ])?;
    lab.ask(&["inventory", "node1.example.net", "--no-facts"])?
        .ended_with(0)?
        .says_nothing_of(&["Facts:"])?;
    let json = json(
        &lab.ask(&["inventory", "node3.example.net", "--json"])?
            .ended_with(0)?,
    )?;
    assert_eq!(json["inventory"]["facts"]["country"], "c3");
    assert!(json["stats"]["pid"].is_u64(), "{json}");
    Ok(())
}

fn inventory_of_nobody(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["inventory", "gone.example.net", "--timeout", "1"])?
        .ended_with(4)?
        .says(&["gone.example.net did not reply"])?;
    lab.ask(&["inventory"])?.ended_with(1)?;
    Ok(())
}

fn collectives(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["inventory", "--collectives"])?
        .ended_with(0)?
        .says(&[
            "Subcollective report for 3 nodes\n\n",
            "│ mcollective │ 3     │\n│ eu          │ 1     │\n",
        ])?;
    Ok(())
}

fn compound_filters(lab: &Lab) -> Result<(), Failed> {
    for (expression, matching) in [
        ("with('country=c1') or with('role::none')", &[1][..]),
        ("fact('os.release') > 11 and not with('country=c3')", &[2]),
        ("'role::web' in classes", &[2, 3]),
    ] {
        let said = lab.ask(&["find", "-S", expression])?.ended_with(0)?;
        let found: Vec<_> = said.out.lines().collect();
        same(&found, &names(matching), &expression)?;
    }
    lab.ask(&["find", "-S", "with('a'"])?
        .ended_with(1)?
        .says(&["-S \"with('a'\""])?;
    Ok(())
}

fn limits_and_batches(lab: &Lab) -> Result<(), Failed> {
    let senders = |words: &[&str]| -> Result<Vec<String>, Failed> {
        let words = [
            &["rpc", "rpcutil", "ping", "--senders", "--sort"][..],
            words,
        ]
        .concat();
        let said = lab.ask(&words)?.ended_with(0)?;
        Ok(said.out.lines().map(str::to_owned).collect())
    };
    assert_eq!(senders(&["--limit", "2"])?.len(), 2);
    assert_eq!(senders(&["--one"])?.len(), 1);
    assert_eq!(senders(&["--limit", "34%"])?.len(), 1);
    let seeded = ["--limit", "1", "--limit-seed", "7"];
    assert_eq!(senders(&seeded)?, senders(&seeded)?);
    assert_eq!(senders(&["--batch", "2", "--batch-sleep", "0.01"])?, NODES);
    lab.ask(&["rpc", "rpcutil", "ping", "--limit", "1%"])?
        .ended_with(1)?
        .says(&["1%"])?;
    Ok(())
}

fn reply_filters(lab: &Lab) -> Result<(), Failed> {
    let ask = [
        "rpc",
        "rpcutil",
        "get_fact",
        "fact=country",
        "--filter-replies",
    ];
    lab.ask(&[&ask[..], &["ok() && data('value') == 'c2'"]].concat())?
        .ended_with(0)?
        .says(&[
            "node2.example.net",
            "Summary of Value:\n\n   c2: 1\n",
            "Finished processing 3 / 3 hosts",
            "Replies not shown, since they do not match the filter: 2",
        ])?
        .says_nothing_of(&["node1.example.net"])?;
    lab.ask(&[&ask[..], &["ok("]].concat())?
        .ended_with(1)?
        .says(&["--filter-replies \"ok(\""])?;
    Ok(())
}

fn requests_without_replies(lab: &Lab) -> Result<(), Failed> {
    let ask = ["rpc", "rpcutil", "ping"];
    for more in [
        &["--nr", "-C", "base"][..],
        &["--reply-to", "a.b", "-C", "base"],
        &["--nr", "-1"],
    ] {
        let said = lab.ask(&[&ask[..], more].concat())?.ended_with(0)?;
        let id = said.out.trim_end();
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_id, "{said:#?}");
    }
    lab.ask(&[&ask[..], &["--nr"]].concat())?
        .ended_with(1)?
        .says(&["needs a filter"])?;
    Ok(())
}

fn tables_and_lines(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&[
        "rpc",
        "rpcutil",
        "get_fact",
        "fact=country",
        "--table",
        "--sort",
    ])?
    .ended_with(0)?
    .says(&[
        "method .... 3\n\n╭",
        "│ Sender            │ Fact    │ Value │\n",
        "│ node1.example.net │ country │ c1    │\n│ node2.example.net │ country │ c2    │\n",
    ])?;
    let said = lab
        .ask(&["rpc", "rpcutil", "ping", "--jsonl"])?
        .ended_with(0)?;
    let lines: Vec<Value> = said
        .out
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let kinds: Vec<_> = lines.iter().filter_map(|line| line["k"].as_str()).collect();
    let wanted = "discovery discovery result result result summaries stats";
    same(&kinds, &wanted.split(' ').collect::<Vec<_>>(), &said.out)?;
    assert_eq!(lines[1]["count"], 3);
    let id = &lines[6]["stat"]["requestid"];
    assert!(
        lines[2..5]
            .iter()
            .all(|line| line["pr"]["envelope"]["requestid"] == *id)
    );
    lab.ask(&["rpc", "rpcutil", "ping", "--json", "-o", "result.json"])?
        .ended_with(0)?
        .says_nothing_of(&["node1"])?;
    let text = std::fs::read_to_string(lab.home().join("result.json"))?;
    assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    Ok(())
}

fn nodes_from_files(lab: &Lab) -> Result<(), Failed> {
    let inventory = r#"{"$schema":"https://choria.io/schemas/choria/discovery/v1/inventory_file.json","nodes":[
        {"name":"node1.example.net","collectives":["mcollective"],"facts":{},"classes":["a"],"agents":["rpcutil"]},
        {"name":"node2.example.net","collectives":["mcollective"],"facts":{},"classes":["b"],"agents":["rpcutil"]}],
        "groups":[{"name":"second","filter":{"classes":["b"]}}]}"#;
    std::fs::write(lab.home().join("fleet.json"), inventory)?;
    let ask = ["rpc", "rpcutil", "ping", "--senders", "--dm", "inventory"];
    let file = ["--do", "file=fleet.json"];
    let said = lab
        .ask(&[&ask[..], &file, &["-I", "group:second"]].concat())?
        .ended_with(0)?;
    same(&said.sorted_lines(), &names(&[2]), &"a group")?;
    let words = [&["find", "-v", "--dm", "inventory", "-C", "a"][..], &file].concat();
    lab.ask(&words)?
        .ended_with(0)?
        .says(&["using the inventory method .... 1\nnode1.example.net\n"])?;
    lab.ask(&["find", "--dm", "puppetdb"])?
        .ended_with(1)?
        .says(&["puppetdb"])?;
    Ok(())
}

fn nodes_from_results(lab: &Lab) -> Result<(), Failed> {
    let first = [
        "rpc",
        "rpcutil",
        "get_fact",
        "fact=country",
        "--json",
        "-C",
        "role::web",
    ];
    let first = lab.ask(&first)?.ended_with(0)?;
    let words = [
        "rpc",
        "rpcutil",
        "ping",
        "--senders",
        "--config",
        "client.conf",
    ];
    let mut command = muster(lab.home(), &words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut second = command.spawn()?;
    second
        .stdin
        .take()
        .unwrap()
        .write_all(first.out.as_bytes())?;
    let output = second.wait_with_output()?;
    let out = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    same(&lines, &names(&[2, 3]), &output)
}

fn failures_are_json_too(lab: &Lab) -> Result<(), Failed> {
    for words in [
        &["rpc", "rpcutil", "nosuch", "--json"][..],
        &["rpc", "rpcutil", "ping", "--json", "-C", "nosuch"],
        &["rpc", "rpcutil", "ping", "--json", "--nonsense"],
        &["facts", "country", "--json", "-C", "nosuch"],
        &["find", "--json", "-F", "country"],
        &["inventory", "gone.example.net", "--json", "--timeout", "1"],
    ] {
        let said = lab.ask(words)?;
        assert_ne!(said.code, Some(0), "{said:#?}");
        assert!(json(&said)?["error"].is_string(), "{said:#?}");
    }
    let said = lab
        .ask(&["rpc", "rpcutil", "nosuch", "--jsonl"])?
        .ended_with(1)?;
    assert_eq!(json(&said)?["k"], "error");
    let said = lab
        .ask(&["find", "--json", "-C", "nosuch"])?
        .ended_with(1)?;
    assert_eq!(said.out, "[]\n");
    let said = lab
        .ask(&["ping", "--json", "-C", "nosuch", "--timeout", "1"])?
        .ended_with(1)?;
    assert_eq!(json(&said)?["stats"]["replies"], 0);
    Ok(())
}

fn ping_graph(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["ping", "--graph", "--expect", "3"])?
        .ended_with(0)?
        .says(&["3 replies max: ", " ┼", "Responses per 50ms\n"])?;
    Ok(())
}

fn configuration(lab: &Lab) -> Result<(), Failed> {
    std::fs::write(
        lab.home().join("odd.conf"),
        "main_collective = eu\ncollectives = eu\nloglevle = debug\nplugin.choria.middleware_hosts = localhost:4222\n\
         plugin.security.provider = file\nplugin.security.file.certificate = a\nplugin.security.file.key = b\nplugin.security.file.ca = c\n",
    )?;
    let said = muster(lab.home(), &["tool", "config", "--config", "odd.conf"]);
    Said::of(said)?.ended_with(0)?.says(&[
        "main_collective",
        "odd.conf:1",
        "default",
        "odd.conf:3: loglevle is not known and has no effect",
    ])?;
    let said = Said::of(muster(
        lab.home(),
        &["tool", "config", "--role", "server", "--list"],
    ))?;
    said.ended_with(0)?.says(&["classesfile\n"])?;
    Ok(())
}
