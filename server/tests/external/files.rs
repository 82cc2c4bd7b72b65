//! From files to agents: found, changed, removed, refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use muster_protocol::ddl::Ddl;
use muster_protocol::rpc::StatusCode;
use muster_server::external::Shim;
use serde_json::json;

use crate::lab::{Lab, ddl, install};

fn saying(word: &str) -> String {
    format!("reply '{{\"data\":{{\"said\":\"{word}\"}}}}'")
}

fn said(lab: &mut Lab, agent: &str) -> serde_json::Value {
    let (status, message, data) = lab.ask(agent, "act", "{}");
    assert_eq!(status, StatusCode::Ok, "{message}");
    data["said"].clone()
}

#[test]
fn agents_come_change_and_go() {
    let mut lab = Lab::new();
    assert_eq!(lab.rescan(), [""; 0]);
    lab.add("one", &ddl("one", &["act"]), &saying("first"));
    assert_eq!(lab.rescan(), ["one"]);
    assert_eq!(said(&mut lab, "one"), "first");
    // A new program and a new DDL.
    lab.add("one", &ddl("one", &["act", "more"]), &saying("second time"));
    lab.add("two", &ddl("two", &["act"]), &saying("two"));
    assert_eq!(lab.rescan(), ["one", "two"]);
    assert_eq!(said(&mut lab, "one"), "second time");
    assert_eq!(lab.ask("one", "more", "{}").0, StatusCode::Ok);
    // A broken DDL leaves what there was.
    fs::write(lab.agent_file("one.json"), "{").unwrap();
    assert_eq!(lab.rescan(), ["one", "two"]);
    assert_eq!(said(&mut lab, "one"), "second time");
    fs::remove_file(lab.agent_file("one.json")).unwrap();
    assert_eq!(lab.rescan(), ["two"]);
    assert_eq!(said(&mut lab, "two"), "two");
}

#[test]
fn an_agent_in_a_folder_of_its_own() {
    let mut lab = Lab::new();
    fs::create_dir(lab.agent_file("one")).unwrap();
    lab.add("one/one", &ddl("one", &["act"]), &saying("anywhere"));
    assert_eq!(lab.rescan(), ["one"]);
    assert_eq!(said(&mut lab, "one"), "anywhere");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let here = format!("one/one-{}_{architecture}", std::env::consts::OS);
    install(&lab.agent_file(&here), &crate::lab::script(&saying("here")));
    assert_eq!(lab.rescan(), ["one"]);
    assert_eq!(said(&mut lab, "one"), "here");
}

#[test]
fn a_program_decides_whether_it_is_loaded() {
    let mut lab = Lab::new();
    let name = |program: &str| {
        let count = lab.path("count");
        format!("#!/bin/sh\necho >>'{}'\n{program}\n", count.display())
    };
    let refuses = name("echo '{\"activate\":false}' >\"$CHORIA_EXTERNAL_REPLY\"");
    for (agent, program) in [
        ("refuses", &*refuses),
        (
            "fails",
            "#!/bin/sh\necho '{\"activate\":true}' >\"$CHORIA_EXTERNAL_REPLY\"; exit 1\n",
        ),
        ("hangs", "#!/bin/sh\nsleep 1000\n"),
        (
            "mumbles",
            "#!/bin/sh\necho yes >\"$CHORIA_EXTERNAL_REPLY\"\n",
        ),
        (
            "reads",
            "#!/bin/sh\n[ \"$3\" = io.choria.mcorpc.external.v1.rpc_request ] || exit 1
            echo '{\"activate\":true}' >\"$CHORIA_EXTERNAL_REPLY\"\n",
        ),
    ] {
        lab.add(agent, &ddl(agent, &["act"]), "");
        install(&lab.agent_file(agent), program);
    }
    assert_eq!(lab.rescan(), ["reads"]);
    assert_eq!(lab.rescan(), ["reads"]);
    // A no is not asked for again.
    assert_eq!(fs::read_to_string(lab.path("count")).unwrap(), "\n");
    lab.add("refuses", &ddl("refuses", &["act"]), &saying("yes"));
    assert_eq!(lab.rescan(), ["reads", "refuses"]);
    install(&lab.agent_file("refuses"), &refuses);
    assert_eq!(lab.rescan(), ["reads"]);
}

#[test]
fn what_is_not_to_be_loaded_is_not() {
    let mut lab = Lab::with(|options| options.inactive = BTreeSet::from(["off".to_owned()]));
    for own in [
        "rpcutil",
        "choria_util",
        "choria_provision",
        "choria_registry",
        "discovery",
        "scout",
        "off",
    ] {
        lab.add(own, &ddl(own, &["act"]), "");
    }
    // Made for clients, or for servers of another make.
    lab.add(
        "golang",
        &ddl("golang", &["act"]).replace("external", "golang"),
        "",
    );
    lab.add("none", &ddl("none", &["act"]).replace("external", ""), "");
    lab.add("misnamed", &ddl("other", &["act"]), "");
    lab.add("folder", &ddl("folder", &["act"]), "");
    fs::remove_file(lab.agent_file("folder")).unwrap();
    fs::create_dir(lab.agent_file("folder")).unwrap();
    lab.add(
        "ruby",
        &ddl("ruby", &["act"]).replace("external", "ruby"),
        "",
    );
    fs::write(lab.agent_file("ruby.rb"), "").unwrap();
    lab.add("good", &ddl("good", &["act"]), &saying("good"));
    assert_eq!(lab.rescan(), ["good"]);
}

