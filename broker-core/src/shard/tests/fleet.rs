//! All shards of one broker on one thread, with clients that are byte queues and a clock that is a number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::BrokerCore;
use crate::close::CloseReason;
use crate::cluster::Cluster;
use crate::config::CoreConfig;
use crate::counters::Counters;
use crate::ids::{Key, ShardId};
use crate::outbound::Segment;
use crate::shard::{Accepted, ConnInfo, Flush, RouteSnapshot, ShardCore};

/// More rounds than any test needs; a fleet that is still busy then would be busy for ever.
const ROUNDS_MAX: usize = 100_000;

/// A client: the shard its connection is on, and the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Client {
    pub(super) shard: usize,
    pub(super) key: Key,
}

/// The client's end of a socket.
#[derive(Debug, Default)]
struct Socket {
    /// Sent by the client, not read by the broker.
    unread: Vec<u8>,
    /// Taken from the broker's queue, not written.
    backlog: VecDeque<Segment>,
    received: Vec<u8>,
    /// The client does not read, and the buffers between are full.
    blocked: bool,
    closed: bool,
}

pub(super) struct Fleet {
    pub(super) broker: Arc<BrokerCore>,
    pub(super) shards: Vec<ShardCore>,
    pub(super) now: Duration,
    pub(super) ended: Vec<ConnInfo>,
    pub(super) ended_routes: Vec<RouteSnapshot>,
    sockets: BTreeMap<Client, Socket>,
    timers: BTreeSet<(Duration, usize, Key)>,
}

impl Fleet {
    pub(super) fn new(shards: u16, adjust: impl FnOnce(&mut CoreConfig)) -> Self {
        let mut config = CoreConfig {
            seed: 7,
            connections_max: 10_000,
            ..CoreConfig::default()
        };
        adjust(&mut config);
        Self::of(BrokerCore::new(config, shards))
    }

    /// A member of a cluster.
    pub(super) fn member(
        shards: u16,
        cluster: Cluster,
        adjust: impl FnOnce(&mut CoreConfig),
    ) -> Self {
        let mut config = CoreConfig {
            seed: 7,
            connections_max: 10_000,
            ..CoreConfig::default()
        };
        adjust(&mut config);
        Self::of(BrokerCore::clustered(config, shards, cluster))
    }

    fn of(broker: BrokerCore) -> Self {
        let broker = Arc::new(broker);
        let shards = 0..broker.shards();
        let shards = shards
            .map(|id| ShardCore::new(Arc::clone(&broker), ShardId(id)))
            .collect();
        let now = Duration::from_secs(1000);
        let (ended, sockets, timers) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Self {
            broker,
            shards,
            now,
            ended,
            ended_routes: Vec::new(),
            sockets,
            timers,
        }
    }

