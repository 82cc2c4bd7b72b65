//! A shard's part in a cluster: it dials, accepts, and does what the director left for it.
//!
//! TLS is the first thing on a route, on both ends: no INFO goes before it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_broker_core::close::CloseReason;
use muster_broker_core::cluster::{DialFailure, Target};
use muster_broker_core::ids::Key;
use muster_broker_core::shard::Accepted;
use muster_reactor::channel::{Backlog, Channel};
use muster_reactor::descriptors::is_exhausted;
use muster_reactor::poll::Key as PollKey;
use muster_reactor::stream::Stream;
use muster_reactor::tls::{TlsError, TlsSession};

use super::{Io, Kind, ShardEvent, ShardLoop};
use crate::cluster::{DIAL_BASE, DIAL_MAX, RouteWork};
use crate::tls::RouteTls;

/// Routes accepted in one turn; each is a peer or a mistake.
const ROUTES_A_TURN: usize = 16;

/// What TLS on routes has to say is told this often at most, for a peer tries again every second.
const TLS_TOLD_EVERY: Duration = Duration::from_secs(60);

impl ShardLoop {
    /// Does what the director left.
    pub(super) fn do_work(&mut self) {
        for work in self.links.work.take() {
            let now = self.links.clock.now();
            match work {
                RouteWork::Dial(target, peer) => self.dial(target, peer),
                RouteWork::Tell(conn, info) => self.core.send_route_info(conn, &info),
                RouteWork::Close(conn, reason) => self.core.close_conn(conn, reason, now),
                RouteWork::Announce(urls) => {
                    let lame_duck = self.drain.is_some();
                    self.core.announce(urls, lame_duck);
                }
                RouteWork::LameDuck {
                    urls,
                    grace,
                    duration,
                } => self.start_lame_duck(urls, now + grace, duration),
            }
        }
    }

    /// Tells the director when a connection of this shard has touched the membership.
    pub(super) fn report_to_director(&self) {
        if let Some(touched) = &self.links.cluster
            && self.links.core.take_cluster_touched()
        {
            // A full channel says the same.
            let _ = touched.try_send(());
        }
    }

