//! What is asked of a laboratory's fleet.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::lab::{Lab, NODES};

pub(crate) type Question = fn(&Lab) -> Result<(), Failed>;

pub(crate) const ALL: &[(&str, Question)] = &[
    ("ping", ping),
    ("ping_names_who_is_missing", ping_names_who_is_missing),
    ("find_by_each_filter", find_by_each_filter),
    ("find_nobody", find_nobody),
    ("rpc", rpc),
    ("rpc_by_each_filter", rpc_by_each_filter),
    ("rpc_for_machines", rpc_for_machines),
    ("rpc_names_who_is_missing", rpc_names_who_is_missing),
    ("rpc_with_failures", rpc_with_failures),
    ("rpc_never_widens", rpc_never_widens),
    ("rpc_with_bad_input", rpc_with_bad_input),
    ("rpc_to_a_list_of_nodes", rpc_to_a_list_of_nodes),
    ("sub_collectives", sub_collectives),
    ("flags_need_no_file", flags_need_no_file),
    ("a_caller_nobody_allows", a_caller_nobody_allows),
];

/// Each filter with the numbers of the nodes that match.
const FILTERS: &[(&[&str], &[usize])] = &[
    (&["-F", "country=c1"], &[1]),
    (&["--wf", "os.release>=12"], &[2, 3]),
    (&["-F", "country=~/c[12]/"], &[1, 2]),
    (&["-F", "country!=c1", "-F", "country!=c2"], &[3]),
    (&["-C", "role::web"], &[2, 3]),
    (&["--wc", "/^role::d/"], &[1]),
    (&["-I", "node2.example.net"], &[2]),
    (
        &["-I", "node2.example.net", "-I", "node3.example.net"],
        &[2, 3],
    ),
    (&["--wi", "/node[13]/"], &[1, 3]),
    (&["-A", "rpcutil"], &[1, 2, 3]),
    (&["-W", "country=c2 role::web"], &[2]),
];

pub(crate) fn names(numbers: &[usize]) -> Vec<&'static str> {
    numbers.iter().map(|number| NODES[number - 1]).collect()
}

#[track_caller]
pub(crate) fn same(
    got: &[&str],
    wanted: &[&str],
    about: &dyn std::fmt::Debug,
) -> Result<(), Failed> {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{about:?}: {got:?} is not {wanted:?}").into())
    }
}

fn ping(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["ping", "--expect", "3"])?
        .ended_with(0)?
        .says(&[
            "node1.example.net                        time=",
            "node3.example.net",
            " ms\n",
        ])?
        .says(&["\n\n\n---- ping statistics ----\n3 replies max: "])?;
    lab.ask(&["ping", "--expect", "3", "--silent"])?
        .ended_with(0)?
        .says(&["3 replies"])?
        .says_nothing_of(&["node1"])?;
    let json = lab
        .ask(&["ping", "--expect", "3", "--json"])?
        .ended_with(0)?;
    let json: Value = serde_json::from_str(&json.out)?;
    assert_eq!(json["replies"].as_array().map(Vec::len), Some(3), "{json}");
    Ok(())
}

fn ping_names_who_is_missing(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&[
        "ping",
        "-I",
        "node1.example.net",
        "-I",
        "gone.example.net",
        "--timeout",
        "2",
    ])?
    .ended_with(0)?
    .says(&[
        "1 replies",
        "No Responses from: 1\n\n    gone.example.net\n",
        "1 of 2 expected",
    ])?;
    lab.ask(&["ping", "-C", "nosuch", "--timeout", "1"])?
        .ended_with(1)?
        .says(&["no responses"])?;
    Ok(())
}

fn find_by_each_filter(lab: &Lab) -> Result<(), Failed> {
    for (filter, matching) in FILTERS {
        let said = lab.ask(&[&["find"][..], filter].concat())?.ended_with(0)?;
        same(
            &said.out.lines().collect::<Vec<_>>(),
            &names(matching),
            filter,
        )?;
    }
    let json = lab.ask(&["discover", "--json"])?.ended_with(0)?;
    assert_eq!(serde_json::from_str::<Vec<String>>(&json.out)?, NODES);
    lab.ask(&["find", "-v"])?
        .ended_with(0)?
        .says(&["method .... 3\n", "Discovered 3 nodes"])?;
    Ok(())
}

