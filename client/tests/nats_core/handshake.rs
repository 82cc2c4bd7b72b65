//! From the TCP connection to the server's word that it took us.

use std::sync::Arc;
use std::time::Duration;

use muster_client::nats::{Action, Event, LinkEnd, NonceSigner, ProtocolError, State, TlsMode};
use muster_wire::connect::Connect;

use crate::support::{Fixture, INFO, config};

fn with_tls(tls: TlsMode) -> Fixture {
    let mut config = config(1);
    config.tls = tls;
    let mut fixture = Fixture::new(config);
    fixture.dial();
    fixture.core.handle_connected(fixture.now);
    fixture
}

#[test]
fn a_plain_connection_goes_through_its_states() {
    let mut f = Fixture::new(config(1));
    assert_eq!(f.core.state(), State::Connecting);
    let addr = f.dial();
    assert_eq!(addr.to_string(), "broker0:4222");
    assert_eq!(f.core.poll_action(), None);
    f.core.handle_connected(f.now);
    assert_eq!(f.core.state(), State::Handshake);
    assert_eq!(f.written(), "", "nothing is sent before INFO");
    f.feed(&format!("{INFO}\r\n"));
    let hello = f.written();
    assert!(
        hello.starts_with("CONNECT {") && hello.ends_with("}\r\nPING\r\n"),
        "{hello}"
    );
    assert_eq!(
        (f.core.state(), f.core.connected_server()),
        (State::Handshake, None)
    );
    f.feed("PONG\r\n");
    assert_eq!(f.core.state(), State::Ready);
    assert_eq!(f.core.connected_server(), Some(&addr));
    assert_eq!(f.events(), [Event::Connected]);
    let info = f.core.server_info().unwrap();
    assert_eq!(
        (info.max_payload, info.client_id, info.headers),
        (1024, 7, true)
    );
    // Servers send INFO once more behind the PONG.
    f.feed(&format!("{}\r\n", INFO.replace("1024", "99")));
    assert_eq!(f.core.server_info().unwrap().max_payload, 99);
    assert_eq!((f.events(), f.written()), (vec![], String::new()));
}

#[test]
fn connect_says_what_the_configuration_says() {
    let mut config = config(1);
    config.name = "node1.example.net".into();
    config.connect.user = Some("bob".into());
    config.connect.pass = Some("secret".into());
    config.connect.echo = false;
    let mut f = Fixture::new(config);
    f.dial();
    f.core.handle_connected(f.now);
    f.feed(&format!("{INFO}\r\n"));
    let hello = f.written();
    let line = hello
        .strip_prefix("CONNECT ")
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let connect = Connect::parse(line.as_bytes()).unwrap();
    let wanted = Connect {
        verbose: false,
        pedantic: false,
        echo: false,
        user: Some("bob".into()),
        pass: Some("secret".into()),
        name: Some("node1.example.net".into()),
        lang: Some("rust".into()),
        version: connect.version.clone(),
        protocol: 1,
        headers: true,
        no_responders: true,
        ..Connect::default()
    };
    assert_eq!(connect, wanted);
    assert!(connect.version.unwrap().starts_with("muster-"));
}

