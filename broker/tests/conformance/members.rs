//! A cluster as the server of a script: the connections are spread over its members, and between two steps of different connections
//! all that was said before is heard everywhere.
//!
//! For a script that is one broker's, a subscription is there before the next line. In a cluster the word of it takes its way, so the
//! player waits for it: probes subscribe on each member and publish on each other one. Interest and messages keep their order on a
//! route, so whoever has the probe has all that went before it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use muster_broker::Broker;

const PATIENCE: Duration = Duration::from_secs(20);

/// Members of one cluster and a probe on each.
pub(crate) struct Members {
    addresses: Vec<SocketAddr>,
    probes: Vec<Probe>,
    count: u64,
}

struct Probe {
    lines: BufReader<TcpStream>,
    /// Numbers of the members it was heard from since the last settling.
    heard: Vec<usize>,
}

impl Members {
    /// Waits until the members are one; `login` is what CONNECT must show beside the usual.
    pub(crate) fn gather(addresses: Vec<SocketAddr>, login: &str) -> Result<Self, String> {
        for address in &addresses {
            await_urls(*address, addresses.len())?;
        }
        let probes = addresses.iter().map(|address| Probe::open(*address, login));
        let mut members = Self {
            probes: probes.collect::<Result<_, _>>()?,
            addresses,
            count: 0,
        };
        members.settle(&[])?;
        Ok(members)
    }

    /// The member that serves a connection of the script.
    pub(crate) fn address(&self, conn: char) -> SocketAddr {
        self.addresses[(conn as usize - 'A' as usize) % self.addresses.len()]
    }

    /// Waits until what was said on any member is heard on all. `ours` are those whose shards can be asked to come round.
    pub(crate) fn settle(&mut self, ours: &[&Broker]) -> Result<(), String> {
        for broker in ours {
            // An answer comes between two turns: after the second one, what was in the sockets before has been served.
            for _ in 0..2 {
                let _ = broker.ask(|_, _| ());
            }
        }
        self.count += 1;
        let subject = |place: usize, count: u64| format!("conformance.{count}.{place}");
        for (place, probe) in self.probes.iter_mut().enumerate() {
            probe.heard.clear();
            let subject = subject(place, self.count);
            probe.round_trip(&format!("SUB {subject} {}\r\n", self.count))?;
        }
        let begun = Instant::now();
        let others = self.probes.len();
        while self.probes.iter().any(|probe| probe.heard.len() < others) {
            if begun.elapsed() > PATIENCE {
                return Err("the members do not hear each other".to_owned());
            }
            for from in 0..others {
                let mut lines = String::new();
                for to in 0..others {
                    if !self.probes[to].heard.contains(&from) {
                        lines += &format!("PUB {} 1\r\n{from}\r\n", subject(to, self.count));
                    }
                }
                self.probes[from].round_trip(&lines)?;
            }
            for probe in &mut self.probes {
                probe.round_trip("")?;
            }
        }
        let unsub = format!("UNSUB {}\r\n", self.count);
        self.probes
            .iter_mut()
            .try_for_each(|probe| probe.round_trip(&unsub))
    }
}

impl Probe {
    fn open(address: SocketAddr, login: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        let patience = stream.set_read_timeout(Some(PATIENCE));
        patience.map_err(|error| error.to_string())?;
        let mut probe = Self {
            lines: BufReader::new(stream),
            heard: Vec::new(),
        };
        probe.round_trip(&format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false{login}}}\r\n"
        ))?;
        Ok(probe)
    }

    /// Sends, and reads what comes until all of it is done.
    fn round_trip(&mut self, lines: &str) -> Result<(), String> {
        let sent = format!("{lines}PING\r\n");
        let written = self.lines.get_mut().write_all(sent.as_bytes());
        written.map_err(|error| error.to_string())?;
        loop {
            let line = self.line()?;
            if line.starts_with("MSG ") {
                let from = self
                    .line()?
                    .trim()
                    .parse()
                    .map_err(|_| "no probe's number")?;
                if !self.heard.contains(&from) {
                    self.heard.push(from);
                }
            } else if line.starts_with("PING") {
                let written = self.lines.get_mut().write_all(b"PONG\r\n");
                written.map_err(|error| error.to_string())?;
            } else if line.starts_with("PONG") {
                return Ok(());
            } else if line.starts_with("-ERR") {
                return Err(format!("a probe got {line}"));
            }
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Err("a probe was closed".to_owned()),
            Ok(_) => Ok(line),
            Err(error) => Err(format!("a probe heard nothing: {error}")),
        }
    }
}

/// Connects until a member tells newcomers of all: a member's shards learn of it one after the other, so several times.
fn await_urls(address: SocketAddr, count: usize) -> Result<(), String> {
    let begun = Instant::now();
    let mut in_a_row = 0;
    while in_a_row < 8 {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{address} does not know all members"));
        }
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        let mut line = String::new();
        let read = BufReader::new(stream).read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        let urls = line
            .split_once("\"connect_urls\":[")
            .and_then(|(_, rest)| rest.split_once(']'));
        let known = urls.map_or(0, |(urls, _)| urls.split(',').count());
        in_a_row = if known == count { in_a_row + 1 } else { 0 };
    }
    Ok(())
}
