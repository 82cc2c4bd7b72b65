//! Subscriptions and messages on a working connection.

use muster_client::nats::{Event, LinkEnd, Sid};

use crate::support::{Fixture, INFO};

const SCRIPT: &str = concat!(
    "MSG foo 1 5\r\nhello\r\n",
    "PING\r\n",
    "MSG foo.bar 2 _INBOX.1 0\r\n\r\n",
    "+OK\r\n",
    "HMSG foo 1 _INBOX.2 19 22\r\nNATS/1.0\r\nA: bc\r\n\r\nxyz\r\n",
    "MSG foo 1 7\r\n\r\nPING\r\r\n",
    "-ERR 'Permissions Violation for Publish to \"x\"'\r\n",
    "INFO {\"max_payload\":5,\"ldm\":true}\r\n",
    "MSG gone 9 1\r\nx\r\n",
    "MSG foo 2 3\r\nend\r\n",
);

fn messages() -> Vec<String> {
    [
        "1 foo None [] hello",
        "2 foo.bar Some(\"_INBOX.1\") [] ",
        "1 foo Some(\"_INBOX.2\") [NATS/1.0~A: bc~~] xyz",
        "1 foo None [] ~PING\r",
        "2 foo None [] end",
    ]
    .map(String::from)
    .to_vec()
}

fn subscribed() -> Fixture {
    let mut f = Fixture::ready();
    assert_eq!(f.core.subscribe(b"foo", None), Sid(1));
    assert_eq!(f.core.subscribe(b">", Some(b"workers")), Sid(2));
    assert_eq!(f.written(), "SUB foo 1\r\nSUB > workers 2\r\n");
    f
}

fn check(f: &mut Fixture, how: &str) {
    assert_eq!(f.messages(), messages(), "{how}");
    let denied = "Permissions Violation for Publish to \"x\"";
    assert_eq!(
        f.events(),
        [Event::ServerError(denied.into()), Event::LameDuck],
        "{how}"
    );
    assert_eq!(f.written(), "PONG\r\n", "{how}");
    let stats = f.core.stats();
    assert_eq!(
        (stats.in_messages, stats.in_bytes, stats.unknown_sid),
        (5, 5 + 22 + 7 + 3, 1)
    );
}

#[test]
fn messages_are_the_same_however_the_input_is_cut() {
    let mut f = subscribed();
    f.feed(SCRIPT);
    check(&mut f, "whole");
    for at in 1..SCRIPT.len() {
        let mut f = subscribed();
        let (head, tail) = SCRIPT.as_bytes().split_at(at);
        f.try_feed(head).unwrap();
        f.try_feed(tail).unwrap();
        check(&mut f, &format!("cut at {at}"));
    }
    for size in [1, 2, 3, 7, 64] {
        let mut f = subscribed();
        for piece in SCRIPT.as_bytes().chunks(size) {
            f.try_feed(piece).unwrap();
        }
        check(&mut f, &format!("pieces of {size}"));
    }
}

#[test]
fn the_handshake_is_the_same_however_the_input_is_cut() {
    let script = format!("{INFO}\r\nPONG\r\n{INFO}\r\nMSG foo 1 2\r\nhi\r\n");
    for at in 0..=script.len() {
        let mut f = Fixture::new(crate::support::config(1));
        f.core.subscribe(b"foo", None);
        f.dial();
        f.core.handle_connected(f.now);
        f.feed(&script[..at]);
        f.feed(&script[at..]);
        assert_eq!(f.messages(), ["1 foo None [] hi"], "{at}");
        assert_eq!(f.events(), [Event::Connected]);
        assert!(f.written().ends_with("}\r\nPING\r\nSUB foo 1\r\n"));
    }
}

