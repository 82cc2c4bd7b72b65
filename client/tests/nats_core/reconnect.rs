//! Lost links: what is sent again, which server comes next, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_client::nats::{Event, LinkEnd, Sid, State};

use crate::support::{Fixture, config};

const STEADY: Duration = Duration::from_secs(60);

#[test]
fn everything_is_subscribed_again_and_kept_publishes_follow() {
    let mut f = Fixture::ready();
    f.core.subscribe(b"a", None);
    f.core.subscribe(b"b.*", Some(b"q"));
    f.core.subscribe(b"c", None);
    f.core.subscribe(b"d", None);
    f.core.unsubscribe(Sid(3), None);
    f.core.unsubscribe(Sid(4), Some(5));
    f.feed("MSG d 4 1\r\nx\r\nMSG d 4 1\r\nx\r\n");
    f.written();
    f.core.publish(b"lost", None, b"never written").unwrap();
    f.lose();
    let lost = "PUB lost 13\r\nnever written\r\n";
    assert_eq!(
        f.core.stats().discarded_bytes,
        u64::try_from(lost.len()).unwrap()
    );
    assert_eq!(f.events()[0], Event::Disconnected(LinkEnd::Lost));
    assert_eq!(
        (f.core.poll_action(), f.core.state()),
        (None, State::Disconnected)
    );

    f.core.publish(b"kept", None, b"1").unwrap();
    f.core.subscribe(b"e", None);
    f.timeout();
    f.connect();
    let again = "SUB a 1\r\nSUB b.* q 2\r\nSUB d 4\r\nUNSUB 4 3\r\nSUB e 5\r\n";
    assert_eq!(f.written(), format!("{again}PUB kept 1\r\n1\r\n"));
    assert_eq!(f.core.stats().reconnects(), 1);

    // The server counts from nought; we count on.
    f.core.unsubscribe(Sid(4), Some(4));
    assert_eq!(f.written(), "UNSUB 4 2\r\n");
    f.feed("MSG d 4 1\r\nx\r\nMSG d 4 1\r\nx\r\nMSG d 4 1\r\nx\r\n");
    assert_eq!(
        (f.messages().len(), f.events()),
        (4, vec![Event::Unsubscribed(Sid(4))])
    );
}

#[test]
fn an_unfinished_message_is_forgotten_with_its_link() {
    let mut f = Fixture::ready();
    f.core.subscribe(b"a", None);
    f.feed("MSG a 1 10\r\nhalf");
    f.lose();
    f.timeout();
    f.connect();
    f.feed("MSG a 1 2\r\nhi\r\n");
    assert_eq!(f.messages(), ["1 a None [] hi"]);
}

#[test]
fn one_server_is_tried_for_ever_with_growing_waits() {
    let mut f = Fixture::new(config(1));
    let mut waits = Vec::new();
    for attempt in 2..102 {
        assert_eq!(f.dial().to_string(), "broker0:4222");
        f.fail();
        let events = f.events();
        assert_eq!(events[0], Event::ConnectFailed(LinkEnd::ConnectFailed));
        let Event::Reconnecting {
            attempt: told,
            in_ms,
        } = events[1]
        else {
            panic!("{events:?}")
        };
        let waited = f.timeout();
        assert_eq!((told, u128::from(in_ms)), (attempt, waited.as_millis()));
        waits.push(waited);
    }
    let steps = config(1).backoff;
    for (round, wait) in waits.iter().enumerate() {
        let step = steps.steps()[round.min(43)];
        assert!(
            *wait >= step / 2 && *wait <= step * 3 / 2,
            "{round}: {wait:?} around {step:?}"
        );
    }
    assert!(waits.iter().any(|wait| *wait > Duration::from_secs(20)));
}

#[test]
fn the_first_attempt_never_waits_and_a_lost_only_server_does() {
    let mut f = Fixture::ready();
    f.now += STEADY;
    f.lose();
    assert_eq!(f.core.poll_action(), None);
    let waited = f.timeout();
    assert!((250..=750).contains(&waited.as_millis()), "{waited:?}");
    f.dial();
}

