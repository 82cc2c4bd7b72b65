//! Just enough of a NATS client: it publishes, asks, and waits for PONG.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection.
pub(crate) struct Nats {
    out: TcpStream,
    read: BufReader<TcpStream>,
    inboxes: u64,
}

impl Nats {
    pub(crate) fn connect(address: &str) -> Self {
        let out = TcpStream::connect(address).unwrap();
        out.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let read = BufReader::new(out.try_clone().unwrap());
        let mut nats = Self {
            out,
            read,
            inboxes: 0,
        };
        nats.send("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n");
        nats.flush();
        nats
    }

    fn send(&mut self, text: &str) {
        self.out.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn publish(&mut self, subject: &str, payload: &[u8]) {
        self.send(&format!("PUB {subject} {}\r\n", payload.len()));
        self.out.write_all(payload).unwrap();
        self.send("\r\n");
    }

    /// Waits until everything before was dealt with.
    pub(crate) fn flush(&mut self) {
        self.send("PING\r\n");
        while self.line() != "PONG" {}
    }

    /// Publishes with a reply subject, and waits for the answer.
    pub(crate) fn request(&mut self, subject: &str, payload: &str) -> serde_json::Value {
        self.inboxes += 1;
        let inbox = format!("_INBOX.test.{}", self.inboxes);
        let (number, length) = (self.inboxes, payload.len());
        self.send(&format!(
            "SUB {inbox} {number}\r\nUNSUB {number} 1\r\nPUB {subject} {inbox} {length}\r\n{payload}\r\n"
        ));
        loop {
            let line = self.line();
            if line.starts_with("MSG") || line.starts_with("HMSG") {
                let length = line.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
                let mut body = vec![0; length + 2];
                self.read.read_exact(&mut body).unwrap();
                return serde_json::from_slice(&body[..length]).unwrap_or_default();
            }
        }
    }

    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.read.read_line(&mut line).unwrap() > 0,
                "the server left"
            );
            let line = line.trim_end().to_owned();
            match &*line {
                "PING" => self.send("PONG\r\n"),
                _ if line.starts_with("INFO") => {}
                _ => return line,
            }
        }
    }
}