fn find_nobody(lab: &Lab) -> Result<(), Failed> {
    for filter in [
        &["-C", "nosuch"][..],
        &["-A", "nosuch"],
        &["-I", "gone.example.net"],
    ] {
        let words = [&["find", "--discovery-timeout", "1"][..], filter].concat();
        let said = lab
            .ask(&words)?
            .ended_with(1)?
            .says(&["no node was discovered"])?;
        assert_eq!(said.out, "");
    }
    Ok(())
}

fn rpc(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["rpc", "rpcutil", "get_fact", "fact=country"])?
        .ended_with(0)?
        .says(&[
            "Discovering nodes using the mc method .... 3\n\n",
            "node1.example.net                        \n\n    Fact: country\n   Value: c1\n\n",
            "Summary of Value:\n\n   c1: 1\n   c2: 1\n   c3: 1\n\n\nFinished processing 3 / 3 hosts in ",
        ])?
        .says_nothing_of(&["No Responses", "not counted", "\u{1b}"])?;
    lab.ask(&["rpc", "rpcutil", "ping", "-v"])?
        .ended_with(0)?
        .says(&[
            "   {\n      \"pong\": ",
            "---- request stats ----\n               Nodes: 3 / 3\n",
        ])?;
    lab.ask(&["rpc", "rpcutil", "ping", "--display", "none"])?
        .ended_with(0)?
        .says(&["Finished processing 3 / 3"])?
        .says_nothing_of(&["node1"])?;
    let said = lab
        .ask(&["req", "rpcutil", "ping", "--senders"])?
        .ended_with(0)?;
    same(&said.sorted_lines(), &NODES, &"--senders")
}

fn rpc_by_each_filter(lab: &Lab) -> Result<(), Failed> {
    for (filter, matching) in FILTERS {
        let words = [&["rpc", "rpcutil", "ping", "--senders"][..], filter].concat();
        let said = lab.ask(&words)?.ended_with(0)?;
        same(&said.sorted_lines(), &names(matching), filter)?;
    }
    Ok(())
}

fn rpc_for_machines(lab: &Lab) -> Result<(), Failed> {
    let said = lab
        .ask(&["rpc", "rpcutil", "get_fact", "fact=os.family", "--json"])?
        .ended_with(0)?;
    let json: Value = serde_json::from_str(&said.out)?;
    assert_eq!(json["agent"], "rpcutil");
    assert_eq!(json["replies"].as_array().map(Vec::len), Some(3), "{json}");
    assert_eq!(json["replies"][0]["data"]["value"], "Debian");
    assert_eq!(json["request_stats"]["discovered"], 3);
    assert_eq!(json["request_stats"]["ok"], 3);
    assert!(
        json["request_stats"]["discover_time"].as_u64() > Some(0),
        "{json}"
    );
    assert_eq!(json["summaries"]["value"]["Debian"], 3);
    Ok(())
}

fn rpc_names_who_is_missing(lab: &Lab) -> Result<(), Failed> {
    let ask = [
        "rpc",
        "rpcutil",
        "ping",
        "--timeout",
        "2",
        "-I",
        "gone.example.net",
    ];
    lab.ask(&[&ask[..], &["-I", "node1.example.net"]].concat())?
        .ended_with(0)?
        .says(&[
            "Finished processing 1 / 2 hosts",
            "No Responses from: 1\n\n    gone.example.net\n",
        ])?;
    lab.ask(&ask)?
        .ended_with(4)?
        .says(&["Finished processing 0 / 1 hosts", "No Responses from: 1"])?;
    let json = lab.ask(&[&ask[..], &["--json"]].concat())?.ended_with(4)?;
    let json: Value = serde_json::from_str(&json.out)?;
    assert_eq!(json["request_stats"]["no_responses"][0], "gone.example.net");
    Ok(())
}

