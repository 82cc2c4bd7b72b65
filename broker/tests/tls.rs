//! TLS of a running broker: what monitoring shows of it, and what its replacement does to those who are connected.

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig, TlsSetting, monitor};
use muster_pki::{
    Authority, CertInfo, Issued, KeyKind, Profile, Reason, RevokedCert, Role, Validity,
};
use muster_reactor::rustls::ClientConfig;
use muster_reactor::tls::{ServerVerification, TlsFiles, TlsSession, TlsState, client_config};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(20);

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

struct Lab {
    authority: Authority,
    own: Issued,
}

impl Lab {
    fn new() -> Self {
        let validity = Validity::days_from(now() - 60, 2);
        let authority = Authority::new("Test CA", KeyKind::EcdsaP256, validity).unwrap();
        let own = authority.issue(&Profile::new(Role::Broker, "localhost", validity));
        Self {
            own: own.unwrap(),
            authority,
        }
    }

    fn setting(&self, crl: Option<&str>) -> TlsSetting {
        TlsSetting::mutual(&TlsFiles {
            cert: &self.own.cert_pem,
            key: &self.own.key_pem,
            ca: Some(self.authority.cert_pem()),
            crl,
        })
        .unwrap()
    }

    fn broker(&self, shards: u16) -> Broker {
        let config = BrokerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            shards: Some(shards),
            tls: self.setting(None),
            ..BrokerConfig::default()
        };
        Broker::start(config).unwrap()
    }

    fn client(&self, name: &str) -> (Issued, Arc<ClientConfig>) {
        let validity = Validity::days_from(now() - 60, 2);
        let issued = self
            .authority
            .issue(&Profile::new(Role::Client, name, validity));
        let issued = issued.unwrap();
        let identity = Some((&*issued.cert_pem, &*issued.key_pem));
        let ca = Some(self.authority.cert_pem());
        let config = client_config(ca, identity, ServerVerification::Full).unwrap();
        (issued, config)
    }

    fn crl(&self, revoked: &[&Issued]) -> String {
        let revoked: Vec<_> = revoked
            .iter()
            .map(|issued| RevokedCert {
                serial: CertInfo::from_pem(&issued.cert_pem).unwrap().serial,
                since: now(),
                reason: Reason::Unspecified,
            })
            .collect();
        let list = self
            .authority
            .revocation_list(&revoked, 1, now(), now() + 60);
        list.unwrap()
    }
}

/// A connected client.
struct Client {
    stream: TcpStream,
    session: TlsSession,
    said: Vec<u8>,
}

impl Client {
    /// Connects and is welcome; `None` where the broker ends the connection before.
    fn connect(broker: &Broker, config: &Arc<ClientConfig>) -> Option<Self> {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let mut client = Self {
            session: TlsSession::client(config, "localhost").unwrap(),
            stream,
            said: Vec::new(),
        };
        let mut out = Vec::new();
        client.session.start(&mut out).unwrap();
        client.stream.write_all(&out).unwrap();
        while client.session.state() == TlsState::Handshaking {
            if !client.read() {
                return None;
            }
        }
        client.is_served().then_some(client)
    }

    /// Reads what comes; `false` at the end of the connection.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let len = match self.stream.read(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        let mut out = Vec::new();
        let taken = self
            .session
            .handle_ciphertext(&buffer[..len], &mut self.said, &mut out);
        let sent = self.stream.write_all(&out);
        len > 0 && taken.is_ok_and(|state| state != TlsState::PeerClosed) && sent.is_ok()
    }

    /// Whether a PING is answered.
    fn is_served(&mut self) -> bool {
        let mut out = Vec::new();
        let text = b"CONNECT {\"verbose\":false}\r\nPING\r\n";
        self.said.clear();
        if self.session.encrypt(text, &mut out).is_err() || self.stream.write_all(&out).is_err() {
            return false;
        }
        while !self.said.ends_with(b"PONG\r\n") {
            if !self.read() {
                return false;
            }
        }
        true
    }

    /// Waits for the end of the connection, and returns what was said before.
    fn end(mut self) -> String {
        self.said.clear();
        while self.read() {}
        String::from_utf8(self.said).unwrap()
    }
}

#[test]
fn a_new_list_cuts_off_whom_it_names_and_nobody_else() {
    for shards in [1, 3] {
        let lab = Lab::new();
        let broker = lab.broker(shards);
        let (gone, gone_config) = lab.client("gone.mcollective");
        let (_, good_config) = lab.client("good.mcollective");
        let connect = |config| Client::connect(&broker, config);
        // More than are checked in one turn.
        let doomed: Vec<_> = (0..40).map(|_| connect(&gone_config).unwrap()).collect();
        let mut staying: Vec<_> = (0..40).map(|_| connect(&good_config).unwrap()).collect();

        assert!(broker.replace_tls(lab.setting(Some(&lab.crl(&[&gone])))));
        for client in doomed {
            let said = client.end();
            assert!(said.contains("Authorization Violation"), "{said:?}");
        }
        assert!(staying.iter_mut().all(Client::is_served));
        // Its tickets are worth nothing.
        assert!(connect(&gone_config).is_none());
        assert!(connect(&good_config).is_some());

        assert!(broker.replace_tls(lab.setting(Some(&lab.crl(&[])))));
        assert!(connect(&gone_config).is_some());
    }
}

#[test]
fn what_clients_were_told_does_not_change() {
    let lab = Lab::new();
    let broker = lab.broker(1);
    assert!(!broker.replace_tls(TlsSetting::default()));
    let (_, config) = lab.client("good.mcollective");
    assert!(Client::connect(&broker, &config).is_some());
}

#[test]
fn connections_are_shown_with_their_tls() {
    let lab = Lab::new();
    let broker = Arc::new(lab.broker(2));
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = monitor::serve(Arc::clone(&broker), loopback).unwrap();
    let (issued, config) = lab.client("good.mcollective");
    // They stay while they are asked for.
    let clients = [(); 4].map(|()| Client::connect(&broker, &config).unwrap());
    let connz = |query: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = "HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
        write!(stream, "GET /connz{query} {head}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["connections"].as_array().unwrap().clone()
    };
    let info = CertInfo::from_pem(&issued.cert_pem).unwrap();
    let shown = connz("?auth=1");
    assert_eq!(shown.len(), clients.len());
    for connection in &shown {
        assert_eq!(connection["tls_version"], "1.3");
        assert_eq!(connection["tls_cipher_suite"], "TLS_AES_256_GCM_SHA384");
        let cert = &connection["tls_peer_certs"][0];
        assert_eq!(cert["subject"], "CN=good.mcollective");
        let fingerprint = info.fingerprint.replace(':', "").to_lowercase();
        assert_eq!(cert["cert_sha256"], fingerprint);
        assert_eq!(cert["spki_sha256"].as_str().unwrap().len(), 64);
    }
    let shown = connz("");
    assert_eq!(shown[0]["tls_version"], "1.3");
    assert!(shown[0].get("tls_peer_certs").is_none());
}
