//! The sublist's rules one by one, fleets of members, and threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use muster_broker_core::sublist::{Interest, MatchCache, Matches, Member, Sublist};

const FLEET: u32 = 50_000;

fn member(slot: u32) -> Member {
    Member {
        slot,
        generation: 1,
        sid: 7,
    }
}

fn slots(matches: &Matches) -> Vec<u32> {
    let mut slots: Vec<u32> = matches.members().map(|m| m.slot).collect();
    slots.sort_unstable();
    slots
}

/// All 1,024 ways to write a subject of ten tokens with `*` or `a`. Returns the one they all match.
fn insert_overlapping(sublist: &Sublist) -> String {
    for bits in 0..1024_u32 {
        let token = |i: u32| if (bits >> i) & 1 == 1 { "*" } else { "a" };
        let filter: Vec<&str> = (0..10).map(token).collect();
        sublist.insert(filter.join(".").as_bytes(), None, member(bits));
    }
    ["a"; 10].join(".")
}

fn check(filter: &str, subject: &str, expected: bool) {
    let sublist = Sublist::new(1);
    let interest = sublist.insert(filter.as_bytes(), None, member(3));
    let matched = !sublist.matches(subject.as_bytes()).is_empty();
    assert_eq!(matched, expected, "{filter} on {subject}");
    assert_eq!(sublist.has_interest(subject.as_bytes()), expected);
    assert!(sublist.remove(&interest, member(3)));
    assert!(!sublist.has_interest(subject.as_bytes()));
    sublist.assert_invariants();
}

#[test]
fn wildcards_match_whole_tokens() {
    check("a.b", "a.b", true);
    check("a.b", "a.B", false);
    check("a.b", "a.b.c", false);
    check("*", "a", true);
    check("*", "a.b", false);
    check("a.*", "a", false);
    check("a.*.c", "a.b.c", true);
    check("a.*.c", "a.b.d", false);
    check(">", "a", true);
    check(">", "a.b.c", true);
    check("a.>", "a", false);
    check("a.>", "a.b.c", true);
    check("*.>", "a", false);
    check("*.>", "a.b", true);
    check("a.*.>", "a.b.c.d", true);
    check("*.*", "a.b", true);
}

#[test]
fn a_wildcard_byte_within_a_token_is_literal() {
    check("*x", "*x", true);
    check("*x", "ax", false);
    check("a.b>", "a.b>", true);
    check("a.b>", "a.bc", false);
    check("a.**", "a.**", true);
    check("a.**", "a.b", false);
}

#[test]
fn a_published_wildcard_token_meets_only_wildcards() {
    check("a.*", "a.*", true);
    check("a.>", "a.*", true);
    check("a.>", "a.>", true);
    check("a.*", "a.>", true);
    check("a.b", "a.*", false);
    check("*.b", "*.b", true);
    check("a.b.c", "a.>", false);
    check("a.*.c", "a.b.>", false);
}

#[test]
fn a_subject_with_an_empty_token_matches_nothing() {
    for subject in ["", ".", "a.", ".a", "a..b", "a.b."] {
        check(">", subject, false);
        check("*", subject, false);
        check("*.*", subject, false);
        check("a.>", subject, false);
        check("a.*.b", subject, false);
    }
}

#[test]
fn a_connection_with_two_matching_subscriptions_is_there_twice() {
    let sublist = Sublist::new(1);
    let other_sid = Member {
        sid: 8,
        ..member(3)
    };
    sublist.insert(b"a.b", None, member(3));
    sublist.insert(b"a.*", None, other_sid);
    // The same subject twice, by two sids, counts twice; the very same member once.
    sublist.insert(b"a.b", None, other_sid);
    sublist.insert(b"a.b", None, other_sid);
    let matches = sublist.matches(b"a.b");
    assert_eq!(matches.plain_len(), 3);
    assert_eq!(matches.contains_slot(3, 1).map(|m| m.slot), Some(3));
    assert_eq!(matches.contains_slot(3, 2), None);
    assert_eq!(matches.contains_slot(2, 1), None);
    assert_eq!(sublist.stats().inserts, 3);
}

