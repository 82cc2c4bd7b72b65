use std::collections::BTreeMap;

use fastrand::Rng;

use proptest::prelude::*;

use super::*;

const STEP: Duration = Duration::from_millis(100);
/// The longest a message takes where the network is well.
const DELAY_STEPS: u64 = 5;

/// Candidates on a network that loses, delays and parts, in steps of a tenth of a second.
struct Net {
    now: Duration,
    rng: Rng,
    candidates: Vec<Lease>,
    /// Who hears whom: candidates of the same side do.
    side: Vec<u8>,
    /// Per cent of messages that are lost.
    loss: u8,
    /// By the moment of arrival: to whom, and what.
    under_way: BTreeMap<(Duration, u64), (usize, Claim)>,
    sent: u64,
}

impl Net {
    fn new(count: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let candidates = (0..count)
            .map(|index| {
                let started = Duration::from_secs(1_000 + u64::try_from(index).expect("small"));
                let mut lease = Lease::new(started, rng.u64(..), Duration::ZERO);
                lease.handle_connected(Duration::ZERO);
                lease
            })
            .collect();
        Self {
            now: Duration::ZERO,
            rng,
            candidates,
            side: vec![0; count],
            loss: 0,
            under_way: BTreeMap::new(),
            sent: 0,
        }
    }

    fn send(&mut self, from: usize, claim: &Claim) {
        for to in 0..self.candidates.len() {
            let is_lost = self.rng.u8(0..100) < self.loss;
            if self.side[from] != self.side[to] || is_lost {
                continue;
            }
            let delay = STEP * u32::try_from(self.rng.u64(1..=DELAY_STEPS)).expect("small");
            self.sent += 1;
            self.under_way
                .insert((self.now + delay, self.sent), (to, claim.clone()));
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now += STEP;
            while let Some(entry) = self.under_way.first_entry()
                && entry.key().0 <= self.now
            {
                let (to, claim) = entry.remove();
                let claim = Claim::parse(&claim.encode()).expect("what is sent can be read");
                self.candidates[to].handle_claim(&claim, self.now);
            }
            for index in 0..self.candidates.len() {
                if let Some(claim) = self.candidates[index].poll(self.now) {
                    self.send(index, &claim);
                }
            }
        }
    }

    fn leaders(&self, side: u8) -> Vec<usize> {
        let leads =
            |index: &usize| self.candidates[*index].is_leader() && self.side[*index] == side;
        (0..self.candidates.len()).filter(leads).collect()
    }
}

#[test]
fn one_alone_leads_soon() {
    let mut net = Net::new(1, 7);
    net.run(9);
    assert_eq!(net.leaders(0).len(), 0, "it listens first");
    net.run(8);
    assert_eq!(net.leaders(0), [0]);
}

#[test]
fn a_leader_that_resigns_is_followed_soon() {
    let mut net = Net::new(2, 3);
    net.run(30);
    let first = net.leaders(0)[0];
    let claim = net.candidates[first].resign(net.now).expect("it leads");
    net.send(first, &claim);
    net.run(9);
    assert_eq!(net.leaders(0), [1 - first]);
}

#[test]
fn who_cannot_hear_itself_leads_nobody() {
    let mut lease = Lease::new(Duration::from_secs(1), 5, Duration::ZERO);
    lease.handle_connected(Duration::ZERO);
    let mut now = Duration::ZERO;
    for _ in 0..1000 {
        now += STEP;
        lease.poll(now);
        assert!(!lease.is_leader());
    }
}

#[test]
fn what_is_no_claim_is_not_read() {
    for bytes in [
        &b""[..],
        b"{}",
        b"null",
        br#"{"protocol":"x","term":1,"started":1,"id":"a"}"#,
    ] {
        assert_eq!(Claim::parse(bytes), None);
    }
    assert_eq!(Claim::parse(&vec![b' '; CLAIM_BYTES_MAX + 1]), None);
}

#[test]
fn a_network_without_a_connection_makes_no_leader() {
    let mut net = Net::new(2, 9);
    net.run(30);
    let first = net.leaders(0)[0];
    net.candidates[first].handle_disconnected(net.now);
    assert!(net.leaders(0).is_empty(), "it gives way at once");
    assert_eq!(net.candidates[first].next_timeout(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Where messages arrive within half a second, at most one leads, and one does.
    #[test]
    fn a_network_that_is_well_has_one_leader(seed: u64, count in 1_usize..6) {
        let mut net = Net::new(count, seed);
        net.run(30);
        let leaders = net.leaders(0);
        prop_assert_eq!(leaders.len(), 1);
        for _ in 0..300 {
            net.run(1);
            prop_assert_eq!(net.leaders(0), leaders.clone(), "nobody takes the lead from it");
        }
    }

    /// Whatever was lost, delayed and parted before, half a minute of a good network leaves one leader.
    #[test]
    fn a_network_that_heals_has_one_leader(
        seed: u64,
        count in 2_usize..6,
        troubles in proptest::collection::vec((0_u8..60, any::<u8>(), 1_u64..60), 1..6),
    ) {
        let mut net = Net::new(count, seed);
        let mut terms = vec![0; count];
        for (loss, sides, seconds) in troubles {
            net.loss = loss;
            for index in 0..count {
                net.side[index] = (sides >> index) & 1;
            }
            net.run(seconds);
            for (candidate, term) in net.candidates.iter().zip(&mut terms) {
                prop_assert!(candidate.term() >= *term, "terms only grow");
                *term = candidate.term();
            }
        }
        net.loss = 0;
        net.side.fill(0);
        net.run(30);
        prop_assert_eq!(net.leaders(0).len(), 1);
    }

    /// Each half of a parted network gets a leader of its own.
    #[test]
    fn halves_have_a_leader_each(seed: u64) {
        let mut net = Net::new(4, seed);
        net.run(30);
        net.side = vec![0, 0, 1, 1];
        net.run(40);
        prop_assert_eq!((net.leaders(0).len(), net.leaders(1).len()), (1, 1));
    }
}
