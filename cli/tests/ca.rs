//! `muster ca` as people use it, and what a fleet makes of it: requests that openssl made are signed, and who is revoked is
//! refused by a running broker, by a running node, and by a caller. Without openssl, trials that need it are listed as ignored.

#![expect(clippy::unwrap_used, reason = "a test program")]

#[path = "fleet/process.rs"]
#[allow(dead_code, reason = "the whole fleet's tests use the rest")]
mod process;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use process::{Daemon, Said, muster};
use tempfile::TempDir;

type Act = fn() -> Result<(), Failed>;

/// With whether openssl is needed.
const ALL: &[(&str, bool, Act)] = &[
    ("book_keeping", false, book_keeping),
    ("show_of_each_kind", true, show_of_each_kind),
    ("requests_are_judged", true, requests_are_judged),
    (
        "broker_cuts_off_the_revoked",
        true,
        broker_cuts_off_the_revoked,
    ),
    (
        "node_refuses_a_revoked_caller",
        false,
        node_refuses_a_revoked_caller,
    ),
    (
        "caller_refuses_a_revoked_broker",
        false,
        caller_refuses_a_revoked_broker,
    ),
    ("bad_lists_stop_a_start", false, bad_lists_stop_a_start),
];

/// Questions until a change must have shown; each waits for a second or more.
const TRIES: usize = 30;
const LISTENING: &str = "Listening for client connections on ";

fn main() -> ExitCode {
    let openssl = Command::new("openssl")
        .arg("version")
        .stdout(Stdio::null())
        .status();
    let is_there = openssl.is_ok_and(|status| status.success());
    let trials = ALL.iter().map(|(name, needs_openssl, act)| {
        Trial::test(*name, act).with_ignored_flag(*needs_openssl && !is_there)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn ca(home: &Path, words: &[&str]) -> Result<Said, Failed> {
    Said::of(muster(home, &[&["ca"], words].concat()))
}

/// A request of a new key: `NAME.key` and `NAME.csr`.
fn request(home: &Path, name: &str, more: &[&str]) -> Result<(), Failed> {
    let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
    fs::write(
        home.join("req.cnf"),
        "[req]\ndistinguished_name = dn\n[dn]\n",
    )?;
    let subject = format!("/CN={name}");
    let mut words = vec![
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-config", "req.cnf",
    ];
    words.extend(["-subj", &subject, "-keyout", &key, "-out", &csr]);
    words.extend(more);
    let mut command = Command::new("openssl");
    command.args(words).current_dir(home).stdin(Stdio::null());
    Said::of(command)?.ended_with(0).map(|_| ())
}

fn book_keeping() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    ca(home, &["init", "pki"])?.ended_with(0)?;
    let ca = |words: &[&str]| ca(&home.join("pki"), words);
    ca(&["list"])?.ended_with(0)?.says_nothing_of(&["valid"])?;
    ca(&["node", "node1"])?.ended_with(0)?;
    ca(&["client", "rip.mcollective", "--rsa"])?.ended_with(0)?;
    let old = fs::read_to_string(home.join("pki/node1.pem"))?;
    ca(&["renew", "node1", "--days", "7"])?
        .ended_with(0)?
        .says(&["node1.pem", "subject  CN=node1", "ecdsa p-256"])?
        .says_nothing_of(&["node1.key"])?;
    assert_ne!(fs::read_to_string(home.join("pki/node1.pem"))?, old);
    ca(&["renew", "rip.mcollective", "--rekey"])?
        .ended_with(0)?
        .says(&["rip.mcollective.key", "rsa 2048", "tls client"])?;
    let listed = ca(&["list"])?.ended_with(0)?;
    let lines: Vec<_> = listed.out.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.ends_with(" valid")),
        "{lines:?}"
    );

    let serial = lines[0].split(' ').next().unwrap();
    ca(&["revoke", serial, "--reason", "superseded"])?
        .ended_with(0)?
        .says(&["revoked ", serial, "node1 node", "superseded", "crl.pem"])?;
    ca(&["revoke", "rip.mcollective", "--reason", "whim"])?
        .ended_with(1)?
        .says(&["key-compromise"])?;
    ca(&["revoke", "rip.mcollective"])?.ended_with(0)?;
    ca(&["revoke", "rip.mcollective"])?
        .ended_with(1)?
        .says(&["\"rip.mcollective\" is revoked already"])?;
    ca(&["revoke", "nobody"])?
        .ended_with(1)?
        .says(&["\"nobody\""])?;
    ca(&["renew", "rip.mcollective"])?
        .ended_with(1)?
        .says(&["is revoked already"])?;
    let listed = ca(&["list"])?.ended_with(0)?;
    assert_eq!(listed.out.matches(" revoked ").count(), 3, "{}", listed.out);
    ca(&["crl", "--days", "3"])?.ended_with(0)?.says(&[
        "crl.pem",
        "issuer  CN=Muster CA",
        "revoked  3",
        serial,
    ])?;
    ca(&["show", "crl.pem"])?
        .ended_with(0)?
        .says(&["revoked  3", serial])?;
    Ok(())
}

