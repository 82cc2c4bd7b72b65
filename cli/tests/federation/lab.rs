//! The processes of a federation.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;

use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::process::{Daemon, Said, make_certificates, muster};

pub(crate) const MT1: [&str; 2] = ["node1.mt1.example.net", "node2.mt1.example.net"];
pub(crate) const DE1: [&str; 2] = ["node1.de1.example.net", "node2.de1.example.net"];
const CALLER: &str = "rip.mcollective";
/// Pings until all nodes are there.
const PINGS_MAX: usize = 20;

/// A process that serves monitoring.
pub(crate) struct Watched {
    daemon: Daemon,
    monitor: String,
}

/// Everything of a federation. Dropping it ends it.
pub(crate) struct Lab {
    home: TempDir,
    _nodes: Vec<Daemon>,
    pub(crate) federations: Vec<Watched>,
    killable: Mutex<Option<Watched>>,
    _brokers: Vec<Daemon>,
}

impl Watched {
    fn start(command: std::process::Command) -> Result<Self, Failed> {
        let daemon = Daemon::start(command, "Server is ready")?;
        let monitor = daemon
            .said_after("Serving monitoring on http://")?
            .to_owned();
        Ok(Self { daemon, monitor })
    }

    pub(crate) fn page(&self, path: &str) -> Result<String, Failed> {
        let mut stream = TcpStream::connect(&*self.monitor)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }
}

/// The sum of a series' samples that have a label.
pub(crate) fn sum(page: &str, series: &str, label: &str) -> u64 {
    let samples = page
        .lines()
        .filter(|line| line.starts_with(series) && line.contains(label));
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

impl Lab {
    /// Three brokers, four nodes, three federation brokers.
    pub(crate) fn start() -> Result<Self, Failed> {
        let home = certificates()?;
        let at = home.path();
        let brokers = (0..3).map(|_| broker(at)).collect::<Result<Vec<_>, _>>()?;
        let address =
            |place: usize| brokers[place].said_after("Listening for client connections on ");
        let (federation, mt1, de1) = (address(0)?, address(1)?, address(2)?);
        let mut federations = Vec::new();
        for number in 1..=3 {
            let text = format!(
                "identity = fed{number}.example.net\nplugin.choria.federation_middleware_hosts = {federation}\n\
                 plugin.choria.federation.members = mt1, de1\nplugin.choria.federation.member.mt1.middleware_hosts = {mt1}\n\
                 plugin.choria.federation.member.de1.middleware_hosts = {de1}\nplugin.choria.federation.workers = 2\n{}",
                security(at, "fed.example.net")
            );
            let file = format!("fed{number}.conf");
            fs::write(at.join(&file), text)?;
            let words = ["federation", "--monitor", "0", "--config", &*file];
            federations.push(Watched::start(muster(at, &words))?);
        }
        let mut nodes = Vec::new();
        for (site, broker, names) in [("mt1", mt1, MT1), ("de1", de1, DE1)] {
            for name in names {
                nodes.push(node(at, site, broker, name)?);
            }
        }
        write_caller(at, federation, "mt1,de1")?;
        let killable = Mutex::new(federations.pop());
        let lab = Self {
            home,
            _nodes: nodes,
            federations,
            killable,
            _brokers: brokers,
        };
        lab.wait_for(&[MT1, DE1].concat())?;
        Ok(lab)
    }

    /// A federation broker in the process of its collective's broker.
    pub(crate) fn hosted() -> Result<Self, Failed> {
        let home = certificates()?;
        let at = home.path();
        let federation = broker(at)?;
        let address = federation
            .said_after("Listening for client connections on ")?
            .to_owned();
        // Nodes and federation broker are told of a port before it is bound, so it is a fixed one that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let text = format!(
            "identity = fed.example.net\nplugin.choria.network.listen_address = 127.0.0.1\nplugin.choria.network.client_port = {port}\n\
             plugin.choria.broker_federation = true\nplugin.choria.federation.cluster = mt1\nplugin.choria.federation.workers = 1\n\
             plugin.choria.federation_middleware_hosts = {address}\nplugin.choria.middleware_hosts = 127.0.0.1:{port}\n{}",
            security(at, "broker")
        );
        fs::write(at.join("broker.conf"), text)?;
        let words = ["broker", "--monitor", "0", "--config", "broker.conf"];
        let hosted = Watched::start(muster(at, &words))?;
        let mut nodes = Vec::new();
        for name in MT1 {
            nodes.push(node(at, "mt1", &format!("127.0.0.1:{port}"), name)?);
        }
        write_caller(at, &address, "mt1")?;
        let lab = Self {
            home,
            _nodes: nodes,
            federations: vec![hosted],
            killable: Mutex::default(),
            _brokers: vec![federation],
        };
        lab.wait_for(&MT1)?;
        Ok(lab)
    }

    pub(crate) fn ask(&self, words: &[&str]) -> Result<Said, Failed> {
        Said::of(muster(
            self.home.path(),
            &[words, &["--config", "client.conf"]].concat(),
        ))
    }

    pub(crate) fn start_asking(&self, words: &[&str]) -> Result<Child, Failed> {
        let mut command = muster(
            self.home.path(),
            &[words, &["--config", "client.conf"]].concat(),
        );
        Ok(command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?)
    }

    pub(crate) fn kill_a_federation_broker(&self) -> Result<(), Failed> {
        let killed = self.killable.lock().unwrap().take();
        killed
            .ok_or("it was killed before")?
            .daemon
            .end_with("KILL")?;
        Ok(())
    }

    fn wait_for(&self, names: &[&str]) -> Result<(), Failed> {
        let mut wanted = names.to_vec();
        wanted.sort_unstable();
        let expected = wanted.len().to_string();
        let mut last = None;
        for _ in 0..PINGS_MAX {
            let said = self.ask(&["ping", "--names", "--expect", &expected, "--timeout", "3"])?;
            if said.sorted_lines() == wanted {
                return Ok(());
            }
            last = Some(said);
        }
        Err(format!("not all nodes came: {last:#?}").into())
    }
}

