//! Two brokers, of the nodes to be and of the fleet; an authority; a provisioner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::process::{Daemon, Said, make_certificates, muster};
use crate::recorder::Recorder;

/// What nodes want to see.
pub(crate) const SECRET: &str = "s3cret-of-the-site";
/// What the broker wants of the provisioner.
pub(crate) const PASSWORD: &str = "pa55word-of-the-site";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether nodes can have host names of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// They can, and start without any configuration.
    Uts,
    /// They cannot: a file with the identity, and nothing else in it, stands for the host's name.
    None,
}

impl Namespaces {
    pub(crate) fn probe() -> Self {
        let probe = Command::new("unshare")
            .args(["--uts", "hostname", "probe.example.net"])
            .output();
        if probe.is_ok_and(|output| output.status.success()) {
            Self::Uts
        } else {
            eprintln!("nodes have a file with their identity: unshare --uts is not allowed here");
            Self::None
        }
    }
}

pub(crate) struct Site {
    home: tempfile::TempDir,
    provisioning: Daemon,
    production: Daemon,
}

/// A provisioner with its log.
pub(crate) struct Logged {
    _daemon: Daemon,
    log: PathBuf,
}

impl Site {
    pub(crate) fn start() -> Result<Self, Failed> {
        let home = tempfile::tempdir()?;
        let at = home.path();
        make_certificates(at, [], ["rip.mcollective", "provisioner.mcollective"])?;
        let run = |words: &[&str]| Said::of(muster(at, words))?.ended_with(0);
        run(&["jwt", "keys", "issuer.seed", "issuer.public"])?;
        let files = format!(
            "plugin.security.provider = file\nplugin.security.file.certificate = {at}/broker.pem\n\
             plugin.security.file.key = {at}/broker.key\nplugin.security.file.ca = {at}/ca.pem\n\
             plugin.choria.broker_network = true\n",
            at = at.display()
        );
        fs::write(at.join("production.conf"), &files)?;
        let provisioning = format!(
            "{files}plugin.choria.network.provisioning.client_password = {PASSWORD}\n\
             plugin.choria.network.provisioning.signer_cert = {}/issuer.public\n",
            at.display()
        );
        fs::write(at.join("provisioning.conf"), provisioning)?;
        let broker = |config: &str| {
            let words = ["broker", "-a", "127.0.0.1", "-p", "0", "--config", config];
            Daemon::start(muster(at, &words), "Server is ready")
        };
        let (provisioning, production) = (broker("provisioning.conf")?, broker("production.conf")?);
        let site = Self {
            provisioning,
            production,
            home,
        };
        site.write_client("client.conf", "rip.mcollective", address(&site.production)?)?;
        let provisioning = address(&site.provisioning)?;
        site.write_client("provisioner.conf", "provisioner.mcollective", provisioning)?;
        fs::write(site.path("facts.json"), r#"{"country": "de"}"#)?;
        Ok(site)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write_client(&self, file: &str, name: &str, broker: &str) -> Result<(), Failed> {
        let at = self.home.path().display();
        let text = format!(
            "identity = {name}\nplugin.choria.middleware_hosts = {broker}\nplugin.choria.use_srv = false\n\
             plugin.security.provider = file\nplugin.security.file.certificate = {at}/{name}.pem\n\
             plugin.security.file.key = {at}/{name}.key\nplugin.security.file.ca = {at}/ca.pem\n"
        );
        Ok(fs::write(self.path(file), text)?)
    }

    /// A process that has a provisioning token and nothing else.
    pub(crate) fn node(&self, name: &str, namespaces: Namespaces) -> Result<Daemon, Failed> {
        let folder = format!("nodes/{name}");
        fs::create_dir_all(self.path(&folder))?;
        let token = format!("{folder}/provisioning.jwt");
        let facts = self.path("facts.json");
        let words = [
            "jwt",
            "provisioning",
            &token,
            "issuer.seed",
            "--token",
            SECRET,
            "--urls",
            address(&self.provisioning)?,
            "--default",
            "--facts",
            facts.to_str().ok_or("a path is no text")?,
        ];
        Said::of(muster(self.home.path(), &words))?.ended_with(0)?;
        let config = format!("{folder}/server.conf");
        let words = ["server", "run", "--config", &config];
        let command = match namespaces {
            Namespaces::None => {
                fs::write(self.path(&config), format!("identity = {name}\n"))?;
                muster(self.home.path(), &words)
            }
            Namespaces::Uts => {
                let mut command = Command::new("unshare");
                let script = "hostname \"$1\" && shift && exec \"$@\"";
                command
                    .args(["--uts", "sh", "-c", script, "sh", name])
                    .arg(env!("CARGO_BIN_EXE_muster"))
                    .args(words)
                    .current_dir(self.home.path())
                    .env("HOME", self.home.path())
                    .stdin(std::process::Stdio::null());
                command
            }
        };
        Daemon::start_talking(command, "node started")
    }

    /// The command line of a helper in shell.
    pub(crate) fn helper(&self, script: &str) -> Result<String, Failed> {
        let path = self.path("helper.sh");
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        Ok(format!("/bin/sh {}", path.display()))
    }

    /// The example in Python, which signs with our authority.
    pub(crate) fn good_helper(&self) -> String {
        let helper =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/provisioner/helper.py");
        format!("python3 '{}'", helper.display())
    }

    pub(crate) fn configure(&self, yaml: &str) -> Result<(), Failed> {
        Ok(fs::write(self.path("provisioner.yaml"), yaml)?)
    }

    fn provisioner_command(&self) -> Result<Command, Failed> {
        let words = [
            "provisioner",
            "run",
            "--config",
            "provisioner.yaml",
            "--choria-config",
            "provisioner.conf",
        ];
        let mut command = muster(self.home.path(), &words);
        command
            .env("PROVISION_CA", self.home.path())
            .env("PROVISION_BROKERS", address(&self.production)?)
            .env("MUSTER", env!("CARGO_BIN_EXE_muster"));
        Ok(command)
    }

    /// One that ends by itself.
    pub(crate) fn run_provisioner(&self) -> Result<Said, Failed> {
        Said::of(self.provisioner_command()?)
    }

    pub(crate) fn provisioner(&self, helper: &str) -> Result<Daemon, Failed> {
        self.configure(&yaml(helper, SECRET))?;
        let log = self.path("provisioner.log");
        let _ = fs::remove_file(&log);
        Daemon::start_logging(self.provisioner_command()?, &log, "connected to")
    }

    pub(crate) fn provisioner_with_token(
        &self,
        helper: &str,
        token: &str,
    ) -> Result<Logged, Failed> {
        self.configure(&yaml(helper, token))?;
        let log = self.path("provisioner.log");
        let daemon = Daemon::start_logging(self.provisioner_command()?, &log, "connected to")?;
        Ok(Logged {
            _daemon: daemon,
            log,
        })
    }

    /// Waits until exactly these nodes answer on the production broker.
    pub(crate) fn wait_for_fleet(&self, names: &[String]) -> Result<(), Failed> {
        let give_up = Instant::now() + PATIENCE;
        let count = names.len().to_string();
        loop {
            let words = ["ping", "--names", "--config", "client.conf"];
            let mut command = muster(self.home.path(), &words);
            command.args(["--expect", &count, "--timeout", "3"]);
            let said = Said::of(command)?;
            if said.sorted_lines() == names {
                return Ok(());
            }
            if Instant::now() > give_up {
                let log = fs::read_to_string(self.path("provisioner.log")).unwrap_or_default();
                return Err(format!("not all came: {said:#?}\n{log}").into());
            }
        }
    }

    pub(crate) fn wait_for_file(&self, name: &str) -> Result<(), Failed> {
        wait(&format!("no {name}"), || Ok(self.path(name).exists()))
    }

    /// The key of a node that was provisioned.
    pub(crate) fn private_key(&self, name: &str) -> Result<String, Failed> {
        let path = self.path(&format!("nodes/{name}/ssl/private.pem"));
        Ok(fs::read_to_string(path)?)
    }

    /// Records everything that goes over the provisioning network.
    pub(crate) fn record(&self) -> Result<Recorder, Failed> {
        Recorder::start(&self.path("provisioner.conf"), PASSWORD)
    }
}

impl Logged {
    pub(crate) fn wait_for(&self, text: &str) -> Result<(), Failed> {
        let look = || Ok(fs::read_to_string(&self.log)?.contains(text));
        wait(&format!("no {text:?} in the log"), look).map_err(|failed| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            format!("{failed:?}: {log}").into()
        })
    }

    pub(crate) fn says_nothing_of(&self, texts: &[&str]) -> Result<(), Failed> {
        let log = fs::read_to_string(&self.log)?;
        match texts.iter().find(|text| log.contains(**text)) {
            None => Ok(()),
            Some(text) => Err(format!("{text:?} in {log}").into()),
        }
    }
}

fn yaml(helper: &str, token: &str) -> String {
    format!(
        "workers: 4\nhelper: {helper}\ntoken: {token}\nbroker_provisioning_password: {PASSWORD}\n\
         logfile: stderr\nloglevel: debug\nfeatures: {{pki: true}}\n"
    )
}

fn address(broker: &Daemon) -> Result<&str, Failed> {
    broker.said_after("Listening for client connections on ")
}

fn wait(what: &str, mut look: impl FnMut() -> Result<bool, Failed>) -> Result<(), Failed> {
    let give_up = Instant::now() + PATIENCE;
    while !look()? {
        if Instant::now() > give_up {
            return Err(what.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
