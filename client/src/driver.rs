//! The loop that gives sockets to client cores: one for a daemon or a command, thousands for the load generator.
//!
//! A [`Driver`] owns any number of [`Endpoint`]s. One turn: timers, readiness (bounded bytes a connection), input left over from earlier turns, output.
//! It decides nothing: where to connect, what to say and when to give up comes from the cores.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use muster_reactor::channel::{Backlog, Channel, ChannelError, Incoming};
use muster_reactor::clock::{Clock, unix_now};
use muster_reactor::poll::{Key, Poller, Ready};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::stream::Stream;
use muster_reactor::timers::Timers;
use muster_reactor::tls::TlsSession;
use muster_reactor::wake::Wake;

use crate::moment::Moment;
use crate::nats::{Action, ClientCore, LinkEnd, ProtocolError, ServerAddr, State};

/// Bytes read at a time, and from one connection in one turn.
const READ_AT_ONCE: usize = 64 * 1024;
/// Refused connections whose reasons are kept for the owner; the older ones go first.
const CONNECT_FAILURES_MAX: usize = 64;

/// A core with a client connection in it, and what surrounds it.
pub trait Endpoint {
    /// What all endpoints of a driver use in turn: buffers, counters, results.
    type Shared;

    /// The connection.
    fn client(&mut self) -> &mut ClientCore;

    /// Bytes arrived.
    ///
    /// # Errors
    /// The peer does not speak the protocol; the core has noted it.
    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        shared: &mut Self::Shared,
    ) -> Result<(), ProtocolError>;

    /// The moment of [`Endpoint::next_timeout`] has come.
    fn handle_timeout(&mut self, at: Moment, shared: &mut Self::Shared);

    /// An attempt to connect failed.
    fn handle_connect_failed(&mut self, at: Moment, shared: &mut Self::Shared);

    /// The connection is gone.
    fn handle_disconnected(&mut self, at: Moment, shared: &mut Self::Shared);

    /// When something is due.
    fn next_timeout(&mut self) -> Option<Duration>;

    /// What TLS is spoken with, where it is spoken.
    fn tls(&self) -> Option<Arc<TlsConfig>>;

    /// Whether more may be read from the connection. One that does not want any is asked again in every turn;
    /// meanwhile its peer's pings stay unread, so it is for moments, not for minutes.
    fn wants_input(&self, _shared: &Self::Shared) -> bool {
        true
    }
}

/// A connection that could not be made: the system refused it, or TLS did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectFailure {
    /// The endpoint that wanted it, by index.
    pub endpoint: usize,
    /// Where it was to go.
    pub server: ServerAddr,
    /// What the system, or TLS, said.
    pub why: String,
}

/// Bounds of a driver.
#[derive(Debug, Clone, Copy)]
pub struct DriverOptions {
    /// Connections that may be under way at a time; further ones wait their turn.
    pub connecting_max: usize,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            connecting_max: usize::MAX,
        }
    }
}

#[derive(Debug)]
struct Link {
    channel: Channel,
    backlog: Backlog<Vec<u8>>,
    /// The TCP connection stands.
    connected: bool,
    /// TLS is up, and the core was told so.
    secured: bool,
    unread: bool,
    writable: bool,
}

#[derive(Debug)]
struct Station<E> {
    endpoint: E,
    link: Option<Box<Link>>,
    /// Counts links, so that a late event is told from one for the link that stands now.
    generation: u32,
    source: Option<IpAddr>,
    scheduled: Option<Duration>,
}

/// Endpoints on one poll. Lives on one thread.
#[derive(Debug)]
pub struct Driver<E: Endpoint> {
    poller: Poller,
    clock: Clock,
    options: DriverOptions,
    stations: Vec<Station<E>>,
    timers: Timers,
    shared: E::Shared,
    scratch: Box<[u8]>,
    clear: Vec<u8>,
    unread: VecDeque<u32>,
    /// Endpoints with unread input that did not want it.
    unwanted: Vec<u32>,
    unwritten: VecDeque<u32>,
    connecting: usize,
    waiting: VecDeque<(u32, ServerAddr)>,
    events: Vec<Ready>,
    failures: VecDeque<ConnectFailure>,
    wake: Option<Wake>,
}

