//! Agents in a folder, loaded by a node whose work a pool carries out.

#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use muster_client::Moment;
use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::{RpcReply, RpcRequest, StatusCode};
use muster_reactor::wake::Wake;
use muster_server::external::ExternalOptions;
use muster_server::external::loader::Loader;
use muster_server::pool::WorkerPool;
use muster_server::{AgentSet, NodeOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Connected, UNIX, options, request, setup, signed};

const NODE: &str = "mcollective.node.node1.example.net";

/// An answer: status, message, data.
pub(crate) type Answer = (StatusCode, String, Value);

pub(crate) struct Lab {
    dir: TempDir,
    pub(crate) loader: Loader,
    node: Option<Connected>,
    pool: WorkerPool,
    base: NodeOptions,
    next_id: u32,
    now: Duration,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut ExternalOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["lib/mcollective/agent", "tmp"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let mut external = ExternalOptions {
            library_dirs: vec![dir.path().join("lib")],
            config_dir: dir.path().join("etc"),
            temp_dir: dir.path().join("tmp"),
            environment: environment(),
            settle: Duration::ZERO,
            ..ExternalOptions::default()
        };
        change(&mut external);
        Self {
            dir,
            loader: Loader::new(external),
            node: None,
            pool: WorkerPool::new(Wake::new().unwrap()),
            base: options(),
            next_id: 0,
            now: Duration::ZERO,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn agent_file(&self, name: &str) -> PathBuf {
        self.path("lib/mcollective/agent").join(name)
    }

    /// An agent that answers as its script says; see [`script`].
    pub(crate) fn add(&self, name: &str, ddl: &str, body: &str) {
        install(&self.agent_file(name), &script(body));
        fs::write(self.agent_file(&format!("{name}.json")), ddl).unwrap();
    }

    pub(crate) fn base(&mut self, change: impl FnOnce(&mut NodeOptions)) {
        change(&mut self.base);
    }

    /// Looks at the files, an hour after the last time; the names that are loaded.
    pub(crate) fn rescan(&mut self) -> Vec<String> {
        self.now += Duration::from_secs(3600);
        self.loader.rescan(self.now, SystemTime::now());
        let mut options = self.base.clone();
        options.agents = AgentSet::new();
        for agent in self.loader.agents() {
            options.agents.insert(Arc::clone(agent));
        }
        let setup = setup(options);
        let names = setup.agent_names().to_vec();
        match &mut self.node {
            Some(node) => {
                node.node.set_setup(setup);
                node.taken();
            }
            None => self.node = Some(Connected::new(&setup, "node1.example.net")),
        }
        names
    }

    pub(crate) fn node(&mut self) -> &mut Connected {
        self.node.as_mut().unwrap()
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, agent: &str, action: &str, data: &str) -> Answer {
        let published = self.begin(agent, action, data);
        published.unwrap_or_else(|| self.wait())
    }

    /// Asks; the answer if it comes at once.
    pub(crate) fn begin(&mut self, agent: &str, action: &str, data: &str) -> Option<Answer> {
        self.next_id += 1;
        let id = format!("{:032x}", self.next_id);
        let body = RpcRequest::encode(agent, action, data);
        let payload = signed(&request(&id, agent, &body));
        let node = self.node.as_mut().unwrap();
        let published = node.deliver(NODE, &payload, UNIX);
        match node.node.poll_job() {
            Some(job) => {
                self.pool.submit(job);
                None
            }
            None => Some(read(&published[0].payload)),
        }
    }

    /// The next answer of the pool.
    pub(crate) fn wait(&mut self) -> Answer {
        let done = loop {
            match self.pool.poll_done() {
                Some(done) => break done,
                None => std::thread::yield_now(),
            }
        };
        let at = Moment {
            now: Duration::from_secs(2),
            unix: Duration::from_secs(UNIX.try_into().unwrap()),
        };
        let node = self.node.as_mut().unwrap();
        node.node.handle_job_done(done, at, &mut node.scratch);
        let answer = read(&node.published()[0].payload);
        // Whatever happened, the run left nothing.
        let left: Vec<_> = fs::read_dir(self.dir.path().join("tmp")).unwrap().collect();
        if self.pool.pending() == 0 {
            assert!(left.is_empty(), "{left:?}");
        }
        answer
    }
}

fn read(payload: &[u8]) -> Answer {
    let mut scratch = Scratch::new();
    let reply = parse_reply(payload, &mut scratch).unwrap();
    let body = RpcReply::parse(reply.body).unwrap();
    let data = serde_json::from_str(body.data).unwrap();
    (body.statuscode, body.statusmsg.into_owned(), data)
}

pub(crate) fn environment() -> Vec<(OsString, OsString)> {
    vec![
        ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
        ("HOME".into(), "/nonexistent".into()),
    ]
}

/// Writes a program. A shell does it: were it this process, a child that another test starts just then would hold the
/// file open for writing, and the kernel would refuse to run it.
pub(crate) fn install(path: &Path, content: &str) {
    let mut shell = Command::new("/bin/sh")
        .args([
            "-c",
            "cat >\"$1.new\" && chmod 755 \"$1.new\" && mv \"$1.new\" \"$1\"",
            "sh",
        ])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
    assert!(shell.wait().unwrap().success());
}

/// A shell script that wants to be loaded, and for calls does what `body` says; `$action` is set there, and `reply`
/// writes a reply.
pub(crate) fn script(body: &str) -> String {
    format!(
        "#!/bin/sh
reply() {{ printf '%s' \"$1\" >\"$CHORIA_EXTERNAL_REPLY\"; }}
action=$(sed 's/.*\"action\":\"\\([a-z_]*\\)\".*/\\1/' \"$CHORIA_EXTERNAL_REQUEST\")
case $CHORIA_EXTERNAL_PROTOCOL in
*.activation_request) reply '{{\"activate\":true}}'; exit 0 ;;
esac
{body}
"
    )
}

/// A DDL with these actions, which take `word`, a short one in lower case, and give `said`.
pub(crate) fn ddl(name: &str, actions: &[&str]) -> String {
    let actions: Vec<_> = actions
        .iter()
        .map(|action| {
            serde_json::json!({
                "action": action,
                "input": {"word": {"type": "string", "optional": true, "validation": "^[a-z]+$", "maxlength": 9}},
                "output": {"said": {"type": "string", "default": "nothing"}},
            })
        })
        .collect();
    serde_json::json!({
        "metadata": {"name": name, "version": "1.0.0", "timeout": 1, "provider": "external"},
        "actions": actions,
    })
    .to_string()
}
