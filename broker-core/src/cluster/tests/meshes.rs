//! Several machines against each other, with dials, handshakes and losses in any order: whatever happened, it ends in one connection
//! between each two, and both ends agree on which.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::*;

/// One connection: its two ends, and which side has seen what.
#[derive(Debug)]
struct Wire {
    /// Dialler and acceptor.
    ends: [usize; 2],
    target: Target,
    /// INFOs under way, by their sender as a place in `ends`; none stands for the first one of a side.
    infos: VecDeque<(usize, Option<Box<RouteInfo>>)>,
    /// Ends that know of it and have not closed it.
    open: [bool; 2],
}

struct World {
    machines: Vec<Cluster>,
    wires: BTreeMap<u32, Wire>,
    next: u32,
    rng: fastrand::Rng,
    /// Dials fail and connections break while this is on.
    storm: bool,
}

fn address(machine: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(machine + 1).unwrap()], 5222))
}

fn conn(wire: u32) -> ConnRef {
    ConnRef {
        slot: wire,
        generation: 1,
    }
}

impl World {
    fn new(count: usize, routes: &[Vec<usize>], seed: u64) -> Self {
        let machine = |me: usize| {
            let config = ClusterConfig {
                name: "C".into(),
                listen: RouteUrl::from(address(me)),
                routes: routes[me].iter().map(|to| address(*to).into()).collect(),
                connect_urls: vec![format!("b{me}:4222")],
                connect_retries: 1000,
                ..ClusterConfig::default()
            };
            let mut rng = fastrand::Rng::with_seed(seed ^ (me as u64 + 1));
            let info = Info {
                // The order of the ids is not that of the numbers.
                server_id: format!("N{:016x}", rng.u64(..)),
                server_name: format!("b{me}"),
                ..Info::default()
            };
            Cluster::new(config, &info, seed + me as u64)
        };
        Self {
            machines: (0..count).map(machine).collect(),
            wires: BTreeMap::new(),
            next: 0,
            rng: fastrand::Rng::with_seed(seed),
            storm: true,
        }
    }

    /// Lets some machine act, or some INFO arrive, or something break.
    fn step(&mut self, now: Duration) {
        for me in 0..self.machines.len() {
            while let Some(action) = self.machines[me].poll_action(now) {
                self.act(me, action, now);
            }
        }
        let wires: Vec<u32> = self.wires.keys().copied().collect();
        for id in wires {
            if self.storm && self.rng.u8(..) < 4 {
                self.close(id, 0, now);
                self.close(id, 1, now);
            } else if self.rng.bool() {
                self.deliver(id, now);
            }
        }
    }

    fn act(&mut self, me: usize, action: ClusterAction, now: Duration) {
        match action {
            ClusterAction::Dial(target) => {
                let place = (0..self.machines.len())
                    .find(|place| RouteUrl::from(address(*place)) == target.url);
                let there = place.filter(|_| !(self.storm && self.rng.u8(..) < 80));
                let Some(there) = there else {
                    let id = target.id;
                    return self.machines[me].handle_dial_failed(id, DialFailure::Timeout, now);
                };
                let wire = Wire {
                    ends: [me, there],
                    target,
                    // The acceptor speaks first; who dialled answers with its own.
                    infos: VecDeque::from([(1, None), (0, None)]),
                    open: [true; 2],
                };
                self.wires.insert(self.next, wire);
                self.next += 1;
            }
            ClusterAction::Tell { conn, info } => {
                if let Some(wire) = self.wires.get_mut(&conn.slot) {
                    let side = usize::from(wire.ends[0] != me);
                    wire.infos.push_back((side, Some(info)));
                }
            }
            ClusterAction::Close { conn, .. } => {
                if let Some(wire) = self.wires.get(&conn.slot) {
                    let side = usize::from(wire.ends[0] != me);
                    self.close(conn.slot, side, now);
                }
            }
            ClusterAction::ConnectUrls | ClusterAction::Note(_) => {}
        }
    }

    /// The next INFO of a connection arrives, or the end that the other side made of it.
    fn deliver(&mut self, id: u32, now: Duration) {
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        if wire.open != [true; 2] {
            self.close(id, 0, now);
            return self.close(id, 1, now);
        }
        let Some((sender, news)) = wire.infos.pop_front() else {
            return;
        };
        let receiver = 1 - sender;
        let origin = origin(wire, receiver);
        let (from, to) = (wire.ends[sender], wire.ends[receiver]);
        if let Some(news) = news {
            return self.machines[to].handle_info(conn(id), &news, now);
        }
        let info = self.machines[from].info_for(&self::origin(wire, sender));
        let peer = address(from);
        let machine = &mut self.machines[to];
        match machine.handle_first_info(conn(id), &origin, peer, &info, now) {
            Verdict::Registered | Verdict::Standby => {}
            Verdict::Close(_) => self.close(id, receiver, now),
        }
    }

    /// One end closes; the other one sees it later, or now if it is told so.
    fn close(&mut self, id: u32, side: usize, now: Duration) {
        let Some(wire) = self.wires.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut wire.open[side], false) {
            let origin = origin(wire, side);
            let me = wire.ends[side];
            self.machines[me].handle_closed(conn(id), &origin, now);
        }
        if let Some(wire) = self.wires.get(&id)
            && wire.open == [false; 2]
        {
            self.wires.remove(&id);
        }
    }

    /// Between each two machines there is one connection, and it is the primary of both.
    fn check(&self) {
        let count = self.machines.len();
        let mut pairs = BTreeSet::new();
        for wire in self.wires.values() {
            let mut pair = wire.ends;
            pair.sort_unstable();
            assert!(pairs.insert(pair), "two connections of {pair:?}");
        }
        assert_eq!(pairs.len(), count * (count - 1) / 2, "{pairs:?}");
        for machine in &self.machines {
            let peers: Vec<_> = machine.peers().collect();
            assert_eq!(peers.len(), count - 1);
            for peer in peers {
                assert_eq!(peer.standbys, 0);
                assert!(self.wires.contains_key(&peer.primary.slot));
            }
            assert_eq!(machine.connect_urls().len(), count);
        }
    }
}

fn origin(wire: &Wire, side: usize) -> Origin {
    if side == 0 {
        Origin::Dialled(wire.target.clone())
    } else {
        Origin::Accepted
    }
}

/// Routes by which everybody can be reached from the first.
fn routes() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (2_usize..6).prop_flat_map(|count| {
        let some = prop::collection::vec(0..count, 0..count);
        let all = prop::collection::vec(some, count);
        all.prop_map(|mut routes| {
            for (me, routes) in routes.iter_mut().enumerate() {
                if me > 0 && !routes.contains(&0) {
                    routes.push(0);
                }
                routes.sort_unstable();
                routes.dedup();
            }
            routes
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_one_connection_of_each_two_is_left(
        routes in routes(),
        seed in any::<u64>(),
        storm in 0_u64..20_000,
    ) {
        let mut world = World::new(routes.len(), &routes, seed);
        let mut now = Duration::ZERO;
        while now < Duration::from_millis(storm) {
            world.step(now);
            now += Duration::from_millis(50);
        }
        world.storm = false;
        // News is told again within 30 s, peers learnt of pause as long; a connection too many goes within five more.
        let end = now + Duration::from_secs(80);
        while now < end {
            world.step(now);
            now += Duration::from_millis(50);
        }
        world.check();
    }
}
