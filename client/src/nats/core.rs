//! The state of one client connection, and what its owner asks of it.
//!
//! The other parts of [`ClientCore`]: links and timeouts in `link.rs`, bytes in `read.rs`; publishes are in `publish.rs`.
//!
//! Delivery is at most once. Bytes handed to the driver may be lost with the link, and output that still waited when it broke is discarded and counted.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_wire::encode;

use super::addr::ServerAddr;
use super::buffer::OutBuf;
use super::config::ClientConfig;
use super::event::{Action, LinkEnd};
use super::pool::{Pool, SERVERS_MAX};
use super::subscription::{Ending, Sid, Subscriptions, is_sendable};

/// One client connection: remembers, frames, counts and decides; the module's docs say what its driver does.
///
/// # Memory
/// At most 320 bytes (a test holds it to that) and 64 bytes a subscription, with room for up to three more.
/// Subjects subscribed with [`subscribe_shared`](Self::subscribe_shared) are shared with whoever holds the same `Arc`; the name, where a core has its own, is one small block.
/// An idle connection has no buffers: output, kept publishes and an unfinished message hold memory only while they hold bytes.
#[derive(Debug)]
pub struct ClientCore {
    pub(super) config: Arc<ClientConfig>,
    name: Option<Box<str>>,
    pub(super) rng: Rng,
    pub(super) phase: Phase,
    /// What the driver must do and was not told yet.
    pub(super) wanted: Option<Wanted>,
    /// A socket the driver must close and was not told yet; told before `wanted`.
    pub(super) closing: Option<LinkEnd>,
    /// The one timer; what it means depends on `phase`.
    pub(super) deadline: Option<Duration>,
    /// The second in which the server took us.
    pub(super) ready_since_secs: u64,
    pub(super) pool: Pool,
    /// Full rounds of the pool since the last steady connection.
    pub(super) rounds: u32,
    /// Attempts since the last working connection.
    pub(super) attempts: u32,
    pub(super) subscriptions: Subscriptions,
    pub(super) out: OutBuf,
    /// Publishes made while there is no connection, in wire form.
    pub(super) kept: Vec<u8>,
    /// The beginning of a message whose end has not arrived.
    pub(super) partial: Vec<u8>,
    pub(super) server: Option<ServerInfo>,
    /// What the server wants signed, between its INFO and our CONNECT; only where there is a signer.
    pub(super) nonce: Option<Box<Nonce>>,
    /// The number of the last flush asked for; our own pings take numbers too.
    pub(super) flush_asked: u64,
    /// The number of the last flush that was answered, or that a later one answers.
    pub(super) flush_done: u64,
    /// Our own pings without a PONG since.
    pub(super) pings_out: u8,
    pub(super) stats: Stats,
}

/// Where a connection stands, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No link; waiting for the next attempt.
    Disconnected,
    /// The driver is to open a TCP connection.
    Connecting,
    /// INFO, TLS, CONNECT: the server has not taken us yet.
    Handshake,
    /// The server took us.
    Ready,
    /// [`ClientCore::close`] was called; for good.
    Closed,
}

/// The state with the steps of the handshake apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Dialing,
    AwaitInfo,
    AwaitTls,
    AwaitPong,
    Ready,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Connect,
    StartTls,
}

/// A server's nonce that may be signed. It is here between INFO and CONNECT only, so it is boxed to keep cores small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nonce(Box<str>);

impl Nonce {
    const BYTES_MAX: usize = 64;