    pub(super) fn accept_routes(&mut self) {
        for _ in 0..ROUTES_A_TURN {
            let Some(listener) = &self.route_listener else {
                return;
            };
            match listener.accept() {
                Ok((stream, peer)) => self.open_route(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return self.tell(ShardEvent::Accept(error)),
            }
        }
        self.accept_routes_again = true;
    }

    fn open_route(&mut self, stream: Stream, peer: SocketAddr) {
        let now = self.links.clock.now();
        if let Accepted::Open { key, greeting } = self.core.accept_route(peer, now) {
            let mut channel = Channel::plain(stream);
            let token = poll_key(key);
            let registered = self.poller.register_stream(channel.stream_mut(), token);
            let session = self.route_session(|tls| TlsSession::server(&tls.server));
            let ready = registered.is_ok() && begin(&mut channel, session, greeting);
            self.keep_route(key, channel, Kind::RouteIn, ready);
        }
    }

    /// The TLS session of a new route; none where routes are in clear.
    fn route_session(
        &self,
        make: impl FnOnce(&RouteTls) -> Result<TlsSession, TlsError>,
    ) -> Option<Result<TlsSession, TlsError>> {
        let tls = self.tls.route.as_ref().filter(|_| self.links.route_tls);
        tls.map(make)
    }

    fn dial(&mut self, target: Target, peer: SocketAddr) {
        let stream = match Stream::connect(peer, None) {
            Ok(stream) => stream,
            Err(error) => return self.dial_failed(&target, failure_of(&error)),
        };
        // The socket is registered once it has its key, so it passes through the table of dials first.
        let key = self.dials.insert(target, peer, stream);
        let Some(dial) = self.dials.get_mut(key) else {
            return;
        };
        if let Err(error) = self.poller.register_stream(&mut dial.stream, key) {
            let target = dial.target.clone();
            self.dials.remove(key);
            return self.dial_failed(&target, failure_of(&error));
        }
        let at = self.links.clock.now() + DIAL_MAX;
        self.timers.schedule(timer_key(key), at);
    }

    /// An event on a socket that is connecting.
    pub(super) fn handle_dial(&mut self, key: PollKey, ended: bool) {
        let Some(dial) = self.dials.get_mut(key) else {
            return;
        };
        let failure = match dial.stream.connected() {
            Ok(true) => None,
            Ok(false) if !ended => return,
            Ok(false) => Some(DialFailure::Refused),
            Err(error) => Some(failure_of(&error)),
        };
        let Some(dial) = self.dials.remove(key) else {
            return;
        };
        if let Some(failure) = failure {
            return self.dial_failed(&dial.target, failure);
        }
        let now = self.links.clock.now();
        let name = self.tls_name(&dial.target);
        let Some((key, greeting)) = self.core.dialled_route(dial.target.clone(), dial.peer, now)
        else {
            return self.dial_failed(&dial.target, DialFailure::Resources);
        };
        let mut channel = Channel::plain(dial.stream);
        let registered = self
            .poller
            .rekey_stream(channel.stream_mut(), poll_key(key));
        let session = self.route_session(|tls| TlsSession::client(&tls.client, &name));
        let ready = registered.is_ok() && begin(&mut channel, session, greeting);
        self.keep_route(key, channel, Kind::RouteOut, ready);
    }

    /// Whether a timer was one of a dial, which has then taken too long if it is still there.
    pub(super) fn expire_dial(&mut self, timer: u64) -> bool {
        let key = key_of_timer(timer);
        if key.index < DIAL_BASE {
            return false;
        }
        if let Some(dial) = self.dials.remove(key) {
            self.dial_failed(&dial.target, DialFailure::Timeout);
        }
        true
    }

    fn dial_failed(&self, target: &Target, failure: DialFailure) {
        let now = self.links.clock.now();
        if let Some(mut cluster) = self.links.core.cluster() {
            cluster.handle_dial_failed(target.id, failure, now);
        }
    }

    fn keep_route(&mut self, key: Key, channel: Channel, kind: Kind, ready: bool) {
        let mut io = Io::new(key, channel, self.tls_version);
        io.kind = kind;
        self.keep(io);
        if ready {
            // A TLS client speaks first.
            self.flush(key);
        } else {
            let now = self.links.clock.now();
            self.core.close(key, CloseReason::WriteError, now);
        }
    }

    /// The name a peer's certificate must have: the host that was dialled, or for a bare address the first name among the routes,
    /// as a peer that was learnt of by its address is one of those whose names are known.
    fn tls_name(&self, target: &Target) -> String {
        let host = target.url.host.to_string();
        if host.parse::<std::net::IpAddr>().is_err() || target.explicit {
            return host;
        }
        let cluster = self.links.core.cluster();
        let routes = cluster.as_ref().map(|cluster| &cluster.config().routes);
        let mut names = routes.into_iter().flatten();
        let named = names.find(|route| route.host.parse::<std::net::IpAddr>().is_err());
        named.map_or(host, |route| route.host.to_string())
    }

    /// A route whose TLS fails tries again every second: its cause is told once a minute.
    pub(super) fn tell_route_tls(&mut self, peer: SocketAddr, error: String) {
        let now = self.links.clock.now();
        let told = self.route_tls_told.replace(now);
        match told {
            Some(told) if now < told + TLS_TOLD_EVERY => self.route_tls_told = Some(told),
            _ => self.tell(ShardEvent::RouteTls(peer, error)),
        }
    }

    fn start_lame_duck(&mut self, urls: Arc<[String]>, begin: Duration, duration: Duration) {
        if self.drain.is_some() {
            return;
        }
        self.core.announce(urls, true);
        self.stop_listening();
        self.drain = Some(super::Drain::new(begin, duration));
    }
}

/// Sets TLS up, or writes the greeting in clear; the send buffer of a fresh socket takes far more. `false` if the connection is of no use.
fn begin(
    channel: &mut Channel,
    session: Option<Result<TlsSession, TlsError>>,
    greeting: Vec<u8>,
) -> bool {
    match session {
        Some(Ok(session)) => channel.start_tls(session).is_ok(),
        Some(Err(_)) => false,
        None => {
            let mut backlog = Backlog::default();
            backlog.segments.push_back(greeting);
            channel.write(&mut backlog).is_ok()
        }
    }
}

fn failure_of(error: &io::Error) -> DialFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => DialFailure::Refused,
        io::ErrorKind::TimedOut => DialFailure::Timeout,
        _ if is_exhausted(error) => DialFailure::Resources,
        _ => DialFailure::Unreachable,
    }
}

fn poll_key(key: Key) -> PollKey {
    PollKey {
        index: key.index,
        generation: key.generation,
    }
}

fn timer_key(key: PollKey) -> u64 {
    u64::from(key.index) << 32 | u64::from(key.generation)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are what is wanted"
)]
fn key_of_timer(key: u64) -> PollKey {
    PollKey {
        index: (key >> 32) as u32,
        generation: key as u32,
    }
}
