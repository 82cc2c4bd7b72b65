//! Five nodes, a broker and two callers.
//!
//! | node | country | memory | classes | collectives | policy of `parrot` |
//! |---|---|---|---|---|---|
//! | web1 | de | 16 | role::web base | mcollective eu | everybody may all |
//! | web2 | de | 8 | role::web base | mcollective eu | everybody may all |
//! | db1 | fr | 64 | role::db base | mcollective | everybody may all |
//! | db2 | us | 32 | role::db base | mcollective us | `echo` only |
//! | edge1 | us | 4 | base | us | everybody may all |
//!
//! A sixth, `gone1`, was there and is dead. No node has a policy of `guarded`, so nobody may call it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::process::{Daemon, Said, make_certificates, muster};

/// Pings until all nodes are there; each waits for five seconds at most.
const PINGS_MAX: usize = 20;

struct Kind {
    name: &'static str,
    country: &'static str,
    memory: u32,
    classes: &'static str,
    collectives: &'static str,
    actions: &'static str,
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "web1",
        country: "de",
        memory: 16,
        classes: "role::web\nbase\n",
        collectives: "mcollective,eu",
        actions: "*",
    },
    Kind {
        name: "web2",
        country: "de",
        memory: 8,
        classes: "role::web\nbase\n",
        collectives: "mcollective,eu",
        actions: "*",
    },
    Kind {
        name: "db1",
        country: "fr",
        memory: 64,
        classes: "role::db\nbase\n",
        collectives: "mcollective",
        actions: "*",
    },
    Kind {
        name: "db2",
        country: "us",
        memory: 32,
        classes: "role::db\nbase\n",
        collectives: "mcollective,us",
        actions: "echo",
    },
    Kind {
        name: "edge1",
        country: "us",
        memory: 4,
        classes: "base\n",
        collectives: "us",
        actions: "*",
    },
];

/// An agent in shell: says what it is told, fails, hangs, or takes its time.
const PARROT: &str = r#"#!/bin/sh
if [ "$CHORIA_EXTERNAL_PROTOCOL" = io.choria.mcorpc.external.v1.activation_request ]; then
    echo '{"activate":true}' > "$CHORIA_EXTERNAL_REPLY"
    exit 0
fi
case $(cat "$CHORIA_EXTERNAL_REQUEST") in
    *'"action":"fail"'*) echo "cannot do it" >&2; exit 3 ;;
    *'"action":"hang"'*) sleep 60 ;;
    *'"action":"late"'*) sleep 1 ;;
esac
message=$(sed -n 's/.*"message":"\([a-z ]*\)".*/\1/p' "$CHORIA_EXTERNAL_REQUEST")
echo "{\"statuscode\":0,\"statusmsg\":\"OK\",\"data\":{\"message\":\"$message\"}}" > "$CHORIA_EXTERNAL_REPLY"
"#;

/// A running estate. Dropping it ends it.
pub(crate) struct Estate {
    home: TempDir,
    _nodes: Vec<Daemon>,
    broker: Daemon,
}