#[test]
fn the_pool_is_walked_before_there_is_a_wait() {
    let mut f = Fixture::new(config(3));
    let first = f.connect();
    f.now += STEADY;
    f.lose();
    let second = f.dial();
    f.fail();
    let third = f.dial();
    f.fail();
    let all: BTreeSet<String> = [&first, &second, &third].map(ToString::to_string).into();
    assert_eq!(all.len(), 3);
    assert_eq!(f.core.poll_action(), None);
    assert!((250..=750).contains(&f.timeout().as_millis()));
    assert_eq!(f.dial(), first);
    f.fail();
    f.dial();
    f.fail();
    f.dial();
    f.fail();
    assert!(
        (375..=1125).contains(&f.timeout().as_millis()),
        "the second step"
    );
}

#[test]
fn servers_that_drop_us_at_once_are_not_hammered() {
    let mut f = Fixture::new(config(2));
    let mut waited = Vec::new();
    for _ in 0..10 {
        for _ in 0..2 {
            f.connect();
            f.lose();
        }
        waited.push(f.timeout());
    }
    let steps = config(2).backoff;
    assert!(
        waited
            .iter()
            .zip(steps.steps())
            .all(|(wait, step)| *wait >= *step / 2),
        "{waited:?}"
    );
    // A steady connection starts it afresh.
    f.connect();
    f.now += STEADY;
    f.lose();
    f.dial();
    f.fail();
    assert!(f.timeout() <= Duration::from_millis(750));
}

/// The servers tried and the times of the attempts, for a hundred failed ones.
fn history(seed: u64) -> Vec<(String, Duration)> {
    let mut f = Fixture::with_seed(config(5), seed);
    let mut history = Vec::new();
    while history.len() < 100 {
        if f.core.state() == State::Disconnected {
            f.timeout();
        }
        history.push((f.dial().to_string(), f.now));
        f.fail();
    }
    history
}

#[test]
fn the_seed_decides_everything() {
    assert_eq!(history(1), history(1));
    let firsts: BTreeSet<String> = (0..50).map(|seed| history(seed)[0].0.clone()).collect();
    assert_eq!(firsts.len(), 5, "a fleet spreads over all servers");
    let times: BTreeSet<Duration> = (0..50).map(|seed| history(seed)[99].1).collect();
    assert!(times.len() > 45, "a fleet does not come back in step");
}

#[test]
fn servers_named_by_a_server_join_the_pool() {
    let mut f = Fixture::ready();
    f.feed("INFO {\"connect_urls\":[\"broker0:4222\",\"10.0.0.9:4222\",\"[::1]:4223\"]}\r\n");
    assert_eq!(
        (f.events(), f.core.servers_known()),
        (vec![Event::ServersLearned(2)], 3)
    );
    f.now += STEADY;
    f.lose();
    let next = f.dial();
    assert!(
        ["10.0.0.9:4222", "[::1]:4223"].contains(&next.to_string().as_str()),
        "{next}"
    );
    assert_eq!(
        f.core.tls_name(),
        "broker0",
        "an address is held against a configured name"
    );
    f.fail();
    f.dial();
    f.fail();
    f.timeout();
    assert_eq!(f.dial().to_string(), "broker0:4222");

    let mut config = config(1);
    config.discover_servers = false;
    let mut f = Fixture::new(config);
    f.connect();
    f.feed("INFO {\"connect_urls\":[\"10.0.0.9:4222\"]}\r\n");
    assert_eq!((f.events(), f.core.servers_known()), (vec![], 1));
}

#[test]
fn lame_duck_is_told_and_the_link_goes_on() {
    let mut f = Fixture::ready();
    f.feed("INFO {\"ldm\":true,\"connect_urls\":[\"broker5:4222\"]}\r\n");
    assert_eq!(f.events(), [Event::LameDuck, Event::ServersLearned(1)]);
    assert_eq!(f.core.state(), State::Ready);
    f.now += STEADY;
    f.lose();
    assert_eq!(f.dial().to_string(), "broker5:4222");
}
