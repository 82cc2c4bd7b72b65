//! What a publish may be, and what is refused.

use muster_client::nats::{Action, LinkEnd, PublishError, State, is_sendable};

use crate::support::{Fixture, INFO, config};

#[test]
fn the_servers_limit_counts_exactly() {
    let mut f = Fixture::ready();
    f.core.publish(b"a", None, &[0; 1024]).unwrap();
    let too_large = Err(PublishError::TooLarge {
        size: 1025,
        max: 1024,
    });
    assert_eq!(f.core.publish(b"a", None, &[0; 1025]), too_large);
    let headers = b"NATS/1.0\r\n\r\n";
    f.core
        .publish_with_headers(b"a", None, headers, &[0; 1012])
        .unwrap();
    assert_eq!(
        f.core.publish_with_headers(b"a", None, headers, &[0; 1013]),
        too_large
    );
    assert_eq!(
        (f.core.stats().out_messages, f.core.stats().refused),
        (2, 2)
    );
}

#[test]
fn a_server_without_a_limit_leaves_ours() {
    for max_payload in ["-1", "0"] {
        let mut config = config(1);
        config.payload_max = 100;
        let mut f = Fixture::new(config);
        f.dial();
        f.core.handle_connected(f.now);
        f.feed(&format!(
            "INFO {{\"max_payload\":{max_payload}}}\r\nPONG\r\n"
        ));
        f.core.publish(b"a", None, &[0; 100]).unwrap();
        let refused = f.core.publish(b"a", None, &[0; 101]);
        assert_eq!(
            refused,
            Err(PublishError::TooLarge {
                size: 101,
                max: 100
            })
        );
    }
}

#[test]
fn a_subject_cannot_smuggle_an_operation() {
    let mut f = Fixture::ready();
    for bad in [&b""[..], b"a b", b"a\r\nPUB b 0\r\n", b"a\tb"] {
        assert!(!is_sendable(bad));
        assert_eq!(
            f.core.publish(bad, None, b""),
            Err(PublishError::BadSubject)
        );
        assert_eq!(
            f.core.publish(b"a", Some(bad), b""),
            Err(PublishError::BadSubject)
        );
    }
    for bad in [&b""[..], b"NATS/1.0\r\n", b"A: b\r\n\r\n"] {
        let refused = f.core.publish_with_headers(b"a", None, bad, b"");
        assert_eq!(refused, Err(PublishError::BadHeaders));
    }
    assert_eq!(f.written(), "");
}

#[test]
#[should_panic(expected = "subject")]
fn subscribing_to_a_subject_that_breaks_the_line_is_a_bug() {
    Fixture::ready().core.subscribe(b"a\r\nPUB b 0\r\n", None);
}

#[test]
fn headers_need_a_server_that_takes_them() {
    let mut f = Fixture::new(config(1));
    f.dial();
    f.core.handle_connected(f.now);
    f.feed(&format!("{}\r\nPONG\r\n", INFO.replace("true", "false")));
    let refused = f
        .core
        .publish_with_headers(b"a", None, b"NATS/1.0\r\n\r\n", b"");
    assert_eq!(refused, Err(PublishError::HeadersNotSupported));
}

#[test]
fn output_that_waits_is_bounded() {
    let mut config = config(1);
    config.pending_max = 2000;
    let mut f = Fixture::new(config);
    f.connect();
    let mut taken = 0;
    while f.core.publish(b"subject", None, &[b'x'; 100]).is_ok() {
        taken += 1;
    }
    assert!((15..=17).contains(&taken), "{taken}");
    let full = f.core.publish(b"subject", None, &[b'x'; 100]);
    assert_eq!(full, Err(PublishError::PendingFull { max: 2000 }));
    assert!(f.core.output().len() <= 2000);
    f.written();
    f.core.publish(b"subject", None, &[b'x'; 100]).unwrap();
    // A server that pings for ever and reads nothing fills no more than that.
    for _ in 0..1000 {
        f.feed("PING\r\n");
    }
    assert!(f.core.output().len() <= 2006);
}

#[test]
fn publishes_without_a_connection_are_bounded_and_counted() {
    let mut f = Fixture::new(config(1));
    let payload = [b'x'; 1000];
    let results: Vec<_> = (0..20)
        .map(|_| f.core.publish(b"a", None, &payload))
        .collect();
    let taken = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(taken, 10);
    assert_eq!(
        results[10],
        Err(PublishError::ReconnectBufferFull { max: 10 * 1024 })
    );
    assert_eq!(f.core.stats().refused, 10);
    f.dial();
    f.core.handle_connected(f.now);
    f.feed(&format!("{INFO}\r\nPONG\r\n"));
    assert_eq!(f.written().matches("PUB a 1000\r\n").count(), 10);
}

#[test]
fn a_message_from_the_server_is_bounded() {
    let mut config = config(1);
    config.payload_max = 10;
    let mut f = Fixture::new(config);
    f.connect();
    f.feed("MSG a 1 10\r\n0123456789\r\n");
    f.try_feed(b"MSG a 1 11\r\n").unwrap_err();
    assert!(matches!(
        f.core.poll_action(),
        Some(Action::Close(LinkEnd::Protocol(_)))
    ));
    let mut f = Fixture::ready();
    f.feed("INFO {");
    let filler = [b' '; 1000];
    let kept = (0..100).take_while(|_| f.try_feed(&filler).is_ok()).count();
    assert!((60..70).contains(&kept), "{kept}");
}

#[test]
fn a_closed_core_does_nothing_more() {
    let mut f = Fixture::ready();
    f.core.publish(b"a", None, b"last words").unwrap();
    f.core.close();
    f.assert_closed_by_core(LinkEnd::Requested);
    assert_eq!(
        f.written(),
        "PUB a 10\r\nlast words\r\n",
        "the driver may still write them"
    );
    assert_eq!(
        (f.core.state(), f.core.poll_timeout()),
        (State::Closed, None)
    );
    assert_eq!(f.core.publish(b"a", None, b""), Err(PublishError::Closed));
    f.feed("PING\r\n");
    f.lose();
    f.core.close();
    assert_eq!((f.core.poll_action(), f.written()), (None, String::new()));

    let mut f = Fixture::new(config(1));
    f.core.close();
    assert_eq!(f.core.poll_action(), None, "there was nothing to close yet");
    let mut f = Fixture::new(config(1));
    f.dial();
    f.core.publish(b"a", None, b"never sent").unwrap();
    f.core.close();
    f.assert_closed_by_core(LinkEnd::Requested);
    assert_eq!(f.core.stats().discarded_bytes, 22);
}
