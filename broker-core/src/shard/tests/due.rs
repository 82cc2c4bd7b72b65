//! What is due: keep-alives, credentials, the write deadline, the end of a farewell.

use super::fleet::Fleet;
use super::{MS, SECOND};
use crate::close::CloseReason;
use crate::config::Credentials;

#[test]
fn the_first_keep_alive_comes_soon_and_then_at_the_interval() {
    let mut fleet = Fleet::new(1, |config| config.ping_interval = 60 * SECOND);
    let client = fleet.client(0);
    fleet.advance(2 * SECOND - MS);
    assert_eq!(fleet.take(client), "");
    fleet.advance(401 * MS);
    assert_eq!(fleet.take(client), "PING\r\n");
    fleet.advance(30 * MS);
    fleet.send(client, "PONG\r\n");
    fleet.pump();
    let rtt = fleet.shards[0]
        .connection(client.key, false)
        .unwrap()
        .rtt
        .unwrap();
    assert!(rtt >= 30 * MS && rtt <= 431 * MS, "{rtt:?}");
    // Its round trip is known and it spoke within the interval.
    fleet.advance(50 * SECOND);
    fleet.send(client, "PUB nobody 0\r\n\r\n");
    fleet.advance(15 * SECOND);
    assert_eq!(fleet.take(client), "");
    fleet.advance(60 * SECOND);
    assert_eq!(fleet.take(client), "PING\r\n");
}

#[test]
fn unanswered_keep_alives_end_a_connection() {
    let mut fleet = Fleet::new(1, |config| {
        config.ping_interval = 10 * SECOND;
        config.pings_out_max = 2;
    });
    let client = fleet.client(0);
    fleet.advance(21 * SECOND);
    assert!(!fleet.is_closed(client));
    assert_eq!(fleet.take(client), "PING\r\nPING\r\n");
    fleet.advance(2 * SECOND);
    assert_eq!(fleet.take(client), "-ERR 'Stale Connection'\r\n");
    assert!(fleet.is_closed(client));
    assert_eq!(fleet.reason(client), Some(CloseReason::StaleConnection));
    assert_eq!(fleet.counters().stale_connections, 1);
}

#[test]
fn no_keep_alive_before_the_first_pong() {
    let mut fleet = Fleet::new(1, |config| config.ping_interval = 100 * MS);
    let client = fleet.accept(0).unwrap();
    fleet.send(client, "CONNECT {\"verbose\":false}\r\n");
    fleet.advance(1999 * MS);
    assert_eq!(fleet.take(client), "");
    fleet.advance(2 * MS);
    assert_eq!(fleet.take(client), "PING\r\n");
}

#[test]
fn credentials_are_wanted_in_time() {
    let with_token = |config: &mut crate::config::CoreConfig| {
        config.authenticator = Some(std::sync::Arc::new(Credentials::Token("secret".into())));
        config.auth_timeout = SECOND;
    };
    let mut fleet = Fleet::new(1, with_token);
    let late = fleet.accept(0).unwrap();
    let wrong = fleet.accept(0).unwrap();
    let right = fleet.accept(0).unwrap();
    fleet.send(
        wrong,
        "CONNECT {\"auth_token\":\"public\"}\r\nSUB foo 1\r\n",
    );
    fleet.send(
        right,
        "CONNECT {\"auth_token\":\"secret\",\"verbose\":false}\r\n",
    );
    fleet.advance(SECOND - MS);
    assert_eq!(fleet.take(wrong), "-ERR 'Authorization Violation'\r\n");
    assert!(fleet.is_closed(wrong) && !fleet.is_closed(late));
    fleet.advance(MS);
    assert_eq!(fleet.take(late), "-ERR 'Authentication Timeout'\r\n");
    assert!(fleet.is_closed(late));
    fleet.advance(SECOND / 2);
    assert!(!fleet.is_closed(right));
    assert_eq!(fleet.counters().auth_failures, 2);
    assert_eq!(fleet.broker.accounts()[0].sublist.stats().subscriptions, 0);
}

#[test]
fn the_write_deadline_counts_from_the_last_byte_taken() {
    let mut fleet = Fleet::new(1, |config| config.write_deadline = 10 * SECOND);
    let client = fleet.client(0);
    fleet.block(client);
    fleet.send(client, "PING\r\n");
    fleet.advance(9 * SECOND);
    fleet.unblock(client);
    fleet.block(client);
    fleet.send(client, "PING\r\n");
    fleet.advance(9 * SECOND);
    assert!(!fleet.is_closed(client));
    fleet.advance(SECOND);
    assert!(fleet.is_closed(client));
    assert_eq!(
        fleet.reason(client),
        Some(CloseReason::SlowConsumerWriteDeadline)
    );
}

#[test]
fn a_farewell_that_is_not_read_is_given_up() {
    let mut fleet = Fleet::new(1, |_| {});
    let client = fleet.client(0);
    fleet.block(client);
    fleet.send(client, "ZZZ");
    fleet.advance(SECOND);
    assert!(!fleet.is_closed(client));
    fleet.advance(2 * SECOND);
    assert!(fleet.is_closed(client));
    assert_eq!(fleet.reason(client), Some(CloseReason::UnknownOperation));
}
