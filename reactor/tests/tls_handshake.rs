//! Handshakes that succeed: both versions, at every split of the stream, mutual or not, fresh or resumed.

mod tls_support;

use std::io::Cursor;

use muster_reactor::tls::{
    ClientAuth, Resumption, ServerVerification, TlsSession, TlsState, client_config,
    client_config_with_verifier, client_verifier, server_verifier,
};
use rustls::ClientConnection;
use tls_support::{Authority, End, Feed, Pair, SERVER_NAME, VERSIONS};

#[test]
fn mutual_handshake_succeeds_at_every_split() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    let node = ca.node();
    for (version, name) in VERSIONS {
        for feed in [Feed::Copied, Feed::InPlace] {
            for split in [1, 7, 1000, usize::MAX] {
                let mut pair = Pair::new(&ca.client_of_version(Some(&node), version), &server);
                (pair.split, pair.feed) = (split, feed);
                pair.settle().unwrap();
                for end in [&pair.client, &pair.server] {
                    let session = &end.session;
                    assert_eq!(session.state(), TlsState::Established, "{name} {split}");
                    assert_eq!(session.version(), Some(name));
                    assert_eq!(session.unfinished_len(), 0);
                    assert_eq!(session.peer_certificates().unwrap().len(), 1);
                    assert!(!session.resumed());
                    assert!(end.plaintext.is_empty());
                }
            }
        }
    }
}

#[test]
fn cipher_suites_have_their_registered_names() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::None);
    for ((version, _), prefix) in VERSIONS
        .into_iter()
        .zip(["TLS_ECDHE_ECDSA_WITH_", "TLS_AES_"])
    {
        let mut pair = Pair::new(&ca.client_of_version(None, version), &server);
        assert_eq!(pair.server.session.cipher_suite(), None);
        assert_eq!(pair.server.session.version(), None);
        pair.settle().unwrap();
        let suite = pair.server.session.cipher_suite().unwrap();
        assert!(suite.starts_with(prefix), "{suite}");
        assert_eq!(pair.client.session.cipher_suite(), Some(suite));
    }
}

#[test]
fn optional_client_certificate_may_be_absent_or_present() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Optional);
    let node = ca.node();
    let without = client_config(Some(&ca.pem), None, ServerVerification::Full).unwrap();
    let pair = Pair::established(&without, &server);
    assert!(pair.server.session.peer_certificates().is_none());
    let with = client_config(
        Some(&ca.pem),
        Some((&node.cert, &node.key)),
        ServerVerification::Full,
    )
    .unwrap();
    let pair = Pair::established(&with, &server);
    assert_eq!(pair.server.session.version(), Some("1.3"));
    assert_eq!(pair.server.session.peer_certificates().unwrap().len(), 1);
}

#[test]
fn insecure_client_accepts_an_unknown_authority() {
    let server = Authority::new().server_config(ClientAuth::None);
    let client = client_config(None, None, ServerVerification::Insecure).unwrap();
    Pair::established(&client, &server);
    let other = Authority::new();
    for (version, name) in VERSIONS {
        // The insecure verifier's signature checks differ by version.
        let mut config = (*other.client_of_version(None, version)).clone();
        let verifier = server_verifier(None, ServerVerification::Insecure).unwrap();
        config.dangerous().set_certificate_verifier(verifier);
        let pair = Pair::established(&config.into(), &server);
        assert_eq!(pair.client.session.version(), Some(name));
    }
}

#[test]
fn data_behind_the_last_handshake_message_is_delivered_in_the_same_call() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::None);
    // TLS 1.3: the client finishes last. Its session is established before the server has seen its Finished.
    let mut pair = Pair::new(&ca.client_of_version(None, VERSIONS[1].0), &server);
    let hello = std::mem::take(&mut pair.client.out);
    pair.server.feed(&hello, usize::MAX, Feed::InPlace).unwrap();
    let flight = std::mem::take(&mut pair.server.out);
    pair.client
        .feed(&flight, usize::MAX, Feed::InPlace)
        .unwrap();
    assert_eq!(pair.client.session.state(), TlsState::Established);
    assert_eq!(pair.server.session.state(), TlsState::Handshaking);
    pair.client.send(b"CONNECT {}\r\nPING\r\n");
    let flight = std::mem::take(&mut pair.client.out);
    pair.server
        .feed(&flight, usize::MAX, Feed::InPlace)
        .unwrap();
    assert_eq!(pair.server.session.state(), TlsState::Established);
    assert_eq!(pair.server.plaintext, b"CONNECT {}\r\nPING\r\n");

    // TLS 1.2: the server does.
    let mut pair = Pair::new(&ca.client_of_version(None, VERSIONS[0].0), &server);
    while pair.server.session.state() == TlsState::Handshaking {
        let bytes = std::mem::take(&mut pair.client.out);
        pair.server.feed(&bytes, usize::MAX, Feed::InPlace).unwrap();
        if pair.server.session.state() == TlsState::Handshaking {
            let bytes = std::mem::take(&mut pair.server.out);
            pair.client.feed(&bytes, usize::MAX, Feed::InPlace).unwrap();
        }
    }
    assert_eq!(pair.client.session.state(), TlsState::Handshaking);
    pair.server.send(b"PONG\r\n");
    let flight = std::mem::take(&mut pair.server.out);
    pair.client
        .feed(&flight, usize::MAX, Feed::InPlace)
        .unwrap();
    assert_eq!(pair.client.session.state(), TlsState::Established);
    assert_eq!(pair.client.plaintext, b"PONG\r\n");
}

