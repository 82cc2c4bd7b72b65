//! A broker as a process.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use muster_reactor::process::usage;

/// Which broker, and how it is started.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Ours.
    Muster { path: String, shards: u16 },
    /// The real one.
    NatsServer { path: String },
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Muster { shards, .. } => write!(formatter, "muster, {shards} shards"),
            Self::NatsServer { .. } => formatter.write_str("nats-server"),
        }
    }
}

/// A running broker; ended when dropped.
#[derive(Debug)]
pub(crate) struct BrokerProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl BrokerProcess {
    pub(crate) fn start(kind: &Kind) -> io::Result<Self> {
        // nats-server takes no port 0, so a free one is looked for; nobody else binds on this host's loopback meanwhile.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let port = address.port().to_string();
        let mut command = match kind {
            Kind::Muster { path, shards } => {
                let mut command = Command::new(path);
                command.args([
                    "broker",
                    "--shards",
                    &shards.to_string(),
                    "--max-connections",
                    "10000",
                ]);
                command
            }
            Kind::NatsServer { path } => Command::new(path),
        };
        let mut child = command
            .args(["-a", "127.0.0.1", "-p", &port])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("the broker has no stderr"))?;
        let mut lines = BufReader::new(stderr).lines();
        let ready = lines
            .by_ref()
            .any(|line| line.is_ok_and(|line| line.contains("Server is ready")));
        // The pipe is read to its end, so that the broker never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let process = Self { child, address };
        if ready {
            Ok(process)
        } else {
            Err(io::Error::other("the broker did not start"))
        }
    }

    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        Ok(usage(Some(self.child.id()))?.cpu)
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // A process that is gone already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
