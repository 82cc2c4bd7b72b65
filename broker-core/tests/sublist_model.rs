//! The sublist against a naive twin: a vector of subscriptions and a matcher of three lines.
//!
//! Random operations over a small world, so that subjects meet; after each, a published subject is
//! looked up without a cache, with a roomy cache and with one that evicts all the time.

use std::collections::{BTreeMap, BTreeSet};

use muster_broker_core::sublist::{Interest, MatchCache, Matches, Member, Remote, Sublist};
use proptest::prelude::*;

type Subject = Vec<u8>;
type Queue = Option<Vec<u8>>;

/// A peer's connection.
type Conn = (u32, u32);

/// What a match must yield: plain members (a connection may be there more than once), the peers that have
/// some, and of each group by name the members and the weights of peers.
#[derive(Debug, PartialEq, Default)]
struct Expected {
    plain: Vec<Member>,
    peers: BTreeSet<Conn>,
    groups: BTreeMap<Vec<u8>, Group>,
}

type Group = (Vec<Member>, BTreeMap<Conn, u32>);

#[derive(Default)]
struct Naive(
    Vec<(Subject, Queue, Member)>,
    BTreeMap<(Subject, Queue, Conn), u32>,
);

impl Naive {
    fn insert(&mut self, subject: &[u8], queue: &Queue, member: Member) {
        let new = (subject.to_vec(), queue.clone(), member);
        if !self.0.contains(&new) {
            self.0.push(new);
        }
    }

    fn remove(&mut self, subject: &[u8], queue: &Queue, member: Member) -> bool {
        let before = self.0.len();
        self.0
            .retain(|(s, q, m)| (&s[..], q, *m) != (subject, queue, member));
        self.0.len() < before
    }

    fn set(&mut self, subject: &[u8], queue: &Queue, remote: Remote) {
        let key = (subject.to_vec(), queue.clone(), conn(remote));
        self.1.insert(key, remote.weight);
    }

    fn unset(&mut self, subject: &[u8], queue: &Queue, remote: Remote) -> bool {
        let key = (subject.to_vec(), queue.clone(), conn(remote));
        self.1.remove(&key).is_some()
    }

    fn local_len(&self, subject: &[u8], queue: &Queue) -> usize {
        let same = |(s, q, _): &&(Subject, Queue, Member)| (&s[..], q) == (subject, queue);
        self.0.iter().filter(same).count()
    }

    fn matches(&self, subject: &[u8]) -> Expected {
        let mut expected = Expected::default();
        for (filter, queue, member) in &self.0 {
            if !naive_match(filter, subject) {
                continue;
            }
            match queue {
                None => expected.plain.push(*member),
                Some(name) => expected
                    .groups
                    .entry(name.clone())
                    .or_default()
                    .0
                    .push(*member),
            }
        }
        for ((filter, queue, peer), weight) in &self.1 {
            if !naive_match(filter, subject) {
                continue;
            }
            match queue {
                None => drop(expected.peers.insert(*peer)),
                Some(name) => {
                    let group = expected.groups.entry(name.clone()).or_default();
                    *group.1.entry(*peer).or_default() += weight;
                }
            }
        }
        expected.plain.sort_unstable();
        let groups = expected.groups.values_mut();
        groups.for_each(|(members, _)| members.sort_unstable());
        expected
    }
}

fn conn(remote: Remote) -> Conn {
    (remote.slot, remote.generation)
}

/// Each peer is there once, in order.
fn read_remotes(remotes: &[Remote]) -> BTreeMap<Conn, u32> {
    assert!(remotes.is_sorted_by(|a, b| conn(*a) < conn(*b)));
    remotes.iter().map(|r| (conn(*r), r.weight)).collect()
}

fn naive_match(filter: &[u8], subject: &[u8]) -> bool {
    let filter: Vec<&[u8]> = filter.split(|&b| b == b'.').collect();
    let subject: Vec<&[u8]> = subject.split(|&b| b == b'.').collect();
    if subject.iter().any(|token| token.is_empty()) {
        return false;
    }
    let (head, open) = match filter.split_last() {
        Some((&b">", head)) => (head, true),
        _ => (&filter[..], false),
    };
    let length_fits = if open {
        subject.len() > head.len()
    } else {
        subject.len() == head.len()
    };
    // A wildcard token of the subject equals no literal token of a filter, for none reads so.
    length_fits && head.iter().zip(&subject).all(|(f, s)| *f == b"*" || f == s)
}

