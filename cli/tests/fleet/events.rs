//! Somebody follows what nodes say of their life.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use libtest_mimic::Failed;

use crate::daemons::Act;
use crate::lab::Lab;
use crate::process::{Daemon, Said, muster};
use crate::questions::same;

pub(crate) const ALL: &[(&str, Act)] = &[
    ("events_of_both_forms", two_of_four),
    ("events_of_a_node", a_node_comes_and_goes),
];

/// Nobody comes or goes meanwhile.
pub(crate) fn nobody_comes(lab: &Lab) -> Result<(), Failed> {
    let words = [
        "tool",
        "event",
        "--timeout",
        "0.2",
        "--config",
        "client.conf",
    ];
    let said = Said::of(muster(lab.home(), &words))?.ended_with(0)?;
    said.says(&["Waiting for events from topic choria.lifecycle.event.> on "])?;
    Ok(())
}

/// Events of both forms, of which one is asked for, and noise between them.
fn two_of_four() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let broker = muster(home.path(), &["broker", "-a", "127.0.0.1", "-p", "0"]);
    let broker = Daemon::start(broker, "Server is ready")?;
    let address = broker.said_after("Listening for client connections on ")?;
    let follower = Follower::start(home.path(), address, &["--component", "server"])?;
    let mut stream = TcpStream::connect(address)?;
    let event = |kind: &str, component: &str| {
        format!(
            r#"{{"protocol":"io.choria.lifecycle.v1.{kind}","id":"x","identity":"n1.example.net","component":"{component}","timestamp":1,"version":"1.0"}}"#
        )
    };
    let cloud = format!(
        r#"{{"specversion":"1.0","data":{}}}"#,
        event("shutdown", "server")
    );
    let payloads = [
        event("startup", "other"),
        "noise".to_owned(),
        event("startup", "server"),
        cloud,
    ];
    stream.write_all(b"CONNECT {\"verbose\":false}\r\n")?;
    for payload in payloads {
        let subject = "choria.lifecycle.event.startup.server";
        stream.write_all(format!("PUB {subject} {}\r\n{payload}\r\n", payload.len()).as_bytes())?;
    }
    follower.saw(&[
        "[startup] n1.example.net: server version 1.0",
        "[shutdown] n1.example.net: server",
    ])
}

/// A node that starts and ends.
fn a_node_comes_and_goes() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let broker = muster(home.path(), &["broker", "-a", "127.0.0.1", "-p", "0"]);
    let broker = Daemon::start(broker, "Server is ready")?;
    let address = broker.said_after("Listening for client connections on ")?;
    let follower = Follower::start(home.path(), address, &[])?;
    let text = format!(
        "identity = n1.example.net\nlogfile = stderr\nplugin.choria.use_srv = false\n\
         plugin.choria.middleware_hosts = {address}\n"
    );
    std::fs::write(home.path().join("server.conf"), text)?;
    let words = ["server", "--insecure", "--config", "server.conf"];
    let node = Daemon::start(muster(home.path(), &words), " connected ")?;
    let ping = ["ping", "--expect", "1", "--insecure", "--broker", address];
    Said::of(muster(home.path(), &ping))?.ended_with(0)?;
    assert_eq!(node.end_with("TERM")?.code(), Some(0));
    let version = env!("CARGO_PKG_VERSION");
    follower.saw(&[
        &format!("[startup] n1.example.net: server version {version}"),
        "[shutdown] n1.example.net: server",
    ])
}

/// Somebody who follows two events, for half a minute at most.
struct Follower(Child);

impl Follower {
    /// Starts to follow; the broker knows of it when this is over.
    fn start(home: &Path, address: &str, more: &[&str]) -> Result<Self, Failed> {
        let words = [
            "tool",
            "event",
            "--count",
            "2",
            "--timeout",
            "30",
            "--insecure",
            "--broker",
            address,
        ];
        let mut command = muster(home, &[&words[..], more].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("Waiting for events") {
            line.clear();
            if log.read_line(&mut line)? == 0 {
                return Err("it ended early".into());
            }
        }
        Ok(Self(child))
    }

    /// Waits for its end, and checks what it saw; the time in front is that of the test.
    fn saw(self, wanted: &[&str]) -> Result<(), Failed> {
        let output = self.0.wait_with_output()?;
        let out = String::from_utf8_lossy(&output.stdout);
        let events = out.lines().filter_map(|line| line.split_once(' '));
        let events: Vec<_> = events.map(|(_, event)| event).collect();
        same(&events, wanted, &out)?;
        assert_eq!(output.status.code(), Some(0));
        Ok(())
    }
}
