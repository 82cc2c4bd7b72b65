//! A broker with a provisioning account, by its configuration file and over real sockets: who gets in, and what stays in.

#![expect(clippy::unwrap_used, reason = "only tests and their helpers are here")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_broker::{Broker, BrokerConfig, monitor};
use muster_pki::{Authority, Issued, KeyKind, Profile, Role, Validity};
use muster_protocol::security::tokens::{
    Claims, ClientClaims, ClientPermissions, ServerClaims, SigningKey, StandardClaims, TokenIssuer,
};
use muster_reactor::rustls::ClientConfig;
use muster_reactor::tls::{ServerVerification, TlsSession, TlsState, client_config};
use muster_settings::Settings;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

struct Lab {
    authority: Authority,
    broker: Arc<Broker>,
}

impl Lab {
    fn new(shards: u16) -> Self {
        let validity = Validity::days_from(now() - 60, 2);
        let authority = Authority::new("Test CA", KeyKind::EcdsaP256, validity).unwrap();
        let own = authority
            .issue(&Profile::new(Role::Broker, "localhost", validity))
            .unwrap();
        let config = Self::config(&authority, &own, shards);
        assert_eq!(config.rules.len(), 2, "{:?}", config.rules);
        let broker = Arc::new(Broker::start(config).unwrap());
        Self { authority, broker }
    }

    fn config(authority: &Authority, own: &Issued, shards: u16) -> BrokerConfig {
        let text = format!(
            "plugin.choria.network.listen_address = 127.0.0.1\n\
             plugin.choria.network.client_port = 0\n\
             plugin.choria.network.shards = {shards}\n\
             plugin.security.file.certificate = own.pem\n\
             plugin.security.file.key = own.key\n\
             plugin.security.file.ca = ca.pem\n\
             plugin.security.issuer.names = choria\n\
             plugin.security.issuer.choria.public = {}\n\
             plugin.choria.network.provisioning.client_password = s3cret\n\
             plugin.choria.network.provisioning.signer_cert = {}\n\
             plugin.choria.network.provisioning.provisioner_without_token = true\n",
            key(1).public(),
            key(2).public(),
        );
        let settings = Settings::parse(&text, "broker.conf");
        let read = |path: &Path| match path.to_str() {
            Some("own.pem") => Ok(own.cert_pem.clone()),
            Some("own.key") => Ok(own.key_pem.to_string()),
            Some("ca.pem") => Ok(authority.cert_pem().to_owned()),
            _ => Err(ErrorKind::NotFound.into()),
        };
        BrokerConfig::from_settings(&settings, read).unwrap()
    }

    /// TLS with a certificate of the authority, or without any.
    fn tls(&self, certified: bool) -> Arc<ClientConfig> {
        let validity = Validity::days_from(now() - 60, 2);
        let profile = Profile::new(Role::Client, "boss.mcollective", validity);
        let issued = self.authority.issue(&profile).unwrap();
        let identity = certified.then_some((&*issued.cert_pem, &*issued.key_pem));
        let ca = Some(self.authority.cert_pem());
        client_config(ca, identity, ServerVerification::Full).unwrap()
    }

    /// A connection whose `CONNECT` has these members beside the usual ones.
    fn connect(&self, certified: bool, members: &Value) -> Result<Client, String> {
        Client::new(self.broker.address(), &self.tls(certified)).login(members)
    }

    fn node(&self) -> Client {
        self.connect(false, &json!({"auth_token": node_token(2)}))
            .unwrap()
    }

    fn boss(&self) -> Client {
        self.connect(true, &json!({"user": "provisioner", "pass": "s3cret"}))
            .unwrap()
    }

    /// A server of the fleet with a token that is good for so long.
    fn server(&self, seconds: u64) -> Client {
        let holder = key(7);
        let claims = ServerClaims {
            identity: "n1.example.net".to_owned(),
            collectives: vec!["mcollective".to_owned()],
            organization: "choria".to_owned(),
            standard: StandardClaims {
                public_key: holder.public().to_string(),
                expires_at: Some(i64::try_from(now() + seconds).unwrap()),
                ..StandardClaims::default()
            },
            ..ServerClaims::default()
        };
        let claims = Claims::Server(Box::new(claims));
        let token = TokenIssuer::new(key(1)).sign(claims).unwrap();
        let client = Client::new(self.broker.address(), &self.tls(false));
        let sig = holder.sign_nonce(&client.nonce());
        client
            .login(&json!({"auth_token": token, "jwt": token, "sig": sig}))
            .unwrap()
    }
}

fn node_token(signer: u8) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"alg": "EdDSA", "typ": "JWT"}));
    let claims = encode(json!({"purpose": "choria_provisioning", "exp": now() + 600}));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key(signer).sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A client behind TLS.
