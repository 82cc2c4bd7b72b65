//! A broker that speaks just enough, and settings for a daemon at it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

/// The longest a test waits for something.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// The broker's end of the daemon's connection.
pub(crate) struct Peer {
    pub(crate) reader: BufReader<TcpStream>,
    pub(crate) subjects: Vec<(String, String)>,
    /// The argument of CONNECT.
    pub(crate) connect: String,
}

impl Peer {
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let mut peer = Self {
            reader: BufReader::new(stream),
            subjects: Vec::new(),
            connect: String::new(),
        };
        peer.write(b"INFO {\"max_payload\":1048576,\"headers\":true,\"nonce\":\"Rq0-_x\"}\r\n");
        loop {
            let line = peer.line();
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            match &words[..] {
                [verb, ..] if verb == "PING" => break,
                [verb, ..] if verb == "CONNECT" => {
                    line["CONNECT ".len()..].clone_into(&mut peer.connect);
                }
                _ => {}
            }
        }
        peer.write(b"PONG\r\n");
        peer
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The next line; a subscription is kept.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(
            self.reader.read_line(&mut line).unwrap() > 0,
            "the daemon hung up"
        );
        if let ["SUB", subject, sid] = line.split_whitespace().collect::<Vec<_>>()[..] {
            self.subjects.push((subject.to_owned(), sid.to_owned()));
        }
        line
    }

    /// Waits for this line.
    pub(crate) fn hear(&mut self, expected: &str) {
        while self.line().trim_end() != expected {}
    }

    /// Subscriptions that come behind the first pong.
    pub(crate) fn sid(&mut self, subject: &str) -> String {
        loop {
            if let Some((_, sid)) = self.subjects.iter().find(|(known, _)| known == subject) {
                return sid.clone();
            }
            self.line();
        }
    }

    pub(crate) fn ask(&mut self, subject: &str, payload: &[u8]) -> Vec<u8> {
        let sid = self.sid(subject);
        self.write(format!("MSG {subject} {sid} {}\r\n", payload.len()).as_bytes());
        self.write(payload);
        self.write(b"\r\n");
        loop {
            let line = self.line();
            if let ["PUB", told, size] = line.split_whitespace().collect::<Vec<_>>()[..] {
                let mut reply = vec![0; size.parse::<usize>().unwrap() + 2];
                self.reader.read_exact(&mut reply).unwrap();
                if told.starts_with("choria.lifecycle.") {
                    continue;
                }
                reply.truncate(reply.len() - 2);
                return reply;
            }
        }
    }
}

pub(crate) fn config(text: &str) -> NodeConfig {
    let flags = NodeFlags {
        disable_tls: true,
        ..NodeFlags::default()
    };
    NodeConfig::from_settings(&Settings::parse(text, "server.conf"), &flags).unwrap()
}

/// Reads until a message for the subject comes; its payload.
pub(crate) fn told(peer: &mut Peer, subject: &str) -> String {
    loop {
        let line = peer.line();
        if let ["PUB", told, size] = line.split_whitespace().collect::<Vec<_>>()[..] {
            let mut payload = vec![0; size.parse::<usize>().unwrap() + 2];
            peer.reader.read_exact(&mut payload).unwrap();
            if told == subject {
                payload.truncate(payload.len() - 2);
                return String::from_utf8(payload).unwrap();
            }
        }
    }
}

/// The text of a file, once it is there and as expected.
pub(crate) fn written(path: &Path, expected: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if !text.is_empty() && expected(&text) {
            return text;
        }
        assert!(start.elapsed() < WAIT_MAX, "{}: {text:?}", path.display());
        std::thread::yield_now();
    }
}
