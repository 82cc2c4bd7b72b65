//! Agents from files in a running daemon.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::RpcRequest;
use muster_server::daemon::{Daemon, Stop};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

use super::peer::Peer;
use super::support::{self, payload_with, request};

/// Writes an agent whose program says a word. A shell does it, so that this process never holds a program open for
/// writing while another test starts a child.
fn write_agent(dir: &Path, name: &str, word: &str) {
    let program = format!(
        r#"#!/bin/sh
case $CHORIA_EXTERNAL_PROTOCOL in
*activation_request) echo '{{"activate":true}}' ;;
*) echo '{{"data":{{"word":"{word}"}}}}' ;;
esac >"$CHORIA_EXTERNAL_REPLY"
"#
    );
    let ddl = format!(
        r#"{{"metadata":{{"name":"{name}","timeout":5,"provider":"external"}},"actions":[{{"action":"say"}}]}}"#
    );
    let script = r#"printf '%s' "$2" >"$1.new" && chmod 755 "$1.new" && mv "$1.new" "$1"
        printf '%s' "$3" >"$1.json.new" && mv "$1.json.new" "$1.json""#;
    let status = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .args([dir.join(name).as_os_str(), program.as_ref(), ddl.as_ref()])
        .status();
    assert!(status.unwrap().success());
}

/// Asks agents, never twice with one id.
#[derive(Default)]
struct Caller {
    asked: u32,
}

impl Caller {
    /// The body of the reply.
    fn ask(&mut self, peer: &mut Peer, agent: &str, action: &str) -> String {
        self.asked += 1;
        let id = format!("{:032x}", self.asked);
        let body = RpcRequest::encode(agent, action, "{}");
        let mut request = request(&id, agent, &body);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        request.time = now.as_secs().try_into().unwrap();
        let payload = payload_with(&request.to_document(), &support::signer(), None);
        let reply = peer.ask(&format!("mcollective.broadcast.agent.{agent}"), &payload);
        let mut scratch = Scratch::new();
        let reply = parse_reply(&reply, &mut scratch).unwrap();
        String::from_utf8(reply.body.to_vec()).unwrap()
    }
}

/// A laboratory's settings for agents in a folder, which is looked at often.
fn watching(listener: &TcpListener, dir: &Path, more: &str) -> NodeConfig {
    let text = format!(
        "identity = n1\nplugin.choria.middleware_hosts = {}\nrpcauthorization = 0\nlibdir = {}\n{more}",
        listener.local_addr().unwrap(),
        dir.display()
    );
    let settings = Settings::parse(&text, "server.conf");
    let mut config = NodeConfig::from_settings(&settings, &NodeFlags::laboratory()).unwrap();
    config.external.rescan_every = Duration::from_millis(20);
    config.external.settle = Duration::ZERO;
    config
}

#[test]
fn a_daemon_keeps_its_agents_in_step_with_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let agents = dir.path().join("choria/agent");
    std::fs::create_dir_all(&agents).unwrap();
    write_agent(&agents, "one", "first");
    // The names of our own agents are taken.
    write_agent(&agents, "rpcutil", "forged");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = watching(&listener, dir.path(), "plugin.off.activate_agent = 0\n");
    let stop = Stop::new().unwrap();
    let daemon = std::thread::spawn({
        let stop = stop.clone();
        move || Daemon::new(config).run(&stop)
    });
    let mut peer = Peer::accept(&listener);
    let mut caller = Caller::default();
    let mut ask = |peer: &mut Peer, agent: &str, action: &str| caller.ask(peer, agent, action);
    assert!(ask(&mut peer, "one", "say").contains(r#""statusmsg":"OK","data":{"word":"first"}"#));
    assert!(ask(&mut peer, "rpcutil", "ping").contains(r#""pong":"#));
    write_agent(&agents, "off", "never");
    write_agent(&agents, "two", "new");
    assert!(ask(&mut peer, "two", "say").contains(r#"{"word":"new"}"#));
    write_agent(&agents, "one", "a second time");
    while !ask(&mut peer, "one", "say").contains(r#"{"word":"a second time"}"#) {}
    let sid = peer.sid("mcollective.broadcast.agent.two");
    std::fs::remove_file(agents.join("two.json")).unwrap();
    peer.hear(&format!("UNSUB {sid}"));
    assert!(ask(&mut peer, "rpcutil", "agent_inventory").contains(r#""agent":"one""#));
    assert!(
        !peer
            .subjects
            .iter()
            .any(|(subject, _)| subject.ends_with(".off"))
    );
    stop.request();
    daemon.join().unwrap().unwrap();
}

#[test]
fn agents_go_by_the_folders_and_switches_of_new_settings() {
    let dir = tempfile::tempdir().unwrap();
    let folders = ["a", "b"].map(|name| dir.path().join(name));
    for (folder, word) in folders.iter().zip(["of a", "of b"]) {
        let agents = folder.join("choria/agent");
        std::fs::create_dir_all(&agents).unwrap();
        write_agent(&agents, "one", word);
        write_agent(&agents, "two", word);
    }
    write_agent(&folders[0].join("choria/agent"), "three", "of a");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = watching(&listener, &folders[0], "plugin.two.activate_agent = 0\n");
    let second = watching(&listener, &folders[1], "");
    let mut nowhere = watching(&listener, &folders[1], "");
    nowhere.external.library_dirs.clear();
    let mut later = vec![nowhere, second];
    let daemon = Daemon::new(first).with_reload(
        move || later.pop().ok_or_else(|| "there is no other".to_owned()),
        |_| {},
    );
    let stop = Stop::new().unwrap();
    let daemon = std::thread::spawn({
        let stop = stop.clone();
        move || daemon.run(&stop)
    });
    let (mut peer, mut caller) = (Peer::accept(&listener), Caller::default());
    assert!(
        caller
            .ask(&mut peer, "one", "say")
            .contains(r#"{"word":"of a"}"#)
    );
    let three = peer.sid("mcollective.broadcast.agent.three");
    assert!(
        !peer
            .subjects
            .iter()
            .any(|(subject, _)| subject.ends_with(".two"))
    );
    stop.request_reload();
    // The agent that only the former folder has goes, the one that was switched off comes.
    peer.hear(&format!("UNSUB {three}"));
    assert!(
        caller
            .ask(&mut peer, "two", "say")
            .contains(r#"{"word":"of b"}"#)
    );
    assert!(
        caller
            .ask(&mut peer, "one", "say")
            .contains(r#"{"word":"of b"}"#)
    );
    let one = peer.sid("mcollective.broadcast.agent.one");
    stop.request_reload();
    peer.hear(&format!("UNSUB {one}"));
    assert!(
        caller
            .ask(&mut peer, "rpcutil", "ping")
            .contains(r#""pong":"#)
    );
    stop.request();
    daemon.join().unwrap().unwrap();
}
