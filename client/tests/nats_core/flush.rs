//! Flushes, and the pings that tell a dead link.

use std::time::Duration;

use muster_client::nats::{Event, LinkEnd};

use crate::support::{Fixture, config};

#[test]
fn flushes_are_answered_in_order() {
    let mut f = Fixture::ready();
    f.core.subscribe(b"a", None);
    let first = f.core.flush();
    f.core.publish(b"b", None, b"").unwrap();
    let second = f.core.flush();
    assert!(second > first);
    assert_eq!(f.written(), "SUB a 1\r\nPING\r\nPUB b 0\r\n\r\nPING\r\n");
    f.feed("PONG\r\n");
    assert_eq!(f.events(), [Event::Flushed(first)]);
    f.feed("PONG\r\nPONG\r\nPONG\r\n");
    assert_eq!(f.events(), [Event::Flushed(second)]);
}

#[test]
fn a_flush_before_the_connection_stands_behind_subscriptions_and_publishes() {
    let mut f = Fixture::new(config(1));
    f.core.subscribe(b"a", None);
    f.core.publish(b"b", None, b"").unwrap();
    f.core.flush();
    let last = f.core.flush();
    f.dial();
    f.core.handle_connected(f.now);
    f.feed("INFO {}\r\n");
    f.written();
    f.feed("PONG\r\n");
    assert_eq!(f.written(), "SUB a 1\r\nPUB b 0\r\n\r\nPING\r\n");
    assert_eq!(f.events(), [Event::Connected]);
    f.feed("PONG\r\n");
    assert_eq!(f.events(), [Event::Flushed(last)]);
}

#[test]
fn a_flush_outlives_the_link() {
    let mut f = Fixture::ready();
    f.core.flush();
    let second = f.core.flush();
    f.lose();
    let third = f.core.flush();
    f.timeout();
    f.connect();
    let fourth = f.core.flush();
    assert_eq!(
        (f.written(), f.events()),
        ("PING\r\nPING\r\n".into(), vec![])
    );
    f.feed("PONG\r\n");
    assert_eq!(f.events(), [Event::Flushed(third)]);
    f.feed("PONG\r\n");
    assert_eq!(f.events(), [Event::Flushed(fourth)]);
    assert!(second < third && third < fourth);
}

#[test]
fn a_silent_server_is_given_up_after_two_pings() {
    let mut f = Fixture::ready();
    for _ in 0..2 {
        assert_eq!(f.timeout(), Duration::from_secs(120));
        assert_eq!(f.written(), "PING\r\n");
    }
    assert_eq!(f.timeout(), Duration::from_secs(120));
    f.assert_closed_by_core(LinkEnd::Stale);
    assert_eq!(f.events()[0], Event::Disconnected(LinkEnd::Stale));
    assert_eq!(f.written(), "");
}

#[test]
fn a_pong_keeps_the_link() {
    let mut f = Fixture::ready();
    for _ in 0..10 {
        f.timeout();
        assert_eq!(f.written(), "PING\r\n");
        f.timeout();
        assert_eq!(f.written(), "PING\r\n");
        f.feed("PONG\r\n");
    }
    assert!(f.core.connected_server().is_some());
}

#[test]
fn pings_start_afresh_on_a_new_link() {
    let mut f = Fixture::ready();
    f.timeout();
    f.timeout();
    f.lose();
    f.timeout();
    f.connect();
    f.timeout();
    f.timeout();
    assert!(f.core.connected_server().is_some());
    f.timeout();
    f.assert_closed_by_core(LinkEnd::Stale);
}
