//! Whatever a server sends, and in whatever order things are reported: no panic, and the core's own promises hold.

use std::time::Duration;

use muster_client::nats::{State, TlsMode};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Fixture, INFO, config};

#[derive(Debug, Clone)]
enum Step {
    Connected,
    Failed,
    Lost,
    TlsReady,
    Bytes(Vec<u8>),
    Timeout,
    Elapse(u64),
    Poll,
    Subscribe,
    Unsubscribe(u64, Option<u64>),
    Publish(usize),
    Flush,
    Written(usize),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::sample::select(vec![
        &b"PONG\r\n"[..],
        b"PING\r\n",
        b"+OK\r\n",
        b"MSG a 1 3\r\nabc\r\n",
        b"MSG a 1 3\r\nab",
        b"HMSG a 1 r 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
        b"HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        b"-ERR 'Stale Connection'\r\n",
        b"-ERR 'Permissions Violation'\r\n",
        b"INFO {\"tls_required\":true}\r\n",
        b"INFO {\"connect_urls\":[\"a:1\",\"b:2\"],\"ldm\":true,\"max_payload\":-1}\r\n",
        b"INFO {\"connect_urls\":[\"c:1\"]}\r\n",
        b"INFO {}\r\n",
    ]);
    prop_oneof![
        6 => whole.prop_map(<[u8]>::to_vec),
        1 => Just(format!("{INFO}\r\n").into_bytes()),
        1 => vec(any::<u8>(), 0..40),
        1 => vec(prop::sample::select(b"MSGHPINFO-ER+K 01\r\n{}'".to_vec()), 0..40),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Poll),
        4 => Just(Step::Connected),
        1 => Just(Step::Failed),
        1 => Just(Step::Lost),
        2 => Just(Step::TlsReady),
        12 => bytes().prop_map(Step::Bytes),
        2 => Just(Step::Timeout),
        1 => (0..200_000_u64).prop_map(Step::Elapse),
        2 => Just(Step::Subscribe),
        1 => (0..5_u64, prop::option::of(0..4_u64)).prop_map(|(sid, max)| Step::Unsubscribe(sid, max)),
        2 => (0..2000_usize).prop_map(Step::Publish),
        1 => Just(Step::Flush),
        1 => (0..200_usize).prop_map(Step::Written),
    ]
}

fn apply(f: &mut Fixture, step: Step) {
    match step {
        Step::Connected => f.core.handle_connected(f.now),
        Step::Failed => f.fail(),
        Step::Lost => f.lose(),
        Step::TlsReady => f.core.handle_tls_ready(f.now),
        Step::Bytes(bytes) => drop(f.try_feed(&bytes)),
        Step::Timeout => drop(f.timeout()),
        Step::Elapse(ms) => {
            f.now += Duration::from_millis(ms);
            f.core.handle_timeout(f.now, &mut f.sink);
        }
        Step::Poll => drop(f.core.poll_action()),
        Step::Subscribe => drop(f.core.subscribe(b"a", None)),
        Step::Unsubscribe(sid, max) => f.core.unsubscribe(muster_client::nats::Sid(sid), max),
        Step::Publish(size) => drop(f.core.publish(b"a", None, &vec![b'x'; size])),
        Step::Flush => drop(f.core.flush()),
        Step::Written(count) => f.core.output().advance(count),
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_stand_still(
        steps in vec(step(), 0..120),
        servers in 1..4_usize,
        tls in prop::sample::select(vec![TlsMode::Off, TlsMode::Required, TlsMode::IfServerWants]),
        seed: u64,
    ) {
        let mut config = config(servers);
        config.tls = tls;
        let mut f = Fixture::with_seed(config, seed);
        for step in steps {
            apply(&mut f, step);
            // There is always a next deadline, so a core never waits for ever.
            prop_assert!(f.core.poll_timeout().is_some());
            let silent = matches!(f.core.state(), State::Disconnected | State::Connecting);
            prop_assert!(!silent || f.core.output().is_empty());
        }
        // And with a server that behaves it comes back.
        if tls != TlsMode::Required {
            f.lose();
            while f.core.state() != State::Connecting {
                f.timeout();
            }
            while matches!(f.core.poll_action(), Some(muster_client::nats::Action::Close(_))) {}
            f.core.handle_connected(f.now);
            f.feed(&format!("{INFO}\r\nPONG\r\n"));
            prop_assert_eq!(f.core.state(), State::Ready);
        }
    }

    #[test]
    fn the_cut_of_the_input_changes_nothing(
        pieces in vec(bytes(), 0..8),
        cuts in vec(1..12_usize, 1..60),
    ) {
        let input = pieces.concat();
        let run = |pieces: Vec<&[u8]>| {
            let mut f = Fixture::ready();
            f.core.subscribe(b"a", None);
            for piece in pieces {
                if f.try_feed(piece).is_err() {
                    break;
                }
            }
            (f.core.state(), f.messages(), f.events(), f.written())
        };
        let mut cut = Vec::new();
        let mut rest = &input[..];
        for size in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*size).min(rest.len()));
            cut.push(piece);
            rest = tail;
        }
        prop_assert_eq!(run(vec![&input]), run(cut));
    }
}