#[test]
fn groups_of_one_name_are_one_group() {
    let sublist = Sublist::new(1);
    sublist.insert(b"a.b", Some(b"workers"), member(1));
    sublist.insert(b"a.*", Some(b"workers"), member(2));
    sublist.insert(b"a.>", Some(b"auditors"), member(3));
    sublist.insert(b">", Some(b"workers"), member(1));
    sublist.insert(b"x", Some(b"workers"), member(9));
    let matches = sublist.matches(b"a.b");
    assert_eq!(matches.plain_len(), 0);
    let names: Vec<_> = matches.groups().iter().map(|g| g.name()).collect();
    assert_eq!(names, [&b"auditors"[..], b"workers"]);
    let workers = &matches.groups()[1];
    let mut slots: Vec<_> = (0..workers.len()).map(|i| workers.member(i).slot).collect();
    slots.sort_unstable();
    assert_eq!(slots, [1, 1, 2]);
    // A queue member is no plain member.
    assert_eq!(matches.contains_slot(1, 1), None);
}

#[test]
fn an_interest_is_exact() {
    let sublist = Sublist::new(1);
    let plain = sublist.insert(b"a.b", None, member(1));
    let queue = sublist.insert(b"a.b", Some(b"q"), member(2));
    assert_ne!(plain, queue);
    assert_eq!(plain, sublist.insert(b"a.b", None, member(4)));
    assert_eq!(queue.queue(), Some(&b"q"[..]));
    assert!(!sublist.remove(&queue, member(1)));
    assert!(!sublist.remove(&plain, member(2)));
    assert!(sublist.remove(&queue, member(2)));
    assert!(!sublist.remove(&queue, member(2)));
    assert_eq!(slots(&sublist.matches(b"a.b")), [1, 4]);
    // A handle outlives its members and still names them when they come back.
    sublist.insert(b"a.b", Some(b"q"), member(5));
    assert!(sublist.remove(&queue, member(5)));
    assert_eq!(size_of::<Interest>(), 8);
    assert_eq!(size_of::<Member>(), 16);
}

#[test]
fn a_fleet_comes_and_goes() {
    let sublist = Sublist::new(5);
    let own = |i: u32| format!("mcollective.node.host{i}.example.net");
    let mut interests = Vec::new();
    for i in 0..FLEET {
        let shared = sublist.insert(b"mcollective.broadcast.agent.rpcutil", None, member(i));
        let mine = sublist.insert(own(i).as_bytes(), None, member(i));
        interests.push((i, shared, mine));
    }
    let broadcast = sublist.matches(b"mcollective.broadcast.agent.rpcutil");
    // In ascending order the chunks are filled to the last place.
    assert_eq!(broadcast.chunk_count(), FLEET.div_ceil(256) as usize);
    assert_eq!(slots(&broadcast), (0..FLEET).collect::<Vec<_>>());
    assert_eq!(slots(&sublist.matches(own(777).as_bytes())), [777]);
    sublist.assert_invariants();

    // Every third stays, the others go in an order that is not that of their coming.
    let (stay, go): (Vec<_>, Vec<_>) = interests.into_iter().partition(|(i, ..)| i % 3 == 0);
    for (i, shared, mine) in go
        .iter()
        .rev()
        .step_by(2)
        .chain(go.iter().rev().skip(1).step_by(2))
    {
        assert!(sublist.remove(shared, member(*i)));
        assert!(sublist.remove(mine, member(*i)));
    }
    sublist.assert_invariants();
    let left = sublist.matches(b"mcollective.broadcast.agent.rpcutil");
    assert_eq!(slots(&left), (0..FLEET).step_by(3).collect::<Vec<_>>());
    assert!(!sublist.has_interest(own(1).as_bytes()));
    // The snapshot of before has not moved.
    assert_eq!(slots(&broadcast), (0..FLEET).collect::<Vec<_>>());

    for (i, shared, mine) in stay {
        assert!(sublist.remove(&shared, member(i)));
        assert!(sublist.remove(&mine, member(i)));
    }
    sublist.assert_invariants();
    let stats = sublist.stats();
    assert_eq!((stats.subscriptions, stats.interests), (0, 0));
    assert_eq!(stats.inserts, u64::from(FLEET) * 2);
    assert_eq!(stats.removes, stats.inserts);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let sublist = Sublist::new(1);
    for size in [1, 2, 16, 17, 256, 257, 1000] {
        let subject = format!("s.{size}");
        let insert = |slot| sublist.insert(subject.as_bytes(), None, member(slot));
        let interest = insert(0);
        (1..size).for_each(|i| drop(insert(i * 2)));
        let before = sublist.matches(subject.as_bytes());
        let expected: Vec<u32> = (0..size).map(|i| i * 2).collect();
        assert_eq!(slots(&before), expected);
        insert(1);
        insert(5000);
        for i in 0..size {
            assert!(sublist.remove(&interest, member(i * 2)));
        }
        assert_eq!(slots(&before), expected);
        assert_eq!(slots(&sublist.matches(subject.as_bytes())), [1, 5000]);
    }
    sublist.assert_invariants();
}

