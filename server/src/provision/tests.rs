//! The actions against a folder: what they write, with which modes, and that a step that fails changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use muster_pki::{Authority, KeyKind, Profile, Role, SigningRequest, Validity};
use muster_protocol::ddl::{Ddl, Inputs};
use muster_protocol::lifecycle::LifecycleKind;
use muster_protocol::security::tokens::{
    Claims, PublicKey, ServerClaims, SigningKey, StandardClaims, TokenIssuer,
};
use muster_settings::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::agent::Shared;
use super::configure::Author;
use super::*;
use crate::NodeFlags;

const NODE: &str = "n1.example.net";

struct Lab {
    folder: TempDir,
    shared: Shared,
}

impl Lab {
    fn new(in_mode: bool, default: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("provisioning.jwt"), "the.token.text\n").unwrap();
        let build = BuildSettings {
            agent: true,
            default,
            token: "s3cret".to_owned(),
            brokers: vec!["p:4222".to_owned()],
            allow_update: true,
            ..BuildSettings::default()
        };
        let flags = NodeFlags {
            config_file: file("server.conf").to_string_lossy().into_owned(),
            ..NodeFlags::default()
        };
        let kept = [("logfile", "/var/log/n.log"), ("identity", NODE)];
        let kept = kept.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let shared = Shared::new(ProvisionOptions {
            in_mode,
            config_file: file("server.conf"),
            jwt_file: file("provisioning.jwt"),
            program: file("muster"),
            check: ConfigCheck {
                build,
                jwt_exists: true,
                flags,
                identity: NODE.to_owned(),
            },
            kept: BTreeMap::from(kept),
            calls: HostCalls::default(),
            seed: 7,
        });
        Self { folder, shared }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.at(name)).unwrap().permissions().mode() & 0o777
    }

    fn run(&self, action: &str, inputs: Value) -> Result<Value, String> {
        let inputs: Inputs = serde_json::from_value(inputs).unwrap();
        let author = Author {
            request_id: "r1".to_owned(),
            caller_id: "choria=p\nx = y".to_owned(),
            sender_id: "p.example.net".to_owned(),
            time: "2026-01-02T03:04:05Z".to_owned(),
        };
        let said = self.shared.run(action, &inputs, &author)?;
        let ddl = Ddl::builtin(AGENT).unwrap();
        let data: Value = serde_json::from_str(&said).unwrap();
        for output in ddl.action(action).unwrap().output.keys() {
            assert!(data[output].is_string(), "{action} gives no {output}");
        }
        Ok(data)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn config(ssldir: &Path, more: &[(&str, &str)]) -> String {
    let file = |name: &str| ssldir.join(name).to_string_lossy().into_owned();
    let mut settings = json!({
        "identity": NODE,
        "plugin.choria.server.provision": "0",
        "plugin.security.provider": "file",
        "plugin.security.file.certificate": file("certificate.pem"),
        "plugin.security.file.key": file("private.pem"),
        "plugin.security.file.ca": file("ca.pem"),
    });
    for (key, value) in more {
        settings[*key] = (*value).into();
    }
    settings.to_string()
}

/// Signs a request: certificate and authority.
fn sign(csr: &str) -> (String, String) {
    let validity = Validity::days_from(1_700_000_000, 20_000);
    let authority = Authority::new("test", KeyKind::EcdsaP256, validity).unwrap();
    let request = SigningRequest::from_pem(csr).unwrap();
    assert_eq!(request.name(), NODE);
    let profile = Profile::new(Role::Node, NODE, validity);
    let signed = authority.sign(&profile, request.key()).unwrap();
    (signed, authority.cert_pem().to_owned())
}

#[test]
fn a_node_is_configured_as_a_whole() {
    let lab = Lab::new(true, true);
    let made = lab.run("gencsr", json!({})).unwrap();
    assert_eq!(lab.mode("ssl"), 0o700);
    assert_eq!(lab.mode("ssl/private.pem"), 0o600);
    assert_eq!(lab.mode("ssl/csr.pem"), 0o644);
    let (certificate, ca) = sign(made["csr"].as_str().unwrap());
    let ssldir = lab.at("ssl");
    let inputs = json!({
        "config": config(&ssldir, &[]),
        "certificate": certificate,
        "ca": ca,
        "ssldir": ssldir,
        "action_policies": {"rpcutil.policy": "policy default allow\n"},
        "opa_policies": {"rpcutil.rego": "package x\n"},
    });
    let said = lab.run("configure", inputs).unwrap();
    let file = lab.at("server.conf");
    let expected = format!("Wrote 7 lines to {}", file.display());
    assert_eq!(said["message"], expected.as_str());
    let text = lab.read("server.conf");
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("# configured by request r1 of choria=p x = y from p.example.net"));
    assert_eq!(Settings::parse(&text, "x").option("identity"), Some(NODE));
    assert_eq!(lab.mode("server.conf"), 0o600);
    assert_eq!(lab.mode("ssl/certificate.pem"), 0o644);
    assert_eq!(lab.mode("policies/rpcutil.policy"), 0o400);
    assert_eq!(lab.mode("policies/rego/rpcutil.rego"), 0o400);
    assert_eq!(
        lab.names(),
        ["policies", "provisioning.jwt", "server.conf", "ssl"]
    );
    let calls = &lab.shared.options.calls;
    assert_eq!(
        calls.pop(),
        Some(HostCall::Event(LifecycleKind::Provisioned))
    );
    let said = lab.run("restart", json!({"splay": 1})).unwrap();
    assert_eq!(said["message"], "Restarting Choria Server after 2s");
    let Some(HostCall::Leave { how, after }) = calls.pop() else {
        panic!("nothing is asked for")
    };
    assert_eq!((how, after.as_secs()), (Leaving::Restart, 2));
    let again = lab.run("restart", json!({})).unwrap_err();
    assert!(again.contains("already"), "{again}");
}

