//! Clients that others wrote, against `muster broker`: nats-py and the `nats` command.
//!
//! They lie in `target/peers` (made by `scripts/peers`) or where `MUSTER_PEERS` says; without one, its trials are listed as ignored.

#![expect(clippy::unwrap_used, reason = "a test program")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

const NATS_PY: &[&str] = &[
    "publish_subscribe",
    "queue_group",
    "request_reply",
    "concurrent_requests",
    "no_responders",
    "headers",
    "drain",
    "auto_unsubscribe",
    "max_payload",
    "invalid_subject",
    "reconnect",
];

/// A conversation of the `nats` command.
type NatsTrial = fn(&Peers, &Broker) -> Result<(), Failed>;

const NATS: &[(&str, NatsTrial)] = &[
    ("publish_and_subscribe", nats_publish_and_subscribe),
    ("request_and_reply", nats_request_and_reply),
    (
        "request_without_responders",
        nats_request_without_responders,
    ),
    ("round_trip_time", nats_round_trip_time),
    ("bench", nats_bench),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let peers = Peers::find();
    let mut trials = Vec::new();
    for shards in [1, 3] {
        for scenario in NATS_PY {
            let (peers, present) = (peers.clone(), peers.python.is_file());
            let run = move || nats_py(&peers, scenario, shards);
            let trial = Trial::test(format!("nats_py::{scenario}::muster_{shards}"), run);
            trials.push(trial.with_ignored_flag(!present));
        }
        for (name, act) in NATS {
            let (peers, present) = (peers.clone(), peers.nats.is_file());
            let run = move || act(&peers, &Broker::start(shards)?);
            let trial = Trial::test(format!("nats::{name}::muster_{shards}"), run);
            trials.push(trial.with_ignored_flag(!present));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Where the others' programs are.
#[derive(Debug, Clone)]
struct Peers {
    python: PathBuf,
    nats: PathBuf,
    scripts: PathBuf,
}

impl Peers {
    fn find() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let peers = std::env::var_os("MUSTER_PEERS")
            .map_or_else(|| here.join("../target/peers"), PathBuf::from);
        Self {
            python: peers.join("venv/bin/python"),
            nats: peers.join("bin/nats"),
            scripts: here.join("tests/peers"),
        }
    }

    /// The `nats` command against this broker, without the caller's own settings.
    fn nats(&self, broker: &Broker, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.nats);
        command
            .args(["--server", &broker.url()])
            .args(arguments)
            .stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.scripts.join("no-settings"));
        command.env("HOME", self.scripts.join("no-settings"));
        command
    }
}

/// `muster broker` on a free port; it ends when dropped.
struct Broker {
    child: Child,
    address: SocketAddr,
}

impl Broker {
    fn start(shards: u16) -> Result<Self, Failed> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args([
                "broker",
                "-a",
                "127.0.0.1",
                "-p",
                "0",
                "--shards",
                &shards.to_string(),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            if log.read_line(&mut said)? == 0 {
                return Err(format!("the broker did not start: {said}").into());
            }
            let line = &said[before..];
            if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                break address.trim().parse()?;
            }
        };
        // The log goes on; a full pipe would stop the broker.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { child, address })
    }

    fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Publishes to a subject until somebody hears it, so that it is known who subscribes.
    fn publish_until_heard(&self, subject: &str) -> Result<(), Failed> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let options = r#"{"verbose":false,"headers":true,"no_responders":true}"#;
        write!(stream, "CONNECT {options}\r\nSUB heard 1\r\n")?;
        let mut lines = BufReader::new(stream.try_clone()?);
        for _ in 0..100_000 {
            write!(stream, "PUB {subject} heard 5\r\nprobe\r\nPING\r\n")?;
            let mut unheard = false;
            loop {
                let mut line = String::new();
                if lines.read_line(&mut line)? == 0 {
                    return Err("the broker closed the connection".into());
                }
                unheard |= line.starts_with("NATS/1.0 503");
                match line.as_str() {
                    "PONG\r\n" => break,
                    "PING\r\n" => write!(stream, "PONG\r\n")?,
                    _ => {}
                }
            }
            if !unheard {
                return Ok(());
            }
        }
        Err(format!("nobody subscribes to {subject}").into())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nats_py(peers: &Peers, scenario: &str, shards: u16) -> Result<(), Failed> {
    let broker = Broker::start(shards)?;
    let output = Command::new(&peers.python)
        .arg(peers.scripts.join("nats_py.py"))
        .args([scenario, &broker.url()])
        .env("MUSTER_BIN", env!("CARGO_BIN_EXE_muster"))
        .env("MUSTER_SHARDS", shards.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()?;
    good(&output).map(|_| ())
}

/// What a program said, if it ended well.
fn good(output: &Output) -> Result<String, Failed> {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(said + &complained)
    } else {
        Err(format!("{}\n{said}\n{complained}", output.status).into())
    }
}

