//! A broker with adapters, a stream to put into, and nodes that register.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use muster_protocol::Scratch;
use muster_protocol::filter::Filter;
use muster_protocol::request::{Request, encode_signed_request};
use muster_protocol::secure_request::RequestProof;
use muster_protocol::transport::Headers;
use muster_protocol::version::ProtocolVersion;

use crate::nats::Nats;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where nodes register.
pub(crate) const REGISTRATION: &str = "mcollective.broadcast.agent.registration";

pub(crate) fn nats_server() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("MUSTER_NATS_SERVER");
    given.map_or_else(
        || here.join("../target/peers/bin/nats-server"),
        PathBuf::from,
    )
}

/// A process that ends, the hard way, when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program, and waits for a line of its standard error with each of these texts; returns what stood behind them.
    pub(crate) fn start(
        command: &mut Command,
        awaited: &[&str],
    ) -> Result<(Self, Vec<String>), Failed> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut process = Self(child);
        let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
        let mut found = vec![None; awaited.len()];
        let mut said = String::new();
        while found.contains(&None) {
            let Some(line) = lines.next() else {
                return Err(format!("it ended: {said}").into());
            };
            let line = line?;
            for (text, found) in awaited.iter().zip(&mut found) {
                if found.is_none()
                    && let Some((_, rest)) = line.split_once(text)
                {
                    *found = Some(rest.trim().to_owned());
                }
            }
            said.push_str(&line);
            said.push('\n');
        }
        // What it says further must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok((process, found.into_iter().flatten().collect()))
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// As `kill`; waits for the end.
    pub(crate) fn end(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port nobody uses, below those the system gives to whoever connects: a server that comes back must come back at the
/// same place, and find it free.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A nats-server with JetStream in a folder.
pub(crate) struct Stream {
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Stream {
    /// Starts it, with a stream for `in.>`.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failed> {
        let mut stream = Self {
            folder: folder.join("jetstream"),
            port: free_port(),
            process: None,
        };
        stream.up()?;
        let created = stream.client().request(
            "$JS.API.STREAM.CREATE.FLEET",
            r#"{"name":"FLEET","subjects":["in.>"],"storage":"file","retention":"limits","num_replicas":1,"duplicate_window":600000000000}"#,
        );
        assert_eq!(created["config"]["name"], "FLEET", "{created}");
        Ok(stream)
    }

    pub(crate) fn up(&mut self) -> Result<(), Failed> {
        self.kill();
        let mut command = Command::new(nats_server());
        command.args([
            "-a",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-js",
            "-sd",
        ]);
        command.arg(&self.folder);
        self.process = Some(Process::start(&mut command, &["Server is ready"])?.0);
        Ok(())
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Nats {
        Nats::connect(&self.address())
    }

    /// How many messages the stream has.
    pub(crate) fn count(&self) -> u64 {
        let info = self.client().request("$JS.API.STREAM.INFO.FLEET", "");
        info["state"]["messages"]
            .as_u64()
            .unwrap_or_else(|| panic!("{info}"))
    }

    /// How many subjects it has.
    pub(crate) fn subjects(&self) -> u64 {
        let info = self.client().request("$JS.API.STREAM.INFO.FLEET", "");
        info["state"]["num_subjects"]
            .as_u64()
            .unwrap_or_else(|| panic!("{info}"))
    }

    /// The last envelope of a subject.
    pub(crate) fn last(&self, subject: &str) -> serde_json::Value {
        let ask = format!(r#"{{"last_by_subj":"{subject}"}}"#);
        let found = self.client().request("$JS.API.STREAM.MSG.GET.FLEET", &ask);
        let data = found["message"]["data"]
            .as_str()
            .unwrap_or_else(|| panic!("{found}"));
        let mut bytes = Vec::new();
        muster_protocol::base64::decode(data.as_bytes(), &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

/// `muster broker` with an adapter named `reg`.
pub(crate) struct Broker {
    process: Process,
    pub(crate) address: String,
    monitor: String,
}

impl Broker {
    /// Starts it with these settings of the adapter.
    pub(crate) fn start(folder: &Path, adapter: &str) -> Result<Self, Failed> {
        let mut text = "identity = broker1\nplugin.choria.network.listen_address = 127.0.0.1\n\
                        loglevel = warn\nplugin.choria.adapters = reg\n"
            .to_owned();
        for line in adapter.lines() {
            text.push_str(&format!("plugin.choria.adapter.reg.{}\n", line.trim()));
        }
        std::fs::write(folder.join("broker.conf"), text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command.args(["broker", "-p", "0", "-m", "0", "--config", "broker.conf"]);
        command.current_dir(folder).env("HOME", folder);
        let awaited = [
            "connections on ",
            "monitoring on http://",
            "Server is ready",
        ];
        let (process, mut said) = Process::start(&mut command, &awaited)?;
        said.truncate(2);
        let [address, monitor] = said.try_into().map_err(|_| "it said too little")?;
        let broker = Self {
            process,
            address,
            monitor,
        };
        broker.wait("it listens", |broker| broker.has_interest());
        Ok(broker)
    }

    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    pub(crate) fn end(self) {
        self.process.end();
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.monitor).unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// All ten connections of the adapter have subscribed.
    fn has_interest(&self) -> bool {
        self.get("/varz").contains("\"subscriptions\": 10,")
    }

    /// A figure of the adapter.
    pub(crate) fn figure(&self, series: &str) -> u64 {
        let page = self.get("/metrics");
        let line = page.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("no {series} in {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn own(&self, name: &str) -> u64 {
        self.figure(&format!("muster_adapter_{name}{{name=\"reg\"}}"))
    }

    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.figure(&format!(
            "muster_adapter_dropped_total{{name=\"reg\",reason=\"{reason}\"}}"
        ))
    }

    /// Looks until it is so.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let by = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(
                Instant::now() < by,
                "not in time: {what}: {}",
                self.get("/metrics")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nodes of these numbers register.
    pub(crate) fn register(&self, nodes: std::ops::Range<u32>) {
        let mut nats = Nats::connect(&self.address);
        let mut scratch = Scratch::new();
        for number in nodes {
            nats.publish(REGISTRATION, &registration(number, &mut scratch));
        }
        nats.flush();
    }
}

/// What a node registers.
fn registration(number: u32, scratch: &mut Scratch) -> Vec<u8> {
    let request = Request {
        version: ProtocolVersion::V1,
        message: format!(
            r#"{{"protocol":"choria:registration:inventorycontent:1","content":{{"n":{number}}}}}"#
        )
        .into(),
        request_id: format!("{number:032x}").into(),
        sender_id: format!("n{number}.example.net").into(),
        caller_id: "choria=node".into(),
        collective: "mcollective".into(),
        agent: "registration".into(),
        ttl: 60,
        time: 1_795_587_658,
        filter: Filter::default(),
    };
    let proof = RequestProof::X509 {
        signature_b64: "insecure",
        pubcert: "insecure",
    };
    let mut out = Vec::new();
    encode_signed_request(
        &mut out,
        scratch,
        &request.to_document(),
        &proof,
        &Headers::default(),
    );
    out
}