fn show_of_each_kind() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    ca(home, &["init", ".", "--name", "My CA"])?.ended_with(0)?;
    ca(home, &["broker", "b1", "--ip", "192.0.2.1", "--days", "2"])?.ended_with(0)?;
    ca(home, &["show", "ca.pem"])?
        .ended_with(0)?
        .says(&["subject  CN=My CA", "uses  authority"])?;
    let shown = ca(home, &["show", "b1.pem"])?.ended_with(0)?.says(&[
        "names  b1, 192.0.2.1",
        "issuer  CN=My CA",
        "tls server and client",
    ])?;
    let words = ["x509", "-in", "b1.pem", "-noout", "-fingerprint", "-sha256"];
    let mut command = Command::new("openssl");
    command.args(words).current_dir(home);
    let theirs = Said::of(command)?.ended_with(0)?;
    let fingerprint = theirs.out.trim().rsplit('=').next().unwrap();
    assert!(
        shown.out.contains(fingerprint),
        "{fingerprint} in {shown:?}"
    );
    request(home, "n1", &["-addext", "subjectAltName=DNS:a.n1"])?;
    ca(home, &["show", "n1.csr"])?.ended_with(0)?.says(&[
        "request  n1",
        "names  a.n1",
        "rsa 2048",
    ])?;
    for file in ["b1.key", "req.cnf"] {
        ca(home, &["show", file])?
            .ended_with(1)?
            .says(&[file, "is no pem file of"])?
            .says_nothing_of(&["PRIVATE"])?;
    }
    Ok(())
}

fn requests_are_judged() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    ca(home, &["init", "."])?.ended_with(0)?;
    request(
        home,
        "n1",
        &["-addext", "subjectAltName=DNS:n1,DNS:www.example.net"],
    )?;
    let sign = |words: &[&str]| ca(home, &[&["sign"], words].concat());
    sign(&["n1.csr"])?.ended_with(1)?.says(&[
        "n1.csr: alternative name \"www.example.net\"",
        "--allow-san",
    ])?;
    sign(&["n1.csr", "--allow-san", "--name", "n2"])?
        .ended_with(1)?
        .says(&["n1.csr: request is for \"n1\", not for \"n2\""])?;
    assert!(!home.join("n1.pem").exists() && !home.join("issued.txt").exists());
    sign(&["n1.csr", "--allow-san", "--name", "n1", "--days", "9"])?
        .ended_with(0)?
        .says(&[
            "n1.pem",
            "names  n1, www.example.net",
            "tls server and client",
        ])?
        .says_nothing_of(&["n1.key"])?;
    sign(&["n1.csr", "--allow-san"])?
        .ended_with(1)?
        .says(&["exists"])?;
    let again = ["n1.csr", "--allow-san", "--out", "other.pem"];
    sign(&again)?.ended_with(0)?.says(&["other.pem"])?;
    request(home, "crl", &[])?;
    sign(&["crl.csr"])?
        .ended_with(1)?
        .says(&["authority's own"])?;
    request(home, "rip.mcollective", &[])?;
    sign(&["rip.mcollective.csr"])?
        .ended_with(1)?
        .says(&["would let a broker or node call", "--allow-san"])?;
    sign(&["rip.mcollective.csr", "--profile", "client"])?
        .ended_with(0)?
        .says(&["uses  tls client"])?;
    request(home, "x.privileged.mcollective", &[])?;
    sign(&["x.privileged.mcollective.csr", "--profile", "client"])?
        .ended_with(0)?
        .says(&["warning", "call for anybody"])?;
    sign(&["nosuch.csr"])?
        .ended_with(1)?
        .says(&["nosuch.csr"])?;
    sign(&["n1.pem"])?
        .ended_with(1)?
        .says(&["n1.pem: request cannot be read"])?;
    Ok(())
}