fn expect(said: &str, wanted: &str) -> Result<(), Failed> {
    if said.contains(wanted) {
        Ok(())
    } else {
        Err(format!("no {wanted:?} in:\n{said}").into())
    }
}

/// Runs beside the caller until [`Aside::finish`].
struct Aside(Child);

impl Aside {
    fn start(mut command: Command) -> Result<Self, Failed> {
        Ok(Self(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?,
        ))
    }

    fn finish(mut self) -> Result<String, Failed> {
        let mut complained = String::new();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said)?;
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut complained)?;
        let status = self.0.wait()?;
        if status.success() {
            Ok(said)
        } else {
            Err(format!("{status}\n{said}\n{complained}").into())
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nats_publish_and_subscribe(peers: &Peers, broker: &Broker) -> Result<(), Failed> {
    let subscriber = Aside::start(peers.nats(broker, &["sub", "news.>", "--count", "4", "--raw"]))?;
    broker.publish_until_heard("news.probe")?;
    good(
        &peers
            .nats(broker, &["pub", "news.today", "sunny"])
            .output()?,
    )?;
    good(
        &peers
            .nats(broker, &["pub", "news.today", "rainy", "--count", "2"])
            .output()?,
    )?;
    let said = subscriber.finish()?;
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    if lines == ["probe", "sunny", "rainy", "rainy"] {
        Ok(())
    } else {
        Err(format!("{lines:?}").into())
    }
}

fn nats_request_and_reply(peers: &Peers, broker: &Broker) -> Result<(), Failed> {
    let responder =
        Aside::start(peers.nats(broker, &["reply", "service", "the answer", "--count", "3"]))?;
    broker.publish_until_heard("service")?;
    for _ in 0..2 {
        let output = peers
            .nats(broker, &["request", "service", "question", "--raw"])
            .output()?;
        expect(&good(&output)?, "the answer")?;
    }
    drop(responder);
    Ok(())
}

fn nats_request_without_responders(peers: &Peers, broker: &Broker) -> Result<(), Failed> {
    let output = peers
        .nats(broker, &["request", "nobody", "question"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    expect(&said.to_lowercase(), "no responders")
}

fn nats_round_trip_time(peers: &Peers, broker: &Broker) -> Result<(), Failed> {
    let output = peers.nats(broker, &["rtt", "5"]).output()?;
    expect(&good(&output)?, &broker.address.to_string())
}

fn nats_bench(peers: &Peers, broker: &Broker) -> Result<(), Failed> {
    let size_and_count = ["--size", "128", "--msgs", "20000", "--no-progress"];
    let both = |kind: &'static str, clients: &'static str| {
        [
            &["bench", kind, "load", "--clients", clients][..],
            &size_and_count,
        ]
        .concat()
    };
    let subscribers = Aside::start(peers.nats(broker, &both("sub", "2")))?;
    broker.publish_until_heard("load")?;
    let said = good(&peers.nats(broker, &both("pub", "2")).output()?)?;
    expect(&said, "msgs/sec")?;
    expect(&subscribers.finish()?, "msgs/sec")
}
