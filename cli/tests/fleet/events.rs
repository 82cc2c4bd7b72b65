//! Somebody follows what nodes say of their life.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;

use libtest_mimic::Failed;

use crate::lab::Lab;
use crate::process::{Daemon, Said, muster};
use crate::questions::same;

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
pub(crate) fn two_of_four() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let broker = muster(home.path(), &["broker", "-a", "127.0.0.1", "-p", "0"]);
    let broker = Daemon::start(broker, "Server is ready")?;
    let address = broker.said_after("Listening for client connections on ")?;
    let words = [
        "tool",
        "event",
        "--count",
        "2",
        "--component",
        "server",
        "--insecure",
        "--broker",
    ];
    let mut command = muster(home.path(), &[&words[..], &[address]].concat());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follower = command.spawn()?;
    let mut log = BufReader::new(follower.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("Waiting for events") {
        line.clear();
        assert_ne!(log.read_line(&mut line)?, 0, "it ended early");
    }
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
    let output = follower.wait_with_output()?;
    let out = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = out
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let texts: Vec<_> = lines.iter().map(|(_, text)| *text).collect();
    let wanted = [
        "[startup] n1.example.net: server version 1.0",
        "[shutdown] n1.example.net: server",
    ];
    same(&texts, &wanted, &out)?;
    assert_eq!(output.status.code(), Some(0));
    Ok(())
}
