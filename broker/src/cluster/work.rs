//! What the director leaves for a shard, and the dials a shard has under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_broker_core::close::CloseReason;
use muster_broker_core::cluster::Target;
use muster_broker_core::ids::ConnRef;
use muster_reactor::poll::Key as PollKey;
use muster_reactor::stream::Stream;
use muster_wire::route_info::RouteInfo;
use parking_lot::Mutex;

/// How long a dial may take.
pub(crate) const DIAL_MAX: Duration = Duration::from_secs(1);

/// Where dials begin among the indices of a shard's sockets; no slab of connections comes near it.
pub(crate) const DIAL_BASE: u32 = 1 << 30;

/// Something for one shard to do.
#[derive(Debug)]
pub(crate) enum RouteWork {
    Dial(Target, SocketAddr),
    Tell(ConnRef, Box<RouteInfo>),
    Close(ConnRef, CloseReason),
    /// Tell clients of these brokers.
    Announce(Arc<[String]>),
    /// Take no more clients, tell those that are here to leave, and after `grace` send them away over `duration`.
    LameDuck {
        urls: Arc<[String]>,
        grace: Duration,
        duration: Duration,
    },
}

/// The work of one shard.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkQueue(Arc<Mutex<Vec<RouteWork>>>);

impl WorkQueue {
    pub(crate) fn push(&self, work: RouteWork) {
        self.0.lock().push(work);
    }

    pub(crate) fn take(&self) -> Vec<RouteWork> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A socket that is connecting.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) target: Target,
    pub(crate) peer: SocketAddr,
    pub(crate) stream: Stream,
    generation: u32,
}

/// The dials of one shard; few at a time.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    places: Vec<Option<Dial>>,
    generation: u32,
}

impl Dials {
    pub(crate) fn insert(&mut self, target: Target, peer: SocketAddr, stream: Stream) -> PollKey {
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.generation = self.generation.wrapping_add(1);
        self.places[place] = Some(Dial {
            target,
            peer,
            stream,
            generation: self.generation,
        });
        let place = u32::try_from(place).unwrap_or(u32::MAX >> 1);
        PollKey {
            index: DIAL_BASE + place,
            generation: self.generation,
        }
    }

    pub(crate) fn get_mut(&mut self, key: PollKey) -> Option<&mut Dial> {
        self.place(key)?.as_mut()
    }

    pub(crate) fn remove(&mut self, key: PollKey) -> Option<Dial> {
        self.place(key)?.take()
    }

    fn place(&mut self, key: PollKey) -> Option<&mut Option<Dial>> {
        let place = usize::try_from(key.index.checked_sub(DIAL_BASE)?).ok()?;
        let place = self.places.get_mut(place)?;
        let generation = place.as_ref()?.generation;
        let own = PollKey {
            index: key.index,
            generation,
        };
        own.is(key).then_some(place)
    }
}
