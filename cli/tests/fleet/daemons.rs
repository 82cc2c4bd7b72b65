//! How daemons start, warn and end; the authority; a fleet without security; the demonstration.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use libtest_mimic::Failed;

use crate::process::{Daemon, Said, muster};

pub(crate) type Act = fn() -> Result<(), Failed>;

pub(crate) const ALL: &[(&str, Act)] = &[
    ("broker_ends_when_asked", broker_ends_when_asked),
    ("broker_refuses_a_bad_file", broker_refuses_a_bad_file),
    ("broker_warns_of_unknown_keys", broker_warns_of_unknown_keys),
    (
        "broker_flags_go_before_the_file",
        broker_flags_go_before_the_file,
    ),
    ("broker_shares_no_port", broker_shares_no_port),
    ("broker_serves_monitoring", broker_serves_monitoring),
    ("server_ends_when_asked", server_ends_when_asked),
    ("server_refuses_a_bad_file", server_refuses_a_bad_file),
    ("client_refuses_a_bad_file", client_refuses_a_bad_file),
    ("authority_overwrites_nothing", authority_overwrites_nothing),
    ("authority_keeps_its_keys", authority_keeps_its_keys),
    ("status_files_are_checked", status_files_are_checked),
    ("insecure_fleet", insecure_fleet),
    ("demo", demo),
    ("demo_stays_when_asked", demo_stays_when_asked),
];

const READY: &str = "Server is ready";
const LISTENING: &str = "Listening for client connections on ";

fn plain_broker(home: &Path, more: &[&str]) -> Result<Daemon, Failed> {
    let words = [&["broker", "-a", "127.0.0.1", "-p", "0"][..], more].concat();
    Daemon::start(muster(home, &words), READY)
}

fn broker_ends_when_asked() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    for signal in ["TERM", "INT"] {
        let broker = plain_broker(home.path(), &["--pid", "broker.pid"])?;
        broker.said_after("This host holds up to ")?;
        let pid = fs::read_to_string(home.path().join("broker.pid"))?;
        assert!(pid.trim().parse::<u32>().is_ok(), "{pid:?}");
        let status = broker.end_with(signal)?;
        assert_eq!(status.code(), Some(0), "{signal}: {status}");
        assert!(!home.path().join("broker.pid").exists());
    }
    Ok(())
}

fn broker_refuses_a_bad_file() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let text = "identity = b\nplugin.choria.network.client_port = x\nloglevel = loud\n";
    fs::write(home.path().join("broker.conf"), text)?;
    Said::of(muster(
        home.path(),
        &["broker", "run", "--config", "broker.conf"],
    ))?
    .ended_with(1)?
    .says(&["broker.conf:2: plugin.choria.network.client_port"])?;
    Said::of(muster(home.path(), &["broker", "--config", "nosuch.conf"]))?
        .ended_with(1)?
        .says(&["cannot read nosuch.conf"])?;
    Ok(())
}

fn broker_warns_of_unknown_keys() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let text = "identity = b\nloglevel = warn\nplugin.choria.network.client_prot = 1\n";
    fs::write(home.path().join("broker.conf"), text)?;
    let broker = plain_broker(home.path(), &["--config", "broker.conf"])?;
    broker.said_after("broker.conf:3: plugin.choria.network.client_prot is not known")?;
    assert!(!broker.said.contains("loglevel"), "{}", broker.said);
    Ok(())
}

fn broker_flags_go_before_the_file() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let text =
        "plugin.choria.network.client_port = 1\nplugin.choria.network.listen_address = 192.0.2.1\n";
    fs::write(home.path().join("broker.conf"), text)?;
    let broker = plain_broker(home.path(), &["--config", "broker.conf", "--shards", "3"])?;
    assert!(broker.said_after(LISTENING)?.starts_with("127.0.0.1:"));
    assert!(
        broker
            .said_after("This host holds up to ")?
            .contains("3 shards")
    );
    Ok(())
}