#[test]
fn many_overlapping_wildcards_gather_into_few_chunks() {
    let sublist = Sublist::new(1);
    let subject = insert_overlapping(&sublist);
    let matches = sublist.matches(subject.as_bytes());
    assert_eq!(slots(&matches), (0..1024).collect::<Vec<_>>());
    assert_eq!(matches.chunk_count(), 4);
    assert_eq!(matches.contains_slot(1023, 1), Some(member(1023)));
    assert_eq!(matches.contains_slot(1024, 1), None);
    sublist.assert_invariants();
}

#[test]
fn depth_is_no_danger() {
    let sublist = Sublist::new(1);
    let mut filter = "*.".repeat(100_000);
    filter.push('>');
    let interest = sublist.insert(filter.as_bytes(), None, member(1));
    let subject = "a.".repeat(100_000) + "a";
    assert!(sublist.has_interest(subject.as_bytes()));
    sublist.assert_invariants();
    assert!(sublist.remove(&interest, member(1)));
    sublist.insert(filter.as_bytes(), None, member(1));
    drop(sublist);
}

#[test]
fn the_cache_admits_at_the_second_sighting() {
    let sublist = Sublist::new(1);
    let mut cache = MatchCache::new(16, 1);
    sublist.insert(b"a.b", None, member(1));
    let counts = |cache: &MatchCache| {
        let stats = cache.stats();
        (stats.hits, stats.misses, stats.len)
    };
    cache.matches(&sublist, b"a.b");
    assert_eq!(counts(&cache), (0, 1, 0));
    let second = cache.matches(&sublist, b"a.b");
    assert_eq!(counts(&cache), (0, 2, 1));
    let third = cache.matches(&sublist, b"a.b");
    assert_eq!(counts(&cache), (1, 2, 1));
    assert!(Arc::ptr_eq(&second, &third));
    assert_eq!(cache.fanout(), (1, 1));
    // What is not looked up again is not kept for ever.
    sublist.insert(b"a.b", None, member(2));
    cache.sweep(&sublist, 1);
    assert_eq!(cache.stats().invalidated, 1);
    assert_eq!(cache.stats().len, 0);
    cache.assert_invariants();
}

#[test]
fn only_what_concerns_a_subject_invalidates_it() {
    let sublist = Sublist::new(1);
    let mut cache = MatchCache::new(16, 1);
    let mut is_hit = |subject: &[u8]| {
        let before = cache.stats().hits;
        cache.matches(&sublist, subject);
        cache.stats().hits > before
    };
    sublist.insert(b"a.b.c", None, member(1));
    for expected in [false, false, true] {
        assert_eq!(is_hit(b"a.b.c"), expected);
    }
    // The hash is keyed with a fixed seed, so that these do not meet by chance.
    for unrelated in ["b.>", "a.c.*", "_INBOX.x.*", "a.b", "a.b.c.d", "a.b.d", "b"] {
        sublist.insert(unrelated.as_bytes(), None, member(2));
        assert!(is_hit(b"a.b.c"), "{unrelated}");
    }
    for related in [
        "a.b.c", "a.b.*", "a.b.>", "a.*.c", "a.>", "*.b.c", ">", "a.b.*.d",
    ] {
        let interest = sublist.insert(related.as_bytes(), None, member(3));
        assert!(!is_hit(b"a.b.c"), "{related} came");
        assert!(is_hit(b"a.b.c"));
        assert!(sublist.remove(&interest, member(3)));
        assert!(!is_hit(b"a.b.c"), "{related} went");
        assert!(is_hit(b"a.b.c"));
    }
}

