//! `muster demo`: an authority, a broker and a fleet of real nodes in this process, asked by the same commands that ask any fleet.
//!
//! Everything is as in production: mutual TLS, a certificate a node, signed requests that are verified. Only the machines are made up.
//! It lives in a temporary folder and on the loopback interface, and leaves nothing behind.

mod nodes;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use muster_broker::{Broker, BrokerConfig, TlsSetting};
use muster_client::nats::ServerAddr;
use muster_pki::{Authority, IfExists, KeyKind, LeafKey, Profile, Role, Validity};
use muster_reactor::clock::{Clock, unix_now};
use muster_reactor::tls::TlsFiles;

use self::nodes::{Fleet, Identity};
use super::daemon::{block_signals, wait_for_end};
use crate::args;
use crate::exit::{Exit, Failure};
use crate::log;

/// The caller of all requests.
const CALLER: &str = "demo.mcollective";
/// How long the nodes may take to connect, at least.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Room for the clients that ask.
const CLIENTS: u64 = 100;
/// Days the certificates are valid.
const DAYS: u32 = 7;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many nodes.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    nodes: u32,
    /// Keep the fleet running until Ctrl-C, for commands of your own.
    #[arg(long)]
    stay: bool,
}

pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    log::start("warn", &log::Target::Stderr)?;
    // Without --stay, Ctrl-C ends the process as usual.
    let signals = if args.stay {
        Some(block_signals()?)
    } else {
        None
    };
    let clock = Clock::start();
    let count = args.nodes as usize;
    let folder = tempfile::Builder::new().prefix("muster-demo-").tempdir();
    let folder = folder.map_err(|error| Failure::new(format!("cannot make a folder: {error}")))?;

    say(&format!(
        "Making a certificate authority, and certificates for a broker, a caller and {count} nodes."
    ));
    let pki = Pki::make(folder.path())?;
    let identities = pki.identities(count)?;

    say("Starting a broker that speaks mutual TLS only.");
    let broker = pki.broker(args.nodes.into())?;
    say(&format!(
        "It listens on {}, and this host {}.",
        broker.address(),
        broker.capacity()
    ));

    say(&format!(
        "Starting {count} nodes; each has its own certificate and verifies every request."
    ));
    let server = ServerAddr::new(broker.address().ip().to_string(), broker.address().port());
    let fleet = Fleet::start(identities, pki.authority.cert_pem(), server)?;
    fleet.wait_until_there(&broker, CONNECT_TIMEOUT)?;
    let config = write_client_config(folder.path(), broker.address())?;
    say(&format!(
        "All {count} nodes are there after {:.1} s.",
        clock.now().as_secs_f64()
    ));

    for (about, words) in questions(count) {
        say(about);
        ask(&config, &words)?;
    }
    let stats = fleet.stats();
    say(&format!(
        "The nodes answered {} requests; {} signatures were checked for all of them.",
        stats.replies, stats.verified
    ));
    if let Some(signals) = signals {
        say("The fleet stays until Ctrl-C. In another terminal, try:");
        println!("\n    muster rpc rpcutil inventory -I node00001.example.net --config {config}\n");
        wait_for_end(&signals, Duration::from_secs(1), || broker.log_events())?;
    }
    fleet.stop()?;
    broker.stop();
    say("Everything is stopped and removed.");
    Ok(Exit::Success)
}

/// What the demonstration asks, each with what it shows.
fn questions(count: usize) -> Vec<(&'static str, Vec<String>)> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    vec![
        (
            "Who is there, and how long does each take?",
            words(&format!("ping --silent --expect {count}")),
        ),
        (
            "Which database servers are in Malta?",
            words("find -C role::db -F country=mt"),
        ),
        (
            "What do they run?",
            words("rpc rpcutil get_fact fact=os.family -C role::db -F country=mt"),
        ),
        (
            "In which countries are they all?",
            words("rpc rpcutil get_fact fact=country --display failed"),
        ),
    ]
}