struct Client {
    stream: TcpStream,
    session: TlsSession,
    info: Value,
    said: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let info = serde_json::from_slice(line.strip_prefix(b"INFO ").unwrap()).unwrap();
        let mut client = Self {
            session: TlsSession::client(config, "localhost").unwrap(),
            stream,
            info,
            said: Vec::new(),
        };
        let mut out = Vec::new();
        client.session.start(&mut out).unwrap();
        client.stream.write_all(&out).unwrap();
        while client.session.state() == TlsState::Handshaking {
            assert!(client.read(), "the handshake fails");
        }
        client
    }

    fn nonce(&self) -> String {
        self.info["nonce"].as_str().unwrap().to_owned()
    }

    /// Logs in, or gives back what the broker said before it closed.
    fn login(mut self, members: &Value) -> Result<Self, String> {
        let mut connect = json!({"verbose": false, "pedantic": false, "name": "test"});
        let members = members.as_object().unwrap().clone();
        connect.as_object_mut().unwrap().extend(members);
        self.send(&format!("CONNECT {connect}\r\n"));
        let said = self.done();
        if said.is_empty() { Ok(self) } else { Err(said) }
    }

    fn send(&mut self, text: &str) {
        let mut out = Vec::new();
        self.session.encrypt(text.as_bytes(), &mut out).unwrap();
        // Who was refused may find the connection closed already.
        let _ = self.stream.write_all(&out);
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

    /// What the broker says until it has dealt with all that was sent, or has closed.
    fn done(&mut self) -> String {
        self.send("PING\r\n");
        while !self.said.ends_with(b"PONG\r\n") {
            if !self.read() {
                break;
            }
        }
        let said = String::from_utf8(std::mem::take(&mut self.said)).unwrap();
        said.strip_suffix("PONG\r\n")
            .map_or_else(|| said.clone(), str::to_owned)
    }

    /// What the broker answers to this.
    fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.done()
    }

    /// What comes until the broker closes.
    fn end(&mut self) -> String {
        while self.read() {}
        String::from_utf8(std::mem::take(&mut self.said)).unwrap()
    }
}

fn publish(subject: &str) -> String {
    format!("PUB {subject} 1\r\nx\r\n")
}

fn message(subject: &str, sid: u64) -> String {
    format!("MSG {subject} {sid} 1\r\nx\r\n")
}

#[test]
fn an_unprovisioned_node_reaches_its_provisioner_and_nobody_else() {
    for shards in [1, 3] {
        let lab = Lab::new(shards);
        // Connections fall on shards as the kernel likes: several of each, so that all pairs of shards occur.
        let mut fleet: Vec<Client> = (0..4).map(|_| lab.server(600)).collect();
        let mut nodes: Vec<Client> = (0..4).map(|_| lab.node()).collect();
        let mut boss = lab.boss();
        assert_eq!(boss.ask("SUB > 1\r\n"), "");
        for server in &mut fleet {
            let subs =
                "SUB mcollective.broadcast.agent.> 1\r\nSUB mcollective.node.n1.example.net 2\r\n";
            assert_eq!(server.ask(subs), "");
        }
        for node in &mut nodes {
            assert_eq!(node.ask("SUB provisioning.node.n1 1\r\n"), "");
            for subject in [
                ">",
                "*",
                "mcollective.>",
                "_INBOX.x.*",
                "provisioning.>",
                "choria.lifecycle.>",
                "$SYS.>",
            ] {
                let wanted =
                    format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"'\r\n");
                assert_eq!(node.ask(&format!("SUB {subject} 9\r\n")), wanted);
            }
            for subject in [
                "mcollective.broadcast.agent.rpcutil",
                "mcollective.node.n1.example.net",
                "provisioning.node.n1",
                "_INBOX.x.1",
                "$SYS.REQ.USER.INFO",
            ] {
                let wanted =
                    format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n");
                assert_eq!(node.ask(&publish(subject)), wanted);
            }
        }
        for server in &mut fleet {
            assert_eq!(server.done(), "", "nothing came through");
        }
        assert_eq!(boss.done(), "", "nothing came through");
        assert_eq!(nodes[0].ask(&publish("provisioning.registration.data")), "");
        assert_eq!(boss.done(), message("provisioning.registration.data", 1));
        assert_eq!(
            boss.ask(&publish("provisioning.node.n1")),
            message("provisioning.node.n1", 1)
        );
        for node in &mut nodes {
            assert_eq!(node.done(), message("provisioning.node.n1", 1));
        }
        // The provisioner may say what it likes, in its own account.
        boss.ask(&publish("mcollective.broadcast.agent.rpcutil"));
        for server in &mut fleet {
            assert_eq!(server.done(), "");
        }
    }
}

#[test]
fn the_fleet_hears_the_lifecycle_of_unprovisioned_nodes() {
    for shards in [1, 3] {
        let lab = Lab::new(shards);
        // A certificate without a token hears what is not the fleet's; it may not have life-cycle events.
        let mut other = lab.connect(true, &json!({})).unwrap();
        assert_eq!(other.ask("SUB > 1\r\n"), "");
        let mut viewer = viewer(&lab);
        assert_eq!(viewer.ask("SUB choria.lifecycle.event.> 1\r\n"), "");
        let event = "choria.lifecycle.event.startup.provision_mode_server";
        for _ in 0..6 {
            assert_eq!(lab.node().ask(&publish(event)), "");
        }
        assert_eq!(viewer.done(), message(event, 1).repeat(6));
        assert_eq!(other.done(), "");
        // It goes that way only: what the fleet says is not heard there.
        let mut boss = lab.boss();
        assert_eq!(boss.ask("SUB > 1\r\n"), "");
        let mut server = lab.server(600);
        assert_eq!(
            server.ask(&publish("choria.lifecycle.event.alive.server")),
            ""
        );
        assert_eq!(
            viewer.done(),
            message("choria.lifecycle.event.alive.server", 1)
        );
        assert_eq!(boss.done(), "");
    }
}

