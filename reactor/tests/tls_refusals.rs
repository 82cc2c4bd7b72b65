//! Peers that are refused, who gets the blame, and bytes that are not TLS.

mod tls_support;

use muster_reactor::tls::{
    ClientAuth, ServerVerification, TlsConfigError, TlsError, TlsFiles, TlsSession, TlsState,
    client_config, server_config,
};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::{AlertDescription, CertificateError, Error};
use tls_support::{Authority, End, Failure, Feed, Pair, Random, VERSIONS};

/// After `end` failed, its alert is in `out`; the other end must read it as `alert`.
fn expect_alert(failed: &End, other: &mut End, alert: AlertDescription) {
    assert!(!failed.out.is_empty(), "an alert says why");
    let error = other
        .feed(&failed.out, usize::MAX, Feed::InPlace)
        .expect_err("an alert ends the session");
    assert_eq!(error, TlsError::Peer(Error::AlertReceived(alert)));
}

#[test]
fn client_without_certificate_is_refused() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    for (version, name) in VERSIONS {
        let mut pair = Pair::new(&ca.client_of_version(None, version), &server);
        let failure = pair.settle().unwrap_err();
        assert_eq!(
            failure,
            Failure::Server(TlsError::Peer(Error::NoCertificatesPresented)),
            "{name}"
        );
        assert_ne!(pair.server.session.state(), TlsState::Established);
        let alert = AlertDescription::CertificateRequired;
        expect_alert(&pair.server, &mut pair.client, alert);
    }
}

#[test]
fn client_of_another_authority_is_refused() {
    let (ca, other) = (Authority::new(), Authority::new());
    let server = ca.server_config(ClientAuth::Required);
    let stranger = other.node();
    for (version, _) in VERSIONS {
        let mut pair = Pair::new(&ca.client_of_version(Some(&stranger), version), &server);
        let failure = pair.settle().unwrap_err();
        let expected = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(failure, Failure::Server(TlsError::Peer(expected)));
        expect_alert(&pair.server, &mut pair.client, AlertDescription::UnknownCA);
    }
}

#[test]
fn client_certificate_for_servers_only_is_refused() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    let node = ca.issue("node1.example", ExtendedKeyUsagePurpose::ServerAuth);
    let mut pair = Pair::new(&ca.client_of_version(Some(&node), VERSIONS[1].0), &server);
    let Failure::Server(error) = pair.settle().unwrap_err() else {
        panic!("the server is the one to refuse");
    };
    assert!(error.is_peer_fault(), "{error}");
}

#[test]
fn server_of_another_authority_is_refused() {
    let (ca, other) = (Authority::new(), Authority::new());
    let server = other.server_config(ClientAuth::None);
    for (version, _) in VERSIONS {
        let mut pair = Pair::new(&ca.client_of_version(None, version), &server);
        let failure = pair.settle().unwrap_err();
        let expected = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(failure, Failure::Client(TlsError::Peer(expected)));
        expect_alert(&pair.client, &mut pair.server, AlertDescription::UnknownCA);
    }
}

#[test]
fn server_with_another_name_is_refused() {
    let ca = Authority::new();
    let config = client_config(Some(&ca.pem), None, ServerVerification::Full).unwrap();
    let mut pair = Pair::new(&config, &ca.server_config(ClientAuth::None));
    pair.client = End::new(TlsSession::client(&config, "127.0.0.1").unwrap());
    pair.client.session.start(&mut pair.client.out).unwrap();
    let Failure::Client(error) = pair.settle().unwrap_err() else {
        panic!("the client is the one to refuse");
    };
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[test]
fn impossible_server_name_is_refused_before_anything_is_sent() {
    let config = client_config(None, None, ServerVerification::Insecure).unwrap();
    let error = TlsSession::client(&config, "not a name").unwrap_err();
    assert_eq!(error, TlsError::BadServerName("not a name".to_owned()));
    assert!(!error.is_peer_fault());
}

#[test]
fn plain_text_is_the_peers_fault() {
    let ca = Authority::new();
    let config = ca.server_config(ClientAuth::Required);
    for text in [
        "CONNECT {\"verbose\":false}\r\nPING\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        for split in [1, usize::MAX] {
            let mut server = End::new(TlsSession::server(&config).unwrap());
            let error = server
                .feed(text.as_bytes(), split, Feed::Copied)
                .unwrap_err();
            assert!(error.is_peer_fault());
            assert!(
                error.to_string().starts_with("tls peer at fault: "),
                "{error}"
            );
            assert_eq!(server.session.unfinished_len(), 0, "nothing is kept");
            assert_eq!(
                server.feed(text.as_bytes(), split, Feed::Copied),
                Err(TlsError::Failed)
            );
        }
    }
}

#[test]
fn changed_record_ends_the_session_on_both_sides() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::None);
    for (version, _) in VERSIONS {
        let mut pair = Pair::established(&ca.client_of_version(None, version), &server);
        pair.client.send(b"good");
        pair.client.send(b"bad");
        *pair.client.out.last_mut().unwrap() ^= 1;
        let bytes = std::mem::take(&mut pair.client.out);
        let error = pair
            .server
            .feed(&bytes, usize::MAX, Feed::InPlace)
            .unwrap_err();
        assert_eq!(error, TlsError::Peer(Error::DecryptError));
        assert_eq!(pair.server.plaintext, b"good", "what came before counts");
        assert_eq!(
            pair.server.session.encrypt(b"x", &mut Vec::new()),
            Err(TlsError::Failed)
        );
        expect_alert(
            &pair.server,
            &mut pair.client,
            AlertDescription::BadRecordMac,
        );
    }
}

