//! A backplane with keys and certificates: mutual TLS, and callers that are verified.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use muster_backplane::{ManagementConfig, VERSION};
use muster_broker::{Broker, BrokerConfig, TlsSetting};
use muster_client::fleet::{Fleet, Surroundings};
use muster_pki::{Authority, Issued, KeyKind, Profile, Role, Validity};
use muster_reactor::clock::unix_now;
use muster_reactor::tls::TlsFiles;

use support::{Answer, ask, connect, discover};

const APP: &str = "app1.example.net";

struct Lab {
    dir: tempfile::TempDir,
    authority: Authority,
    validity: Validity,
    broker: Broker,
}

impl Lab {
    fn new() -> Self {
        let validity = Validity::days_from(unix_now().as_secs() - 3600, 2);
        let authority = Authority::new("test", KeyKind::default(), validity).unwrap();
        let profile = Profile::new(Role::Broker, "broker.example.net", validity).loopback();
        let issued = authority.issue(&profile).unwrap();
        let files = TlsFiles {
            cert: &issued.cert_pem,
            key: &issued.key_pem,
            ca: Some(authority.cert_pem()),
            crl: None,
        };
        let config = BrokerConfig {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            shards: Some(1),
            tls: TlsSetting::mutual(&files).unwrap(),
            ..BrokerConfig::default()
        };
        Self {
            dir: tempfile::tempdir().unwrap(),
            broker: Broker::start(config).unwrap(),
            authority,
            validity,
        }
    }

    fn issue(&self, role: Role, name: &str) -> Issued {
        let profile = Profile::new(role, name, self.validity);
        self.authority.issue(&profile).unwrap()
    }

    /// Writes a file; gives its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn config(&self, tls: &str) -> ManagementConfig {
        let text = format!(
            "management: {{name: app, brokers: ['{}'], tls: {tls}, \
             auth: {{full: ['^choria=manager.mcollective$']}}}}",
            self.broker.address()
        );
        ManagementConfig::from_yaml(&text).unwrap()
    }

    fn caller(&self, name: &str) -> Fleet {
        let issued = self.issue(Role::Client, name);
        let text = format!(
            "plugin.choria.middleware_hosts = {}\ncollectives = app_backplane\n\
             plugin.security.provider = file\nplugin.security.file.ca = {}\n\
             plugin.security.file.certificate = {}\nplugin.security.file.key = {}\n",
            self.broker.address(),
            self.write("ca.pem", self.authority.cert_pem()),
            self.write(&format!("{name}.pem"), &issued.cert_pem),
            self.write(&format!("{name}.key"), &issued.key_pem),
        );
        let around = Surroundings {
            certname: Some(name.to_owned()),
            ..Surroundings::default()
        };
        connect(&text, &around)
    }

    /// Whoever is on the list is served, and a claim to be somebody is worth nothing.
    fn check(&self) {
        let mut manager = self.caller("manager.mcollective");
        assert_eq!(discover(&mut manager, &["backplane_name=app"]), [APP]);
        let version = Answer::ok(&format!(r#"{{"version":"{VERSION}"}}"#));
        assert_eq!(ask(&mut manager, APP, "backplane", "ping"), version);
        let mut other = self.caller("other.mcollective");
        discover(&mut other, &[]);
        assert_eq!(ask(&mut other, APP, "backplane", "ping").status, 1);
    }
}

#[test]
fn certificates_may_lie_in_the_folder_of_the_hosts_agent() {
    let lab = Lab::new();
    let issued = lab.issue(Role::Node, APP);
    lab.write(&format!("ssl/certs/{APP}.pem"), &issued.cert_pem);
    lab.write(&format!("ssl/private_keys/{APP}.pem"), &issued.key_pem);
    lab.write("ssl/certs/ca.pem", lab.authority.cert_pem());
    let ssl_dir = lab.dir.path().join("ssl").display().to_string();
    let tls = format!("{{scheme: puppet, identity: {APP}, ssl_dir: {ssl_dir}}}");
    let backplane = lab.config(&tls).builder().start().unwrap();
    lab.check();
    backplane.stop().unwrap();
}

#[test]
fn certificates_may_lie_in_files_of_their_own() {
    let lab = Lab::new();
    let issued = lab.issue(Role::Node, APP);
    let tls = format!(
        "{{scheme: manual, identity: {APP}, ca: {}, cert: {}, key: {}, cache: /nonexistent}}",
        lab.write("ca.pem", lab.authority.cert_pem()),
        lab.write("app.pem", &issued.cert_pem),
        lab.write("app.key", &issued.key_pem),
    );
    let backplane = lab.config(&tls).builder().start().unwrap();
    lab.check();
    backplane.stop().unwrap();
}