    /// The nonce, if it is one. The key that answers it also signs requests, so whatever could be part of a document is
    /// not signed: a server could have us sign a request of its choice.
    pub(super) fn new(text: &str) -> Option<Box<Self>> {
        let is_nonce_byte =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'/' | b'=');
        let good = (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(is_nonce_byte);
        good.then(|| Box::new(Self(text.into())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is kept of the server's last INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerInfo {
    /// The largest message the server takes, headers included.
    pub max_payload: usize,
    /// The connection's number in the server; 0 if it did not say.
    pub client_id: u64,
    /// Whether the server takes headers.
    pub headers: bool,
}

/// Counters since the core was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages delivered to the sink.
    pub in_messages: u64,
    /// Their payloads and headers, in bytes.
    pub in_bytes: u64,
    /// Publishes taken.
    pub out_messages: u64,
    /// Their payloads and headers, in bytes.
    pub out_bytes: u64,
    /// Bytes of output and of kept publishes that were discarded when a link broke or the core was closed.
    pub discarded_bytes: u64,
    /// Publishes refused, for any reason.
    pub refused: u32,
    /// Messages for a subscription that was gone.
    pub unknown_sid: u32,
    /// Times the server took us, the first included.
    pub connects: u32,
}

impl Stats {
    /// Times the connection came back.
    pub fn reconnects(&self) -> u32 {
        self.connects.saturating_sub(1)
    }
}

impl ClientCore {
    /// A core that wants to connect at once; `name` goes before the configuration's name.
    ///
    /// `seed` decides the order of servers and the waits between attempts; each core of a fleet needs its own.
    ///
    /// # Panics
    /// When the configuration names no server, or more than 1024.
    pub fn new(
        config: Arc<ClientConfig>,
        name: Option<Box<str>>,
        seed: u64,
        now: Duration,
    ) -> Self {
        let servers = config.servers.len();
        assert!(
            (1..=SERVERS_MAX).contains(&servers),
            "{servers} servers, not 1 to {SERVERS_MAX}"
        );
        let mut rng = Rng::with_seed(seed);
        let pool = Pool::new(&config.servers, &mut rng);
        let mut core = Self {
            config,
            name,
            rng,
            phase: Phase::Waiting,
            wanted: None,
            closing: None,
            deadline: None,
            ready_since_secs: 0,
            pool,
            rounds: 0,
            attempts: 1,
            subscriptions: Subscriptions::default(),
            out: OutBuf::default(),
            kept: Vec::new(),
            partial: Vec::new(),
            server: None,
            nonce: None,
            flush_asked: 0,
            flush_done: 0,
            pings_out: 0,
            stats: Stats::default(),
        };
        core.dial(now);
        core
    }

    /// Subscribes, and again after each reconnect; see [`subscribe_shared`](Self::subscribe_shared).
    pub fn subscribe(&mut self, subject: &[u8], queue: Option<&[u8]>) -> Sid {
        self.subscribe_shared(subject.into(), queue.map(Into::into))
    }

    /// Subscribes, and again after each reconnect, sharing the subject and the queue name with other cores.
    ///
    /// # Panics
    /// When the subject or the queue name is not [sendable](is_sendable): it would turn into another operation on the wire.
    pub fn subscribe_shared(&mut self, subject: Arc<[u8]>, queue: Option<Arc<[u8]>>) -> Sid {
        assert!(
            is_sendable(&subject),
            "subject {:?}",
            String::from_utf8_lossy(&subject)
        );
        assert!(
            queue.as_ref().is_none_or(|queue| is_sendable(queue)),
            "queue name {queue:?}"
        );
        let sid = self
            .subscriptions
            .insert(Arc::clone(&subject), queue.clone());
        if self.phase == Phase::Ready {
            encode::put_sub(self.out.encoder(), &subject, queue.as_deref(), sid.0);
        }
        sid
    }

    /// Ends a subscription: at once, or after `max` messages in all since it was made.
    /// A sid that is gone already is ignored.
    pub fn unsubscribe(&mut self, sid: Sid, max: Option<u64>) {
        let max = match self.subscriptions.end(sid, max) {
            Ending::Unknown => return,
            Ending::Now => None,
            Ending::After(max) => Some(max),
        };
        if self.phase == Phase::Ready {
            encode::put_unsub(self.out.encoder(), sid.0, max);
        }
    }

    /// The number of the last flush the server has answered; 0 before the first.
    #[must_use]
    pub const fn flushed(&self) -> u64 {
        self.flush_done
    }

    /// Asks the server for a sign that it has dealt with everything before: [`Event::Flushed`](super::Event::Flushed) with the number returned, or a higher one.
    ///
    /// It means: subscriptions made before are live, and what was published before *on this connection* was processed.
    /// A flush outlives a reconnect, since its subscriptions do; publishes that were under way then may be lost,
    /// and whoever must know watches for [`Event::Disconnected`](super::Event::Disconnected) in between.
    /// Our own pings take numbers too and are reported the same way.
    pub fn flush(&mut self) -> u64 {
        self.flush_asked += 1;
        if self.phase == Phase::Ready {
            encode::put_ping(self.out.encoder());
        }
        self.flush_asked
    }

    /// Ends the connection for good. What is in the output of a working connection may still be written.
    pub fn close(&mut self) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.has_socket() {
            self.closing = Some(LinkEnd::Requested);
        }
        if self.phase != Phase::Ready {
            self.discard_output();
        }
        self.count_discarded(self.kept.len());
        self.kept = Vec::new();
        self.partial = Vec::new();
        self.wanted = None;
        self.deadline = None;
        self.phase = Phase::Closed;
    }

    /// What the driver must do next, each thing once.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(end) = self.closing.take() {
            return Some(Action::Close(end));
        }
        Some(match self.wanted.take()? {
            Wanted::Connect => Action::Connect(self.pool.current(&self.config.servers).clone()),
            Wanted::StartTls => Action::StartTls,
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, unless something happens before.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.deadline
    }

    /// The bytes to be written; `advance` it by what was.
    pub fn output(&mut self) -> &mut OutBuf {
        &mut self.out
    }

    /// Moves the bytes to be written to the end of `into`; says whether there were any.
    pub fn take_output(&mut self, into: &mut Vec<u8>) -> bool {
        self.out.take(into)
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Waiting => State::Disconnected,
            Phase::Dialing => State::Connecting,
            Phase::AwaitInfo | Phase::AwaitTls | Phase::AwaitPong => State::Handshake,
            Phase::Ready => State::Ready,
            Phase::Closed => State::Closed,
        }
    }