impl<E: Endpoint> Driver<E> {
    /// A driver without endpoints. A given `wake` ends its waits.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn new(
        clock: Clock,
        options: DriverOptions,
        shared: E::Shared,
        wake: Option<Wake>,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        if let Some(wake) = &wake {
            poller.register_wake(wake)?;
        }
        Ok(Self {
            poller,
            clock,
            options,
            stations: Vec::new(),
            timers: Timers::new(),
            shared,
            scratch: vec![0; READ_AT_ONCE].into_boxed_slice(),
            clear: Vec::new(),
            unread: VecDeque::new(),
            unwanted: Vec::new(),
            unwritten: VecDeque::new(),
            connecting: 0,
            waiting: VecDeque::new(),
            events: Vec::new(),
            failures: VecDeque::new(),
            wake,
        })
    }

    /// Adds an endpoint that connects from `source`, or from where the kernel likes; returns its index.
    pub fn add(&mut self, endpoint: E, source: Option<IpAddr>) -> usize {
        let index = self.stations.len();
        self.stations.push(Station {
            endpoint,
            link: None,
            generation: 0,
            source,
            scheduled: None,
        });
        self.settle(index);
        index
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stations.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// This moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            unix: unix_now(),
        }
    }

    /// All endpoints, by index.
    pub fn endpoints(&self) -> impl Iterator<Item = &E> {
        self.stations.iter().map(|station| &station.endpoint)
    }

    /// The latest connections that could not be made, sixty-four at most, since this was last called.
    pub fn take_connect_failures(&mut self) -> impl Iterator<Item = ConnectFailure> {
        std::mem::take(&mut self.failures).into_iter()
    }

    /// What the endpoints share.
    pub fn shared(&mut self) -> &mut E::Shared {
        &mut self.shared
    }

    /// Lets the owner act on an endpoint, and does what the endpoint then wants done.
    ///
    /// # Panics
    /// There is no such endpoint.
    pub fn with<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut E, Moment, &mut E::Shared) -> T,
    ) -> T {
        let at = self.moment();
        let result = act(&mut self.stations[index].endpoint, at, &mut self.shared);
        self.settle(index);
        result
    }

    /// Waits for events, at most `wait`, and serves them.
    ///
    /// # Errors
    /// The poll fails.
    pub fn turn(&mut self, wait: Duration) -> io::Result<()> {
        // What a timer did may be what the owner waits for.
        let has_fired = self.fire_timers();
        self.take_wanted();
        let busy = has_fired || !(self.unread.is_empty() && self.unwritten.is_empty());
        let now = self.clock.now();
        let timeout = match self.timers.next() {
            _ if busy => Duration::ZERO,
            Some(at) => at.saturating_sub(now).min(wait),
            None => wait,
        };
        self.poller.wait(Some(timeout))?;
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        events.extend(self.poller.ready());
        for event in &events {
            match *event {
                Ready::Woken => {
                    if let Some(wake) = &self.wake {
                        wake.drain();
                    }
                }
                Ready::Accept(_) => {}
                Ready::Stream {
                    key,
                    readable,
                    writable,
                    ended,
                } => {
                    self.handle_stream(key, readable, writable, ended);
                }
            }
        }
        self.events = events;
        for _ in 0..self.unread.len() {
            let Some(index) = self.unread.pop_front() else {
                break;
            };
            self.read(index as usize, false);
        }
        for _ in 0..self.unwritten.len() {
            let Some(index) = self.unwritten.pop_front() else {
                break;
            };
            self.settle(index as usize);
        }
        Ok(())
    }

    /// Endpoints that want to be read again are.
    fn take_wanted(&mut self) {
        let (stations, shared) = (&self.stations, &self.shared);
        let wants = |index: &mut u32| stations[*index as usize].endpoint.wants_input(shared);
        self.unread.extend(self.unwanted.extract_if(.., wants));
    }

    /// Whether any timer was due.
    fn fire_timers(&mut self) -> bool {
        let now = self.clock.now();
        let mut has_fired = false;
        while let Some(key) = self.timers.expire(now) {
            has_fired = true;
            let index = usize::try_from(key).unwrap_or(usize::MAX);
            let at = self.moment();
            let Some(station) = self.stations.get_mut(index) else {
                continue;
            };
            station.scheduled = None;
            if station
                .endpoint
                .next_timeout()
                .is_some_and(|due| due <= at.now)
            {
                station.endpoint.handle_timeout(at, &mut self.shared);
            }
            self.settle(index);
        }
        has_fired
    }

    fn handle_stream(&mut self, key: Key, readable: bool, writable: bool, ended: bool) {
        let index = key.index as usize;
        let Some(station) = self.stations.get_mut(index) else {
            return;
        };
        let current = Key {
            index: key.index,
            generation: station.generation,
        };
        let Some(link) = station.link.as_mut().filter(|_| current.is(key)) else {
            return;
        };
        if !link.connected {
            match link.channel.stream().connected() {
                Ok(false) if !ended => return,
                Ok(true) => self.connected(index),
                Ok(false) => return self.connect_failed(index, None),
                Err(error) => return self.connect_failed(index, Some(error)),
            }
        }
        if let Some(link) = self.link(index) {
            link.writable |= writable;
            link.unread |= readable;
        }
        if readable {
            self.read(index, ended);
        }
        self.settle(index);
    }

    fn connected(&mut self, index: usize) {
        self.connecting -= 1;
        let now = self.clock.now();
        let station = &mut self.stations[index];
        if let Some(link) = &mut station.link {
            link.connected = true;
        }
        station.endpoint.client().handle_connected(now);
        self.connect_waiting();
    }

    fn connect_failed(&mut self, index: usize, error: Option<io::Error>) {
        self.drop_link(index);
        let why = error.map_or_else(
            || "the connection was ended".to_owned(),
            |error| error.to_string(),
        );
        self.note_connect_failure(index, why);
        let at = self.moment();
        self.stations[index]
            .endpoint
            .handle_connect_failed(at, &mut self.shared);
        self.settle(index);
    }

    /// Keeps what the system, or TLS, said, which the core is not told.
    fn note_connect_failure(&mut self, index: usize, why: String) {
        if self.failures.len() == CONNECT_FAILURES_MAX {
            self.failures.pop_front();
        }
        let server = self.stations[index].endpoint.client().server_tried();
        let server = server.clone();
        self.failures.push_back(ConnectFailure {
            endpoint: index,
            server,
            why,
        });
    }

    /// Forgets the link; one that was still connecting makes room for another.
    fn drop_link(&mut self, index: usize) {
        let Some(station) = self.stations.get_mut(index) else {
            return;
        };
        if let Some(link) = station.link.take()
            && !link.connected
        {
            self.connecting -= 1;
            self.connect_waiting();
        }
    }

    fn connect_waiting(&mut self) {
        while self.connecting < self.options.connecting_max {
            let Some((index, server)) = self.waiting.pop_front() else {
                return;
            };
            let index = index as usize;
            // The core may have given this attempt up while it waited for its turn.
            if self.stations[index].endpoint.client().state() == State::Connecting {
                self.connect(index, &server);
            }
        }
    }

    fn connect(&mut self, index: usize, server: &ServerAddr) {
        if let Err(error) = self.open(index, server) {
            self.note_connect_failure(index, error.to_string());
            let at = self.moment();
            self.stations[index]
                .endpoint
                .handle_connect_failed(at, &mut self.shared);
            self.unwritten.push_back(index_of(index));
        }
    }

    fn open(&mut self, index: usize, server: &ServerAddr) -> io::Result<()> {
        let peer = resolve(server)?;
        self.drop_link(index);
        let station = &mut self.stations[index];
        let mut stream = Stream::connect(peer, station.source)?;
        station.generation = station.generation.wrapping_add(1);
        let key = Key {
            index: index_of(index),
            generation: station.generation,
        };
        self.poller.register_stream(&mut stream, key)?;
        station.link = Some(Box::new(Link {
            channel: Channel::plain(stream),
            backlog: Backlog::default(),
            connected: false,
            secured: false,
            unread: false,
            writable: false,
        }));
        self.connecting += 1;
        Ok(())
    }

    fn read(&mut self, index: usize, ended: bool) {
        let at = self.moment();
        let station = &mut self.stations[index];
        let Some(link) = station.link.as_mut().filter(|link| link.unread) else {
            return;
        };
        if !station.endpoint.wants_input(&self.shared) {
            let index = index_of(index);
            if !self.unwanted.contains(&index) {
                self.unwanted.push(index);
            }
            return;
        }
        let mut refusal = None;
        let lost = match link.channel.read(&mut self.scratch, &mut self.clear) {
            Ok((Incoming::Blocked, _)) => {
                link.unread = false;
                false
            }
            Ok((Incoming::End, _)) => true,
            Err(error) => {
                // A certificate that does not please either side ends every attempt alike, and only TLS can say so.
                if let ChannelError::Tls(error) = error {
                    refusal = Some(error.to_string());
                }
                true
            }
            Ok((Incoming::Bytes(bytes), more)) => {
                link.unread = more || ended;
                if link.unread {
                    self.unread.push_back(index_of(index));
                }
                let up = link.channel.tls().is_some() && !link.channel.is_handshaking();
                if up && !std::mem::replace(&mut link.secured, true) {
                    station.endpoint.client().handle_tls_ready(at.now);
                }
                // The core has noted a breach of the protocol and asks for the close itself.
                let _ = station.endpoint.handle_bytes(bytes, at, &mut self.shared);
                false
            }
        };
        if lost {
            // An alert may say why; it goes out as far as it can.
            let _ = link.channel.write(&mut link.backlog);
            if let Some(why) = refusal {
                self.note_connect_failure(index, why);
            }
            self.drop_link(index);
            let station = &mut self.stations[index];
            station.endpoint.handle_disconnected(at, &mut self.shared);
        }
        self.settle(index);
    }

    /// Does what the endpoint wants done: actions, output, timer.
    fn settle(&mut self, index: usize) {
        while let Some(action) = self.stations[index].endpoint.client().poll_action() {
            match action {
                Action::Connect(server) => {
                    if self.connecting < self.options.connecting_max {
                        self.connect(index, &server);
                    } else {
                        self.waiting.push_back((index_of(index), server));
                    }
                }
                Action::StartTls => self.start_tls(index),
                Action::Close(end) => self.close(index, end),
            }
        }
        self.write(index);
        let station = &mut self.stations[index];
        if let Some(due) = station.endpoint.next_timeout()
            && station.scheduled.is_none_or(|scheduled| due < scheduled)
        {
            station.scheduled = Some(due);
            self.timers.schedule(index as u64, due);
        }
    }

    fn start_tls(&mut self, index: usize) {
        let station = &mut self.stations[index];
        let session = station
            .endpoint
            .tls()
            .map(|config| TlsSession::client(&config, station.endpoint.client().tls_name()));
        let started = match (session, station.link.as_mut()) {
            (Some(Ok(session)), Some(link)) => link.channel.start_tls(session).is_ok(),
            _ => false,
        };
        if !started {
            self.drop_link(index);
            let at = self.moment();
            self.stations[index]
                .endpoint
                .handle_disconnected(at, &mut self.shared);
        }
    }

    fn close(&mut self, index: usize, end: LinkEnd) {
        if end == LinkEnd::Requested {
            self.write(index);
        }
        if let Some(link) = self.link(index) {
            link.channel.close();
        }
        self.drop_link(index);
    }

    fn write(&mut self, index: usize) {
        let station = &mut self.stations[index];
        let Some(link) = station
            .link
            .as_mut()
            .filter(|link| link.connected && link.writable)
        else {
            return;
        };
        if link.backlog.is_empty() {
            let mut output = Vec::new();
            if station.endpoint.client().take_output(&mut output) {
                link.backlog.segments.push_back(output);
            } else if !link.channel.has_ciphertext() {
                return;
            }
        }
        match link.channel.write(&mut link.backlog) {
            Ok(written) => {
                link.writable = !written.blocked;
                if written.yielded {
                    self.unwritten.push_back(index_of(index));
                }
            }
            Err(_) => {
                self.drop_link(index);
                let at = self.moment();
                self.stations[index]
                    .endpoint
                    .handle_disconnected(at, &mut self.shared);
                self.unwritten.push_back(index_of(index));
            }
        }
    }

    fn link(&mut self, index: usize) -> Option<&mut Link> {
        self.stations.get_mut(index)?.link.as_deref_mut()
    }
}

fn index_of(index: usize) -> u32 {
    u32::try_from(index).expect("an endpoint has its own connection, and there are fewer than 2^32")
}

fn resolve(server: &ServerAddr) -> io::Result<SocketAddr> {
    if let Ok(ip) = server.host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, server.port));
    }
    (&*server.host, server.port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