fn broker_shares_no_port() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let first = plain_broker(home.path(), &[])?;
    let (_, port) = first.said_after(LISTENING)?.rsplit_once(':').unwrap();
    Said::of(muster(
        home.path(),
        &["broker", "-a", "127.0.0.1", "-p", port],
    ))?
    .ended_with(1)?
    .says(&["address already in use"])?
    .says_nothing_of(&[READY])?;
    Ok(())
}

fn broker_serves_monitoring() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let broker = plain_broker(home.path(), &["-m", "0"])?;
    let mut stream = TcpStream::connect(broker.said_after("Serving monitoring on http://")?)?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let status = broker.end_with("TERM")?;
    assert_eq!(status.code(), Some(0), "{status}");
    Ok(())
}

/// No broker is there: a node that keeps trying ends as well as one that is connected.
fn server_ends_when_asked() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let text = "identity = node1.example.net\nlogfile = stderr\n\
                plugin.choria.middleware_hosts = 127.0.0.1:1\nown.option = x\nstray\n";
    fs::write(home.path().join("server.conf"), text)?;
    let command = muster(
        home.path(),
        &["server", "--config", "server.conf", "--insecure"],
    );
    let server = Daemon::start(command, "node started")?;
    server.said_after("server.conf:4: own.option is not known")?;
    server.said_after("server.conf:5: no setting")?;
    let status = server.end_with("TERM")?;
    assert_eq!(status.code(), Some(0), "{status}");
    Ok(())
}

fn server_refuses_a_bad_file() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let text = "identity = a b\nplugin.choria.middleware_hosts = nowhere\n";
    fs::write(home.path().join("server.conf"), text)?;
    Said::of(muster(
        home.path(),
        &["server", "run", "--config", "server.conf"],
    ))?
    .ended_with(1)?
    .says(&[
        "server.conf:1: identity",
        "server.conf:2: plugin.choria.middleware_hosts",
    ])?;
    Ok(())
}

fn client_refuses_a_bad_file() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let text = "plugin.choria.middleware_hosts = nowhere\nplugin.security.provider = pkcs11\n";
    fs::write(home.path().join("client.conf"), text)?;
    Said::of(muster(home.path(), &["ping", "--config", "client.conf"]))?
        .ended_with(1)?
        .says(&[
            "client.conf:1: plugin.choria.middleware_hosts",
            "client.conf:2: plugin.security.provider",
        ])?;
    // The usual place in the home directory is found.
    fs::rename(
        home.path().join("client.conf"),
        home.path().join(".choriarc"),
    )?;
    Said::of(muster(home.path(), &["ping"]))?
        .ended_with(1)?
        .says(&[".choriarc:1:"])?;
    Ok(())
}

fn authority_overwrites_nothing() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let ca = |words: &[&str]| Said::of(muster(home.path(), &[&["ca"][..], words].concat()));
    let cert = || fs::read_to_string(home.path().join("pki/node1.pem"));
    ca(&["node", "node1", "--dir", "pki"])?
        .ended_with(1)?
        .says(&["pki/ca.pem"])?;
    ca(&["init", "pki", "--name", "My CA", "--rsa"])?
        .ended_with(0)?
        .says(&["pki/ca.pem", "pki/ca.key"])?;
    ca(&["init", "pki"])?.ended_with(1)?.says(&["exists"])?;
    ca(&["node", "node1", "--dir", "pki"])?.ended_with(0)?;
    let first = cert()?;
    ca(&["node", "node1", "--dir", "pki"])?
        .ended_with(1)?
        .says(&["exists"])?;
    assert_eq!(cert()?, first);
    ca(&["node", "node1", "--dir", "pki", "--force", "--days", "1"])?.ended_with(0)?;
    assert_ne!(cert()?, first);
    ca(&["node", "ca", "--dir", "pki", "--force"])?.ended_with(1)?;
    ca(&["node", "../x", "--dir", "pki"])?.ended_with(1)?;
    ca(&["client", "rip", "--dir", "pki"])?
        .ended_with(0)?
        .says(&["warning", ".mcollective"])?;
    Ok(())
}

