//! Settings that are read again while a daemon runs.

use std::net::TcpListener;

use muster_server::daemon::{Daemon, Stop};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

use super::peer::{Peer, told};

#[test]
fn a_daemon_tells_of_itself_and_goes_by_new_settings() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = dir.path().join("facts.json");
    std::fs::write(&file, r#"{"country":"mt"}"#).unwrap();
    let status = dir.path().join("status.json");
    let text = |collectives: &str| {
        format!(
            "identity = n1\ncollectives = {collectives}\nplugin.choria.middleware_hosts = {}\n\
             registration = file_content\nregistration_splay = 0\nclassesfile = /nonexistent\n\
             plugin.choria.registration.file_content.data = {}\n\
             plugin.choria.registration.file_content.target = my.facts\n\
             plugin.choria.status_file_path = {}\n",
            listener.local_addr().unwrap(),
            file.display(),
            status.display(),
        )
    };
    let read = |text: &str| {
        let settings = Settings::parse(text, "server.conf");
        NodeConfig::from_settings(&settings, &NodeFlags::laboratory())
    };
    // First settings that cannot be used, then others.
    let mut later = vec![read(&text("mcollective, eu")), read("ttl = x")];
    let (levels, seen) = std::sync::mpsc::channel();
    let daemon = Daemon::new(read(&text("mcollective")).unwrap()).with_reload(
        move || match later.pop() {
            Some(read) => read.map_err(|errors| errors.to_string()),
            None => Err("there is no other".to_owned()),
        },
        move |level| levels.send(level.to_owned()).unwrap(),
    );
    let stop = Stop::new().unwrap();
    let handle = std::thread::spawn({
        let stop = stop.clone();
        move || daemon.run(&stop)
    });
    let mut peer = Peer::accept(&listener);
    let startup = told(&mut peer, "choria.lifecycle.event.startup.server");
    assert!(startup.contains(r#""identity":"n1""#), "{startup}");
    let registration = told(&mut peer, "my.facts");
    assert!(registration.starts_with(r#"{"protocol":"choria:transport:1""#));
    let written = std::fs::read_to_string(&status).unwrap();
    assert!(
        written.starts_with(r#"{"identity":"n1","uptime":"#),
        "{written}"
    );
    let mode = std::fs::metadata(&status).unwrap().permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o600,
        0o600
    );
    // Asked for until the second, good settings were read.
    while seen.try_recv().is_err() {
        stop.request_reload();
        std::thread::yield_now();
    }
    peer.sid("eu.node.n1");
    stop.request();
    let shutdown = told(&mut peer, "choria.lifecycle.event.shutdown.server");
    assert!(shutdown.contains("io.choria.lifecycle.v1.shutdown"));
    handle.join().unwrap().unwrap();
    let mut names = std::fs::read_dir(dir.path()).unwrap();
    assert!(names.all(|entry| !entry.unwrap().path().ends_with(".new")));
}
