//! Which server is tried next.
//!
//! The pool is the configured servers and those learned from a server's INFO, in an order drawn from the core's seed.
//! It is walked round and round; a *round* ends when each server was tried once since the round began, and only then is there a wait.
//! The server whose link was just lost counts as tried, so a single server is never hammered.
//!
//! With one configured server and nothing learned the pool has no heap; otherwise it holds 24 bytes a server and the learned names.

use std::net::IpAddr;

use fastrand::Rng;

use super::addr::ServerAddr;

/// Configured servers beyond this are a mistake; the bound lets an index be small.
pub(super) const SERVERS_MAX: usize = 1024;

/// Servers learned from INFO and kept by one core; about 40 bytes each.
const LEARNED_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Pool {
    /// In the order in which they are tried; empty while there is only one server.
    slots: Vec<Slot>,
    /// The place of the server in use or last tried.
    at: u16,
    /// Servers tried in this round.
    tried: u16,
}

#[derive(Debug)]
enum Slot {
    /// An index into the shared configuration.
    Configured(u16),
    Learned(ServerAddr),
}

impl Pool {
    pub(super) fn new(configured: &[ServerAddr], rng: &mut Rng) -> Self {
        let mut pool = Self {
            slots: Vec::new(),
            at: 0,
            tried: 0,
        };
        if configured.len() > 1 {
            pool.fill(configured);
            rng.shuffle(&mut pool.slots);
        }
        // `step` goes on before it names a server; the first step must lead to the first place.
        pool.at = pool.last_place();
        pool
    }

    /// Goes on to the next server and counts it as tried.
    pub(super) fn step(&mut self) {
        self.at = if self.at >= self.last_place() {
            0
        } else {
            self.at + 1
        };
        self.tried = self.tried.saturating_add(1);
    }

    /// Whether each server was tried in this round.
    pub(super) fn round_done(&self) -> bool {
        self.tried > self.last_place()
    }

    /// Begins a round in which nothing was tried.
    pub(super) fn new_round(&mut self) {
        self.tried = 0;
    }

    /// Begins a round in which only the present server was tried.
    pub(super) fn new_round_after_loss(&mut self) {
        self.tried = 1;
    }

    /// The server in use or last tried.
    pub(super) fn current<'a>(&'a self, configured: &'a [ServerAddr]) -> &'a ServerAddr {
        match self.slots.get(usize::from(self.at)) {
            None => &configured[0],
            Some(Slot::Configured(index)) => &configured[usize::from(*index)],
            Some(Slot::Learned(addr)) => addr,
        }
    }

    /// The name a certificate of the present server must bear.
    ///
    /// Servers in a cluster name each other by address, but their certificates bear names:
    /// a learned address is held against the name of a configured server.
    pub(super) fn tls_name<'a>(&'a self, configured: &'a [ServerAddr]) -> &'a str {
        match self.slots.get(usize::from(self.at)) {
            Some(Slot::Learned(addr)) if addr.host.parse::<IpAddr>().is_err() => &addr.host,
            Some(Slot::Learned(_)) => &configured[0].host,
            Some(Slot::Configured(_)) | None => &self.current(configured).host,
        }
    }

    /// Takes in the servers that a server named, and forgets learned ones it did not name; says how many were new.
    ///
    /// The server in use stays whether it is named or not.
    pub(super) fn learn<'a>(
        &mut self,
        urls: impl Iterator<Item = &'a str>,
        configured: &[ServerAddr],
        rng: &mut Rng,
    ) -> usize {
        let mut named: Vec<ServerAddr> = Vec::new();
        for addr in urls.filter_map(|url| ServerAddr::parse(url).ok()) {
            if !configured.contains(&addr) && !named.contains(&addr) {
                named.push(addr);
            }
            if named.len() == LEARNED_MAX {
                break;
            }
        }
        self.forget_all_but(&named);
        named.retain(|addr| !self.slots.iter().any(|slot| slot.is_learned(addr)));
        if named.is_empty() {
            return 0;
        }
        if self.slots.is_empty() {
            self.fill(configured);
        }
        // Those who learn the same list at once must not all go to its first server.
        rng.shuffle(&mut named);
        let count = named.len();
        self.slots.extend(named.into_iter().map(Slot::Learned));
        count
    }

    /// How many servers there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len().max(1)
    }

    fn forget_all_but(&mut self, named: &[ServerAddr]) {
        let current = usize::from(self.at);
        let mut place = 0;
        let mut gone_before_current = 0;
        self.slots.retain(|slot| {
            let keep = match slot {
                Slot::Configured(_) => true,
                Slot::Learned(addr) => place == current || named.contains(addr),
            };
            gone_before_current += u16::from(!keep && place < current);
            place += 1;
            keep
        });
        self.at -= gone_before_current;
    }

    fn fill(&mut self, configured: &[ServerAddr]) {
        self.slots = (0..small(configured.len())).map(Slot::Configured).collect();
    }

    fn last_place(&self) -> u16 {
        small(self.len() - 1)
    }
}

