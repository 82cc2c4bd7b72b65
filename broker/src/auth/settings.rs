//! The rules from a fleet's `key = value` file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use muster_protocol::security::tokens::{IssuerKey, PublicKey};
use muster_settings::Reader;

use super::{FleetRules, Network, PROVISIONER, Provisioning};

const ISSUERS: &str = "plugin.security.issuer.names";
const CLIENT_SIGNERS: &str = "plugin.choria.network.client_signer_cert";
const SERVER_SIGNERS: &str = "plugin.choria.network.server_signer_cert";
const CLIENT_HOSTS: &str = "plugin.choria.network.client_hosts";
const DENY_SERVERS: &str = "plugin.choria.network.deny_server_connections";
const SYSTEM_USER: &str = "plugin.choria.network.system.user";
const SYSTEM_PASSWORD: &str = "plugin.choria.network.system.password";
const PASSWORD: &str = "plugin.choria.network.provisioning.client_password";
const SIGNER: &str = "plugin.choria.network.provisioning.signer_cert";
const WITHOUT_TOKEN: &str = "plugin.choria.network.provisioning.provisioner_without_token";
const TOKEN: &str = "plugin.choria.network.token";

/// Reads files by their paths.
type Read<'a> = dyn Fn(&Path) -> io::Result<String> + 'a;

impl FleetRules {
    /// Reads the keys that say who may connect; `tls` is what they cannot know. `read` reads the files of keys.
    pub(crate) fn read(reader: &mut Reader<'_>, tls: bool, read: &Read<'_>) -> Self {
        let issuers = read_issuers(reader);
        let client_signers = read_signers(reader, CLIENT_SIGNERS, read);
        let server_signers = read_signers(reader, SERVER_SIGNERS, read);
        for key in [CLIENT_SIGNERS, SERVER_SIGNERS] {
            if !issuers.is_empty() && reader.has(key) {
                reader.problem(key, format!("contradicts {ISSUERS}"));
            }
        }
        let rules = Self {
            provisioning: read_provisioning(reader, tls, !issuers.is_empty(), read),
            system: read_system(reader, tls),
            issuers,
            client_signers,
            server_signers,
            client_hosts: read_hosts(reader),
            deny_servers: reader.bool(DENY_SERVERS, false),
            tls,
        };
        if !rules.is_open() && reader.has(TOKEN) {
            reader.problem(TOKEN, "contradicts the other keys that say who may connect");
        }
        rules
    }
}

fn read_issuers(reader: &mut Reader<'_>) -> BTreeMap<String, PublicKey> {
    let mut issuers = BTreeMap::new();
    for name in reader.list(ISSUERS, &[]) {
        let key = format!("plugin.security.issuer.{name}.public");
        let public = reader.required_string(&key);
        match PublicKey::from_hex(&public) {
            Ok(public) => {
                issuers.insert(name, public);
            }
            Err(error) if reader.has(&key) => reader.problem(&key, error.to_string()),
            // That it is missing was said.
            Err(_) => {}
        }
    }
    issuers
}

/// Keys in hex, or files that hold one.
fn read_signers(reader: &mut Reader<'_>, key: &str, read: &Read<'_>) -> Vec<PublicKey> {
    let mut signers = Vec::new();
    for item in reader.list(key, &[]) {
        match signer(&item, read) {
            Ok(IssuerKey::Ed25519(public)) => signers.push(public),
            Ok(IssuerKey::Rsa(_)) => {
                reader.problem(
                    key,
                    format!("{item} is an RSA key, tokens are signed with ed25519"),
                );
            }
            Err(problem) => reader.problem(key, problem),
        }
    }
    signers
}

fn signer(item: &str, read: &Read<'_>) -> Result<IssuerKey, String> {
    if let Ok(public) = PublicKey::from_hex(item) {
        return Ok(IssuerKey::Ed25519(public));
    }
    let text = read(Path::new(item)).map_err(|error| format!("{item} cannot be read: {error}"))?;
    IssuerKey::from_text(&text).map_err(|error| format!("{item}: {error}"))
}

fn read_provisioning(
    reader: &mut Reader<'_>,
    tls: bool,
    has_issuers: bool,
    read: &Read<'_>,
) -> Option<Provisioning> {
    let password = reader.opt_string(PASSWORD);
    let wanted = reader.opt_string(SIGNER);
    let without_token = reader.bool(WITHOUT_TOKEN, false);
    let signer = wanted.and_then(|item| match signer(&item, read) {
        Ok(signer) => Some(signer),
        Err(problem) => {
            reader.problem(SIGNER, problem);
            None
        }
    });
    let Some(password) = password else {
        for key in [SIGNER, WITHOUT_TOKEN] {
            if reader.has(key) {
                reader.problem(key, format!("is of use only with {PASSWORD}"));
            }
        }
        return None;
    };
    if !tls {
        reader.problem(
            PASSWORD,
            "needs TLS: tokens of nodes prove nothing where others see them",
        );
    }
    if !reader.has(SIGNER) && !has_issuers {
        reader.problem(
            PASSWORD,
            format!("lets no node in without {SIGNER} or {ISSUERS}"),
        );
    }
    Some(Provisioning {
        password: password.into(),
        signer,
        without_token,
    })
}

fn read_system(reader: &mut Reader<'_>, tls: bool) -> Option<(Box<str>, Box<str>)> {
    let user = reader.opt_string(SYSTEM_USER);
    let password = reader.opt_string(SYSTEM_PASSWORD);
    let (user, password) = match (user, password) {
        (Some(user), Some(password)) => (user, password),
        (None, None) => return None,
        (Some(_), None) => {
            reader.problem(
                SYSTEM_USER,
                format!("is of use only with {SYSTEM_PASSWORD}"),
            );
            return None;
        }
        (None, Some(_)) => {
            reader.problem(
                SYSTEM_PASSWORD,
                format!("is of use only with {SYSTEM_USER}"),
            );
            return None;
        }
    };
    if user == PROVISIONER {
        reader.problem(SYSTEM_USER, "is the name of the provisioner");
    }
    if !tls {
        reader.problem(SYSTEM_USER, "needs TLS");
    }
    Some((user.into(), password.into()))
}

fn read_hosts(reader: &mut Reader<'_>) -> Vec<Network> {
    let mut hosts = Vec::new();
    for item in reader.list(CLIENT_HOSTS, &[]) {
        match item.parse() {
            Ok(network) => hosts.push(network),
            Err(error) => reader.problem(CLIENT_HOSTS, format!("{item} {error}")),
        }
    }
    hosts
}
