//! The routes that are told of interest, and in what order.
//!
//! A change of interest and the word of it must reach a peer in the same order for each subject, or the peer ends with what
//! was true once. So a stripe, chosen by the subject, is held around both: the change in the sublist, and the line appended to
//! every route's outbound. Lock order: a stripe, then a sublist's lock, then this list's, then one slot's.
//!
//! While no route is registered no stripe is taken. A change then looks at the count of routes once more *after* it is made:
//!
//! - The route is registered first ([`Routes::add`]), and its walk over the interest begins afterwards.
//! - Say the change found no route after it was made. The walk reads the changed interest under the sublist's lock, which the change
//!   held too. Had the walk held it first, the registration before the walk would happen before the change and so before its look
//!   at the count, which would have found the route. So the walk comes later and sees the change.
//! - Say it found one. Then it takes the stripe and tells all routes what holds at that moment, as the walk does. Both are a state and
//!   not a difference, so it does no harm to be told twice.
//!
//! A change under the stripe that was told to a list without the new route had the stripe before the walk came to its subject.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::quality::FixedState;
use parking_lot::{Mutex, MutexGuard, RwLock};
use smallvec::SmallVec;

use crate::ids::ConnRef;

/// Subjects that can change at the same time.
const STRIPES: usize = 64;

/// The routes of a broker that are told of interest.
#[derive(Debug)]
pub(crate) struct Routes {
    count: AtomicUsize,
    list: RwLock<Vec<ConnRef>>,
    stripes: Box<[Mutex<()>]>,
    hasher: FixedState,
}

impl Routes {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            count: AtomicUsize::new(0),
            list: RwLock::default(),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: FixedState::with_seed(seed),
        }
    }

    /// Whether there is none; ordered by the sublist's lock, see above.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn add(&self, conn: ConnRef) {
        let mut list = self.list.write();
        list.push(conn);
        self.count.store(list.len(), Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, conn: ConnRef) {
        let mut list = self.list.write();
        list.retain(|other| *other != conn);
        self.count.store(list.len(), Ordering::Relaxed);
    }

    /// All of them at this moment.
    pub(crate) fn all(&self) -> SmallVec<[ConnRef; 8]> {
        self.list.read().iter().copied().collect()
    }

    /// Held around a change of the subject's interest and the word of it.
    pub(crate) fn stripe(&self, subject: &[u8]) -> MutexGuard<'_, ()> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(subject);
        let at = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or_default();
        self.stripes[at].lock()
    }
}