#[test]
fn second_session_resumes_and_its_client_can_be_rechecked() {
    const YEAR_5000: u64 = 95_617_584_000;
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    let node = ca.node();
    let verifier = client_verifier(&ca.pem, None, ClientAuth::Required).unwrap();
    let strangers = client_verifier(&Authority::new().pem, None, ClientAuth::Required).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for (version, name) in VERSIONS {
        let client = ca.client_of_version(Some(&node), version);
        let first = Pair::established(&client, &server);
        assert!(!first.server.session.resumed());
        let second = Pair::established(&client, &server);
        let session = &second.server.session;
        assert!(session.resumed() && second.client.session.resumed());
        assert_eq!(session.version(), Some(name));
        assert_eq!(
            session.peer_certificates(),
            first.server.session.peer_certificates()
        );
        session.recheck_client(&*verifier, now).unwrap();
        let expired = session.recheck_client(&*verifier, YEAR_5000).unwrap_err();
        assert!(expired.is_peer_fault(), "{expired}");
        let revoked = session.recheck_client(&*strangers, now).unwrap_err();
        assert!(revoked.to_string().contains("UnknownIssuer"), "{revoked}");
    }
}

#[test]
fn recheck_without_certificate_follows_the_verifier() {
    let ca = Authority::new();
    let client = client_config(Some(&ca.pem), None, ServerVerification::Full).unwrap();
    let pair = Pair::established(&client, &ca.server_config(ClientAuth::Optional));
    let check = |auth| {
        let verifier = client_verifier(&ca.pem, None, auth).unwrap();
        pair.server.session.recheck_client(&*verifier, 0)
    };
    check(ClientAuth::Optional).unwrap();
    check(ClientAuth::Required).unwrap_err();
}

#[test]
fn shared_verifier_serves_clients_that_keep_no_tickets() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    let verifier = server_verifier(Some(&ca.pem), ServerVerification::Full).unwrap();
    for _ in 0..2 {
        let node = ca.node();
        let identity = Some((&*node.cert, &*node.key));
        let client =
            client_config_with_verifier(&verifier, identity, Resumption::Disabled).unwrap();
        for _ in 0..2 {
            assert!(!Pair::established(&client, &server).server.session.resumed());
        }
    }
    let node = ca.node();
    let identity = Some((&*node.cert, &*node.key));
    let client = client_config_with_verifier(&verifier, identity, Resumption::Tickets).unwrap();
    assert!(!Pair::established(&client, &server).server.session.resumed());
    assert!(Pair::established(&client, &server).server.session.resumed());
}

/// The peer is rustls' buffered client: it counts tickets, and it can ask for new keys.
#[test]
fn one_ticket_is_sent_and_key_updates_are_answered() {
    let ca = Authority::new();
    let mut server = End::new(TlsSession::server(&ca.server_config(ClientAuth::None)).unwrap());
    let config = ca.client_of_version(None, VERSIONS[1].0);
    let mut client = ClientConnection::new(config, SERVER_NAME.try_into().unwrap()).unwrap();
    let exchange = |client: &mut ClientConnection, server: &mut End| {
        while client.wants_write() || !server.out.is_empty() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.feed(&bytes, 7, Feed::InPlace).unwrap();
            let bytes = std::mem::take(&mut server.out);
            let mut bytes = Cursor::new(bytes);
            while bytes.position() < bytes.get_ref().len() as u64 {
                client.read_tls(&mut bytes).unwrap();
                client.process_new_packets().unwrap();
            }
        }
    };
    exchange(&mut client, &mut server);
    assert_eq!(server.session.state(), TlsState::Established);
    assert_eq!(client.tls13_tickets_received(), 1);
    for round in 0..3_u8 {
        client.refresh_traffic_keys().unwrap();
        std::io::Write::write_all(&mut client.writer(), &[round, 1]).unwrap();
        exchange(&mut client, &mut server);
        server.send(&[round, 2]);
        exchange(&mut client, &mut server);
        assert_eq!(server.plaintext, [round, 1]);
        server.plaintext.clear();
        let mut echoed = [0; 2];
        std::io::Read::read_exact(&mut client.reader(), &mut echoed).unwrap();
        assert_eq!(echoed, [round, 2]);
    }
}

#[test]
fn sessions_may_move_between_threads() {
    fn check<T: Send>() {}
    check::<TlsSession>();
}
