//! A request whose replies go into a stream, where they are found by the request's id.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;

use crate::Act;
use crate::lab::{Broker, Process, Stream};

pub(crate) const ALL: &[(&str, Act)] = &[(
    "replies_of_an_asynchronous_request_end_in_the_stream",
    replies_end_in_the_stream,
)];

/// How often the nodes are asked: the subscriptions of a node may be a moment behind its log.
const ASKS_MAX: usize = 20;

fn muster(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(words).current_dir(home).env("HOME", home);
    command
}

fn replies_end_in_the_stream() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let home = folder.path();
    let stream = Stream::start(home)?;
    let settings = format!(
        "type = choria_streams\nstream.servers = {}\nstream.topic = in.replies.%s\n\
         ingest.topic = mcollective.reply.async\n",
        stream.address()
    );
    let broker = Broker::start(home, &settings)?;
    let hosts = format!("plugin.choria.middleware_hosts = {}\n", broker.address);
    fs::write(home.join("client.conf"), &hosts)?;
    let mut nodes = Vec::new();
    for name in ["node1", "node2"] {
        let file = format!("{name}.conf");
        let text = format!("identity = {name}\nlogfile = stderr\nrpcauthorization = 0\n{hosts}");
        fs::write(home.join(&file), text)?;
        let mut command = muster(home, &["server", "--config", &file, "--insecure"]);
        nodes.push(Process::start(&mut command, &[" connected "])?.0);
    }
    let ask = [
        "rpc",
        "rpcutil",
        "ping",
        "-I",
        "/./",
        "--insecure",
        "--config",
        "client.conf",
    ];
    let heard = |_: &usize| {
        let words = [&ask[..], &["--timeout", "2"]].concat();
        let said = muster(home, &words).output().unwrap();
        String::from_utf8_lossy(&said.stdout).contains("2 / 2")
    };
    assert!(
        (0..ASKS_MAX).any(|number| heard(&number)),
        "the nodes never answered"
    );
    let words = [&ask[..], &["--reply-to", "mcollective.reply.async"]].concat();
    let said = muster(home, &words).output()?;
    let id = String::from_utf8(said.stdout)?.trim().to_owned();
    assert_eq!(id.len(), 32, "{id:?}");
    broker.wait("both replies are stored", |broker| {
        broker.own("stored_total") == 2
    });
    for name in ["node1", "node2"] {
        let envelope = stream.last(&format!("in.replies.{name}"));
        assert_eq!(envelope["requestid"], id);
        assert_eq!(envelope["sender"], name);
        assert!(envelope["data"].as_str().unwrap().contains("statuscode"));
    }
    drop(nodes);
    broker.end();
    Ok(())
}