#[test]
fn a_step_that_fails_leaves_everything_as_it_was() {
    let lab = Lab::new(true, true);
    fs::write(lab.at("server.conf"), "old = 1\n").unwrap();
    let made = lab.run("gencsr", json!({})).unwrap();
    let (certificate, ca) = sign(made["csr"].as_str().unwrap());
    let ssldir = lab.at("ssl");
    let good = json!({
        "config": config(&ssldir, &[]), "certificate": certificate, "ca": ca, "ssldir": ssldir,
    });
    let check = |change: &dyn Fn(&mut Value), why: &str| {
        let mut inputs = good.clone();
        change(&mut inputs);
        let error = lab.run("configure", inputs).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
        assert_eq!(lab.read("server.conf"), "old = 1\n");
        assert!(!lab.at("ssl/certificate.pem").exists(), "{why}");
        assert_eq!(
            lab.names(),
            ["provisioning.jwt", "server.conf", "ssl"],
            "{why}"
        );
    };
    let bad = config(&ssldir, &[("loglevel", "loud")]);
    check(&|inputs| inputs["config"] = bad.clone().into(), "loglevel");
    check(&|inputs| inputs["config"] = "[]".into(), "no JSON object");
    check(&|inputs| inputs["config"] = "{}".into(), "empty");
    check(
        &|inputs| inputs["ca"] = "x".into(),
        "ca holds no certificate",
    );
    check(&|inputs| inputs["key"] = "x".into(), "without ecdh_public");
    let keyed = |inputs: &mut Value| {
        inputs["key"] = "x".into();
        inputs["ecdh_public"] = "00".into();
    };
    check(&keyed, "jwt was not called");
    check(&|inputs| inputs["server_jwt"] = "x".into(), "server_jwt");
    let policies = json!({"../x.policy": "y"});
    check(
        &|inputs| inputs["action_policies"] = policies.clone(),
        "no name of a .policy file",
    );
    // A key made after the request was signed.
    let other = Lab::new(true, true).run("gencsr", json!({})).unwrap();
    let (strange, _) = sign(other["csr"].as_str().unwrap());
    check(
        &|inputs| inputs["certificate"] = strange.clone().into(),
        "the certificate cannot be used",
    );
    // A place that cannot be written, as a full disk is one: the configuration is a folder.
    let folder = lab.at("server.conf.d");
    fs::create_dir_all(folder.join("x")).unwrap();
    fs::write(lab.at("blocked"), "").unwrap();
    let blocked = lab.at("blocked/ssl");
    let error = lab.run(
        "configure",
        json!({"config": config(&blocked, &[]), "certificate": strange, "ca": ca, "ssldir": blocked}),
    );
    assert!(error.unwrap_err().contains("cannot make the folder"));
    assert_eq!(lab.read("server.conf"), "old = 1\n");
    assert_eq!(lab.shared.options.calls.pop(), None);
}

