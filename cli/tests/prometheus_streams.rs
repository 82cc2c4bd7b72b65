//! The example daemon with a circuit breaker, switched by the real command line over a broker: its own agent first, then
//! its backplane.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig};

#[path = "../../backplane/examples/prometheus_streams/app/mod.rs"]
mod app;

use app::{Job, Streams};

const NODE: &str = "prom.example.net";
/// What the screen of 2018 shows, in its summary of a poller that is paused. There the two lines about the state differ,
/// which no single answer can give; here they agree. Blank lines are those of clients of today.
const SCREEN: &str = "
prom.example.net
     Mode: poller
   Paused: true

Summary of Mode:

   poller = 1

Summary of Paused:

   true = 1

Finished processing 1 / 1 hosts in ";

struct Lab {
    broker: Broker,
    home: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let broker = Broker::start(BrokerConfig {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            shards: Some(1),
            ..BrokerConfig::default()
        });
        let (broker, home) = (broker.unwrap(), tempfile::tempdir().unwrap());
        let libdir =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../backplane/examples/prometheus_streams");
        let text = format!(
            "identity = rip.mcollective\nlibdir = {}\nplugin.choria.middleware_hosts = {}\n",
            libdir.display(),
            broker.address()
        );
        std::fs::write(home.path().join("client.conf"), text).unwrap();
        Self { broker, home }
    }

    /// The exit code, and what is said on the standard output.
    fn muster(&self, words: &str) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(words.split(' '))
            .args(["--config", "client.conf", "--insecure"])
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("MCOLLECTIVE_CERTNAME", "rip.mcollective")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), out)
    }

    /// Waits until the daemon is there.
    fn await_node(&self, collective: &str) {
        let ping = format!("ping -T {collective} --expect 1 --timeout 1 --names");
        let found = (0..30).any(|_| self.muster(&ping).1.contains(NODE));
        assert!(found, "the daemon did not come");
    }
}

fn streams() -> Arc<Streams> {
    // The discard port: nobody answers there, and a poller lives with that.
    let job = Job {
        name: "choria".to_owned(),
        target: "127.0.0.1:9/metrics".to_owned(),
    };
    Streams::new(NODE, vec![job], Duration::from_secs(3600))
}

/// The lines with something on them.
fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim_end);
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn switching_the_breaker_looks_as_on_the_screen_of_2018() {
    let lab = Lab::new();
    let streams = streams();
    let node = app::start_agent(&streams, &lab.broker.address().to_string()).unwrap();
    lab.await_node("prometheus");
    let switch = "rpc prometheus_streams switch -T prometheus";
    let (code, out) = lab.muster(switch);
    assert_eq!(code, Some(0), "{out}");
    let (screen, shown) = (lines(SCREEN), lines(&out));
    // The first line says how the daemon was discovered.
    assert_eq!(shown.len(), screen.len() + 1, "{out}");
    assert!(shown[0].ends_with(" .... 1"), "{out}");
    let last = screen.len() - 1;
    assert_eq!(shown[1..=last], screen[..last], "{out}");
    assert!(shown[last + 1].starts_with(screen[last]), "{out}");
    assert!(streams.poller.is_paused());
    // It is found by its new state at once, and by its job.
    let (_, out) =
        lab.muster("find -T prometheus -F paused=true -F job_choria=true -F mode=poller");
    assert_eq!(out, format!("{NODE}\n"));
    lab.muster(switch);
    assert!(!streams.poller.is_paused());
    let (_, out) = lab.muster("rpc prometheus_streams info -T prometheus");
    assert!(out.contains("   Paused: false\n"), "{out}");
    assert!(out.contains("   Version: "), "{out}");
    node.stop().unwrap();
}

#[test]
fn the_same_breaker_has_a_backplane() {
    let lab = Lab::new();
    let streams = streams();
    let yaml = format!(
        "management: {{name: promstreams, brokers: ['{}'], auth: {{read_only: [guest], full: ['rip.mcollective$']}}}}",
        lab.broker.address()
    );
    let backplane = app::start_backplane(&streams, &yaml).unwrap();
    lab.await_node("promstreams_backplane");
    let (code, out) = lab.muster("backplane promstreams flip -F mode=poller");
    assert_eq!(code, Some(0), "{out}");
    let shown = lines(&out);
    let head = "Starting discovery process for promstreams backplane managed services: 1";
    assert_eq!(shown[0], head, "{out}");
    assert!(shown[1].starts_with("Managed 1 service(s) in "), "{out}");
    assert!(shown[1].ends_with("ms") && shown.len() == 2, "{out}");
    assert!(streams.poller.is_paused());
    let (_, out) = lab.muster("backplane exec promstreams info -v -I prom.example.net");
    for text in [
        "  prom.example.net:\n\n           App Version: ",
        "                Paused: true\n",
        "         Pause Feature: ✓\n         Facts Feature: ✓\n        Health Feature: ✘\n",
        "\"mode\": \"poller\"",
    ] {
        assert!(out.contains(text), "{text:?} in {out}");
    }
    let (_, out) = lab.muster("backplane promstreams ping");
    assert!(out.contains("  prom.example.net  {\"version\":\""), "{out}");
    // It offers no health check, so nobody is found who does.
    let (code, out) = lab.muster("backplane promstreams health");
    assert_eq!(code, Some(1), "{out}");
    backplane.stop().unwrap();
}