/// Reads a result through its public face, checking what must hold of any result.
fn read(matches: &Matches) -> Expected {
    let chunks = (0..matches.chunk_count()).map(|i| matches.chunk(i));
    let mut plain = Vec::new();
    for chunk in chunks {
        assert!((1..=256).contains(&chunk.len()));
        plain.extend_from_slice(chunk);
    }
    assert_eq!(plain.len(), matches.plain_len());
    assert_eq!(plain, matches.members().collect::<Vec<_>>());
    plain.sort_unstable();
    let mut groups = BTreeMap::new();
    for group in matches.groups() {
        let mut members: Vec<_> = (0..group.len()).map(|i| group.member(i)).collect();
        assert_eq!(members.is_empty(), group.is_empty());
        members.sort_unstable();
        let remotes = read_remotes(group.remotes());
        assert!(!(members.is_empty() && remotes.is_empty()));
        let before = groups.insert(group.name().to_vec(), (members, remotes));
        assert!(before.is_none());
    }
    let peers: BTreeSet<Conn> = read_remotes(matches.remotes()).into_keys().collect();
    assert!(matches.groups().is_sorted_by(|a, b| a.name() < b.name()));
    let nobody = plain.is_empty() && groups.is_empty() && peers.is_empty();
    assert_eq!(matches.is_empty(), nobody);
    let remote = !peers.is_empty() || groups.values().any(|(_, remotes)| !remotes.is_empty());
    assert_eq!(matches.has_remotes(), remote);
    let expected = Expected {
        plain,
        peers,
        groups,
    };
    for slot in 0..4 {
        for generation in 0..2 {
            let here = |m: &&Member| (m.slot, m.generation) == (slot, generation);
            match matches.contains_slot(slot, generation) {
                Some(found) => assert!(here(&&found) && expected.plain.contains(&found)),
                None => assert_eq!(expected.plain.iter().find(here), None),
            }
        }
    }
    expected
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Subject, Queue, Member),
    /// Whatever stands at this place, modulo the number of subscriptions.
    Remove(usize),
    RemoveAll,
    SetRemote(Subject, Queue, Remote),
    RemoveRemote(usize),
    Publish(Subject),
}

fn token() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("a"), 3 => Just("b"), 1 => Just("*x"), 1 => Just(">x"), 1 => Just("c")]
}

fn filter() -> impl Strategy<Value = Subject> {
    let token = prop_oneof![3 => token(), 2 => Just("*")];
    let tokens = prop::collection::vec(token, 0..4);
    (tokens, any::<bool>()).prop_map(|(mut tokens, open)| {
        if open || tokens.is_empty() {
            tokens.push(">");
        }
        tokens.join(".").into_bytes()
    })
}

fn published() -> impl Strategy<Value = Subject> {
    let token = prop_oneof![12 => token(), 1 => Just("*"), 1 => Just(">"), 1 => Just("")];
    prop::collection::vec(token, 1..5).prop_map(|tokens| tokens.join(".").into_bytes())
}

fn member() -> impl Strategy<Value = Member> {
    (0..4_u32, 0..2_u32, 0..3_u64).prop_map(|(slot, generation, sid)| Member {
        slot,
        generation,
        sid,
    })
}

