//! The rules as files give them.

use std::io;
use std::path::Path;

use muster_settings::Settings;

use crate::BrokerConfig;

const HEX: &str = "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7";

fn read(text: &str) -> Result<BrokerConfig, String> {
    let settings = Settings::parse(text, "broker.conf");
    let file = |path: &Path| match path.to_str() {
        Some("signer.pub") => Ok(format!("{HEX}\n")),
        Some("junk.pem") => Ok("junk".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    BrokerConfig::from_settings(&settings, file).map_err(|errors| errors.to_string())
}

#[test]
fn a_file_without_rules_lets_everyone_in() {
    let config = read("identity = b1\n").unwrap();
    assert!(config.core.authenticator.is_none() && config.core.accounts.is_empty());
    assert!(config.rules.is_empty());
}

#[test]
fn rules_are_read_and_said() {
    let config = read(&format!(
        "plugin.security.issuer.names = choria, acme\n\
         plugin.security.issuer.choria.public = {HEX}\n\
         plugin.security.issuer.acme.public = {HEX}\n\
         plugin.choria.network.client_hosts = 10.0.0.0/8, ::1\n\
         plugin.choria.network.deny_server_connections = yes\n"
    ))
    .unwrap();
    assert!(config.core.authenticator.is_some());
    assert_eq!(
        config.rules,
        [
            "tokens of the issuers acme, choria are taken",
            "clients come from 10.0.0.0/8, ::1/128",
            "servers may do nothing",
            "tokens are shown in clear, as connections are not encrypted",
        ]
    );
    let config = read(&format!(
        "plugin.choria.network.client_signer_cert = {HEX}, signer.pub\n\
         plugin.choria.network.server_signer_cert = signer.pub\n"
    ))
    .unwrap();
    assert_eq!(config.rules[0], "tokens of clients by 2 signers are taken");
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let text = read(
        "plugin.security.issuer.names = choria\n\
         plugin.security.issuer.choria.public = 0123\n\
         plugin.choria.network.client_signer_cert = junk.pem\n\
         plugin.choria.network.server_signer_cert = missing.pem\n\
         plugin.choria.network.client_hosts = 10.0.0.0/40\n\
         plugin.choria.network.system.user = provisioner\n\
         plugin.choria.network.system.password = x\n\
         plugin.choria.network.provisioning.client_password = x\n\
         plugin.choria.network.provisioning.signer_cert = junk.pem\n\
         plugin.choria.network.token = t\n",
    )
    .unwrap_err();
    for wanted in [
        "broker.conf:2",
        "broker.conf:3",
        "junk.pem: key has 4 characters",
        "broker.conf:4",
        "missing.pem cannot be read",
        "broker.conf:5",
        "10.0.0.0/40 is neither an address nor a network",
        "is the name of the provisioner",
        "broker.conf:8",
        "needs TLS",
        "broker.conf:9",
        "broker.conf:10",
        "contradicts the other keys",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    for (text, wanted) in [
        (
            "plugin.choria.network.system.user = a\n",
            "is of use only with plugin.choria.network.system.password",
        ),
        (
            "plugin.choria.network.provisioning.signer_cert = signer.pub\n",
            "is of use only with",
        ),
        (
            "plugin.security.issuer.names = a\n",
            "plugin.security.issuer.a.public",
        ),
    ] {
        let errors = read(text).unwrap_err();
        assert!(errors.contains(wanted), "{errors}");
    }
    let both = format!(
        "plugin.security.issuer.names = choria\nplugin.security.issuer.choria.public = {HEX}\n\
         plugin.choria.network.client_signer_cert = {HEX}\n"
    );
    assert!(
        read(&both)
            .unwrap_err()
            .contains("contradicts plugin.security.issuer.names")
    );
}
