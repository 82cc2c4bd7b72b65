//! A node without a configuration, from its first sign of life to the fleet.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use libtest_mimic::Failed;
use serde_json::Value;

use crate::process::{Daemon, Said, make_certificates, muster};

const NODE: &str = "fresh.example.net";
const SECRET: &str = "s3cret-of-the-site";
/// Questions until an answer is there; each waits for some seconds itself.
const ASKS_MAX: usize = 20;

/// A broker, and a caller who may ask in both collectives.
struct Site {
    home: tempfile::TempDir,
    broker: Daemon,
    /// How the node in the mode is called: asked by name, it is not waited for others.
    node: RefCell<String>,
}

impl Site {
    fn start() -> Result<Self, Failed> {
        let home = tempfile::tempdir()?;
        let at = home.path();
        make_certificates(at, [], ["rip.mcollective", "mallory.example.net"])?;
        let mut command = muster(at, &["broker", "-a", "127.0.0.1", "-p", "0"]);
        command.args(["--tls", "--tlscert", "broker.pem", "--tlskey", "broker.key"]);
        let broker = Daemon::start(command, "Server is ready")?;
        let site = Self {
            home,
            broker,
            node: RefCell::default(),
        };
        let text = format!(
            "identity = rip.mcollective\n\
             collectives = mcollective,provisioning\n\
             plugin.choria.middleware_hosts = {}\n\
             plugin.security.provider = file\n\
             plugin.security.file.certificate = {at}/rip.mcollective.pem\n\
             plugin.security.file.key = {at}/rip.mcollective.key\n\
             plugin.security.file.ca = {at}/ca.pem\n",
            site.address()?,
            at = site.at().display(),
        );
        fs::write(site.at().join("client.conf"), text)?;
        site.make_token()?;
        Ok(site)
    }

    fn at(&self) -> &Path {
        self.home.path()
    }

    fn address(&self) -> Result<&str, Failed> {
        self.broker
            .said_after("Listening for client connections on ")
    }

    fn make_token(&self) -> Result<(), Failed> {
        fs::create_dir(self.at().join("node"))?;
        let run = |words: &[&str]| Said::of(muster(self.at(), words))?.ended_with(0);
        run(&["jwt", "keys", "issuer.seed", "issuer.public"])?;
        let address = self.address()?;
        run(&[
            "jwt",
            "provisioning",
            "node/provisioning.jwt",
            "issuer.seed",
            "--token",
            SECRET,
            "--urls",
            address,
            "--default",
        ])?;
        run(&["jwt", "view", "node/provisioning.jwt", "issuer.public"])?
            .says(&["Validated Provisioning Token", address])?
            .says_nothing_of(&[SECRET])?;
        let shown = run(&["tool", "provisioner", "--config", "node/server.conf"])?;
        shown.says(&["Choria JWT Resolver", "1 broker(s)", address])?;
        Ok(())
    }

    /// The node's host has no name that can be relied on.
    fn start_node(&self) -> Result<Daemon, Failed> {
        let command = muster(
            self.at(),
            &["server", "run", "--config", "node/server.conf"],
        );
        Daemon::start_talking(command, "node started")
    }

    fn ask(&self, words: &[&str]) -> Result<Said, Failed> {
        let config = ["--config", "client.conf"];
        Said::of(muster(self.at(), &[words, &config].concat()))
    }

    /// Calls the agent; the node's status and the data of its reply.
    fn call(&self, action: &str, token: &str, inputs: &[String]) -> Result<(i64, Value), Failed> {
        let token = format!("token={token}");
        let mut words = vec!["rpc", "choria_provision", action, &token];
        words.extend(inputs.iter().map(String::as_str));
        let name = self.node.borrow();
        words.extend(["-T", "provisioning", "--json", "-I", &name]);
        let said = self.ask(&words)?;
        let json: Value =
            serde_json::from_str(&said.out).map_err(|error| format!("{error} in {said:#?}"))?;
        let reply = &json["replies"][0];
        let status = reply["statuscode"]
            .as_i64()
            .ok_or_else(|| format!("no reply in {said:#?}"))?;
        let what = if status == 0 {
            reply["data"].clone()
        } else {
            reply["statusmsg"].clone()
        };
        Ok((status, what))
    }

    /// Who is in a collective; asked until somebody is.
    fn wait_for_one(&self, collective: &str) -> Result<String, Failed> {
        let mut last = None;
        for _ in 0..ASKS_MAX {
            let words = ["ping", "--names", "-T", collective];
            let said = self.ask(&[&words[..], &["--expect", "1", "--timeout", "3"]].concat())?;
            if let [name] = said.sorted_lines()[..] {
                return Ok(name.to_owned());
            }
            last = Some(said);
        }
        Err(format!("nobody came to {collective}: {last:#?}").into())
    }
}

