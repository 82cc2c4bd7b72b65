//! The broker under load: a child process of our own binary, one inside this process, or another one by address.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use muster_reactor::process::{Usage, usage};

/// The hidden first argument that makes this binary a broker.
pub(crate) const BROKER_WORD: &str = "broker-child";

/// The line a broker child prints once clients can connect, before its address.
pub(crate) const READY: &str = "ready ";

/// Where the broker runs.
#[derive(Debug)]
pub(crate) enum BrokerUnderLoad {
    /// A child process; ended when dropped.
    Child { child: Child, address: SocketAddr },
    /// In this process.
    InProcess { _broker: Box<muster_broker::Broker>, address: SocketAddr },
    /// Somebody else's.
    Given { address: SocketAddr },
}

impl BrokerUnderLoad {
    /// Starts our own binary as a broker with `arguments`.
    pub(crate) fn start_child(arguments: &[String]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(BROKER_WORD)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the broker has no output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix(READY).and_then(|text| text.parse().ok());
        match address {
            Some(address) => Ok(Self::Child { child, address }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(io::Error::other(format!("the broker did not start: {}", line.trim())))
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Child { address, .. } | Self::InProcess { address, .. } | Self::Given { address } => {
                *address
            }
        }
    }

    /// The broker's own figures, where they can be told from ours.
    pub(crate) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Child { child, .. } => usage(Some(child.id())).ok(),
            Self::InProcess { .. } | Self::Given { .. } => None,
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