    /// What the server said of itself, on this connection or the last one.
    pub fn server_info(&self) -> Option<ServerInfo> {
        self.server
    }

    /// The server of the present connection.
    pub fn connected_server(&self) -> Option<&ServerAddr> {
        (self.phase == Phase::Ready).then(|| self.pool.current(&self.config.servers))
    }

    /// The server in use, or the one that was tried last.
    pub fn server_tried(&self) -> &ServerAddr {
        self.pool.current(&self.config.servers)
    }

    /// The name the certificate of the server must bear, for TLS.
    pub fn tls_name(&self) -> &str {
        self.pool.tls_name(&self.config.servers)
    }

    /// How many servers the pool holds, learned ones included.
    pub fn servers_known(&self) -> usize {
        self.pool.len()
    }

    /// The subscriptions, in the order they were made: number, subject, queue group.
    pub fn subscriptions(&self) -> impl Iterator<Item = (Sid, &[u8], Option<&[u8]>)> {
        self.subscriptions.iter()
    }

    /// How many subscriptions there are.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// The settings of the connection.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The connection's name.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.config.name)
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether the driver has, or is making, a socket for this core.
    pub(super) fn has_socket(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::Closed => false,
            Phase::Dialing => self.wanted.is_none(),
            Phase::AwaitInfo | Phase::AwaitTls | Phase::AwaitPong | Phase::Ready => true,
        }
    }

    pub(super) fn discard_output(&mut self) {
        let len = mem::take(&mut self.out).len();
        self.count_discarded(len);
    }

    fn count_discarded(&mut self, bytes: usize) {
        self.stats.discarded_bytes += as_u64(bytes);
    }
}

/// A length as a counter.
pub(super) fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_small() {
        let size = size_of::<ClientCore>();
        assert!(size <= 320, "{size}");
    }
}
