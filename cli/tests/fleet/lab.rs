//! An authority, a broker, three nodes and a caller.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::process::{Daemon, Said, make_certificates, muster};

pub(crate) const NODES: [&str; 3] = [
    "node1.example.net",
    "node2.example.net",
    "node3.example.net",
];

/// Pings until all nodes are there; each waits for five seconds at most.
const PINGS_MAX: usize = 20;

/// Whose broker it is.
#[derive(Clone)]
pub(crate) enum BrokerKind {
    Muster,
    NatsServer(PathBuf),
}

impl BrokerKind {
    pub(crate) fn nats_server() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = std::env::var_os("MUSTER_NATS_SERVER");
        Self::NatsServer(path.map_or_else(
            || here.join("../target/peers/bin/nats-server"),
            PathBuf::from,
        ))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Muster => "muster",
            Self::NatsServer(_) => "nats_server",
        }
    }

    pub(crate) fn is_present(&self) -> bool {
        match self {
            Self::Muster => true,
            Self::NatsServer(path) => path.is_file(),
        }
    }

    /// A broker that lets nobody in without a certificate of the folder's authority.
    fn start(&self, home: &Path) -> Result<Daemon, Failed> {
        let files = ["--tls", "--tlscert", "broker.pem", "--tlskey", "broker.key"];
        let clients = ["--tlscacert", "ca.pem", "--tlsverify"];
        let command = match self {
            Self::Muster => {
                let mut command = muster(home, &["broker", "-a", "127.0.0.1", "-p", "0"]);
                command.args(files).args(clients);
                command
            }
            Self::NatsServer(path) => {
                let mut command = Command::new(path);
                command
                    .current_dir(home)
                    .args(["-a", "127.0.0.1", "-p", "-1"]);
                command.args(files).args(clients);
                command
            }
        };
        Daemon::start(command, "Server is ready")
    }
}

/// A running fleet. Dropping it ends it.
pub(crate) struct Lab {
    home: TempDir,
    _nodes: Vec<Daemon>,
    broker: Daemon,
}

impl Lab {
    pub(crate) fn start(kind: &BrokerKind) -> Result<Self, Failed> {
        let home = tempfile::tempdir()?;
        make_certificates(
            home.path(),
            NODES,
            ["rip.mcollective", "mallory.example.net"],
        )?;
        let broker = kind.start(home.path())?;
        let mut lab = Self {
            home,
            _nodes: Vec::new(),
            broker,
        };
        for (number, name) in (1..).zip(NODES) {
            lab.write_node(number, name)?;
            let command = muster(
                lab.home(),
                &["server", "run", "--config", &format!("{name}.conf")],
            );
            lab._nodes.push(Daemon::start(command, "node started")?);
        }
        lab.write_client("client.conf", "rip.mcollective")?;
        lab.write_client("mallory.conf", "mallory.example.net")?;
        lab.wait_for_nodes()?;
        Ok(lab)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn address(&self) -> Result<&str, Failed> {
        self.broker
            .said_after("Listening for client connections on ")
    }

    /// A command of the caller that nodes let call.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Said, Failed> {
        self.ask_as("client.conf", words)
    }

    pub(crate) fn ask_as(&self, config: &str, words: &[&str]) -> Result<Said, Failed> {
        Said::of(muster(
            self.home(),
            &[words, &["--config", config]].concat(),
        ))
    }

    fn write_node(&self, number: u32, name: &str) -> Result<(), Failed> {
        let home = self.home().display();
        let release = 10 + number;
        let facts = format!("country: c{number}\nos:\n  family: Debian\n  release: {release}\n");
        fs::write(self.home().join(format!("{name}.yaml")), facts)?;
        let role = if number == 1 { "role::db" } else { "role::web" };
        fs::write(
            self.home().join(format!("{name}.classes")),
            format!("base\n{role}\n"),
        )?;
        let collectives = if number == 3 {
            "mcollective,eu"
        } else {
            "mcollective"
        };
        // Only the first has this key, so the others fail when they are asked for it.
        let own = if number == 1 {
            "own.key = own value\n"
        } else {
            ""
        };
        let text = format!(
            "identity = {name}\n\
             collectives = {collectives}\n\
             plugin.yaml = {home}/{name}.yaml\n\
             classesfile = {home}/{name}.classes\n\
             logfile = stderr\n\
             rpcauthorization = 0\n\
             plugin.choria.use_srv = false\n\
             {own}{}",
            self.connection(name)?
        );
        Ok(fs::write(self.home().join(format!("{name}.conf")), text)?)
    }

    fn write_client(&self, file: &str, name: &str) -> Result<(), Failed> {
        let text = format!("identity = {name}\n{}", self.connection(name)?);
        Ok(fs::write(self.home().join(file), text)?)
    }

    fn connection(&self, name: &str) -> Result<String, Failed> {
        let home = self.home().display();
        Ok(format!(
            "plugin.choria.middleware_hosts = {}\n\
             plugin.security.provider = file\n\
             plugin.security.file.certificate = {home}/{name}.pem\n\
             plugin.security.file.key = {home}/{name}.key\n\
             plugin.security.file.ca = {home}/ca.pem\n",
            self.address()?
        ))
    }

    fn wait_for_nodes(&self) -> Result<(), Failed> {
        let mut last = None;
        for _ in 0..PINGS_MAX {
            let said = self.ask(&["ping", "--names", "--expect", "3", "--timeout", "5"])?;
            if said.sorted_lines() == NODES {
                return Ok(());
            }
            last = Some(said);
        }
        Err(format!("not all nodes came: {last:#?}").into())
    }
}