    /// A connection that has said nothing.
    pub(super) fn accept(&mut self, shard: usize) -> Option<Client> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 4000));
        match self.shards[shard].accept(peer, self.now) {
            Accepted::Open { key, greeting } => {
                assert!(greeting.starts_with(b"INFO {") && greeting.ends_with(b" \r\n"));
                let client = Client { shard, key };
                self.sockets.insert(client, Socket::default());
                Some(client)
            }
            Accepted::Refused { farewell } => {
                let farewell = String::from_utf8(farewell).unwrap();
                assert!(farewell.starts_with("INFO {"));
                assert!(
                    farewell.ends_with("-ERR 'maximum connections exceeded'\r\n"),
                    "{farewell}"
                );
                None
            }
        }
    }

    /// A connection that has said nothing, and what it was greeted with.
    pub(super) fn accept_greeted(&mut self, shard: usize) -> (Client, String) {
        let peer = SocketAddr::from(([127, 0, 0, 1], 4000));
        let Accepted::Open { key, greeting } = self.shards[shard].accept(peer, self.now) else {
            panic!("there is room");
        };
        let client = Client { shard, key };
        self.sockets.insert(client, Socket::default());
        (client, String::from_utf8(greeting).unwrap())
    }

    /// A connection with the usual options.
    pub(super) fn client(&mut self, shard: usize) -> Client {
        self.client_with(shard, r#"{"verbose":false,"pedantic":false}"#)
    }

    pub(super) fn client_with(&mut self, shard: usize, options: &str) -> Client {
        let client = self.accept(shard).expect("there is room");
        self.send(client, &format!("CONNECT {options}\r\nPING\r\n"));
        self.pump();
        let received = self.take(client);
        assert!(received.ends_with("PONG\r\n"), "{received}");
        client
    }

    /// Leaves bytes in the client's socket.
    pub(super) fn send(&mut self, client: Client, bytes: &str) {
        self.socket(client)
            .unread
            .extend_from_slice(bytes.as_bytes());
    }

    /// What the client received since the last call.
    pub(super) fn take(&mut self, client: Client) -> String {
        String::from_utf8(std::mem::take(&mut self.socket(client).received)).unwrap()
    }

    /// The same without a word about what it is.
    pub(super) fn take_bytes(&mut self, client: Client) -> Vec<u8> {
        std::mem::take(&mut self.socket(client).received)
    }

    pub(super) fn send_bytes(&mut self, client: Client, bytes: &[u8]) {
        self.socket(client).unread.extend_from_slice(bytes);
    }

    /// The socket of a route that a shard has taken, with its first bytes on the way.
    pub(super) fn route_socket(&mut self, shard: usize, key: Key, greeting: Vec<u8>) -> Client {
        let client = Client { shard, key };
        let socket = Socket {
            received: greeting,
            ..Socket::default()
        };
        self.sockets.insert(client, socket);
        client
    }

    pub(super) fn block(&mut self, client: Client) {
        self.socket(client).blocked = true;
    }

    /// The client reads again.
    pub(super) fn unblock(&mut self, client: Client) {
        self.socket(client).blocked = false;
        self.flush(client);
    }

    pub(super) fn is_closed(&self, client: Client) -> bool {
        self.sockets[&client].closed
    }

    /// Whether all the client sent was read.
    pub(super) fn is_read(&self, client: Client) -> bool {
        self.sockets[&client].unread.is_empty() && self.shards[client.shard].wants_input(client.key)
    }

    /// The client's end of the socket went away.
    pub(super) fn leave(&mut self, client: Client) {
        self.shards[client.shard].close(client.key, CloseReason::ClientClosed, self.now);
    }

    /// One turn of one shard, in the order of the real loop.
    pub(super) fn turn(&mut self, shard: usize) {
        let now = self.now;
        self.shards[shard].begin_turn();
        self.shards[shard].handle_notices(now);
        let clients: Vec<Client> = self.sockets.keys().copied().collect();
        for client in clients.into_iter().filter(|client| client.shard == shard) {
            if self.shards[shard].wants_input(client.key) {
                let bytes = std::mem::take(&mut self.socket(client).unread);
                if !bytes.is_empty() {
                    self.shards[shard].handle_bytes(client.key, &bytes, now);
                }
            }
        }
        let core = &mut self.shards[shard];
        core.resume(now);
        while core.poll_readable().is_some() {}
        while let Some(key) = self.shards[shard].poll_dirty() {
            self.flush(Client { shard, key });
        }
        let core = &mut self.shards[shard];
        self.ended.extend(std::iter::from_fn(|| core.poll_ended()));
        let routes = std::iter::from_fn(|| core.poll_ended_route());
        self.ended_routes.extend(routes);
        core.post(|_| {});
        while let Some((key, at)) = core.poll_timer() {
            self.timers.insert((at, shard, key));
        }
    }

    /// Turns of all shards until nothing happens any more, without time passing.
    pub(super) fn pump(&mut self) {
        for _ in 0..ROUNDS_MAX {
            for shard in 0..self.shards.len() {
                self.turn(shard);
            }
            if !self.is_busy() {
                return;
            }
        }
        panic!("the fleet does not come to rest");
    }

    /// The next timer, if it is due by then.
    pub(super) fn next_timer(&self, until: Duration) -> Option<Duration> {
        let first = self.timers.first().map(|(at, ..)| *at);
        first.filter(|at| *at <= until)
    }

    /// Fires the next timer.
    pub(super) fn fire(&mut self) {
        if let Some((at, shard, key)) = self.timers.pop_first() {
            self.now = self.now.max(at);
            self.shards[shard].handle_timeout(key, self.now);
        }
    }

    /// Lets time pass, timer by timer.
    pub(super) fn advance(&mut self, by: Duration) {
        self.pump();
        let until = self.now + by;
        while self.next_timer(until).is_some() {
            self.fire();
            self.pump();
        }
        self.now = until;
        self.pump();
    }

    pub(super) fn counters(&self) -> Counters {
        self.broker.counters()
    }

    pub(super) fn reason(&self, client: Client) -> Option<CloseReason> {
        let ended = self.ended.iter().rev();
        ended
            .filter(|info| info.key == client.key)
            .find_map(|info| info.reason)
    }

    pub(super) fn is_busy(&self) -> bool {
        let shards = &self.shards;
        let unread = |(client, socket): (&Client, &Socket)| {
            !socket.unread.is_empty() && shards[client.shard].wants_input(client.key)
        };
        let mut busy = shards.iter().any(ShardCore::has_work) || self.sockets.iter().any(unread);
        for shard in 0..self.broker.shards() {
            // Asking takes nothing away; the flag of a sleeper that it sets is not used here.
            busy |= !self.broker.inbox(ShardId(shard)).prepare_sleep();
        }
        busy
    }

    fn flush(&mut self, client: Client) {
        let Some(socket) = self.sockets.get_mut(&client) else {
            return;
        };
        let core = &mut self.shards[client.shard];
        let flush = core.take_output(client.key, &mut socket.backlog, self.now);
        match flush {
            Flush::Nothing => return,
            Flush::Close => {
                socket.closed = true;
                return core.finish_close(client.key);
            }
            Flush::Write | Flush::WriteThenClose => {}
        }
        if socket.blocked {
            if !socket.backlog.is_empty() {
                core.handle_blocked(client.key, self.now);
            }
            return;
        }
        let mut written = 0;
        for segment in socket.backlog.drain(..) {
            written += segment.as_ref().len() as u64;
            socket.received.extend_from_slice(segment.as_ref());
        }
        core.handle_written(client.key, written);
        if flush == Flush::WriteThenClose {
            socket.closed = true;
            core.finish_close(client.key);
        }
    }

    fn socket(&mut self, client: Client) -> &mut Socket {
        self.sockets
            .get_mut(&client)
            .expect("a client of this fleet")
    }
}