/// A client with a token that may see events.
fn viewer(lab: &Lab) -> Client {
    let holder = key(8);
    let claims = ClientClaims {
        caller_id: "up=ginger".to_owned(),
        organization: "choria".to_owned(),
        permissions: Some(ClientPermissions {
            events_viewer: true,
            ..ClientPermissions::default()
        }),
        standard: StandardClaims {
            public_key: holder.public().to_string(),
            ..StandardClaims::default()
        },
        ..ClientClaims::default()
    };
    let token = TokenIssuer::new(key(1))
        .sign(Claims::Client(Box::new(claims)))
        .unwrap();
    let client = Client::new(lab.broker.address(), &lab.tls(false));
    let sig = holder.sign_nonce(&client.nonce());
    client
        .login(&json!({"auth_token": token, "jwt": token, "sig": sig}))
        .unwrap()
}

#[test]
fn who_shows_nothing_good_is_sent_away() {
    let lab = Lab::new(2);
    for (certified, members) in [
        (false, json!({})),
        (false, json!({"user": "provisioner", "pass": "s3cret"})),
        (true, json!({"user": "provisioner", "pass": "wrong"})),
        (false, json!({"auth_token": node_token(3)})),
        (true, json!({"auth_token": "not.a.token"})),
    ] {
        let said = lab.connect(certified, &members).err();
        let wanted = "-ERR 'Authorization Violation'\r\n";
        assert_eq!(said.as_deref(), Some(wanted), "{members}");
    }
    let refusals = lab.broker.core().login_refusals();
    assert_eq!(
        refusals,
        [
            ("bad_password", 1),
            ("bad_provisioning_token", 1),
            ("bad_token", 1),
            ("unverified", 2),
        ]
    );
}

#[test]
fn a_signature_counts_for_its_own_connection_only() {
    let lab = Lab::new(1);
    let first = Client::new(lab.broker.address(), &lab.tls(false));
    let second = Client::new(lab.broker.address(), &lab.tls(false));
    assert_ne!(first.nonce(), second.nonce());
    let holder = key(7);
    let claims = ServerClaims {
        identity: "n1".to_owned(),
        organization: "choria".to_owned(),
        standard: StandardClaims {
            public_key: holder.public().to_string(),
            ..StandardClaims::default()
        },
        ..ServerClaims::default()
    };
    let token = TokenIssuer::new(key(1))
        .sign(Claims::Server(Box::new(claims)))
        .unwrap();
    let sig = holder.sign_nonce(&first.nonce());
    let members = json!({"auth_token": token, "sig": sig});
    assert!(second.login(&members).is_err(), "it was overheard");
    assert!(first.login(&members).is_ok());
}

#[test]
fn a_connection_ends_with_its_token() {
    let lab = Lab::new(1);
    let mut server = lab.server(2);
    assert_eq!(server.end(), "-ERR 'User Authentication Expired'\r\n");
}

#[test]
fn monitoring_tells_accounts_and_users_apart() {
    let lab = Lab::new(3);
    let (_server, _node, _boss) = (lab.server(600), lab.node(), lab.boss());
    assert!(lab.connect(false, &json!({})).is_err());
    let monitor = monitor::serve(Arc::clone(&lab.broker), "127.0.0.1:0".parse().unwrap()).unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(monitor.address()).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let connections = |path: &str| {
        let connz: Value = serde_json::from_str(&get(path)).unwrap();
        connz["connections"].as_array().unwrap().clone()
    };
    let all = connections("/connz?auth=1");
    let shown: Vec<(&Value, &Value)> = all
        .iter()
        .map(|connection| (&connection["account"], &connection["authorized_user"]))
        .collect();
    let wanted = [
        (json!("$G"), json!("n1.example.net")),
        (json!("provisioning"), Value::Null),
        (json!("provisioning"), json!("provisioner")),
    ];
    let wanted: Vec<(&Value, &Value)> = wanted.iter().map(|(a, b)| (a, b)).collect();
    assert_eq!(shown, wanted);
    assert_eq!(connections("/connz?acc=provisioning").len(), 2);
    assert_eq!(connections("/connz?user=provisioner").len(), 1);
    assert_eq!(connections("/connz?user=nobody").len(), 0);
    let metrics = get("/metrics");
    for line in [
        "muster_broker_account_connections{account=\"$G\"} 1\n",
        "muster_broker_account_connections{account=\"provisioning\"} 2\n",
        "muster_broker_login_refusals_total{reason=\"unverified\"} 1\n",
        "muster_broker_permission_denials_total{what=\"publish\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