impl Slot {
    fn is_learned(&self, named: &ServerAddr) -> bool {
        matches!(self, Self::Learned(addr) if addr == named)
    }
}

/// Pool indices are small: [`SERVERS_MAX`] and [`LEARNED_MAX`] bound them.
fn small(index: usize) -> u16 {
    debug_assert!(index <= SERVERS_MAX + LEARNED_MAX + 1, "{index}");
    u16::try_from(index).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn servers(count: u16) -> Vec<ServerAddr> {
        (0..count)
            .map(|n| ServerAddr::new("broker", 4000 + n))
            .collect()
    }

    fn walk(pool: &mut Pool, configured: &[ServerAddr], steps: usize) -> Vec<u16> {
        let mut step = || {
            pool.step();
            pool.current(configured).port
        };
        (0..steps).map(|_| step()).collect()
    }

    #[test]
    fn a_round_tries_each_server_once() {
        let configured = servers(5);
        let mut pool = Pool::new(&configured, &mut Rng::with_seed(3));
        let first = walk(&mut pool, &configured, 4);
        assert!(!pool.round_done());
        let last = walk(&mut pool, &configured, 1);
        assert!(pool.round_done());
        let all: BTreeSet<u16> = first.iter().chain(&last).copied().collect();
        assert_eq!(all.len(), 5);
        pool.new_round();
        assert_eq!(walk(&mut pool, &configured, 5), [first, last].concat());
    }

    #[test]
    fn the_order_comes_from_the_seed() {
        let configured = servers(8);
        let order = |seed| {
            let mut pool = Pool::new(&configured, &mut Rng::with_seed(seed));
            walk(&mut pool, &configured, 8)
        };
        assert_eq!(order(1), order(1));
        let orders: BTreeSet<_> = (0..20).map(order).collect();
        assert!(orders.len() > 15);
    }

    #[test]
    fn one_server_needs_no_heap_and_its_loss_ends_the_round() {
        let configured = servers(1);
        let mut pool = Pool::new(&configured, &mut Rng::with_seed(3));
        assert_eq!(pool.slots.capacity(), 0);
        assert!(!pool.round_done());
        assert_eq!(walk(&mut pool, &configured, 2), [4000, 4000]);
        pool.new_round_after_loss();
        assert!(pool.round_done());
    }

    #[test]
    fn learned_servers_join_once() {
        let configured = servers(1);
        let mut rng = Rng::with_seed(3);
        let mut pool = Pool::new(&configured, &mut rng);
        let urls = [
            "broker:4000",
            "10.0.0.2:4222",
            "10.0.0.3:4222",
            "junk",
            "10.0.0.2:4222",
        ];
        assert_eq!(pool.learn(urls.into_iter(), &configured, &mut rng), 2);
        assert_eq!(pool.learn(urls.into_iter(), &configured, &mut rng), 0);
        assert_eq!(pool.len(), 3);
        let mut hosts = BTreeSet::new();
        for _ in 0..3 {
            pool.step();
            hosts.insert(pool.current(&configured).host.clone());
            assert_eq!(pool.tls_name(&configured), "broker");
        }
        assert_eq!(hosts.len(), 3);
    }

    #[test]
    fn learned_servers_are_forgotten_but_not_the_one_in_use() {
        let configured = servers(1);
        let mut rng = Rng::with_seed(3);
        let mut pool = Pool::new(&configured, &mut rng);
        pool.learn(["a:1", "b:1", "c:1"].into_iter(), &configured, &mut rng);
        for _ in 0..2 {
            pool.step();
        }
        let in_use = pool.current(&configured).clone();
        assert_ne!(in_use, configured[0]);
        assert_eq!(pool.learn(["d:1"].into_iter(), &configured, &mut rng), 1);
        assert_eq!(pool.current(&configured), &in_use);
        assert_eq!(pool.len(), 3);
        assert_eq!(pool.learn(["d:1"].into_iter(), &configured, &mut rng), 0);
    }

    #[test]
    fn learned_servers_are_bounded() {
        let configured = servers(2);
        let mut rng = Rng::with_seed(3);
        let mut pool = Pool::new(&configured, &mut rng);
        let urls: Vec<String> = (1..1000).map(|port| format!("other:{port}")).collect();
        let learned = pool.learn(urls.iter().map(String::as_str), &configured, &mut rng);
        assert_eq!(learned, LEARNED_MAX);
        assert_eq!(pool.len(), 2 + LEARNED_MAX);
    }
}
