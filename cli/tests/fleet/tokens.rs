//! A fleet that goes by tokens: version 2 of the protocol, with the recorded issuer's tokens.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;

use crate::process::{Daemon, Said, muster};

const NODES: [&str; 2] = ["node1.example.net", "node2.example.net"];

fn recorded(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/choria-0.30.2/tokens")
        .join(file)
}

/// How the holder of a token reaches the broker and whom it believes.
fn connection(home: &Path, broker: &str, token: &str) -> Result<String, Failed> {
    Ok(format!(
        "plugin.choria.middleware_hosts = {broker}\n\
         collectives = mcollective\n\
         plugin.choria.use_srv = false\n\
         plugin.security.provider = choria\n\
         plugin.security.choria.token_file = {}\n\
         plugin.security.choria.seed_file = {}\n\
         plugin.security.choria.ca = {}/ca.pem\n\
         plugin.security.issuer.names = choria\n\
         plugin.security.issuer.choria.public = {}\n",
        recorded(&format!("{token}.jwt")).display(),
        recorded(&format!("{token}.seed")).display(),
        home.display(),
        fs::read_to_string(recorded("issuer.public"))?.trim(),
    ))
}

/// Callers with a token are answered; one with a certificate is not, though the broker lets it in.
pub(crate) fn a_fleet_of_tokens() -> Result<(), Failed> {
    fleet(Checks::Nothing)
}

/// The same fleet at a broker that goes by tokens too: a certificate does not even get in.
pub(crate) fn a_broker_of_tokens() -> Result<(), Failed> {
    fleet(Checks::Tokens)
}

/// What the broker wants to see of those who connect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    Nothing,
    Tokens,
}

/// A broker of version 2: it knows the issuer, and asks for no certificate.
fn broker_of_tokens(home: &Path) -> Result<Daemon, Failed> {
    let issuer = fs::read_to_string(recorded("issuer.public"))?;
    fs::write(
        home.join("broker.conf"),
        format!(
            "logfile = stderr\n\
             plugin.security.file.certificate = broker.pem\n\
             plugin.security.file.key = broker.key\n\
             plugin.security.issuer.names = choria\n\
             plugin.security.issuer.choria.public = {}\n",
            issuer.trim()
        ),
    )?;
    let words = [
        "broker",
        "-a",
        "127.0.0.1",
        "-p",
        "0",
        "--config",
        "broker.conf",
    ];
    Daemon::start(muster(home, &words), "Server is ready")
}

fn fleet(checks: Checks) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let home = folder.path();
    let ca = |words: &[&str]| Said::of(muster(home, words))?.ended_with(0);
    ca(&["ca", "init", "."])?;
    ca(&["ca", "broker", "broker", "--dns", "localhost"])?;
    ca(&["ca", "client", "rip.mcollective"])?;
    let broker = match checks {
        Checks::Nothing => {
            let mut command = muster(home, &["broker", "-a", "127.0.0.1", "-p", "0"]);
            command.args(["--tls", "--tlscert", "broker.pem", "--tlskey", "broker.key"]);
            Daemon::start(command, "Server is ready")?
        }
        Checks::Tokens => broker_of_tokens(home)?,
    };
    let address = broker.said_after("Listening for client connections on ")?;
    let address = format!("localhost:{}", address.rsplit_once(':').unwrap().1);
    let mut nodes = Vec::new();
    for (number, name) in (1..).zip(NODES) {
        fs::write(
            home.join(format!("{name}.yaml")),
            format!("country: c{number}\n"),
        )?;
        let text = format!(
            "identity = {name}\nplugin.yaml = {}/{name}.yaml\nlogfile = stderr\n{}",
            home.display(),
            connection(home, &address, &format!("node{number}"))?
        );
        fs::write(home.join(format!("{name}.conf")), text)?;
        let config = format!("{name}.conf");
        let command = muster(home, &["server", "--config", &config]);
        nodes.push(Daemon::start(command, "connected")?);
    }
    fs::write(
        home.join("client.conf"),
        connection(home, &address, "client")?,
    )?;
    let ask = |words: &[&str]| {
        Said::of(muster(
            home,
            &[words, &["--config", "client.conf"]].concat(),
        ))
    };
    let said = ask(&["ping", "--names", "--expect", "2", "--timeout", "10"])?.ended_with(0)?;
    assert_eq!(said.sorted_lines(), NODES);
    ask(&["rpc", "rpcutil", "get_fact", "fact=country"])?
        .ended_with(0)?
        .says(&["c1: 1", "c2: 1", "Finished processing 2 / 2 hosts"])?;
    let said = ask(&["find", "-S", "fact('country') == 'c2'"])?.ended_with(0)?;
    assert_eq!(said.sorted_lines(), [NODES[1]]);
    // Another authority: the reason is named, and at once rather than at the end of all patience.
    fs::create_dir(home.join("other"))?;
    ca(&["ca", "init", "other"])?;
    let strange = connection(&home.join("other"), &address, "client")?;
    fs::write(home.join("strange.conf"), strange)?;
    Said::of(muster(home, &["ping", "--config", "strange.conf"]))?
        .ended_with(1)?
        .says(&["no broker takes connections", "certificate"])?;
    let text = format!(
        "identity = rip.mcollective\nplugin.choria.middleware_hosts = {address}\n\
         plugin.security.provider = file\n\
         plugin.security.file.certificate = rip.mcollective.pem\n\
         plugin.security.file.key = rip.mcollective.key\n\
         plugin.security.file.ca = ca.pem\n"
    );
    fs::write(home.join("version1.conf"), text)?;
    let said = Said::of(muster(
        home,
        &["ping", "--timeout", "1", "--config", "version1.conf"],
    ))?;
    let wanted = match checks {
        Checks::Nothing => "no responses received",
        Checks::Tokens => "does not accept our credentials",
    };
    said.ended_with(1)?.says(&[wanted])?;
    Ok(())
}