#[test]
fn a_fresh_ed25519_key_proves_itself_and_takes_its_token() {
    let lab = Lab::new(true, true);
    fs::write(lab.at("server.jwt"), "of the key before").unwrap();
    let made = lab.run("gen25519", json!({"nonce": "n0nce"})).unwrap();
    assert!(!lab.at("server.jwt").exists());
    assert_eq!(lab.mode("server.seed"), 0o600);
    let key = SigningKey::from_seed_hex(&lab.read("server.seed")).unwrap();
    assert_eq!(made["public_key"], key.public().to_string().as_str());
    assert_eq!(made["signature"], keys::hex(&key.sign(b"n0nce")).as_str());
    let token = |public: PublicKey, identity: &str| {
        let issuer = SigningKey::from_seed(&[9; 32]).unwrap();
        let claims = ServerClaims {
            identity: identity.to_owned(),
            standard: StandardClaims {
                public_key: public.to_string(),
                ..StandardClaims::default()
            },
            ..ServerClaims::default()
        };
        let claims = Claims::Server(Box::new(claims));
        TokenIssuer::new(issuer).sign(claims).unwrap()
    };
    let ssldir = lab.at("ssl");
    let configure = |token: String| {
        lab.run(
            "configure",
            json!({"config": config(&ssldir, &[]), "server_jwt": token}),
        )
    };
    let error = configure(token(key.public(), "other")).unwrap_err();
    assert!(error.contains("is for \"other\""), "{error}");
    let strange = SigningKey::from_seed(&[8; 32]).unwrap().public();
    let error = configure(token(strange, NODE)).unwrap_err();
    assert!(error.contains("another key"), "{error}");
    let own = token(key.public(), NODE);
    configure(own.clone()).unwrap();
    assert_eq!(lab.read("server.jwt"), own);
    assert_eq!(lab.mode("server.jwt"), 0o600);
}

#[test]
fn the_token_is_told_with_a_fresh_key_each_time() {
    let lab = Lab::new(true, true);
    let first = lab.run("jwt", json!({})).unwrap();
    let second = lab.run("jwt", json!({})).unwrap();
    assert_eq!(first["jwt"], "the.token.text");
    assert_ne!(first["ecdh_public"], second["ecdh_public"]);
    fs::remove_file(lab.at("provisioning.jwt")).unwrap();
    assert!(
        lab.run("jwt", json!({}))
            .unwrap_err()
            .contains("provisioning.jwt")
    );
}

#[test]
fn a_configured_node_goes_back() {
    let lab = Lab::new(false, true);
    fs::write(lab.at("server.conf"), "old = 1\n").unwrap();
    let said = lab.run("reprovision", json!({})).unwrap();
    let message = said["message"].as_str().unwrap();
    assert!(message.starts_with("Restarting after "), "{message}");
    let settings = Settings::parse(&lab.read("server.conf"), "x");
    assert_eq!(settings.option("plugin.choria.server.provision"), Some("1"));
    assert_eq!(settings.option("logfile"), Some("/var/log/n.log"));
    assert_eq!(settings.option("old"), None);
    assert!(matches!(
        lab.shared.options.calls.pop(),
        Some(HostCall::Leave {
            how: Leaving::Restart,
            ..
        })
    ));
    let said = Lab::new(false, false).run("reprovision", json!({}));
    assert!(said.unwrap_err().contains("not the default"));
}

#[test]
fn a_restart_into_the_mode_is_refused() {
    let lab = Lab::new(true, true);
    let restart = || lab.run("restart", json!({})).unwrap_err();
    assert!(restart().contains("server.conf"));
    let ssldir = lab.at("ssl");
    let write = |text: String| {
        let settings: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        let lines = settings
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"));
        fs::write(lab.at("server.conf"), lines.collect::<String>()).unwrap();
    };
    write(config(&ssldir, &[("plugin.choria.server.provision", "1")]));
    assert!(restart().contains("wait for a provisioner again"));
    write(config(&ssldir, &[("ttl", "5")]));
    assert!(restart().contains("cannot be used"));
    assert_eq!(lab.shared.options.calls.pop(), None);
}
