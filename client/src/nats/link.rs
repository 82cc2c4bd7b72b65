//! What happens to the link of a [`ClientCore`]: made, taken by the server, lost, timed out. Its bytes are dealt with in `read.rs`.
//!
//! | phase | waits for | its timer |
//! |---|---|---|
//! | `Waiting` | the end of the back-off | the next attempt |
//! | `Dialing` | the driver's TCP connection | `connect_timeout` |
//! | `AwaitInfo`, `AwaitTls`, `AwaitPong` | the server | `connect_timeout`, counted once from the TCP connection |
//! | `Ready` | – | the next ping of our own |
//! | `Closed` | – | none |
//!
//! A report of the driver that does not fit the phase is late news of a socket the core has given up already, and is ignored.
//!
//! A connection counts as *steady* after [`STEADY_AFTER_SECS`]: only the loss of a steady one starts the back-off afresh.
//! So servers that take clients and drop them at once are not hammered, whatever the size of the pool.

use std::mem;
use std::time::Duration;

use muster_wire::connect::Connect;
use muster_wire::encode;
use muster_wire::info::Info;

use super::config::TlsMode;
use super::core::{ClientCore, Nonce, Phase, ServerInfo, Wanted};
use super::error::ProtocolError;
use super::event::{Event, EventSink, LinkEnd};

/// How long a connection must have worked for its loss to start the back-off afresh.
const STEADY_AFTER_SECS: u64 = 5;

impl ClientCore {
    /// The TCP connection stands.
    pub fn handle_connected(&mut self, now: Duration) {
        if self.phase == Phase::Dialing && self.has_socket() {
            self.phase = Phase::AwaitInfo;
            self.deadline = Some(now + self.config.connect_timeout);
        }
    }

    /// The TCP connection could not be made, or the host's name not be resolved.
    pub fn handle_connect_failed<S: EventSink + ?Sized>(&mut self, now: Duration, sink: &mut S) {
        if self.phase == Phase::Dialing && self.has_socket() {
            self.end_link(LinkEnd::ConnectFailed, now, sink);
            // The driver knows: it has no socket.
            self.closing = None;
        }
    }

    /// TLS is established and the server's certificate is the right one.
    pub fn handle_tls_ready(&mut self, _now: Duration) {
        if self.phase == Phase::AwaitTls && self.wanted.is_none() {
            self.send_connect();
        }
    }

    /// The connection was lost: closed by the peer, failed on read or write, or failed in TLS.
    pub fn handle_disconnected<S: EventSink + ?Sized>(&mut self, now: Duration, sink: &mut S) {
        if self.has_socket() {
            self.end_link(LinkEnd::Lost, now, sink);
            self.closing = None;
        }
    }