fn remote() -> impl Strategy<Value = Remote> {
    (8..11_u32, 0..2_u32, 0..4_u32).prop_map(|(slot, generation, weight)| Remote {
        slot,
        generation,
        weight,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let queue = prop_oneof![
        3 => Just(None),
        2 => Just(Some(b"q".to_vec())),
        1 => Just(Some(b"p".to_vec())),
    ];
    prop_oneof![
        6 => (filter(), queue.clone(), member()).prop_map(|(s, q, m)| Op::Insert(s, q, m)),
        4 => any::<usize>().prop_map(Op::Remove),
        1 => Just(Op::RemoveAll),
        3 => (filter(), queue, remote()).prop_map(|(s, q, r)| Op::SetRemote(s, q, r)),
        2 => any::<usize>().prop_map(Op::RemoveRemote),
        8 => published().prop_map(Op::Publish),
    ]
}

fn key(interest: &Interest) -> (Subject, Queue) {
    let queue = interest.queue().map(<[u8]>::to_vec);
    (interest.subject().to_vec(), queue)
}

fn check_walk(sublist: &Sublist, naive: &Naive) {
    let mut expected = naive.0.clone();
    expected.sort_unstable();
    for (from, limit) in [(0, usize::MAX), (2, 3)] {
        let mut seen = Vec::new();
        sublist.for_each(from, limit, &mut |subject, queue, member| {
            seen.push((subject.to_vec(), queue.map(<[u8]>::to_vec), member));
        });
        let window: Vec<_> = expected.iter().skip(from).take(limit).cloned().collect();
        assert_eq!(seen, window);
    }
    assert_eq!(
        sublist.stats().subscriptions,
        u64::try_from(expected.len()).expect("a few")
    );
}

/// The parts together are every interest that has members here, each once.
fn check_parts(sublist: &Sublist, naive: &Naive) {
    let mut found = Vec::new();
    let parts = (0..)
        .take_while(|part| sublist.local_interests(*part, &mut found))
        .count();
    assert!(parts > 64);
    let mut found: Vec<_> = found.iter().map(key).collect();
    found.sort_unstable();
    let keys = naive.0.iter().map(|(s, q, _)| (s.clone(), q.clone()));
    let expected: BTreeSet<_> = keys.collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    let remotes = sublist.stats().remotes;
    assert_eq!(remotes, u64::try_from(naive.1.len()).expect("a few"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_naive_twin(seed: u64, ops in prop::collection::vec(op(), 1..120)) {
        let sublist = Sublist::new(seed);
        let mut naive = Naive::default();
        let mut roomy = MatchCache::new(256, seed);
        let mut narrow = MatchCache::new(2, seed);
        let mut held: Vec<(Interest, Member)> = Vec::new();
        let mut peers: Vec<(Interest, Remote)> = Vec::new();
        for op in ops {
            match op {
                Op::Insert(subject, queue, member) => {
                    let before = naive.local_len(&subject, &queue);
                    let (interest, count) =
                        sublist.insert_counted(&subject, queue.as_deref(), member);
                    assert_eq!(key(&interest), (subject.clone(), queue.clone()));
                    naive.insert(&subject, &queue, member);
                    let after = naive.local_len(&subject, &queue);
                    assert_eq!(count, (after > before).then_some(after));
                    assert_eq!(sublist.local_len(&interest), after);
                    held.push((interest, member));
                }
                // Handles of members that are gone, or inserted twice, are in the lot too.
                Op::Remove(i) if !held.is_empty() => {
                    let (interest, member) = held.swap_remove(i % held.len());
                    let (subject, queue) = key(&interest);
                    let expected = naive.remove(&subject, &queue, member);
                    let left = naive.local_len(&subject, &queue);
                    assert_eq!(
                        sublist.remove_counted(&interest, member),
                        expected.then_some(left)
                    );
                    assert_eq!(sublist.local_len(&interest), left);
                }
                Op::Remove(_) => {}
                Op::SetRemote(subject, queue, remote) => {
                    let interest = sublist.set_remote(&subject, queue.as_deref(), remote);
                    assert_eq!(key(&interest), (subject.clone(), queue.clone()));
                    naive.set(&subject, &queue, remote);
                    peers.push((interest, remote));
                }
                Op::RemoveRemote(i) if !peers.is_empty() => {
                    let (interest, remote) = peers.swap_remove(i % peers.len());
                    let (subject, queue) = key(&interest);
                    let expected = naive.unset(&subject, &queue, remote);
                    assert_eq!(sublist.remove_remote(&interest, remote), expected);
                }
                Op::RemoveRemote(_) => {}
                Op::RemoveAll => {
                    for (interest, remote) in peers.drain(..) {
                        sublist.remove_remote(&interest, remote);
                    }
                    naive.1.clear();
                    for (interest, member) in held.drain(..) {
                        sublist.remove(&interest, member);
                    }
                    naive.0.clear();
                    assert_eq!(sublist.stats().interests, 0);
                }
                Op::Publish(subject) => {
                    let expected = naive.matches(&subject);
                    let interested = expected != Expected::default();
                    assert_eq!(sublist.has_interest(&subject), interested);
                    assert_eq!(&read(&sublist.matches(&subject)), &expected);
                    // The second look-up admits the subject, the third hits.
                    for _ in 0..3 {
                        assert_eq!(&read(&roomy.matches(&sublist, &subject)), &expected);
                        assert_eq!(&read(&narrow.matches(&sublist, &subject)), &expected);
                    }
                }
            }
            sublist.assert_invariants();
            roomy.assert_invariants();
            narrow.assert_invariants();
        }
        check_walk(&sublist, &naive);
        check_parts(&sublist, &naive);
    }

    /// One subject with enough members for chunks to split and merge.
    #[test]
    fn a_large_set_agrees_with_a_btree(
        queue in any::<bool>(),
        rounds in prop::collection::vec((any::<bool>(), 0..4000_u32, 1..700_u32, 1..7_u32), 1..20),
    ) {
        let sublist = Sublist::new(3);
        let queue = queue.then_some(&b"q"[..]);
        let member = |slot| Member { slot, generation: 0, sid: 9 };
        let anchor = sublist.insert(b"large", queue, member(u32::MAX));
        let mut twin = BTreeSet::from([u32::MAX]);
        for (insert, start, count, step) in rounds {
            for slot in (start..).step_by(usize::try_from(step).unwrap()).take(count as usize) {
                if insert {
                    sublist.insert(b"large", queue, member(slot));
                    twin.insert(slot);
                } else {
                    assert_eq!(sublist.remove(&anchor, member(slot)), twin.remove(&slot));
                }
            }
            sublist.assert_invariants();
            let matches = sublist.matches(b"large");
            let found: Vec<u32> = match matches.groups() {
                [] => matches.members().map(|m| m.slot).collect(),
                [group] => (0..group.len()).map(|i| group.member(i).slot).collect(),
                more => panic!("{} groups", more.len()),
            };
            assert_eq!(found, twin.iter().copied().collect::<Vec<_>>());
            if queue.is_none() {
                for slot in start..start + 20 {
                    let expected = twin.contains(&slot).then(|| member(slot));
                    assert_eq!(matches.contains_slot(slot, 0), expected);
                }
            }
        }
    }
}
