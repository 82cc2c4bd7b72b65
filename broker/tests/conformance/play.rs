//! Plays one case against a server.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::script::{Act, Case, Step};
use crate::target::Server;

/// Nothing in a script takes this long; it only ends a trial that has failed.
const PATIENCE: Duration = Duration::from_secs(8);

const PING: &[u8] = b"PING\r\n";

/// How a message of a probe begins.
const PROBE: &[u8] = b"MSG conformance.";

/// A client's end of a connection.
struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    closed: bool,
}

pub(crate) fn play(case: &Case, server: &mut Server) -> Result<(), String> {
    let mut peers: BTreeMap<char, Peer> = BTreeMap::new();
    let mut last = None;
    for step in &case.steps {
        if last.is_some_and(|last| last != step.conn) {
            server.settle()?;
        }
        last = Some(step.conn);
        let explain =
            |error: String| format!("line {}, connection {}: {error}", step.line, step.conn);
        let peer = match peers.entry(step.conn) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let mut peer = Peer::open(server.address(step.conn)).map_err(explain)?;
                if !matches!(step.act, Act::Expect(_) | Act::ExpectLine(_)) {
                    peer.expect_line(b"INFO {").map_err(explain)?;
                }
                place.insert(peer)
            }
        };
        perform(peer, step).map_err(explain)?;
    }
    Ok(())
}

fn perform(peer: &mut Peer, step: &Step) -> Result<(), String> {
    match &step.act {
        Act::Send(bytes) => peer.send(bytes),
        Act::Greet(json) => {
            peer.send(format!("CONNECT {json}\r\nPING\r\n").as_bytes())?;
            peer.expect(b"PONG\r\n")
        }
        Act::Expect(bytes) => peer.expect(bytes),
        Act::ExpectLine(prefix) => peer.expect_line(prefix),
        Act::ExpectAnyOrder(pieces) => peer.expect_any_order(pieces),
        Act::Quiet => {
            peer.send(b"PING\r\n")?;
            peer.expect(b"PONG\r\n")
        }
        Act::Closed => peer.expect_closed(),
        Act::Leave => {
            peer.stream
                .shutdown(std::net::Shutdown::Write)
                .map_err(|error| error.to_string())?;
            peer.expect_closed()
        }
    }
}

impl Peer {
    fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            stream,
            received: Vec::new(),
            closed: false,
        })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream
            .write_all(bytes)
            .map_err(|error| format!("send: {error}"))
    }

    fn expect(&mut self, expected: &[u8]) -> Result<(), String> {
        self.pass_over(expected)?;
        while self.received.len() < expected.len() && expected.starts_with(&self.received) {
            if !self.fill()? {
                break;
            }
            self.pass_over(expected)?;
        }
        if !self.received.starts_with(expected) {
            return Err(format!("expected {}, got {}", show(expected), self.state()));
        }
        self.received.drain(..expected.len());
        Ok(())
    }

    fn expect_line(&mut self, prefix: &[u8]) -> Result<(), String> {
        self.pass_over(prefix)?;
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                if !self.received.starts_with(prefix) {
                    break;
                }
                self.received.drain(..=end);
                return Ok(());
            }
            if !self.fill()? {
                break;
            }
            self.pass_over(prefix)?;
        }
        Err(format!(
            "expected a line {}…, got {}",
            show(prefix),
            self.state()
        ))
    }

    fn expect_any_order(&mut self, pieces: &[Vec<u8>]) -> Result<(), String> {
        let mut left: Vec<&Vec<u8>> = pieces.iter().collect();
        while !left.is_empty() {
            self.pass_over(b"")?;
            if let Some(at) = left
                .iter()
                .position(|piece| self.received.starts_with(piece))
            {
                let piece = left.swap_remove(at);
                self.received.drain(..piece.len());
            } else if !left.iter().any(|piece| piece.starts_with(&self.received)) || !self.fill()? {
                let left: Vec<String> = left.iter().map(|piece| show(piece)).collect();
                return Err(format!("expected one of {left:?}, got {}", self.state()));
            }
        }
        Ok(())
    }

    fn expect_closed(&mut self) -> Result<(), String> {
        while !self.closed {
            if !self.received.is_empty() {
                return Err(format!("expected the end, got {}", self.state()));
            }
            self.fill()?;
        }
        if self.received.is_empty() {
            Ok(())
        } else {
            Err(format!("expected the end, got {}", self.state()))
        }
    }

    /// What is not the script's: a server that measures round trips may ask at any time (where the script expects it, it stays),
    /// and whoever subscribed to everything gets the probes of a cluster too.
    fn pass_over(&mut self, expected: &[u8]) -> Result<(), String> {
        while self.received.starts_with(PROBE) {
            let mut ends = self
                .received
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n');
            match ends.nth(1).map(|(at, _)| at) {
                Some(end) => drop(self.received.drain(..=end)),
                None if self.fill()? => {}
                None => break,
            }
        }
        if !expected.starts_with(b"PING") && self.received.starts_with(PING) {
            self.received.drain(..PING.len());
            self.send(b"PONG\r\n")?;
        }
        Ok(())
    }

    /// `false` once the other side closed.
    fn fill(&mut self) -> Result<bool, String> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(read) => self.received.extend_from_slice(&chunk[..read]),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                self.closed = true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(format!("nothing more came in time; have {}", self.state()));
            }
            Err(error) => return Err(format!("receive: {error}")),
        }
        Ok(!self.closed)
    }

    fn state(&self) -> String {
        let end = if self.closed { " and the end" } else { "" };
        format!("{}{end}", show(&self.received))
    }
}

fn show(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
