//! Model check of the sleep and wake hand-shake: no notice waits for a shard that sleeps.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p muster-broker-core --test inbox_loom`.

#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use muster_broker_core::ids::ConnRef;
use muster_broker_core::inbox::{Inbox, Notice};

fn notice(slot: u32) -> Vec<Notice> {
    vec![Notice::Dirty(ConnRef {
        slot,
        generation: 1,
    })]
}

/// The owner looks for work, then sleeps if it may; a wake counts as one token, as an eventfd does.
#[test]
fn a_notice_is_taken_or_its_owner_is_woken() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::default());
        let wakes = Arc::new(AtomicUsize::new(0));
        let posters: Vec<_> = (0..2)
            .map(|slot| {
                let (inbox, wakes) = (Arc::clone(&inbox), Arc::clone(&wakes));
                thread::spawn(move || {
                    if inbox.post(&mut notice(slot)) {
                        wakes.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let mut taken = Vec::new();
        inbox.take(&mut taken);
        let sleeps = inbox.prepare_sleep();
        for poster in posters {
            poster.join().unwrap();
        }
        if sleeps && taken.len() < 2 {
            assert!(
                wakes.load(Ordering::SeqCst) > 0,
                "the owner sleeps on {} notices",
                2 - taken.len()
            );
        }
        inbox.woke();
        inbox.take(&mut taken);
        assert_eq!(taken.len(), 2);
    });
}

#[test]
fn one_sleep_is_ended_by_one_wake() {
    loom::model(|| {
        let inbox = Arc::new(Inbox::default());
        assert!(inbox.prepare_sleep());
        let other = {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || inbox.post(&mut notice(0)))
        };
        let here = inbox.post(&mut notice(1));
        let there = other.join().unwrap();
        assert!(here ^ there, "exactly one poster wakes the owner");
    });
}
