//! Application data, its order across split records, and proper ends.

mod tls_support;

use muster_reactor::tls::{ClientAuth, TlsError, TlsSession, TlsState};
use tls_support::{Authority, End, Feed, Pair, VERSIONS, pattern};

const MEGABYTE: usize = 1 << 20;

fn pairs(ca: &Authority) -> impl Iterator<Item = Pair> {
    let server = ca.server_config(ClientAuth::None);
    VERSIONS
        .into_iter()
        .map(move |(version, _)| Pair::established(&ca.client_of_version(None, version), &server))
}

#[test]
fn megabyte_goes_both_ways_at_odd_splits() {
    let ca = Authority::new();
    let (there, back) = (pattern(MEGABYTE, 3), pattern(MEGABYTE, 5));
    for mut pair in pairs(&ca) {
        for split in [977, 16_384, 65_536, usize::MAX] {
            for feed in [Feed::Copied, Feed::InPlace] {
                (pair.split, pair.feed) = (split, feed);
                pair.client.send(&there);
                pair.server.send(&back);
                assert!(pair.client.out.len() > there.len());
                pair.settle().unwrap();
                assert!(pair.server.plaintext == there, "split {split}");
                assert!(pair.client.plaintext == back, "split {split}");
                pair.server.plaintext.clear();
                pair.client.plaintext.clear();
                assert_eq!(pair.server.session.unfinished_len(), 0);
            }
        }
    }
}

#[test]
fn sends_interleave_with_a_half_received_record() {
    let ca = Authority::new();
    for mut pair in pairs(&ca) {
        pair.client.send(b"first");
        let record = std::mem::take(&mut pair.client.out);
        let (half, rest) = record.split_at(record.len() / 2);
        pair.server.feed(half, usize::MAX, Feed::InPlace).unwrap();
        assert_eq!(pair.server.session.unfinished_len(), half.len());
        assert!(pair.server.plaintext.is_empty());
        pair.server.send(b"second");
        assert_eq!(pair.server.session.unfinished_len(), half.len());
        pair.settle().unwrap();
        assert_eq!(pair.client.plaintext, b"second");
        pair.server.feed(rest, usize::MAX, Feed::InPlace).unwrap();
        assert_eq!(pair.server.plaintext, b"first");
        assert_eq!(pair.server.session.unfinished_len(), 0);
    }
}

/// Three records are cut in two at every position; what is held is exactly what is not yet complete.
#[test]
fn leftover_bytes_keep_their_order_at_every_cut() {
    let ca = Authority::new();
    for mut pair in pairs(&ca) {
        let mut cut = 0;
        loop {
            let mut ends = Vec::new();
            for text in ["a", "bcd", "efghij"] {
                pair.client.send(text.as_bytes());
                ends.push(pair.client.out.len());
            }
            let bytes = std::mem::take(&mut pair.client.out);
            if cut > bytes.len() {
                break;
            }
            let (head, tail) = bytes.split_at(cut);
            pair.server.plaintext.clear();
            pair.server.feed(head, usize::MAX, Feed::InPlace).unwrap();
            let complete = ends.iter().filter(|&&end| end <= cut).count();
            let expected = ["", "a", "abcd", "abcdefghij"][complete];
            assert_eq!(pair.server.plaintext, expected.as_bytes(), "cut {cut}");
            let held = cut - ends[..complete].last().copied().unwrap_or(0);
            assert_eq!(pair.server.session.unfinished_len(), held);
            pair.server.feed(tail, usize::MAX, Feed::InPlace).unwrap();
            assert_eq!(pair.server.plaintext, b"abcdefghij", "cut {cut}");
            cut += 1;
        }
        assert!(cut > 60, "the cuts reached all three records");
    }
}

#[test]
fn empty_send_makes_no_record() {
    let ca = Authority::new();
    for mut pair in pairs(&ca) {
        pair.client.send(b"");
        assert!(pair.client.out.is_empty());
    }
}

#[test]
fn close_notify_arrives_behind_the_data_and_is_answered() {
    let ca = Authority::new();
    for mut pair in pairs(&ca) {
        pair.client.send(b"last words");
        pair.client.session.close_notify(&mut pair.client.out);
        let sent = pair.client.out.len();
        pair.client.session.close_notify(&mut pair.client.out);
        assert_eq!(pair.client.out.len(), sent, "sent once only");
        assert_eq!(
            pair.client.session.encrypt(b"more", &mut Vec::new()),
            Err(TlsError::NotEstablished)
        );

        let bytes = std::mem::take(&mut pair.client.out);
        pair.server.feed(&bytes, 7, Feed::InPlace).unwrap();
        assert_eq!(pair.server.plaintext, b"last words");
        assert_eq!(pair.server.session.state(), TlsState::PeerClosed);
        assert_eq!(
            pair.server.session.encrypt(b"too late", &mut Vec::new()),
            Err(TlsError::NotEstablished)
        );
        // What follows a close_notify is nobody's.
        pair.server.feed(b"garbage", 1, Feed::InPlace).unwrap();
        assert_eq!(pair.server.session.unfinished_len(), 0);
        assert!(pair.server.out.is_empty());

        pair.server.session.close_notify(&mut pair.server.out);
        assert!(!pair.server.out.is_empty());
        pair.settle().unwrap();
    }
}

#[test]
fn close_notify_of_a_server_reaches_its_client() {
    let ca = Authority::new();
    for mut pair in pairs(&ca) {
        pair.server.session.close_notify(&mut pair.server.out);
        pair.settle().unwrap();
        assert_eq!(pair.client.session.state(), TlsState::PeerClosed);
        assert_eq!(pair.server.session.state(), TlsState::Established);
    }
}

#[test]
fn input_after_own_close_notify_is_dropped() {
    let ca = Authority::new();
    for mut pair in pairs(&ca) {
        pair.client.session.close_notify(&mut pair.client.out);
        pair.client.out.clear();
        pair.client
            .feed(b"GET / HTTP/1.0\r\n\r\n", 3, Feed::InPlace)
            .unwrap();
        assert_eq!(pair.client.session.unfinished_len(), 0);
        assert!(pair.client.out.is_empty());
    }
}

#[test]
fn close_during_the_handshake_sends_nothing() {
    let ca = Authority::new();
    let mut server = End::new(TlsSession::server(&ca.server_config(ClientAuth::None)).unwrap());
    server.session.close_notify(&mut server.out);
    assert!(server.out.is_empty());
    assert_eq!(server.session.state(), TlsState::Handshaking);
}

#[test]
fn data_is_refused_before_the_handshake_ends() {
    let ca = Authority::new();
    let mut server = End::new(TlsSession::server(&ca.server_config(ClientAuth::None)).unwrap());
    assert_eq!(
        server.session.encrypt(b"INFO {}\r\n", &mut server.out),
        Err(TlsError::NotEstablished)
    );
    assert!(server.out.is_empty());
}