fn certificates() -> Result<TempDir, Failed> {
    let home = tempfile::tempdir()?;
    let nodes = [&MT1[..], &DE1, &["fed.example.net"]].concat();
    make_certificates(home.path(), nodes, [CALLER, "nobody.mcollective"])?;
    Ok(home)
}

fn broker(home: &Path) -> Result<Daemon, Failed> {
    let words = [
        "broker",
        "-a",
        "127.0.0.1",
        "-p",
        "0",
        "--tls",
        "--tlscert",
        "broker.pem",
        "--tlskey",
        "broker.key",
        "--tlscacert",
        "ca.pem",
        "--tlsverify",
    ];
    Daemon::start(muster(home, &words), "Server is ready")
}

fn node(home: &Path, site: &str, broker: &str, name: &str) -> Result<Daemon, Failed> {
    fs::write(home.join(format!("{name}.yaml")), format!("site: {site}\n"))?;
    let text = format!(
        "identity = {name}\nplugin.yaml = {}/{name}.yaml\nlogfile = stderr\nrpcauthorization = 0\n\
         plugin.choria.middleware_hosts = {broker}\n{}",
        home.display(),
        security(home, name)
    );
    let file = format!("{name}.conf");
    fs::write(home.join(&file), text)?;
    Daemon::start(muster(home, &["server", "--config", &file]), "node started")
}

fn write_caller(home: &Path, federation: &str, collectives: &str) -> Result<(), Failed> {
    let text = format!(
        "identity = {CALLER}\nplugin.choria.federation_middleware_hosts = {federation}\n\
         plugin.choria.federation.collectives = {collectives}\n{}",
        security(home, CALLER)
    );
    Ok(fs::write(home.join("client.conf"), text)?)
}

fn security(home: &Path, name: &str) -> String {
    let home = home.display();
    format!(
        "plugin.choria.use_srv = false\nplugin.security.provider = file\nplugin.security.file.certificate = {home}/{name}.pem\n\
         plugin.security.file.key = {home}/{name}.key\nplugin.security.file.ca = {home}/ca.pem\n"
    )
}