    /// Time passed; does nothing before [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout<S: EventSink + ?Sized>(&mut self, now: Duration, sink: &mut S) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Waiting => self.dial(now),
            Phase::Dialing => self.end_link(LinkEnd::ConnectTimeout, now, sink),
            Phase::AwaitInfo => self.end_link(LinkEnd::InfoTimeout, now, sink),
            Phase::AwaitTls => self.end_link(LinkEnd::TlsTimeout, now, sink),
            Phase::AwaitPong => self.end_link(LinkEnd::PongTimeout, now, sink),
            Phase::Ready => self.ping(now, sink),
            Phase::Closed => self.deadline = None,
        }
    }

    /// Begins an attempt with the next server of the pool.
    pub(super) fn dial(&mut self, now: Duration) {
        self.pool.step();
        self.phase = Phase::Dialing;
        self.wanted = Some(Wanted::Connect);
        self.deadline = Some(now + self.config.connect_timeout);
    }

    pub(super) fn handle_info<S: EventSink + ?Sized>(
        &mut self,
        json: &[u8],
        now: Duration,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        let info = Info::parse(json).map_err(|_| ProtocolError::BadInfo)?;
        self.server = Some(ServerInfo {
            // Negative means no limit; nought stands for a server that did not say.
            max_payload: match usize::try_from(info.max_payload) {
                Ok(0) | Err(_) => usize::MAX,
                Ok(max) => max,
            },
            client_id: info.client_id,
            headers: info.headers,
        });
        if info.lame_duck {
            sink.event(Event::LameDuck);
        }
        if self.phase == Phase::AwaitInfo && self.config.connect.signer.is_some() {
            self.nonce = info.nonce.as_deref().and_then(Nonce::new);
        }
        if self.phase == Phase::AwaitInfo && !self.start_session(&info, now, sink) {
            return Ok(());
        }
        if self.config.discover_servers {
            let urls = info.connect_urls.iter().map(String::as_str);
            let new = self.pool.learn(urls, &self.config.servers, &mut self.rng);
            if new > 0 {
                sink.event(Event::ServersLearned(new));
            }
        }
        Ok(())
    }

    /// Goes on after the first INFO; says whether other servers may be learned from it.
    ///
    /// What came in clear before TLS may not: whoever sits on the path could name a machine that holds a certificate of the same authority.
    fn start_session<S: EventSink + ?Sized>(
        &mut self,
        info: &Info,
        now: Duration,
        sink: &mut S,
    ) -> bool {
        match self.config.tls {
            TlsMode::Off if info.tls_required => {
                self.end_link(LinkEnd::TlsForbidden, now, sink);
                false
            }
            TlsMode::Required if !info.tls_required && !info.tls_available => {
                self.end_link(LinkEnd::TlsNotOffered, now, sink);
                false
            }
            TlsMode::IfServerWants if !info.tls_required => {
                self.send_connect();
                true
            }
            TlsMode::Off => {
                self.send_connect();
                true
            }
            TlsMode::Required | TlsMode::IfServerWants => {
                self.phase = Phase::AwaitTls;
                self.wanted = Some(Wanted::StartTls);
                false
            }
        }
    }

    /// CONNECT and PING together: the PONG says that the server took us.
    fn send_connect(&mut self) {
        let nonce = self.nonce.take();
        let options = &self.config.connect;
        let signer = options.signer.as_ref();
        let token = signer.map(|signer| Box::from(signer.token()));
        let sig = signer
            .zip(nonce)
            .map(|(signer, nonce)| signer.sign_nonce(nonce.as_str()).into());
        let connect = Connect {
            verbose: false,
            pedantic: false,
            echo: options.echo,
            tls_required: self.phase == Phase::AwaitTls,
            auth_token: token.clone().or_else(|| options.token.clone()),
            jwt: token,
            sig,
            user: options.user.clone(),
            pass: options.pass.clone(),
            name: Some(self.name().into()),
            lang: Some(options.lang.clone()),
            version: Some(options.version.clone()),
            protocol: 1,
            headers: options.headers,
            no_responders: options.no_responders && options.headers,
            ..Connect::default()
        };
        encode::put_connect(self.out.encoder(), &connect);
        encode::put_ping(self.out.encoder());
        self.phase = Phase::AwaitPong;
    }

    pub(super) fn become_ready<S: EventSink + ?Sized>(&mut self, now: Duration, sink: &mut S) {
        self.phase = Phase::Ready;
        self.ready_since_secs = now.as_secs();
        self.deadline = Some(now + self.config.ping_interval);
        self.attempts = 0;
        self.stats.connects = self.stats.connects.saturating_add(1);
        let out = self.out.encoder();
        for subscription in self.subscriptions.replay() {
            let sid = subscription.sid.0;
            encode::put_sub(
                out,
                &subscription.subject,
                subscription.queue.as_deref(),
                sid,
            );
            if let Some(remaining) = subscription.remaining() {
                encode::put_unsub(out, sid, Some(remaining));
            }
        }
        out.append(&mut mem::take(&mut self.kept));
        // One ping, with the last number, answers all flushes that are owed, those of the lost connection too.
        if self.flush_asked > self.flush_done {
            self.flush_done = self.flush_asked - 1;
            encode::put_ping(out);
        }
        sink.event(Event::Connected);
    }

    pub(super) fn handle_pong<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        self.pings_out = 0;
        // A PONG nobody asked for is harmless.
        if self.flush_done < self.flush_asked {
            self.flush_done += 1;
            sink.event(Event::Flushed(self.flush_done));
        }
    }

    pub(super) fn handle_server_error<S: EventSink + ?Sized>(
        &mut self,
        text: &[u8],
        now: Duration,
        sink: &mut S,
    ) {
        sink.event(Event::ServerError(String::from_utf8_lossy(text).into()));
        // Any other error that is fatal is followed by the server closing the connection.
        if let Some(end) = LinkEnd::of_server_error(text) {
            self.end_link(end, now, sink);
        }
    }

    /// A ping of our own, or the end of a link on which they stay unanswered.
    fn ping<S: EventSink + ?Sized>(&mut self, now: Duration, sink: &mut S) {
        if self.pings_out >= self.config.pings_out_max {
            self.end_link(LinkEnd::Stale, now, sink);
            return;
        }
        self.pings_out += 1;
        self.flush();
        self.deadline = Some(now + self.config.ping_interval);
    }

    /// Gives the link up and plans the next attempt.
    pub(super) fn end_link<S: EventSink + ?Sized>(
        &mut self,
        end: LinkEnd,
        now: Duration,
        sink: &mut S,
    ) {
        if self.has_socket() {
            self.closing = Some(end);
        }
        let was_ready = self.phase == Phase::Ready;
        self.phase = Phase::Waiting;
        self.discard_output();
        self.partial = Vec::new();
        self.wanted = None;
        self.pings_out = 0;
        if was_ready {
            if now.as_secs().saturating_sub(self.ready_since_secs) >= STEADY_AFTER_SECS {
                self.pool.new_round_after_loss();
                self.rounds = 0;
            }
            sink.event(Event::Disconnected(end));
        } else {
            sink.event(Event::ConnectFailed(end));
        }
        self.plan_attempt(now, sink);
    }

    /// The next server at once, or after a wait where each was tried.
    fn plan_attempt<S: EventSink + ?Sized>(&mut self, now: Duration, sink: &mut S) {
        self.attempts = self.attempts.saturating_add(1);
        let attempt = self.attempts;
        if !self.pool.round_done() {
            sink.event(Event::Reconnecting { attempt, in_ms: 0 });
            self.dial(now);
            return;
        }
        let wait = self.config.backoff.delay(self.rounds, &mut self.rng);
        let in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.rounds = self.rounds.saturating_add(1);
        self.pool.new_round();
        self.deadline = Some(now + wait);
        sink.event(Event::Reconnecting { attempt, in_ms });
    }
}