/// A broker, and nodes and callers with certificates of one authority.
struct Lab {
    home: TempDir,
    broker: Daemon,
    nodes: Vec<Daemon>,
}

impl Lab {
    fn start(names: &[(&str, &str)], broker_flags: &[&str]) -> Result<Self, Failed> {
        let home = tempfile::tempdir()?;
        let path = home.path();
        ca(path, &["init", "."])?.ended_with(0)?;
        let words = ["broker", "broker1", "--ip", "127.0.0.1"];
        ca(path, &words)?.ended_with(0)?;
        for (profile, name) in names {
            ca(path, &[profile, name])?.ended_with(0)?;
        }
        ca(path, &["crl"])?.ended_with(0)?;
        let broker = start_broker(path, "0", broker_flags)?;
        Ok(Self {
            home,
            broker,
            nodes: Vec::new(),
        })
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn port(&self) -> Result<String, Failed> {
        let address = self.broker.said_after(LISTENING)?;
        Ok(address.rsplit(':').next().unwrap().to_owned())
    }

    fn write_config(&self, name: &str, more: &str) -> Result<String, Failed> {
        let (home, port) = (self.home().display(), self.port()?);
        let text = format!(
            "identity = {name}\n\
             plugin.choria.middleware_hosts = 127.0.0.1:{port}\n\
             plugin.choria.use_srv = false\n\
             plugin.security.provider = file\n\
             plugin.security.file.certificate = {home}/{name}.pem\n\
             plugin.security.file.key = {home}/{name}.key\n\
             plugin.security.file.ca = {home}/ca.pem\n\
             {more}"
        );
        let file = format!("{name}.conf");
        fs::write(self.home().join(&file), text)?;
        Ok(file)
    }

    fn add_node(&mut self, name: &str, more: &str) -> Result<(), Failed> {
        let more = format!("logfile = stderr\nrpcauthorization = 0\n{more}");
        let config = self.write_config(name, &more)?;
        let command = muster(self.home(), &["server", "run", "--config", &config]);
        self.nodes.push(Daemon::start(command, "node started")?);
        Ok(())
    }

    fn add_caller(&self, name: &str) -> Result<(), Failed> {
        self.write_config(name, "").map(|_| ())
    }

    /// The nodes that answer a caller.
    fn ping(&self, caller: &str, expect: usize) -> Result<Said, Failed> {
        let (config, expect) = (format!("{caller}.conf"), expect.to_string());
        let words = ["ping", "--names", "--expect", &expect, "--timeout", "1"];
        Said::of(muster(
            self.home(),
            &[&words[..], &["--config", &config]].concat(),
        ))
    }

    /// Asks until these nodes answer and no others.
    fn wait_for(&self, caller: &str, nodes: &[&str]) -> Result<Said, Failed> {
        let mut last = None;
        for _ in 0..TRIES {
            let said = self.ping(caller, nodes.len().max(1))?;
            if said.sorted_lines() == nodes {
                return Ok(said);
            }
            last = Some(said);
        }
        Err(format!("{caller} is not answered by {nodes:?}: {last:#?}").into())
    }
}

fn start_broker(home: &Path, port: &str, flags: &[&str]) -> Result<Daemon, Failed> {
    let words = ["broker", "-a", "127.0.0.1", "-p", port, "--shards", "2"];
    let own = [
        "--tls",
        "--tlscert",
        "broker1.pem",
        "--tlskey",
        "broker1.key",
    ];
    let clients = ["--tlscacert", "ca.pem", "--tlsverify"];
    let command = muster(home, &[&words[..], &own, &clients, flags].concat());
    Daemon::start(command, "Server is ready")
}

fn broker_cuts_off_the_revoked() -> Result<(), Failed> {
    let names = [
        ("node", "node1"),
        ("node", "node2"),
        ("client", "bob.mcollective"),
    ];
    let mut lab = Lab::start(&names, &["--tlscrl", "crl.pem"])?;
    // The request of somebody with a key of their own.
    request(lab.home(), "rip.mcollective", &[])?;
    let words = ["sign", "rip.mcollective.csr", "--profile", "client"];
    ca(lab.home(), &words)?.ended_with(0)?;
    for caller in ["rip.mcollective", "bob.mcollective"] {
        lab.add_caller(caller)?;
    }
    lab.add_node("node1", "")?;
    lab.add_node("node2", "")?;
    lab.wait_for("rip.mcollective", &["node1", "node2"])?;

    // A node that is connected is cut off and not let in again; the others stay.
    ca(lab.home(), &["revoke", "node2"])?.ended_with(0)?;
    lab.wait_for("rip.mcollective", &["node1"])?;
    ca(lab.home(), &["revoke", "rip.mcollective"])?.ended_with(0)?;
    lab.wait_for("rip.mcollective", &[])?.ended_with(1)?;
    lab.wait_for("bob.mcollective", &["node1"])?;

    // A renewed certificate is a new one.
    ca(lab.home(), &["node", "node2", "--force"])?.ended_with(0)?;
    lab.add_node("node2", "")?;
    lab.wait_for("bob.mcollective", &["node1", "node2"])?;

    // A broker that starts with the list goes by it as well.
    let port = lab.port()?;
    lab.broker.end_with("TERM")?;
    lab.broker = start_broker(lab.home.path(), &port, &["--tlscrl", "crl.pem"])?;
    lab.wait_for("bob.mcollective", &["node1", "node2"])?;
    lab.ping("rip.mcollective", 1)?.ended_with(1)?;
    Ok(())
}

fn node_refuses_a_revoked_caller() -> Result<(), Failed> {
    let callers = ["rip.mcollective", "bob.mcollective"];
    let mut names = vec![("node", "node1"), ("node", "node2")];
    names.extend(callers.map(|name| ("client", name)));
    // The broker knows no list, so that the nodes alone decide; the second knows none either.
    let mut lab = Lab::start(&names, &[])?;
    for caller in callers {
        lab.add_caller(caller)?;
    }
    let crl = format!(
        "plugin.security.file.crl = {}/crl.pem\n",
        lab.home().display()
    );
    lab.add_node("node1", &crl)?;
    lab.add_node("node2", "")?;
    for caller in callers {
        lab.wait_for(caller, &["node1", "node2"])?;
    }
    ca(lab.home(), &["revoke", "rip.mcollective"])?.ended_with(0)?;
    lab.wait_for("rip.mcollective", &["node2"])?;
    lab.wait_for("bob.mcollective", &["node1", "node2"])?;
    Ok(())
}

fn caller_refuses_a_revoked_broker() -> Result<(), Failed> {
    let names = [("node", "node1"), ("client", "bob.mcollective")];
    let mut lab = Lab::start(&names, &[])?;
    let home = lab.home().display();
    let crl = format!("plugin.security.file.crl = {home}/crl.pem\n");
    lab.write_config("bob.mcollective", &crl)?;
    lab.add_node("node1", "")?;
    lab.wait_for("bob.mcollective", &["node1"])?;
    ca(lab.home(), &["revoke", "broker1"])?.ended_with(0)?;
    lab.ping("bob.mcollective", 1)?
        .ended_with(1)?
        .says(&["no broker takes connections", "Revoked"])?;
    Ok(())
}

fn bad_lists_stop_a_start() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    ca(home, &["init", "."])?.ended_with(0)?;
    ca(home, &["init", "other", "--name", "Other CA"])?.ended_with(0)?;
    ca(home, &["crl", "--dir", "other"])?.ended_with(0)?;
    ca(home, &["node", "n1"])?.ended_with(0)?;
    let files = "identity = n1\n\
                 plugin.choria.middleware_hosts = 127.0.0.1:1\n\
                 plugin.security.provider = file\n\
                 plugin.security.file.certificate = n1.pem\n\
                 plugin.security.file.key = n1.key\n\
                 plugin.security.file.ca = ca.pem\n";
    for (list, wanted) in [
        (
            "other/crl.pem",
            "its issuer CN=Other CA is none of the authorities",
        ),
        ("n1.pem", "none in the pem text"),
        ("nosuch.pem", "o such file"),
    ] {
        let text = format!("{files}plugin.security.file.crl = {list}\n");
        fs::write(home.join("n1.conf"), text)?;
        Said::of(muster(home, &["broker", "-p", "0", "--config", "n1.conf"]))?
            .ended_with(1)?
            .says(&["n1.conf:7: plugin.security.file.crl", wanted])?;
        Said::of(muster(home, &["server", "--config", "n1.conf"]))?
            .ended_with(1)?
            .says(&[wanted])?;
        Said::of(muster(home, &["ping", "--config", "n1.conf"]))?
            .ended_with(1)?
            .says(&[wanted])?;
    }
    Ok(())
}