fn ok(answer: (i64, Value)) -> Result<Value, Failed> {
    match answer {
        (0, data) => Ok(data),
        (status, message) => Err(format!("{status}: {message}").into()),
    }
}

fn refused(answer: &(i64, Value), why: &str) -> Result<(), Failed> {
    let message = answer.1.as_str().unwrap_or_default();
    if answer.0 == 1 && message.contains(why) && !message.contains(SECRET) {
        return Ok(());
    }
    Err(format!("not refused with {why:?}: {answer:?}").into())
}

/// Keys and certificate are made, the configuration is written, and the same process joins the fleet.
pub(crate) fn a_node_without_configuration_joins_the_fleet() -> Result<(), Failed> {
    let site = Site::start()?;
    let node = site.start_node()?;
    let pid = node.pid();
    let name = site.wait_for_one("provisioning")?;
    name.clone_into(&mut site.node.borrow_mut());
    refused(&site.call("gencsr", "wrong", &[])?, "token is wrong")?;
    refused(&site.call("reprovision", SECRET, &[])?, "already")?;
    refused(&site.call("restart", SECRET, &[])?, "server.conf")?;

    let first = ok(site.call("gencsr", SECRET, &[format!("cn={NODE}")])?)?;
    let made = ok(site.call("gencsr", SECRET, &[format!("cn={NODE}")])?)?;
    assert_ne!(first["public_key"], made["public_key"]);
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
    let private = fs::read_to_string(Path::new(&text("ssldir")).join("private.pem"))?;
    let secret_line = private.lines().nth(2).unwrap();
    assert!(!made.to_string().contains(secret_line));
    fs::write(site.at().join("fresh.csr"), text("csr"))?;
    let sign = ["ca", "sign", "fresh.csr", "--out", "fresh.pem"];
    Said::of(muster(site.at(), &sign))?.ended_with(0)?;
    let certificate = fs::read_to_string(site.at().join("fresh.pem"))?;
    let ca = fs::read_to_string(site.at().join("ca.pem"))?;

    let config = serde_json::json!({
        "identity": NODE,
        "collectives": "mcollective",
        "plugin.choria.server.provision": "0",
        "plugin.choria.middleware_hosts": site.address()?,
        "plugin.security.provider": "file",
        "plugin.security.file.certificate": format!("{}/certificate.pem", text("ssldir")),
        "plugin.security.file.key": format!("{}/private.pem", text("ssldir")),
        "plugin.security.file.ca": format!("{}/ca.pem", text("ssldir")),
        "rpcauthorization": "0",
    });
    let inputs = |config: &Value| {
        vec![
            format!("config={config}"),
            format!("certificate={certificate}"),
            format!("ca={ca}"),
            format!("ssldir={}", text("ssldir")),
        ]
    };
    let mut bad = config.clone();
    bad["plugin.security.provider"] = "nonsense".into();
    refused(&site.call("configure", SECRET, &inputs(&bad))?, "provider")?;
    assert!(!site.at().join("node/server.conf").exists());
    let said = ok(site.call("configure", SECRET, &inputs(&config))?)?;
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .starts_with("Wrote 10 lines to ")
    );
    let said = ok(site.call("restart", SECRET, &["splay=1".to_owned()])?)?;
    assert_eq!(said["message"], "Restarting Choria Server after 2s");
    assert_ne!(name, NODE, "the host's own name is another");
    assert_eq!(site.wait_for_one("mcollective")?, NODE);
    assert_eq!(node.pid(), pid);
    let running = fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
    assert!(running.contains("node/server.conf"), "{running}");
    let again = site.ask(&[
        "rpc",
        "choria_provision",
        "gencsr",
        "token=wrong",
        "-I",
        NODE,
    ])?;
    again.says(&["not in provisioning mode"])?;
    let words = [
        "rpc",
        "choria_provision",
        "configure",
        "config={\"a\":\"b\"}",
    ];
    site.ask(&[&words[..], &[&format!("token={SECRET}"), "-I", NODE]].concat())?
        .says(&["not in provisioning mode"])?;
    Ok(())
}

/// Without a configuration and without a token a node does not start.
pub(crate) fn nothing_to_go_by() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    Said::of(muster(home.path(), &["server", "--config", "none.conf"]))?
        .ended_with(1)?
        .says(&["none.conf was not found and provisioning is disabled"])?;
    Ok(())
}

type Act = fn() -> Result<(), Failed>;

pub(crate) const ALL: &[(&str, Act)] = &[
    (
        "a_node_without_configuration_joins_the_fleet",
        a_node_without_configuration_joins_the_fleet,
    ),
    ("nothing_to_go_by", nothing_to_go_by),
];