#[test]
fn publishes_are_framed_and_counted() {
    let mut f = Fixture::ready();
    f.core.publish(b"a.b", None, b"hello").unwrap();
    f.core.publish(b"a.b", Some(b"r"), b"").unwrap();
    f.core
        .publish_with_headers(b"a.b", Some(b"r"), b"NATS/1.0\r\n\r\n", b"xy")
        .unwrap();
    let wanted =
        "PUB a.b 5\r\nhello\r\nPUB a.b r 0\r\n\r\nHPUB a.b r 12 14\r\nNATS/1.0\r\n\r\nxy\r\n";
    assert_eq!(f.core.output().as_slice(), wanted.as_bytes());
    f.core.output().advance(10);
    assert_eq!(f.written(), wanted[10..]);
    let stats = f.core.stats();
    assert_eq!(
        (stats.out_messages, stats.out_bytes, stats.refused),
        (3, 19, 0)
    );
}

#[test]
fn a_subscription_ends_at_its_maximum() {
    let mut f = subscribed();
    f.feed("MSG foo 1 1\r\na\r\n");
    f.core.unsubscribe(Sid(1), Some(3));
    assert_eq!(f.written(), "UNSUB 1 3\r\n");
    f.feed("MSG foo 1 1\r\nb\r\n");
    assert_eq!(f.events(), []);
    // A server that delivers too much is stopped here.
    f.feed("MSG foo 1 1\r\nc\r\nMSG foo 1 1\r\nd\r\n");
    assert_eq!(f.events(), [Event::Unsubscribed(Sid(1))]);
    assert_eq!(f.messages().len(), 3);
    assert_eq!(
        (f.core.subscription_count(), f.core.stats().unknown_sid),
        (1, 1)
    );
    f.core.unsubscribe(Sid(1), None);
    assert_eq!(f.written(), "", "it is gone already");
}

#[test]
fn unsubscribing_works_at_once() {
    let mut f = subscribed();
    f.core.unsubscribe(Sid(1), None);
    f.core.unsubscribe(Sid(2), Some(0));
    assert_eq!(f.written(), "UNSUB 1\r\nUNSUB 2\r\n");
    f.feed("MSG foo 1 1\r\na\r\nMSG foo 2 1\r\na\r\n");
    assert_eq!((f.messages(), f.events()), (vec![], vec![]));
}

#[test]
fn no_responders_is_delivered_and_does_not_count() {
    let mut f = subscribed();
    f.core.unsubscribe(Sid(1), Some(1));
    f.feed("HMSG foo 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    assert_eq!(f.messages(), ["1 foo None [NATS/1.0 503~~] "]);
    assert_eq!(f.core.subscription_count(), 2);
    f.feed("MSG foo 1 1\r\na\r\n");
    assert_eq!(f.core.subscription_count(), 1);
}

#[test]
fn errors_of_the_server_end_the_link_or_not() {
    for text in [
        "Permissions Violation for Subscription to \"foo\"",
        "maximum subscriptions exceeded",
        "Invalid Subject",
        "Unknown Protocol Operation",
        "anything",
    ] {
        let mut f = Fixture::ready();
        f.feed(&format!("-ERR '{text}'\r\n"));
        assert_eq!(f.events(), [Event::ServerError(text.into())]);
        assert!(f.core.connected_server().is_some(), "{text}");
    }
    for (text, end) in [
        ("Stale Connection", LinkEnd::StaleToServer),
        ("STALE CONNECTION", LinkEnd::StaleToServer),
        ("maximum connections exceeded", LinkEnd::ServerFull),
        ("User Authentication Revoked", LinkEnd::Unauthorized),
        ("Account Authentication Expired", LinkEnd::Unauthorized),
    ] {
        let mut f = Fixture::ready();
        f.feed(&format!("-ERR '{text}'\r\n"));
        let events = f.events();
        assert_eq!(
            events[..2],
            [Event::ServerError(text.into()), Event::Disconnected(end)]
        );
        f.assert_closed_by_core(end);
    }
}

#[test]
fn no_memory_is_held_for_bytes_that_were_dealt_with() {
    let mut f = subscribed();
    f.feed("MSG foo 1 5\r\nhel");
    f.feed("lo\r\n");
    f.core.publish(b"a", None, b"x").unwrap();
    f.written();
    let shown = format!("{:?}", f.core);
    assert!(
        shown.contains("partial: []") && shown.contains("kept: []"),
        "{shown}"
    );
    assert!(f.core.output().is_empty());
}
