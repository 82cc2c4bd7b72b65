//! Settings that are read again while a daemon runs.

use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_protocol::rfc3339::rfc3339_utc;
use muster_protocol::security::certificate_expiry;
use muster_server::daemon::{Daemon, Stop};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

use super::peer::{Peer, told, written};

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

#[test]
fn the_end_of_another_certificate_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let status = dir.path().join("status.json");
    let config = |name: &str, days: u32| {
        let validity = Validity::days_from(now.as_secs(), days);
        let authority = Authority::new("test", KeyKind::default(), validity).unwrap();
        let profile = Profile::new(Role::Node, "n1", validity);
        let issued = authority.issue(&profile).unwrap();
        let [certificate, key] =
            ["pem", "key"].map(|kind| dir.path().join(name).with_extension(kind));
        std::fs::write(&certificate, &issued.cert_pem).unwrap();
        std::fs::write(&key, &issued.key_pem).unwrap();
        let text = format!(
            "identity = n1\nplugin.choria.middleware_hosts = 127.0.0.1:1\nclassesfile = /nonexistent\n\
             plugin.security.provider = file\nplugin.security.file.certificate = {}\n\
             plugin.security.file.key = {}\nplugin.choria.status_file_path = {}\n",
            certificate.display(),
            key.display(),
            status.display(),
        );
        let settings = Settings::parse(&text, "server.conf");
        let config = NodeConfig::from_settings(&settings, &NodeFlags::laboratory()).unwrap();
        let end = certificate_expiry(&issued.cert_pem).unwrap();
        let end = rfc3339_utc(Duration::from_secs(end.try_into().unwrap()));
        (config, format!(r#""certificate_expires":"{end}""#))
    };
    let ((first, first_end), (second, second_end)) = (config("first", 2), config("second", 9));
    assert_ne!(first_end, second_end);
    let daemon = Daemon::new(first).with_reload(move || Ok(second.clone()), |_| {});
    let stop = Stop::new().unwrap();
    let handle = std::thread::spawn({
        let stop = stop.clone();
        move || daemon.run(&stop)
    });
    written(&status, |text| text.contains(&first_end));
    stop.request_reload();
    written(&status, |text| text.contains(&second_end));
    stop.request();
    handle.join().unwrap().unwrap();
}
