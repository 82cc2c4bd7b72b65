//! A blocking client without comfort: it sends what it is told and reads messages and `PONG`s.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

/// Nothing takes this long; it only ends a test that has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const QUIET: &str = r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;

/// Something a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Message {
        sid: u64,
        payload: &'a [u8],
    },
    /// The broker says that nobody listens.
    NoResponders {
        sid: u64,
    },
    Pong,
    Error(&'a [u8]),
    /// The connection was closed.
    End,
}

/// An event by its places in the buffer.
enum Found {
    Message(u64, Range<usize>),
    NoResponders(u64),
    Pong,
    Error(Range<usize>),
    End,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address);
        client.send(format!("CONNECT {QUIET}\r\n").as_bytes());
        client.round_trip();
        client
    }

    /// A connection that has said nothing; its `INFO` is read.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            stream,
            buffer: vec![0; 128 * 1024],
            start: 0,
            end: 0,
        };
        let info = client.line().expect("INFO");
        assert!(client.buffer[info].starts_with(b"INFO {"));
        client
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Waits until all that was sent is done; nothing else may come.
    #[track_caller]
    pub(crate) fn round_trip(&mut self) {
        self.send(b"PING\r\n");
        assert_eq!(self.next(), Event::Pong);
    }

    /// The next thing of interest; keep-alives are answered.
    pub(crate) fn next(&mut self) -> Event<'_> {
        match self.find() {
            Found::Message(sid, at) => Event::Message {
                sid,
                payload: &self.buffer[at],
            },
            Found::NoResponders(sid) => Event::NoResponders { sid },
            Found::Pong => Event::Pong,
            Found::Error(at) => Event::Error(&self.buffer[at]),
            Found::End => Event::End,
        }
    }

    fn find(&mut self) -> Found {
        loop {
            let Some(line) = self.line() else {
                return Found::End;
            };
            match &self.buffer[line.start..line.start + 2] {
                b"MS" => return self.message(line),
                b"HM" => {
                    let (sid, body) = self.body(line);
                    assert!(self.buffer[body].starts_with(b"NATS/1.0 503"));
                    return Found::NoResponders(sid);
                }
                b"PO" => return Found::Pong,
                b"-E" => return Found::Error(line),
                b"PI" => self.send(b"PONG\r\n"),
                b"IN" => {}
                other => panic!("what is this? {}", other.escape_ascii()),
            }
        }
    }

    fn message(&mut self, line: Range<usize>) -> Found {
        let (sid, body) = self.body(line);
        Found::Message(sid, body)
    }

    fn body(&mut self, line: Range<usize>) -> (u64, Range<usize>) {
        let text = std::str::from_utf8(&self.buffer[line]).unwrap();
        let sid = text.split(' ').nth(2).unwrap().parse().unwrap();
        let size: usize = text.rsplit(' ').next().unwrap().parse().unwrap();
        while self.end - self.start < size + 2 {
            assert!(self.fill(), "the connection ended inside a message");
        }
        let body = self.start..self.start + size;
        assert_eq!(&self.buffer[body.end..body.end + 2], b"\r\n");
        self.start += size + 2;
        (sid, body)
    }

    /// A line without its end; `None` once the connection was closed.
    fn line(&mut self) -> Option<Range<usize>> {
        let mut seen = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(at) = unread[seen..].iter().position(|byte| *byte == b'\n') {
                let from = self.start;
                self.start += seen + at + 1;
                return Some(from..self.start - 2);
            }
            seen = unread.len();
            if !self.fill() {
                return None;
            }
        }
    }

    fn fill(&mut self) -> bool {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(read) => {
                self.end += read;
                read > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("receive: {error}"),
        }
    }
}