/// A handshake message in one-byte records costs six bytes a byte; it must not be collected without end.
#[test]
fn endless_handshake_message_meets_the_limit() {
    let ca = Authority::new();
    let mut server = End::new(TlsSession::server(&ca.server_config(ClientAuth::None)).unwrap());
    let mut held_max = 0;
    let header = [1, 0, 0xff, 0xff];
    let error = header
        .into_iter()
        .chain(std::iter::repeat_n(0, 0xffff))
        .find_map(|byte| {
            let record = [22, 3, 3, 0, 1, byte];
            let result = server.feed(&record, usize::MAX, Feed::InPlace);
            held_max = held_max.max(server.session.unfinished_len());
            result.err()
        })
        .expect("the message is never accepted");
    assert!(
        matches!(error, TlsError::UnfinishedTooLong { len, limit } if len > limit),
        "{error}"
    );
    assert!((64 * 1024..=80 * 1024).contains(&held_max), "{held_max}");
    assert_eq!(server.session.unfinished_len(), 0);
}

/// Every byte of each side's first flight is changed in turn: nobody panics, and the change is noticed.
#[test]
fn changed_flights_are_noticed_and_never_panic() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::None);
    for (version, _) in VERSIONS {
        let client = ca.client_of_version(None, version);
        for changed_client in [true, false] {
            let (mut index, mut unnoticed) = (0, 0);
            loop {
                let mut pair = Pair::new(&client, &server);
                if !changed_client {
                    let hello = std::mem::take(&mut pair.client.out);
                    pair.server.feed(&hello, usize::MAX, Feed::InPlace).unwrap();
                }
                let flight = match changed_client {
                    true => &mut pair.client.out,
                    false => &mut pair.server.out,
                };
                let Some(byte) = flight.get_mut(index) else {
                    break;
                };
                *byte ^= 1 << (index % 8);
                // A changed length leaves the two waiting for each other; that is for a timer to notice.
                let _ = pair.settle();
                let established = |end: &End| end.session.state() == TlsState::Established;
                unnoticed += usize::from(established(&pair.client) && established(&pair.server));
                index += 1;
            }
            assert!(index > 200, "a flight is {index} bytes");
            // The version in a plain record's header is no part of the transcript; a server's flight has up to four such records.
            assert!(unnoticed <= 8, "{unnoticed} changes unnoticed");
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    let node = ca.node();
    let client = ca.client_of_version(Some(&node), VERSIONS[1].0);
    let mut random = Random(0x5eed);
    for round in 0..400_usize {
        let mut end = End::new(match round % 2 {
            0 => TlsSession::server(&server).unwrap(),
            _ => TlsSession::client(&client, "broker.example").unwrap(),
        });
        end.session.start(&mut end.out).unwrap();
        for _ in 0..20 {
            // A plausible header in front gets past the first check.
            let kind = [20, 21, 22, 23, random.next_byte()][random.below(5)];
            let len = u8::try_from(random.below(60)).unwrap();
            let mut bytes = vec![kind, 3, 3, 0, len];
            bytes.extend((0..random.below(70)).map(|_| random.next_byte() % 24));
            let split = 1 + random.below(80);
            if end.feed(&bytes, split, Feed::InPlace).is_err() {
                break;
            }
            assert_eq!(end.session.state(), TlsState::Handshaking);
        }
        end.session.close_notify(&mut end.out);
    }
}

#[test]
fn configuration_errors_name_the_text_at_fault() {
    let ca = Authority::new();
    let (one, two) = (ca.server(), ca.server());
    let check = |cert: &str, key: &str, authority: Option<&str>| {
        let files = TlsFiles {
            cert,
            key,
            ca: authority,
            crl: None,
        };
        server_config(&files, ClientAuth::Required).unwrap_err()
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let pem = Some(&*ca.pem);
    assert!(matches!(check("", &one.key, pem), TlsConfigError::Cert(_)));
    assert!(matches!(
        check(broken, &one.key, pem),
        TlsConfigError::Cert(_)
    ));
    assert!(matches!(check(&one.cert, "", pem), TlsConfigError::Key(_)));
    assert!(matches!(
        check(&one.cert, &one.cert, pem),
        TlsConfigError::Key(_)
    ));
    let mismatch = check(&one.cert, &two.key, pem);
    assert_eq!(
        mismatch.to_string(),
        "private key: does not belong to the certificate"
    );
    assert!(matches!(
        check(&one.cert, &one.key, None),
        TlsConfigError::Ca(_)
    ));
    assert!(matches!(
        check(&one.cert, &one.key, Some("")),
        TlsConfigError::Ca(_)
    ));
    let second_broken = format!("{}{broken}", ca.pem);
    let error = check(&one.cert, &one.key, Some(&second_broken));
    assert!(
        error
            .to_string()
            .starts_with("certificate authority: certificate 2: "),
        "{error}"
    );
    let error = client_config(None, None, ServerVerification::Full).unwrap_err();
    assert!(matches!(error, TlsConfigError::Ca(_)));
    let error =
        client_config(pem, Some((&one.cert, &two.key)), ServerVerification::Full).unwrap_err();
    assert!(matches!(error, TlsConfigError::Key(_)));
}

#[test]
fn debug_of_files_shows_no_key() {
    let identity = Authority::new().server();
    let files = TlsFiles {
        cert: &identity.cert,
        key: &identity.key,
        ca: None,
        crl: None,
    };
    assert!(!format!("{files:?}").contains("BEGIN"));
}