#[test]
fn the_cache_is_bounded_in_number_and_weight() {
    let sublist = Sublist::new(1);
    let mut cache = MatchCache::new(8, 1);
    for i in 0..100 {
        let subject = format!("s.{i}");
        for _ in 0..3 {
            cache.matches(&sublist, subject.as_bytes());
            cache.assert_invariants();
        }
    }
    assert_eq!(cache.stats().len, 8);
    // A result of 1,000 gathered members is above the share of one place.
    let subject = insert_overlapping(&sublist);
    let hits = cache.stats().hits;
    for _ in 0..4 {
        assert_eq!(
            cache.matches(&sublist, subject.as_bytes()).plain_len(),
            1024
        );
        cache.assert_invariants();
    }
    assert_eq!(cache.stats().hits, hits);
}

/// A writer announces each change after it was made; a reader that heard of it must see it, cached or
/// not. The reader ends when the writer has.
#[test]
fn what_was_announced_is_seen_on_other_threads() {
    const ROUNDS: u64 = 20_000;
    let sublist = Sublist::new(1);
    // Odd: one more member is in; even: it is out again. Member = round.
    let announced = AtomicU64::new(0);
    let reader = || {
        let mut cache = MatchCache::new(4, 1);
        let mut checked = 0_u64;
        loop {
            let known = announced.load(Ordering::Acquire);
            let matches = cache.matches(&sublist, b"a.b.c");
            // Two subscriptions stay throughout; one more may be there.
            assert!((2..=3).contains(&matches.plain_len()));
            // Members do not come back, so one whose going was announced is gone for good.
            let gone = u32::try_from(known / 2).unwrap();
            if gone > 0 {
                assert_eq!(
                    matches.contains_slot(gone, 1),
                    None,
                    "{gone} is still there"
                );
                checked += 1;
            }
            if known == 2 * ROUNDS {
                return (checked, cache.stats());
            }
        }
    };
    sublist.insert(b"a.b.c", None, member(0));
    sublist.insert(b"a.>", None, member(0));
    thread::scope(|scope| {
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for round in 1..=ROUNDS {
            let filter: &[u8] = if round % 3 == 0 { b"a.*.c" } else { b"a.b.c" };
            let slot = u32::try_from(round).unwrap();
            let interest = sublist.insert(filter, None, member(slot));
            // This thread's own view, through the same locks.
            assert!(sublist.matches(b"a.b.c").contains_slot(slot, 1).is_some());
            announced.store(2 * round - 1, Ordering::Release);
            assert!(sublist.remove(&interest, member(slot)));
            announced.store(2 * round, Ordering::Release);
        }
        for reader in readers {
            let (checked, stats) = reader.join().unwrap();
            assert!(checked > 0, "at least the last announcement was heard");
            assert!(stats.misses > 0);
        }
    });
    sublist.assert_invariants();
}

/// Members only come, so whatever was announced must be in every later result.
#[test]
fn an_announced_member_is_never_missed() {
    const MEMBERS: u32 = 5_000;
    let sublist = Sublist::new(1);
    let announced = AtomicU64::new(0);
    let reader = || {
        let mut cache = MatchCache::new(4, 1);
        loop {
            let known = announced.load(Ordering::Acquire);
            let matches = cache.matches(&sublist, b"a.b.c");
            assert!(u64::try_from(matches.plain_len()).unwrap() >= known);
            if let Some(last) = u32::try_from(known).unwrap().checked_sub(1) {
                assert_eq!(matches.contains_slot(last, 1), Some(member(last)));
            }
            if known == u64::from(MEMBERS) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(reader);
        scope.spawn(reader);
        for slot in 0..MEMBERS {
            let filter: &[u8] = if slot % 5 == 0 { b"a.>" } else { b"a.b.c" };
            sublist.insert(filter, None, member(slot));
            announced.store(u64::from(slot) + 1, Ordering::Release);
        }
    });
    assert_eq!(sublist.matches(b"a.b.c").plain_len(), MEMBERS as usize);
}