#[test]
fn tls_is_started_behind_info_and_connect_goes_inside() {
    for (tls, keys) in [
        (TlsMode::Required, r#""tls_required":true"#),
        (TlsMode::Required, r#""tls_available":true"#),
        (TlsMode::IfServerWants, r#""tls_required":true"#),
    ] {
        let mut f = with_tls(tls);
        // Servers named in clear are not learned: anyone on the path could have named them.
        f.feed(&format!(
            "INFO {{{keys},\"connect_urls\":[\"evil:4222\"]}}\r\n"
        ));
        assert_eq!(
            f.core.poll_action(),
            Some(Action::StartTls),
            "{tls:?} {keys}"
        );
        assert_eq!(f.core.tls_name(), "broker0");
        assert_eq!((f.written(), f.core.servers_known()), (String::new(), 1));
        f.core.handle_tls_ready(f.now);
        assert!(f.written().starts_with(r#"CONNECT {"verbose":false"#));
        f.feed("PONG\r\n");
        assert_eq!(f.events(), [Event::Connected]);
        f.feed("INFO {\"connect_urls\":[\"broker9:4222\"]}\r\n");
        assert_eq!(f.core.servers_known(), 2);
    }
}

#[test]
fn plain_stays_plain_where_the_server_leaves_the_choice() {
    for tls in [TlsMode::Off, TlsMode::IfServerWants] {
        let mut f = with_tls(tls);
        f.feed("INFO {\"tls_available\":true}\r\n");
        assert_eq!(f.core.poll_action(), None);
        assert!(f.written().starts_with("CONNECT {"));
    }
}

#[test]
fn disagreement_on_tls_ends_the_attempt() {
    for (tls, keys, end) in [
        (
            TlsMode::Off,
            r#""tls_required":true"#,
            LinkEnd::TlsForbidden,
        ),
        (
            TlsMode::Required,
            r#""tls_required":false"#,
            LinkEnd::TlsNotOffered,
        ),
    ] {
        let mut f = with_tls(tls);
        f.feed(&format!("INFO {{{keys}}}\r\nPONG\r\n"));
        f.assert_closed_by_core(end);
        assert_eq!(f.events()[0], Event::ConnectFailed(end));
        assert_eq!(
            (f.written(), f.core.state()),
            (String::new(), State::Disconnected)
        );
    }
}

#[test]
fn bytes_in_clear_before_tls_are_refused() {
    for late in [
        "PONG\r\n",
        "MSG a 1 0\r\n\r\n",
        "P",
        "-ERR 'what'\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let mut f = with_tls(TlsMode::Required);
        let bytes = format!("INFO {{\"tls_required\":true}}\r\n{late}");
        assert_eq!(
            f.try_feed(bytes.as_bytes()),
            Err(ProtocolError::BytesBeforeTls),
            "{late}"
        );
        f.assert_closed_by_core(LinkEnd::Protocol(ProtocolError::BytesBeforeTls));
        assert_eq!(f.core.poll_action(), None);
    }
}

#[test]
fn a_full_server_is_understood_even_before_tls() {
    let mut f = with_tls(TlsMode::Required);
    f.feed("INFO {\"tls_required\":true}\r\n-ERR 'maximum connections exceeded'\r\n");
    f.assert_closed_by_core(LinkEnd::ServerFull);
    let events = f.events();
    assert_eq!(
        events[0],
        Event::ServerError("maximum connections exceeded".into())
    );
    assert_eq!(events[1], Event::ConnectFailed(LinkEnd::ServerFull));
}

#[test]
fn each_wait_ends_in_time() {
    let two = Duration::from_secs(2);
    let mut f = Fixture::new(config(1));
    f.dial();
    assert_eq!(f.timeout(), two);
    f.assert_closed_by_core(LinkEnd::ConnectTimeout);

    let mut f = with_tls(TlsMode::Off);
    assert_eq!(f.timeout(), two);
    f.assert_closed_by_core(LinkEnd::InfoTimeout);

    // The time from TCP to PONG is one: a slow INFO leaves less for the rest.
    let mut f = with_tls(TlsMode::Required);
    f.now += Duration::from_millis(1500);
    f.feed("INFO {\"tls_required\":true}\r\n");
    assert_eq!(f.core.poll_action(), Some(Action::StartTls));
    assert_eq!(f.timeout(), Duration::from_millis(500));
    f.assert_closed_by_core(LinkEnd::TlsTimeout);

    let mut f = with_tls(TlsMode::Off);
    f.feed(&format!("{INFO}\r\n"));
    assert_eq!(f.timeout(), two);
    f.assert_closed_by_core(LinkEnd::PongTimeout);
    assert_eq!(f.written(), "", "the CONNECT that was not written is gone");
    assert_eq!(f.events()[0], Event::ConnectFailed(LinkEnd::PongTimeout));
}

#[test]
fn a_dial_the_driver_never_began_needs_no_close() {
    let mut f = Fixture::new(config(1));
    f.timeout();
    assert_eq!(
        (f.core.poll_action(), f.core.state()),
        (None, State::Disconnected)
    );
}

#[test]
fn refusals_are_told_and_the_next_attempt_waits() {
    for (text, end) in [
        ("Authorization Violation", LinkEnd::Unauthorized),
        ("User Authentication Expired", LinkEnd::Unauthorized),
        ("maximum connections exceeded", LinkEnd::ServerFull),
        (
            "maximum account active connections exceeded",
            LinkEnd::ServerFull,
        ),
    ] {
        let mut f = with_tls(TlsMode::Off);
        f.feed(&format!("{INFO}\r\n-ERR '{text}'\r\nPONG\r\n"));
        f.assert_closed_by_core(end);
        let events = f.events();
        assert_eq!(
            events[..2],
            [Event::ServerError(text.into()), Event::ConnectFailed(end)]
        );
        assert!(matches!(
            events[2],
            Event::Reconnecting {
                attempt: 2,
                in_ms: 250..=750
            }
        ));
        f.timeout();
        f.dial();
    }
}

#[test]
fn anything_but_info_at_first_is_refused() {
    for bytes in ["PING\r\n", "PONG\r\n", "MSG a 1 0\r\n\r\n", "+OK\r\n"] {
        let mut f = with_tls(TlsMode::Off);
        assert_eq!(
            f.try_feed(bytes.as_bytes()),
            Err(ProtocolError::ExpectedInfo)
        );
        f.assert_closed_by_core(LinkEnd::Protocol(ProtocolError::ExpectedInfo));
    }
    let mut f = with_tls(TlsMode::Off);
    assert_eq!(f.try_feed(b"INFO {]\r\n"), Err(ProtocolError::BadInfo));
    let mut f = with_tls(TlsMode::Off);
    assert!(matches!(
        f.try_feed(b"HTTP/1.1 400\r\n"),
        Err(ProtocolError::Parse(_))
    ));
}

#[test]
fn late_news_of_a_socket_given_up_is_ignored() {
    let mut f = Fixture::new(config(2));
    f.dial();
    f.core.handle_connected(f.now);
    f.feed(&format!("{INFO}\r\n-ERR 'Authorization Violation'\r\n"));
    // The other server is tried at once; the driver does not know yet.
    assert_eq!(f.core.state(), State::Connecting);
    let events = f.events().len();
    f.lose();
    f.fail();
    f.core.handle_connected(f.now);
    f.core.handle_tls_ready(f.now);
    f.feed("PONG\r\n");
    assert_eq!(
        (f.core.state(), f.events().len(), events),
        (State::Connecting, 0, 3)
    );
    f.assert_closed_by_core(LinkEnd::Unauthorized);
    f.connect();
}

#[derive(Debug)]
struct Holder;

impl NonceSigner for Holder {
    fn token(&self) -> &str {
        "h.c.s"
    }

    fn sign_nonce(&self, nonce: &str) -> String {
        format!("signed-{nonce}")
    }
}

/// Token, JWT and signature of the CONNECT that answers an INFO with this nonce.
fn credentials(tls: TlsMode, nonce: &str) -> [Option<Box<str>>; 3] {
    let mut config = config(1);
    config.tls = tls;
    config.connect.token = Some("unsigned".into());
    config.connect.signer = Some(Arc::new(Holder));
    assert!(!format!("{:?}", config.connect).contains("Holder"));
    let mut f = Fixture::new(config);
    f.dial();
    f.core.handle_connected(f.now);
    let extra = format!(
        ",\"tls_required\":{},\"nonce\":\"{nonce}\"",
        tls == TlsMode::Required
    );
    f.feed(&format!(
        "{}\r\n",
        INFO.replace(",\"client_id\"", &format!("{extra},\"client_id\""))
    ));
    if tls == TlsMode::Required {
        assert_eq!(f.core.poll_action(), Some(Action::StartTls));
        assert_eq!(f.written(), "", "nothing in clear");
        f.core.handle_tls_ready(f.now);
    }
    let hello = f.written();
    let line = hello.strip_prefix("CONNECT ").expect("a CONNECT");
    let line = line.lines().next().expect("a line");
    let connect = Connect::parse(line.as_bytes()).expect("a CONNECT's argument");
    [connect.auth_token, connect.jwt, connect.sig]
}

#[test]
fn a_holder_of_a_token_signs_the_nonce() {
    let token = || Some("h.c.s".into());
    for tls in [TlsMode::Off, TlsMode::Required] {
        let signed = Some("signed-AbC-_9+/=".into());
        assert_eq!(credentials(tls, "AbC-_9+/="), [token(), token(), signed]);
        assert_eq!(credentials(tls, ""), [token(), token(), None]);
    }
}

#[test]
fn what_could_be_a_document_is_not_signed() {
    let long = "a".repeat(65);
    for nonce in ["{}", "a.b", "a b", "\u{e9}", long.as_str()] {
        assert_eq!(credentials(TlsMode::Off, nonce)[2], None, "{nonce}");
    }
    let fits = credentials(TlsMode::Off, &"a".repeat(64));
    assert!(fits[2].is_some());
}
