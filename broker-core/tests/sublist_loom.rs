//! Every interleaving of a writer and a reader with a cache, by loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p muster-broker-core --test sublist_loom --release`

#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use muster_broker_core::sublist::{MatchCache, Member, Sublist};

const MEMBER: Member = Member {
    slot: 1,
    generation: 1,
    sid: 1,
};

fn is_there(cache: &mut MatchCache, sublist: &Sublist) -> bool {
    let matches = cache.matches(sublist, b"a.b");
    matches.contains_slot(1, 1).is_some()
}

/// A cache that has seen the subject once, so that the next miss is kept.
fn primed(sublist: &Sublist) -> MatchCache {
    let mut cache = MatchCache::new(1, 1);
    cache.matches(sublist, b"a.b");
    cache
}

fn insertion_is_seen(filter: &'static [u8]) {
    loom::model(move || {
        let sublist = Arc::new(Sublist::new(1));
        let mut cache = primed(&sublist);
        let writer = {
            let sublist = Arc::clone(&sublist);
            thread::spawn(move || drop(sublist.insert(filter, None, MEMBER)))
        };
        // Kept, and of before, of after, or made while the change was under way.
        is_there(&mut cache, &sublist);
        writer.join().expect("a panic ends the model");
        assert!(is_there(&mut cache, &sublist));
        assert!(is_there(&mut cache, &sublist));
    });
}

fn removal_is_seen(filter: &'static [u8]) {
    loom::model(move || {
        let sublist = Arc::new(Sublist::new(1));
        let interest = sublist.insert(filter, None, MEMBER);
        let mut cache = primed(&sublist);
        let writer = {
            let sublist = Arc::clone(&sublist);
            thread::spawn(move || assert!(sublist.remove(&interest, MEMBER)))
        };
        is_there(&mut cache, &sublist);
        writer.join().expect("a panic ends the model");
        assert!(!is_there(&mut cache, &sublist));
        assert!(!is_there(&mut cache, &sublist));
    });
}

#[test]
fn a_literal_insertion_is_seen() {
    insertion_is_seen(b"a.b");
}

#[test]
fn a_wildcard_insertion_is_seen() {
    insertion_is_seen(b"a.*");
}

#[test]
fn a_root_insertion_is_seen() {
    insertion_is_seen(b">");
}

#[test]
fn a_literal_removal_is_seen() {
    removal_is_seen(b"a.b");
}

#[test]
fn a_wildcard_removal_is_seen() {
    removal_is_seen(b"*.b");
}

/// The announcement is a message, not the end of the thread.
#[test]
fn what_was_announced_is_seen() {
    loom::model(|| {
        let sublist = Arc::new(Sublist::new(1));
        let done = Arc::new(AtomicBool::new(false));
        let mut cache = primed(&sublist);
        let writer = {
            let (sublist, done) = (Arc::clone(&sublist), Arc::clone(&done));
            thread::spawn(move || {
                sublist.insert(b"a.b", None, MEMBER);
                done.store(true, Ordering::Release);
            })
        };
        is_there(&mut cache, &sublist);
        if done.load(Ordering::Acquire) {
            assert!(is_there(&mut cache, &sublist));
        }
        writer.join().expect("a panic ends the model");
    });
}

/// A client that replaces its subscription is seen with one of the two, or both, never with none.
#[test]
fn a_replacement_leaves_no_gap() {
    loom::model(|| {
        let sublist = Arc::new(Sublist::new(1));
        let wildcard = sublist.insert(b"a.*", None, MEMBER);
        let writer = {
            let sublist = Arc::clone(&sublist);
            thread::spawn(move || {
                sublist.insert(b"a.b", None, MEMBER);
                assert!(sublist.remove(&wildcard, MEMBER));
            })
        };
        assert!(sublist.has_interest(b"a.b"));
        assert!(!sublist.matches(b"a.b").is_empty());
        writer.join().expect("a panic ends the model");
    });
}
