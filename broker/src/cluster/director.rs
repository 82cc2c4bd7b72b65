//! Carries out what the membership of the cluster wants: hands dials, INFOs and closes to the shards, on time.
//!
//! Two threads of the main descriptor table. The first waits for the machine's next deadline or for a shard that touched the machine;
//! the second turns names into addresses, which may block for seconds when DNS is away and must hold up nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use muster_broker_core::broker::BrokerCore;
use muster_broker_core::cluster::{ClusterAction, ClusterNote, DialFailure, Target};
use muster_broker_core::ids::ShardId;
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::wake::Wake;

use super::work::{RouteWork, WorkQueue};

/// Without a deadline the machine is looked at this often all the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What both threads need.
#[derive(Clone)]
struct Hands {
    core: Arc<BrokerCore>,
    works: Arc<[WorkQueue]>,
    wakes: Arc<[Wake]>,
    clock: Clock,
    next_shard: Arc<AtomicUsize>,
}

/// The two threads; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct Director {
    touched: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Director {
    /// Starts the threads. `touched` gives a sign for each time a shard has left the machine something to do.
    pub(crate) fn start(
        core: Arc<BrokerCore>,
        works: Arc<[WorkQueue]>,
        wakes: Arc<[Wake]>,
        clock: Clock,
        touched: (Sender<()>, Receiver<()>),
    ) -> io::Result<Self> {
        let hands = Hands {
            core,
            works,
            wakes,
            clock,
            next_shard: Arc::default(),
        };
        let (names, wanted) = unbounded();
        let (sender, signs) = touched;
        let for_names = hands.clone();
        let resolver = std::thread::Builder::new()
            .name("cluster-names".to_owned())
            .spawn(move || resolve(&for_names, &wanted))?;
        let director = std::thread::Builder::new()
            .name("cluster".to_owned())
            .spawn(move || direct(&hands, &signs, &names))?;
        Ok(Self {
            touched: Some(sender),
            threads: vec![director, resolver],
        })
    }

    /// The sign's two ends: one place, for one sign that nobody has looked at says all.
    pub(crate) fn sign() -> (Sender<()>, Receiver<()>) {
        bounded(1)
    }

    /// Ends both threads, once all other senders of the sign are gone.
    pub(crate) fn end(&mut self) {
        self.touched = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the cluster ended with a defect");
            }
        }
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        self.end();
    }
}

fn direct(hands: &Hands, signs: &Receiver<()>, names: &Sender<Target>) {
    loop {
        let now = hands.clock.now();
        let mut actions = Vec::new();
        let deadline = {
            let Some(mut cluster) = hands.core.attend_cluster() else {
                return;
            };
            actions.extend(std::iter::from_fn(|| cluster.poll_action(now)));
            cluster.next_deadline()
        };
        for action in actions {
            hands.carry_out(action, names);
        }
        let wait = deadline.map_or(LOOK_EVERY, |at| {
            at.saturating_sub(hands.clock.now()).min(LOOK_EVERY)
        });
        match signs.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Hands {
    fn carry_out(&self, action: ClusterAction, names: &Sender<Target>) {
        match action {
            ClusterAction::Dial(target) => match target.url.host.parse::<IpAddr>() {
                Ok(address) => self.dial(target, address),
                Err(_) => {
                    let _ = names.send(target);
                }
            },
            ClusterAction::Tell { conn, info } => {
                if let Some(shard) = self.core.owner(conn) {
                    self.leave(shard, RouteWork::Tell(conn, info));
                }
            }
            ClusterAction::Close { conn, reason } => {
                if let Some(shard) = self.core.owner(conn) {
                    self.leave(shard, RouteWork::Close(conn, reason));
                }
            }
            ClusterAction::ConnectUrls => {
                let urls = self.core.attend_cluster();
                let Some(urls) = urls.map(|cluster| cluster.connect_urls()) else {
                    return;
                };
                let urls: Arc<[String]> = urls.into();
                for shard in 0..self.core.shards() {
                    self.leave(ShardId(shard), RouteWork::Announce(Arc::clone(&urls)));
                }
            }
            ClusterAction::Note(note) => log(&note),
        }
    }

    fn dial(&self, target: Target, address: IpAddr) {
        let turn = self.next_shard.fetch_add(1, Ordering::Relaxed);
        let shard = turn % usize::from(self.core.shards());
        let peer = SocketAddr::new(address, target.url.port);
        let shard = ShardId(u16::try_from(shard).unwrap_or_default());
        self.leave(shard, RouteWork::Dial(target, peer));
    }

    fn leave(&self, shard: ShardId, work: RouteWork) {
        let shard = usize::from(shard.0);
        self.works[shard].push(work);
        self.wakes[shard].wake();
    }
}

/// Looks names up, one after the other and at each attempt anew; one of several addresses is taken by chance.
fn resolve(hands: &Hands, wanted: &Receiver<Target>) {
    let mut rng = fastrand::Rng::with_seed(random_seed());
    for target in wanted {
        let place = (&*target.url.host, target.url.port);
        let addresses: Vec<SocketAddr> = place.to_socket_addrs().into_iter().flatten().collect();
        match rng.choice(&addresses) {
            Some(address) => hands.dial(target, address.ip()),
            None => {
                if let Some(mut cluster) = hands.core.cluster() {
                    let now = hands.clock.now();
                    cluster.handle_dial_failed(target.id, DialFailure::Unresolved, now);
                }
            }
        }
    }
}

fn log(note: &ClusterNote) {
    if note.is_trouble() {
        tracing::warn!("cluster: {note}");
    } else {
        tracing::info!("cluster: {note}");
    }
}
