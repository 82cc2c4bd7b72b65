//! The broker under load: a child process of our own binary, one inside this process, or another one by address.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig};
use muster_reactor::process::{Usage, usage};
use muster_reactor::signal::{Signal, Signals};

use crate::args::TlsChoice;
use crate::setup::{AnyError, BrokerFiles};

/// The hidden first argument that makes this binary a broker.
pub(crate) const BROKER_WORD: &str = "broker-child";

/// The line a broker child prints once clients can connect, before its address.
const READY: &str = "ready ";

/// Separates the PEM texts on the child's standard input.
const PEM_END: &str = "\n=\n";

/// What the broker must hold and show.
#[derive(Debug, Clone)]
pub(crate) struct BrokerPlan {
    pub(crate) connections: u64,
    pub(crate) shards: Option<u16>,
    pub(crate) files: BrokerFiles,
}

/// Where the broker runs.
#[derive(Debug)]
pub(crate) enum BrokerUnderLoad {
    /// A child process; ended when dropped.
    Child { child: Child, address: SocketAddr },
    /// In this process.
    InProcess { broker: Box<Broker> },
    /// Somebody else's.
    Given { address: SocketAddr },
}

impl BrokerPlan {
    fn config(&self) -> Result<BrokerConfig, AnyError> {
        let mut config = BrokerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shards: self.shards,
            tls: self.files.setting()?,
            ..BrokerConfig::default()
        };
        config.core.connections_max = self.connections;
        if self.files.tls != TlsChoice::Off {
            // One core makes some 2,000 handshakes a second, so the last of a storm waits for its turn.
            config.core.tls_timeout = Duration::from_secs(60);
        }
        Ok(config)
    }

    fn words(&self) -> [String; 3] {
        let tls = format!("{:?}", self.files.tls).to_lowercase();
        [
            self.connections.to_string(),
            self.shards.unwrap_or(0).to_string(),
            tls,
        ]
    }

    fn from_words(words: &[String], input: &str) -> Option<Self> {
        let shards: u16 = words.get(1)?.parse().ok()?;
        let mut texts = input.split(PEM_END).map(str::to_owned);
        Some(Self {
            connections: words.first()?.parse().ok()?,
            shards: (shards > 0).then_some(shards),
            files: BrokerFiles {
                tls: match words.get(2)?.as_str() {
                    "mutual" => TlsChoice::Mutual,
                    "server" => TlsChoice::Server,
                    _ => TlsChoice::Off,
                },
                cert: texts.next()?,
                key: texts.next()?,
                ca: texts.next()?,
            },
        })
    }
}

impl BrokerUnderLoad {
    /// Starts our own binary as a broker; its keys travel through a pipe, not through the command line.
    pub(crate) fn start_child(plan: &BrokerPlan) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(BROKER_WORD)
            .args(plan.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let files = &plan.files;
        let keys = [files.cert.as_str(), &files.key, &files.ca].join(PEM_END);
        let line = child
            .stdin
            .take()
            .zip(child.stdout.take())
            .map(|(mut stdin, stdout)| {
                let mut line = String::new();
                stdin.write_all(keys.as_bytes())?;
                drop(stdin);
                BufReader::new(stdout).read_line(&mut line)?;
                io::Result::Ok(line)
            });
        let line = line.unwrap_or_else(|| Err(io::Error::other("the broker has no pipes")));
        let address = line
            .ok()
            .and_then(|line| line.trim().strip_prefix(READY)?.parse().ok());
        match address {
            Some(address) => Ok(Self::Child { child, address }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(io::Error::other("the broker did not start"))
            }
        }
    }

    pub(crate) fn start_in_process(plan: &BrokerPlan) -> Result<Self, AnyError> {
        Ok(Self::InProcess {
            broker: Box::new(Broker::start(plan.config()?)?),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Child { address, .. } | Self::Given { address } => *address,
            Self::InProcess { broker } => broker.address(),
        }
    }

    /// The broker's own figures, where they can be told from ours.
    pub(crate) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Child { child, .. } => usage(Some(child.id())).ok(),
            Self::InProcess { .. } | Self::Given { .. } => None,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Child { .. } => "our broker in a process of its own".to_owned(),
            Self::InProcess { .. } => "our broker in this process".to_owned(),
            Self::Given { address } => format!("the broker at {address}"),
        }
    }
}

impl Drop for BrokerUnderLoad {
    fn drop(&mut self) {
        if let Self::Child { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The child: a broker until it is told to stop, or its parent is gone.
#[expect(clippy::print_stderr, reason = "the child of a command line program")]
pub(crate) fn broker_child(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    match serve(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadgen: the broker: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn serve(words: &[String]) -> Result<(), AnyError> {
    let parent = std::os::unix::process::parent_id();
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    let plan = BrokerPlan::from_words(words, &input).ok_or("its arguments are not loadgen's")?;
    let signals = Signals::block()?;
    let broker = Broker::start(plan.config()?)?;
    println!("{READY}{}", broker.address());
    io::stdout().flush()?;
    while std::os::unix::process::parent_id() == parent {
        if let Some(Signal::Interrupt | Signal::Terminate) =
            signals.wait(Duration::from_millis(500))?
        {
            break;
        }
        broker.log_events();
    }
    broker.stop();
    Ok(())
}
