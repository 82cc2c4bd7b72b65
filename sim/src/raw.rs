//! A client that says what it is told, byte for byte, and remembers what it heard and when.
//!
//! It has no opinion of its own, unlike [`ClientCore`](muster_client::nats::ClientCore): it counts no deliveries, never reconnects, and keeps messages
//! of subscriptions it has given up. It introduces itself when `INFO` comes, and answers pings.

use std::time::Duration;

use muster_wire::server_op::{ServerOp, ServerStep, next_server_op};

/// Longest line and payload it takes from a broker; it trusts it.
const TAKEN_MAX: usize = 1 << 24;

/// Something that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When it was read.
    pub at: Duration,
    /// What it was.
    pub word: Word,
}

/// What a broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A message.
    Msg {
        /// What it was published to.
        subject: String,
        /// Which subscription it is for.
        sid: u64,
        /// Where an answer goes.
        reply: Option<String>,
        /// The headers; empty for none.
        headers: String,
        /// The payload.
        payload: String,
    },
    /// An answer to a ping.
    Pong,
    /// `INFO`, without its text.
    Info,
    /// `+OK`.
    Ok,
    /// An error.
    Err(String),
}

/// The client.
#[derive(Debug)]
pub struct Raw {
    options: String,
    introduced: bool,
    out: Vec<u8>,
    partial: Vec<u8>,
    heard: Vec<Heard>,
    pongs: usize,
    closing: bool,
    closed: Option<Duration>,
}

impl Raw {
    pub(crate) fn new(options: &str) -> Self {
        Self {
            options: options.to_owned(),
            introduced: false,
            out: Vec::new(),
            partial: Vec::new(),
            heard: Vec::new(),
            pongs: 0,
            closing: false,
            closed: None,
        }
    }

    /// Everything heard so far, in order.
    #[must_use]
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// The payloads of all messages, with their sids, in order.
    pub fn messages(&self) -> impl Iterator<Item = (u64, &str)> {
        self.heard.iter().filter_map(|heard| match &heard.word {
            Word::Msg {
                sid,
                payload,
                headers,
                ..
            } if headers.is_empty() => Some((*sid, &**payload)),
            _ => None,
        })
    }

    /// The subjects on which a no-responders message came, in order.
    pub fn unanswered(&self) -> impl Iterator<Item = &str> {
        self.heard.iter().filter_map(|heard| match &heard.word {
            Word::Msg {
                subject, headers, ..
            } if headers.starts_with("NATS/1.0 503") => Some(&**subject),
            _ => None,
        })
    }

    /// How many pings were answered.
    #[must_use]
    pub fn pongs(&self) -> usize {
        self.pongs
    }

    /// When a ping was answered, counted from 0.
    #[must_use]
    pub fn pong_at(&self, number: usize) -> Option<Duration> {
        self.heard
            .iter()
            .filter(|heard| heard.word == Word::Pong)
            .nth(number)
            .map(|heard| heard.at)
    }

    /// When it found its connection gone.
    #[must_use]
    pub fn closed_at(&self) -> Option<Duration> {
        self.closed
    }

    /// Whether everything it said has left.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.introduced && self.out.is_empty()
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Whether it is done and its socket is to be closed.
    pub(crate) fn wants_close(&self) -> bool {
        self.closing && self.out.is_empty()
    }

    pub(crate) fn handle_closed(&mut self, now: Duration) {
        self.closed.get_or_insert(now);
        self.out.clear();
    }

    /// What is to be written; nothing before it was greeted.
    pub(crate) fn output(&self) -> &[u8] {
        if self.introduced { &self.out } else { &[] }
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.out.drain(..count);
    }

    pub(crate) fn handle_bytes(&mut self, bytes: &[u8], now: Duration) {
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(bytes);
        let mut used = 0;
        loop {
            let step = next_server_op(&partial[used..], TAKEN_MAX, TAKEN_MAX);
            match step.expect("the broker keeps to the protocol") {
                ServerStep::Incomplete { .. } => break,
                ServerStep::Op { op, len } => {
                    used += len;
                    let word = self.hear(op);
                    self.heard.extend(word.map(|word| Heard { at: now, word }));
                }
            }
        }
        partial.drain(..used);
        self.partial = partial;
    }

    fn hear(&mut self, op: ServerOp<'_>) -> Option<Word> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(match op {
            ServerOp::Info(_) => {
                if !std::mem::replace(&mut self.introduced, true) {
                    let said = std::mem::take(&mut self.out);
                    self.out = format!("CONNECT {}\r\n", self.options).into_bytes();
                    self.out.extend(said);
                }
                Word::Info
            }
            ServerOp::Msg {
                subject,
                sid,
                reply,
                headers_len,
                payload,
            } => {
                let (headers, payload) = payload.split_at(headers_len);
                Word::Msg {
                    subject: text(subject),
                    sid,
                    reply: reply.map(text),
                    headers: text(headers),
                    payload: text(payload),
                }
            }
            ServerOp::Ping => {
                self.out.extend_from_slice(b"PONG\r\n");
                return None;
            }
            ServerOp::Pong => {
                self.pongs += 1;
                Word::Pong
            }
            ServerOp::Ok => Word::Ok,
            ServerOp::Err(error) => Word::Err(text(error)),
        })
    }
}