#[test]
fn files_must_have_been_left_alone_for_a_while() {
    let mut lab = Lab::with(|options| options.settle = Duration::from_secs(5));
    lab.add("one", &ddl("one", &["act"]), &saying("x"));
    assert_eq!(lab.rescan(), [""; 0]);
    let past = std::time::SystemTime::now() - Duration::from_secs(6);
    for file in ["one", "one.json"] {
        let file = fs::File::options()
            .append(true)
            .open(lab.agent_file(file))
            .unwrap();
        file.set_modified(past).unwrap();
    }
    assert_eq!(lab.rescan(), ["one"]);
}

#[test]
fn of_a_service_one_node_answers() {
    let mut lab = Lab::new();
    let service = ddl("one", &["act"]).replace("\"timeout\"", "\"service\":true,\"timeout\"");
    lab.rescan();
    lab.add("one", &service, &saying("x"));
    let loaded = lab
        .loader
        .rescan(Duration::from_secs(3601), std::time::SystemTime::now());
    assert!(loaded);
    let mut options = crate::support::options();
    options.agents = muster_server::AgentSet::new();
    for agent in lab.loader.agents() {
        options.agents.insert(std::sync::Arc::clone(agent));
    }
    lab.node().node.set_setup(crate::support::setup(options));
    let taken = lab.node().taken();
    assert!(
        taken
            .iter()
            .any(|line| line.starts_with("SUB mcollective.broadcast.service.one one ")),
        "{taken:?}"
    );
}

#[test]
fn ruby_agents_are_run_by_their_shim() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut lab = Lab::with(|options| {
        options.shim = Some(Shim {
            program: fixtures.join("shim"),
            config: options.config_dir.join("shim.cfg"),
        });
        options.reply_bytes_max = 65_536;
    });
    fs::create_dir_all(lab.path("etc")).unwrap();
    let actions = ["mirror", "refuse", "silent", "garbage", "flood"];
    for (name, provider) in [("package", "ruby"), ("service", ""), ("rpcutil", "ruby")] {
        let ddl = ddl(name, &actions).replace("external", provider);
        fs::write(lab.agent_file(&format!("{name}.json")), ddl).unwrap();
        fs::write(lab.agent_file(&format!("{name}.rb")), "").unwrap();
    }
    assert_eq!(lab.rescan(), ["package", "service"]);
    let (_, message, _) = lab.ask("package", "mirror", "{}");
    assert_eq!(
        message,
        "Could not call ruby agent package#mirror: shim.cfg was not found"
    );
    fs::write(lab.path("etc/shim.cfg"), "cfg").unwrap();
    let (status, message, data) = lab.ask("package", "mirror", r#"{"word":"zsh"}"#);
    assert_eq!(status, StatusCode::Ok, "{message}");
    assert_eq!(data["config"], "cfg");
    assert_eq!(data["said"], "nothing");
    assert_eq!(
        data["request"]["body"],
        json!({"agent": "package", "action": "mirror",
        "data": {"word": "zsh"}, "caller": "choria=rip.mcollective"})
    );
    for (action, status, why) in [
        ("refuse", StatusCode::InvalidData, "not this way"),
        (
            "silent",
            StatusCode::Aborted,
            "Could not call ruby agent service#silent: shim failed: exit status 3",
        ),
        (
            "garbage",
            StatusCode::Aborted,
            "Could not call ruby agent service#garbage: the reply is not json: expected value at line 1 column 1",
        ),
        (
            "flood",
            StatusCode::Aborted,
            "Could not call ruby agent service#flood: more than 65536 bytes on its standard output",
        ),
    ] {
        let (found, message, _) = lab.ask("service", action, "{}");
        assert_eq!((found, &*message), (status, why));
    }
    // `mcollectived` had codes for refused inputs.
    assert_eq!(
        lab.ask("service", "mirror", r#"{"word":1}"#).0,
        StatusCode::InvalidData
    );
}

#[test]
fn the_ddls_we_show_have_no_problems() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(top.join("docs/agents.md")).unwrap();
    let blocks = page.split("```json\n").skip(1);
    let mut texts: Vec<_> = blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .filter(|block| block.contains("metadata"))
        .collect();
    for file in ["disk.json", "parrot/parrot.json"] {
        let path = top.join("examples/agents/mcollective/agent").join(file);
        texts.push(fs::read_to_string(path).unwrap());
    }
    assert_eq!(texts.len(), 3);
    for text in texts {
        assert_eq!(Ddl::parse(text.as_bytes()).unwrap().check(), [], "{text}");
    }
}