impl Estate {
    pub(crate) fn start() -> Result<Self, Failed> {
        let home = tempfile::tempdir()?;
        let nodes = KINDS.iter().map(|kind| kind.name).chain(["gone1"]);
        make_certificates(home.path(), nodes, ["rip.mcollective", "guest.mcollective"])?;
        let mut command = muster(home.path(), &["broker", "-a", "127.0.0.1", "-p", "0"]);
        command.args(["--tls", "--tlscert", "broker.pem", "--tlskey", "broker.key"]);
        command.args(["--tlscacert", "ca.pem", "--tlsverify"]);
        let broker = Daemon::start(command, "Server is ready")?;
        let mut estate = Self {
            home,
            _nodes: Vec::new(),
            broker,
        };
        write_agents(&estate.home().join("lib/mcollective/agent"))?;
        for kind in &KINDS {
            estate.write_node(kind)?;
            let node = estate.start_node(kind.name)?;
            estate._nodes.push(node);
        }
        estate.write_node(&Kind {
            name: "gone1",
            ..KINDS[2]
        })?;
        let gone = estate.start_node("gone1")?;
        gone.end_with("KILL")?;
        for (file, name) in [("client.conf", "rip"), ("guest.conf", "guest")] {
            let text = format!(
                "libdir = {}/lib\ncollectives = mcollective,eu,us\n{}",
                estate.home().display(),
                estate.connection(&format!("{name}.mcollective"))?
            );
            fs::write(estate.home().join(file), text)?;
        }
        estate.wait_for_nodes("mcollective", &["db1", "db2", "web1", "web2"])?;
        estate.wait_for_nodes("us", &["db2", "edge1"])?;
        Ok(estate)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command of the caller.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Said, Failed> {
        self.run(&[words, &["--config", "client.conf"]].concat())
    }

    /// A command that needs no configuration.
    pub(crate) fn run(&self, words: &[&str]) -> Result<Said, Failed> {
        Said::of(muster(self.home(), words))
    }

    /// What a node has written into one of its files.
    pub(crate) fn file_of(&self, node: &str, file: &str) -> Result<String, Failed> {
        Ok(fs::read_to_string(self.home().join(node).join(file))?)
    }

    fn start_node(&self, name: &str) -> Result<Daemon, Failed> {
        let config = format!("{name}/server.conf");
        let command = muster(self.home(), &["server", "run", "--config", &config]);
        Daemon::start_logging(command, &self.home().join(name).join("log"), "connected")
    }

    fn write_node(&self, kind: &Kind) -> Result<(), Failed> {
        let (name, home) = (kind.name, self.home().join(kind.name));
        fs::create_dir_all(home.join("policies"))?;
        let facts = format!(
            r#"{{"country":"{}","os":{{"family":"Debian"}},"memory":{{"gb":{}}}}}"#,
            kind.country, kind.memory
        );
        fs::write(home.join("facts.json"), facts)?;
        fs::write(home.join("classes.txt"), kind.classes)?;
        let policy = format!("policy default deny\nallow\t*\t{}\t*\t*\n", kind.actions);
        fs::write(home.join("policies/parrot.policy"), policy)?;
        let text = format!(
            "identity = {name}\n\
             collectives = {}\n\
             plugin.yaml = {home}/facts.json\n\
             classesfile = {home}/classes.txt\n\
             libdir = {}/lib\n\
             logfile = stderr\n\
             rpcaudit = 1\n\
             plugin.rpcaudit.logfile = {home}/audit.log\n\
             plugin.choria.status_file_path = {home}/status.json\n\
             plugin.choria.status_update_interval = 1\n\
             plugin.choria.use_srv = false\n{}",
            kind.collectives,
            self.home().display(),
            self.connection(name)?,
            home = home.display(),
        );
        Ok(fs::write(home.join("server.conf"), text)?)
    }

    fn connection(&self, name: &str) -> Result<String, Failed> {
        let home = self.home().display();
        let broker = self
            .broker
            .said_after("Listening for client connections on ")?;
        Ok(format!(
            "plugin.choria.middleware_hosts = {broker}\n\
             plugin.security.provider = file\n\
             plugin.security.file.certificate = {home}/{name}.pem\n\
             plugin.security.file.key = {home}/{name}.key\n\
             plugin.security.file.ca = {home}/ca.pem\n"
        ))
    }

    fn wait_for_nodes(&self, collective: &str, nodes: &[&str]) -> Result<(), Failed> {
        let expect = nodes.len().to_string();
        let words = [
            "ping",
            "--names",
            "--expect",
            &expect,
            "--timeout",
            "5",
            "-T",
        ];
        let mut last = None;
        for _ in 0..PINGS_MAX {
            let said = self.ask(&[&words[..], &[collective]].concat())?;
            if said.sorted_lines() == nodes {
                return Ok(());
            }
            last = Some(said);
        }
        Err(format!("not all nodes came: {last:#?}").into())
    }
}

/// Two agents of the same program: one with a policy everywhere, one without any.
fn write_agents(folder: &Path) -> Result<(), Failed> {
    fs::create_dir_all(folder)?;
    for name in ["parrot", "guarded"] {
        let input = r#"{"message":{"prompt":"Message","description":"What to say","type":"string",
            "optional":false,"validation":"^[a-z ]+$","maxlength":20}}"#;
        let output =
            r#"{"message":{"description":"What was said","display_as":"Message","type":"string"}}"#;
        let action = |action: &str| {
            format!(
                r#"{{"action":"{action}","description":"{action}","display":"always","input":{input},
                "output":{output},"aggregate":[{{"function":"summary","args":["message"]}}]}}"#
            )
        };
        let actions = ["echo", "fail", "hang", "late"].map(action).join(",");
        let ddl = format!(
            r#"{{"metadata":{{"name":"{name}","description":"Says it again","author":"Ops","license":"Apache-2.0",
            "version":"1.0.0","url":"https://example.net","timeout":2,"provider":"external"}},"actions":[{actions}]}}"#
        );
        let (program, description) = (folder.join(name), folder.join(format!("{name}.json")));
        fs::write(&program, PARROT)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        fs::write(&description, ddl)?;
        // Nodes wait until a new file has settled.
        let settled = SystemTime::now() - Duration::from_secs(60);
        for path in [program, description] {
            fs::File::options()
                .append(true)
                .open(path)?
                .set_modified(settled)?;
        }
    }
    Ok(())
}