fn rpc_with_failures(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["rpc", "rpcutil", "get_config_item", "item=own.key"])?
        .ended_with(2)?
        .says(&[
            "node2.example.net                        Request Aborted\n\n    Unknown configuration property own.key\n",
            "Value: own value",
            "Finished processing 3 / 3 hosts",
        ])?;
    lab.ask(&[
        "rpc",
        "rpcutil",
        "get_config_item",
        "item=own.key",
        "--display",
        "failed",
    ])?
    .ended_with(2)?
    .says(&["node2.example.net", "node3.example.net"])?
    .says_nothing_of(&["node1.example.net"])?;
    lab.ask(&[
        "rpc",
        "rpcutil",
        "get_config_item",
        "item=own.key",
        "--display",
        "ok",
    ])?
    .ended_with(2)?
    .says(&["node1.example.net"])?
    .says_nothing_of(&["node2.example.net"])?;
    Ok(())
}

fn rpc_never_widens(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&[
        "rpc",
        "rpcutil",
        "ping",
        "-C",
        "nosuch",
        "--discovery-timeout",
        "1",
    ])?
    .ended_with(1)?
    .says(&["method .... 0\n", "no node was discovered"])?
    .says_nothing_of(&["Finished", "node1"])?;
    Ok(())
}

fn rpc_with_bad_input(lab: &Lab) -> Result<(), Failed> {
    for (words, wanted) in [
        (&["rpcutil", "get_fact"][..], "input fact is required"),
        (
            &["rpcutil", "get_fact", "fact=a", "nosuch=b"],
            "no input nosuch",
        ),
        (
            &["rpcutil", "get_fact", "country"],
            "\"country\" is not of the form key=value",
        ),
        (&["rpcutil", "nosuch"], "has no action \"nosuch\""),
        (&["nosuch", "ping"], "agent nosuch is not known"),
        (
            &["rpcutil", "ping", "-F", "country"],
            "fact filter \"country\"",
        ),
        (&["rpcutil", "ping", "--nodes", "nosuch.txt"], "nosuch.txt"),
        (&["rpcutil", "ping", "--nonsense"], "--nonsense"),
    ] {
        let said = lab
            .ask(&[&["rpc"][..], words].concat())?
            .ended_with(1)?
            .says(&[wanted])?;
        assert_eq!(said.out, "", "{words:?}");
    }
    Ok(())
}

fn rpc_to_a_list_of_nodes(lab: &Lab) -> Result<(), Failed> {
    let list = lab.home().join("list.txt");
    std::fs::write(&list, "node3.example.net\nnode1.example.net\n")?;
    let said = lab
        .ask(&["rpc", "rpcutil", "ping", "--senders", "--nodes", "list.txt"])?
        .ended_with(0)?;
    same(&said.sorted_lines(), &names(&[1, 3]), &"--nodes")
}

fn sub_collectives(lab: &Lab) -> Result<(), Failed> {
    let said = lab.ask(&["find", "-T", "eu"])?.ended_with(0)?;
    same(
        &said.out.lines().collect::<Vec<_>>(),
        &names(&[3]),
        &"find -T eu",
    )?;
    let said = lab
        .ask(&["rpc", "rpcutil", "ping", "--senders", "-T", "eu"])?
        .ended_with(0)?;
    same(
        &said.out.lines().collect::<Vec<_>>(),
        &names(&[3]),
        &"rpc -T eu",
    )
}

fn flags_need_no_file(lab: &Lab) -> Result<(), Failed> {
    let cert = [
        "--tls-cert",
        "rip.mcollective.pem",
        "--tls-key",
        "rip.mcollective.key",
    ];
    let broker = ["--tls-ca", "ca.pem", "--broker", lab.address()?];
    let words = [&["ping", "--names", "--expect", "3"][..], &cert, &broker].concat();
    let command = crate::process::muster(lab.home(), &words);
    let said = crate::process::Said::of(command)?.ended_with(0)?;
    same(&said.sorted_lines(), &NODES, &"flags")
}

/// The broker lets this caller in, since its certificate is good; the nodes do not act on its requests.
fn a_caller_nobody_allows(lab: &Lab) -> Result<(), Failed> {
    lab.ask_as("mallory.conf", &["ping", "--timeout", "1"])?
        .ended_with(1)?
        .says(&["no responses received"])?;
    Ok(())
}