fn authority_keeps_its_keys() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    for words in [
        &["ca", "init", "."][..],
        &["ca", "client", "rip.mcollective"],
    ] {
        Said::of(muster(home.path(), words))?
            .ended_with(0)?
            .says_nothing_of(&["PRIVATE", "BEGIN"])?;
    }
    for key in ["ca.key", "rip.mcollective.key"] {
        let mode = fs::metadata(home.path().join(key))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    Ok(())
}

fn status_files_are_checked() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let check = |more: &[&str]| {
        let words = ["tool", "status", "--status-file", "status.json"];
        Said::of(muster(home.path(), &[&words[..], more].concat()))
    };
    let absent = check(&[])?.ended_with(1)?;
    assert!(
        absent.out.starts_with("status.json could not be read: "),
        "{absent:?}"
    );
    let text = r#"{"identity":"n1","uptime":60,"connected_server":"nats://b1:4222","last_message":0,"provisioning_mode":false}"#;
    fs::write(home.path().join("status.json"), text)?;
    assert_eq!(check(&[])?.ended_with(0)?.out, "status.json OK\n");
    for (more, reason) in [
        (
            &["--message-since", "30s"][..],
            "no recent messages: last message at 1970-",
        ),
        (&["--unprovisioned"], "not in provisioning mode"),
    ] {
        let said = check(more)?.ended_with(1)?;
        assert!(
            said.out.starts_with(&format!("status.json {reason}")),
            "{said:?}"
        );
    }
    Ok(())
}

fn insecure_fleet() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let broker = plain_broker(home.path(), &["--user", "u", "--pass", "secret"])?;
    let address = broker.said_after(LISTENING)?;
    let login = format!(
        "plugin.choria.middleware_hosts = {address}\nplugin.nats.user = u\nplugin.nats.pass = secret\n"
    );
    let server = format!("identity = node1\nlogfile = stderr\nrpcauthorization = 0\n{login}");
    fs::write(home.path().join("server.conf"), server)?;
    fs::write(home.path().join("client.conf"), &login)?;
    let command = muster(
        home.path(),
        &["server", "--config", "server.conf", "--insecure"],
    );
    let _node = Daemon::start(command, " connected ")?;
    let ask = [
        "rpc",
        "rpcutil",
        "ping",
        "-I",
        "node1",
        "--insecure",
        "--config",
        "client.conf",
    ];
    // The node's subscriptions may be a moment behind its log.
    for _ in 0..20 {
        let said = Said::of(muster(
            home.path(),
            &[&ask[..], &["--timeout", "2"]].concat(),
        ))?;
        if said.code == Some(0) {
            said.says(&["dangerous", "Finished processing 1 / 1"])?
                .says_nothing_of(&["secret"])?;
            return Ok(());
        }
    }
    Err("the node never answered".into())
}

fn demo() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let mut command = muster(home.path(), &["demo", "--nodes", "40"]);
    command.env("TMPDIR", home.path());
    Said::of(command)?.ended_with(0)?.says(&[
        "All 40 nodes are there",
        "40 replies",
        "Finished processing 40 / 40 hosts",
        "node00001.example.net",
    ])?;
    // Nothing is left behind.
    assert_eq!(fs::read_dir(home.path())?.count(), 0);
    Ok(())
}

fn demo_stays_when_asked() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let mut command = muster(home.path(), &["demo", "--nodes", "1", "--stay"]);
    command.env("TMPDIR", home.path());
    // The command line it gives, which ends with the configuration file.
    let demo = Daemon::start_talking(command, "client.conf\n")?;
    let line = demo.said_after("    muster ")?;
    let words: Vec<_> = line.split(' ').collect();
    Said::of(muster(home.path(), &words))?
        .ended_with(0)?
        .says(&["Finished processing 1 / 1 hosts", "\"country\": \"mt\""])?;
    let status = demo.end_with("INT")?;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(fs::read_dir(home.path())?.count(), 0);
    Ok(())
}