/// Runs a command line as if it had been typed.
fn ask(config: &str, words: &[String]) -> Result<(), Failure> {
    println!("\n$ muster {}", words.join(" "));
    let words = ["muster"]
        .into_iter()
        .chain(words.iter().map(String::as_str));
    let cli = args::parse(words.chain(["--config", config]));
    let cli = cli.map_err(|_| Failure::new("a command of the demonstration is no command"))?;
    let exit = super::run(cli, Clock::start())?;
    println!();
    match exit {
        Exit::Success => Ok(()),
        other => Err(Failure::new(format!(
            "the command ended with {}",
            other as u8
        ))),
    }
}

fn say(text: &str) {
    println!("* {text}");
}

/// The authority and what it issues.
struct Pki {
    authority: Authority,
    validity: Validity,
    broker: (String, String),
}

impl Pki {
    /// Makes the authority, and writes what the caller needs to a folder.
    fn make(folder: &Path) -> Result<Self, Failure> {
        let from = unix_now().as_secs().saturating_sub(3600);
        let validity = Validity::days_from(from, DAYS);
        let authority = Authority::new("Muster demo CA", KeyKind::EcdsaP256, validity);
        let authority = authority.map_err(Failure::new)?;
        let profile = Profile::new(Role::Broker, "broker.example.net", validity).loopback();
        let broker = authority.issue(&profile).map_err(Failure::new)?;
        let caller = authority.issue(&Profile::new(Role::Client, CALLER, validity));
        let write = IfExists::Refuse;
        authority
            .write_files(folder, "ca", write)
            .map_err(Failure::new)?;
        let caller = caller.map_err(Failure::new)?;
        caller
            .write_files(folder, CALLER, write)
            .map_err(Failure::new)?;
        Ok(Self {
            authority,
            validity,
            broker: (broker.cert_pem, broker.key_pem),
        })
    }

    /// A certificate a node. They share a key: making keys is not what is shown here.
    fn identities(&self, count: usize) -> Result<Vec<Identity>, Failure> {
        let key = LeafKey::generate(KeyKind::EcdsaP256).map_err(Failure::new)?;
        let identities = (1..=count).map(|number| {
            let name = nodes::name(number);
            let profile = Profile::new(Role::Node, name.as_str(), self.validity);
            let issued = self
                .authority
                .issue_with_key(&profile, &key)
                .map_err(Failure::new)?;
            Ok(Identity {
                number,
                name,
                cert_pem: issued.cert_pem,
                key_pem: issued.key_pem,
            })
        });
        identities.collect()
    }

    fn broker(&self, nodes: u64) -> Result<Broker, Failure> {
        let (cert, key) = &self.broker;
        let files = TlsFiles {
            cert,
            key,
            ca: Some(self.authority.cert_pem()),
            crl: None,
        };
        let mut config = BrokerConfig {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            tls: TlsSetting::mutual(&files).map_err(Failure::new)?,
            ..BrokerConfig::default()
        };
        config.core.connections_max = nodes + CLIENTS;
        Broker::start(config).map_err(Failure::new)
    }
}

/// Writes the caller's configuration; gives its path.
fn write_client_config(folder: &Path, broker: SocketAddr) -> Result<String, Failure> {
    let path = folder.join("client.conf");
    let shown = folder.display();
    let text = format!(
        "identity = {CALLER}\n\
         plugin.choria.middleware_hosts = {broker}\n\
         plugin.security.provider = file\n\
         plugin.security.file.certificate = {shown}/{CALLER}.pem\n\
         plugin.security.file.key = {shown}/{CALLER}.key\n\
         plugin.security.file.ca = {shown}/ca.pem\n"
    );
    std::fs::write(&path, text)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_questions_are_commands() {
        for (_, words) in questions(7) {
            let line = ["muster".to_owned()].into_iter().chain(words);
            assert!(args::parse(line).is_ok());
        }
    }
}
