//! The checked configuration of a node daemon, from the fleet's `key = value` files.
//!
//! Every problem is reported, with file and line. What is not supported yet is a problem where going on would be less
//! safe than the file asks for, and a warning otherwise. No file but the settings is looked at here.

mod announce;
mod identity;
pub mod keys;
mod other;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use muster_client::nats::ServerAddr;
use muster_client::provider::{
    Owner, Provider, ProviderKind, X509Needs, legacy_certificates_warning,
};
use muster_client::resolve::{Seeker, SrvQuery, SrvSurroundings};
use muster_protocol::request::TTL_MIN;
use muster_protocol::security::{DEFAULT_ALLOW, DEFAULT_PRIVILEGED};
use muster_settings::{Reader, Settings, SettingsErrors};
use serde_json::Value;

use crate::audit::AuditOptions;
use crate::external::ExternalOptions;
use crate::policy::store::PolicyOptions;
use crate::setup::{RawOptions, TTL_MAX_DEFAULT, is_subject_part};

pub use self::announce::{AnnounceConfig, RegistrationConfig, SourceConfig, SourceKind};
pub use self::identity::derive_identity;

/// Where the fleet's configuration management leaves the classes.
const CLASSES_FILE: &str = "/opt/puppetlabs/puppet/cache/state/classes.txt";
/// The broker of a fleet that configures none.
const SERVER_DEFAULT: &str = "puppet:4222";
/// The longest a connection attempt may be allowed to take.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Environment variables that a node goes by; whoever reads settings hands those that are set to
/// [`NodeFlags::environment`]. User and password go before the files; `CHORIA_SRV_DOMAIN` counts where no file names a
/// domain.
pub const ENVIRONMENT: [&str; 3] = [
    "CHORIA_SRV_DOMAIN",
    "MCOLLECTIVE_NATS_PASSWORD",
    "MCOLLECTIVE_NATS_USERNAME",
];
/// Values of keys with one of these words in them are told to nobody.
const SECRET_WORDS: [&str; 7] = [
    "pass",
    "token",
    "seed",
    "secret",
    "credential",
    "private",
    "file.key",
];

/// What the command line and the host say beside the files.
#[derive(Debug, Clone, Default)]
pub struct NodeFlags {
    /// Connect in clear.
    pub disable_tls: bool,
    /// **Dangerous**: believe every request, whoever sent it.
    pub insecure: bool,
    /// Whether the process runs as root.
    pub is_root: bool,
    /// The host's name, the identity where none is configured; see [`derive_identity`].
    pub hostname: Option<String>,
    /// The domain in the host's facts, where brokers are looked up unless a key or the environment names another; see
    /// [`facts_domain`](crate::daemon::facts_domain).
    pub domain: Option<String>,
    /// Those of the variables of [`ENVIRONMENT`] that are set.
    pub environment: BTreeMap<String, String>,
    /// The configuration file's name, as told to callers.
    pub config_file: String,
}

impl NodeFlags {
    /// **Dangerous** outside laboratories: no TLS, and every request is believed.
    #[must_use]
    pub fn laboratory() -> Self {
        Self {
            disable_tls: true,
            insecure: true,
            ..Self::default()
        }
    }
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere.
    Discard,
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// A node daemon's configuration.
#[derive(Clone)]
pub struct NodeConfig {
    /// The node's name.
    pub identity: String,
    /// The collectives it is in.
    pub collectives: Vec<String>,
    /// The one it is mainly in.
    pub main_collective: String,
    /// The brokers.
    pub servers: Vec<ServerAddr>,
    /// Where brokers are looked up, where none is configured.
    pub srv: Option<SrvQuery>,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// User and password for the broker.
    pub credentials: Option<(String, String)>,
    /// What the broker knows the node by, where that is neither a user nor a certificate.
    pub auth_token: Option<String>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether that is all: the broker is not checked, and the node shows no certificate.
    pub anonymous_tls: bool,
    /// **Dangerous**: every request is believed.
    pub insecure: bool,
    /// The files of the security provider; empty paths where the flags make them needless.
    pub security: Provider,
    /// Patterns of the names that may call.
    pub allow: Vec<String>,
    /// Patterns of the names that may call for others.
    pub privileged: Vec<String>,
    /// By which policies calls are allowed; none lets every verified caller call.
    pub policies: Option<PolicyOptions>,
    /// Where allowed calls are recorded, if anywhere.
    pub audit: Option<AuditOptions>,
    /// Files with facts, later ones over earlier ones.
    pub facts_files: Vec<PathBuf>,
    /// The file with classes.
    pub classes_file: PathBuf,
    /// `debug`, `info`, `warn`, `error` or `fatal`.
    pub log_level: &'static str,
    /// Where the log goes.
    pub log_target: LogTarget,
    /// The longest time to live that is honoured, in seconds.
    pub ttl_max: i64,
    /// What it tells without being asked.
    pub announce: AnnounceConfig,
    /// How long it may take to end: calls under way are waited for that long.
    pub soft_shutdown: Duration,
    /// Agents that are switched off.
    pub inactive_agents: BTreeSet<String>,
    /// The lines of the files as they stand, for agents that read keys of their own.
    pub raw_options: RawOptions,
    /// Whether the file asks for provisioning; counts when the process starts, see [`provision`](crate::provision).
    pub provision: Option<bool>,
    /// The agents that are programs.
    pub external: ExternalOptions,
    /// The configuration file's name.
    pub config_file: String,
    /// What callers may ask of the configuration, secrets left out.
    pub config_items: BTreeMap<String, Value>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

impl NodeConfig {
    /// Checks settings.
    ///
    /// # Errors
    /// Every problem, with its place.
    pub fn from_settings(settings: &Settings, flags: &NodeFlags) -> Result<Self, SettingsErrors> {
        let mut reader = settings.reader();
        let config = Self::read(&mut reader, flags);
        reader.finish()?;
        Ok(config)
    }

    /// The part of a configuration that is good; the reader has the problems.
    fn read(reader: &mut Reader<'_>, flags: &NodeFlags) -> Self {
        let settings = reader.settings();
        let mut warnings = other::pass_over(reader);
        let identity = read_identity(reader, flags);
        let provider = ProviderKind::read(reader);
        let (collectives, main_collective) =
            read_collectives(reader, provider.default_collective());
        let (servers, srv) = read_servers(reader, flags);
        let credentials = read_credentials(reader, flags);
        let security = read_security(reader, flags, provider, &identity, &mut warnings);
        let audit = AuditOptions::read(reader, &mut warnings);
        let (log_level, log_target) = read_log(reader);
        let ttl: i64 = reader.whole("ttl", 60, TTL_MIN..=TTL_MAX_DEFAULT);
        let inactive_agents = read_inactive(reader);
        let mut config = Self {
            allow: reader.list("plugin.choria.security.certname_whitelist", &DEFAULT_ALLOW),
            privileged: reader.list(
                "plugin.choria.security.privileged_users",
                &DEFAULT_PRIVILEGED,
            ),
            facts_files: reader.path_list("plugin.yaml"),
            classes_file: reader.path("classesfile", CLASSES_FILE),
            announce: announce::read(reader, &collectives, &main_collective),
            servers,
            srv,
            connect_timeout: reader.duration_in(
                "plugin.choria.network.connect_timeout",
                Duration::from_secs(2),
                Duration::from_millis(1)..=CONNECT_TIMEOUT_MAX,
            ),
            soft_shutdown: announce::seconds(reader, "soft_shutdown_timeout", 2),
            raw_options: raw_options(settings),
            credentials,
            identity,
            collectives,
            main_collective,
            auth_token: None,
            tls: !flags.disable_tls,
            anonymous_tls: false,
            insecure: flags.insecure,
            security,
            policies: read_policies(reader),
            audit,
            log_level,
            log_target,
            ttl_max: TTL_MAX_DEFAULT,
            provision: read_provision(reader),
            external: ExternalOptions {
                inactive: inactive_agents.clone(),
                ..ExternalOptions::read(reader, &flags.config_file)
            },
            inactive_agents,
            config_file: flags.config_file.clone(),
            config_items: BTreeMap::new(),
            warnings,
        };
        if config.insecure {
            let warning =
                "requests are not checked: anybody who reaches the broker commands this node";
            config.warnings.push(warning.to_owned());
        }
        config.config_items = config_items(&config, settings, ttl);
        config
    }
}

fn read_identity(reader: &mut Reader<'_>, flags: &NodeFlags) -> String {
    let configured = reader.opt_string("identity");
    let Some(identity) = configured.or_else(|| flags.hostname.clone()) else {
        reader.problem(
            "identity",
            "is needed and not set, and the host has no name",
        );
        return String::new();
    };
    if !is_subject_part(&identity) {
        reader.problem(
            "identity",
            format!("{identity:?} cannot be part of a subject"),
        );
    }
    identity
}

fn read_collectives(reader: &mut Reader<'_>, default: &str) -> (Vec<String>, String) {
    let collectives = reader.list("collectives", &[default]);
    if collectives.is_empty() {
        reader.problem("collectives", "names none, and a node must be in one");
    }
    for collective in collectives.iter().filter(|name| !is_subject_part(name)) {
        reader.problem(
            "collectives",
            format!("holds {collective:?}, which cannot be part of a subject"),
        );
    }
    let first = collectives.first().cloned().unwrap_or_default();
    let main = reader.opt_string("main_collective").unwrap_or(first);
    if !collectives.is_empty() && !collectives.contains(&main) {
        reader.problem("main_collective", "is none of the collectives");
    }
    (collectives, main)
}

/// The brokers, or the default and where else to look for them.
fn read_servers(reader: &mut Reader<'_>, flags: &NodeFlags) -> (Vec<ServerAddr>, Option<SrvQuery>) {
    const KEY: &str = "plugin.choria.middleware_hosts";
    let use_srv = reader.bool("plugin.choria.use_srv", true);
    // The query reads it; a table of keys goes by what this reader was asked for.
    let _ = reader.has("plugin.choria.srv_domain");
    let hosts = reader.list(KEY, &[]);
    if hosts.is_empty() {
        let default = ServerAddr::parse(SERVER_DEFAULT).expect("a test reads the default");
        let around = SrvSurroundings {
            domain: (flags.variable("CHORIA_SRV_DOMAIN")).or_else(|| flags.domain.clone()),
            hostname: flags.hostname.clone().unwrap_or_default(),
        };
        // Its only problems are those of keys that are read here too.
        let query = SrvQuery::read(reader.settings(), Seeker::Local, &around).ok();
        return (vec![default], query.filter(|_| use_srv));
    }
    let mut servers = Vec::new();
    for host in &hosts {
        match ServerAddr::parse(host) {
            Ok(server) => servers.push(server),
            Err(error) => reader.problem(KEY, format!("is no list of brokers: {error}")),
        }
    }
    (servers, None)
}

fn read_credentials(reader: &mut Reader<'_>, flags: &NodeFlags) -> Option<(String, String)> {
    const FILE: &str = "plugin.nats.credentials";
    if reader.opt_string(FILE).is_some() {
        reader.problem(FILE, "is not supported; use plugin.nats.user and .pass");
    }
    let user = reader.opt_string("plugin.nats.user");
    let pass = reader.opt_string("plugin.nats.pass");
    let user = flags.variable("MCOLLECTIVE_NATS_USERNAME").or(user);
    let pass = flags.variable("MCOLLECTIVE_NATS_PASSWORD").or(pass);
    match (user, pass) {
        (Some(user), pass) => Some((user, pass.unwrap_or_default())),
        (None, Some(_)) => {
            reader.problem(
                "plugin.nats.user",
                "is needed with plugin.nats.pass and not set",
            );
            None
        }
        (None, None) => None,
    }
}

fn read_security(
    reader: &mut Reader<'_>,
    flags: &NodeFlags,
    kind: ProviderKind,
    identity: &str,
    warnings: &mut Vec<String>,
) -> Provider {
    warnings.extend(legacy_certificates_warning(reader));
    let owner = Owner {
        certname: identity,
        is_root: flags.is_root,
    };
    let needs = X509Needs {
        identity: !flags.disable_tls,
        ca: !flags.disable_tls || !flags.insecure,
    };
    let provider = kind.read_files(reader, owner, needs);
    if let Provider::Token(files) = &provider {
        if files.trust.is_none() && !flags.insecure {
            let problem = "is needed and not set, and plugin.security.issuer.names is not either";
            reader.problem("plugin.security.choria.trusted_signers", problem);
        }
        warnings.extend(files.tls_warning().filter(|_| !flags.disable_tls));
    }
    provider
}

fn read_provision(reader: &mut Reader<'_>) -> Option<bool> {
    const KEY: &str = "plugin.choria.server.provision";
    let is_there = reader.has(KEY);
    let value = reader.bool(KEY, false);
    is_there.then_some(value)
}

fn read_policies(reader: &mut Reader<'_>) -> Option<PolicyOptions> {
    const PROVIDER: &str = "rpcauthprovider";
    let provider = reader.string(PROVIDER, "action_policy");
    // The fleet's files may write it with a capital.
    if !provider.eq_ignore_ascii_case("action_policy") {
        reader.problem(PROVIDER, "is not supported, only action_policy is");
    }
    let options = PolicyOptions::read(reader);
    reader.bool("rpcauthorization", true).then_some(options)
}

fn read_log(reader: &mut Reader<'_>) -> (&'static str, LogTarget) {
    let level = reader.one_of(
        "loglevel",
        "info",
        &["debug", "info", "warn", "error", "fatal"],
    );
    let target = match &*reader.string("logfile", "stdout") {
        "discard" => LogTarget::Discard,
        "stdout" | "" => LogTarget::Stdout,
        "stderr" => LogTarget::Stderr,
        _ => LogTarget::File(reader.path("logfile", "")),
    };
    (level, target)
}

/// Agents with `plugin.<agent>.activate_agent` off.
fn read_inactive(reader: &mut Reader<'_>) -> BTreeSet<String> {
    let settings = reader.settings();
    let keys = settings.entries().iter().filter_map(|entry| {
        let agent = entry.key().strip_prefix("plugin.")?;
        Some((entry.key(), agent.strip_suffix(".activate_agent")?))
    });
    keys.filter(|(key, _)| !reader.bool(key, true))
        .map(|(_, agent)| agent.to_owned())
        .collect()
}

fn raw_options(settings: &Settings) -> RawOptions {
    let lines = settings.entries().iter();
    let lines = lines.map(|entry| (entry.key().to_owned(), entry.value().to_owned()));
    RawOptions(lines.collect())
}

/// The lines of the files as they stand, and the settings a node goes by with their types.
fn config_items(config: &NodeConfig, settings: &Settings, ttl: i64) -> BTreeMap<String, Value> {
    let is_secret = |key: &str| SECRET_WORDS.iter().any(|word| key.contains(word));
    let mut items: BTreeMap<String, Value> = settings
        .entries()
        .iter()
        .filter(|entry| !is_secret(entry.key()))
        .map(|entry| (entry.key().to_owned(), Value::from(entry.value())))
        .collect();
    let servers: Vec<_> = config.servers.iter().map(ToString::to_string).collect();
    let facts: Value = config
        .facts_files
        .iter()
        .map(|path| path.to_string_lossy())
        .collect();
    let typed = [
        ("identity", Value::from(config.identity.as_str())),
        ("collectives", Value::from(config.collectives.clone())),
        (
            "main_collective",
            Value::from(config.main_collective.as_str()),
        ),
        ("plugin.choria.middleware_hosts", Value::from(servers)),
        (
            "plugin.choria.security.certname_whitelist",
            Value::from(config.allow.clone()),
        ),
        (
            "plugin.choria.security.privileged_users",
            Value::from(config.privileged.clone()),
        ),
        ("plugin.yaml", facts),
        (
            "classesfile",
            Value::from(config.classes_file.to_string_lossy()),
        ),
        ("rpcauthorization", Value::from(config.policies.is_some())),
        ("loglevel", Value::from(config.log_level)),
        ("ttl", Value::from(ttl)),
    ];
    items.extend(typed.map(|(key, value)| (key.to_owned(), value)));
    items
}

impl NodeFlags {
    fn variable(&self, name: &str) -> Option<String> {
        let value = self.environment.get(name);
        value.filter(|value| !value.is_empty()).cloned()
    }
}

/// Leaves the credentials out.
impl std::fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConfig")
            .field("identity", &self.identity)
            .field("collectives", &self.collectives)
            .field("servers", &self.servers)
            .field("tls", &self.tls)
            .field("insecure", &self.insecure)
            .field("security", &self.security)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use muster_client::provider::X509Files;
    use muster_protocol::security::tokens::{PublicKey, TokenTrust};

    use super::*;

    const FILE: &str = "identity = node1.example.net
collectives = mcollective, eu
plugin.choria.middleware_hosts = broker1:4222, nats://broker2:4223
plugin.choria.use_srv = false
plugin.security.provider = file
plugin.security.file.certificate = /etc/c.pem
plugin.security.file.key = /etc/k.pem
plugin.security.file.ca = /etc/ca.pem
plugin.yaml = /etc/a.yaml:/etc/b.json
plugin.nats.user = u
plugin.nats.pass = hunter2
rpcauthorization = 0
logfile = /var/log/x.log
ttl = 90
own.key = v
";

    fn read(text: &str, flags: &NodeFlags) -> Result<NodeConfig, SettingsErrors> {
        NodeConfig::from_settings(&Settings::parse(text, "server.conf"), flags)
    }

    #[test]
    fn every_key_is_read() {
        let config = read(FILE, &NodeFlags::default()).unwrap();
        assert_eq!(config.identity, "node1.example.net");
        assert_eq!(config.collectives, ["mcollective", "eu"]);
        assert_eq!(config.main_collective, "mcollective");
        assert_eq!(config.servers.len(), 2);
        let files = X509Files {
            certificate: "/etc/c.pem".into(),
            key: "/etc/k.pem".into(),
            ca: "/etc/ca.pem".into(),
            crl: None,
        };
        assert_eq!(config.security, Provider::X509(files));
        assert_eq!(config.facts_files.len(), 2);
        assert_eq!(config.policies, None);
        assert_eq!(config.allow, DEFAULT_ALLOW);
        assert_eq!(config.log_target, LogTarget::File("/var/log/x.log".into()));
        assert!(config.tls && !config.insecure);
        assert_eq!(config.warnings, [""; 0]);
        assert_eq!(
            config.config_items["collectives"],
            serde_json::json!(["mcollective", "eu"])
        );
        assert_eq!(config.config_items["ttl"], 90);
        assert_eq!(config.config_items["own.key"], "v");
        assert!(!config.config_items.contains_key("plugin.nats.pass"));
        assert!(!config.config_items.contains_key("plugin.security.file.key"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let text = "identity = a b
collectives = x, y >
main_collective = z
plugin.choria.middleware_hosts = broker1
plugin.security.provider = pkcs11
loglevel = loud
ttl = 5
";
        let errors = read(text, &NodeFlags::default()).unwrap_err().to_string();
        for expected in [
            "server.conf:1: identity",
            "server.conf:2: collectives",
            "server.conf:3: main_collective",
            "server.conf:4: plugin.choria.middleware_hosts",
            "server.conf:5: plugin.security.provider",
            "server.conf:6: loglevel",
            "server.conf:7: ttl",
            "plugin.choria.ssldir is needed and not set",
        ] {
            assert!(errors.contains(expected), "{expected} in\n{errors}");
        }
    }

    #[test]
    fn flags_make_files_needless_and_are_warned_of() {
        let flags = NodeFlags {
            disable_tls: true,
            insecure: true,
            hostname: Some("host1".to_owned()),
            ..NodeFlags::default()
        };
        let config = read("", &flags).unwrap();
        assert_eq!(config.identity, "host1");
        assert!(config.policies.is_some());
        assert_eq!(config.servers[0].to_string(), "puppet:4222");
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        let flags = NodeFlags {
            insecure: false,
            ..flags
        };
        let errors = read("plugin.security.provider = file", &flags).unwrap_err();
        assert_eq!(errors.errors().len(), 1, "{errors}");
    }

    #[test]
    fn brokers_are_looked_up_in_the_domain_that_is_named_first() {
        let check = |text: &str, variable: &str, fact: Option<&str>, expected: &str| {
            let mut flags = NodeFlags {
                hostname: Some("n1.host.net".to_owned()),
                domain: fact.map(str::to_owned),
                ..NodeFlags::laboratory()
            };
            let variables = &mut flags.environment;
            variables.insert("CHORIA_SRV_DOMAIN".to_owned(), variable.to_owned());
            let around = SrvSurroundings {
                domain: Some(expected.to_owned()),
                hostname: String::new(),
            };
            let none = Settings::parse("", "server.conf");
            let expected = SrvQuery::read(&none, Seeker::Local, &around).unwrap();
            assert_eq!(read(text, &flags).unwrap().srv, Some(expected));
        };
        let key = "plugin.choria.srv_domain = key.net";
        check(key, "variable.net", Some("fact.net"), "key.net");
        check("", "variable.net", Some("fact.net"), "variable.net");
        check("", "", Some("fact.net"), "fact.net");
        check("", "", None, "host.net");
    }

    #[test]
    fn puppet_files_lie_where_puppet_puts_them() {
        let of = |settings: &Settings, is_root| {
            let flags = NodeFlags {
                is_root,
                ..NodeFlags::default()
            };
            NodeConfig::from_settings(settings, &flags).map(|config| config.security)
        };
        let files = |ssldir: &str| {
            Provider::X509(X509Files {
                certificate: format!("{ssldir}/certs/n1.pem").into(),
                key: format!("{ssldir}/private_keys/n1.pem").into(),
                ca: format!("{ssldir}/certs/ca.pem").into(),
                crl: None,
            })
        };
        let settings = Settings::parse("identity = n1", "server.conf");
        let root = of(&settings, true).unwrap();
        assert_eq!(root, files("/etc/puppetlabs/puppet/ssl"));
        let user = of(&settings.with_home("/home/u"), false).unwrap();
        assert_eq!(user, files("/home/u/.puppetlabs/etc/puppet/ssl"));
        let text = "identity = n1\nplugin.choria.ssldir = /ssl";
        let set = of(&Settings::parse(text, "server.conf"), false).unwrap();
        assert_eq!(set, files("/ssl"));
    }

    const TOKEN: &str = "identity = n1
plugin.security.provider = choria
plugin.security.choria.token_file = /t.jwt
plugin.security.choria.seed_file = /t.seed
";
    const PUBLIC: &str = "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7";

    #[test]
    fn a_provider_with_tokens_needs_its_files_and_somebody_to_trust() {
        let flags = NodeFlags::default();
        let text = format!("{TOKEN}plugin.security.choria.trusted_signers = {PUBLIC}");
        let config = read(&text, &flags).unwrap();
        assert_eq!(config.collectives, ["choria"]);
        let Provider::Token(files) = &config.security else {
            panic!("{config:?}")
        };
        let key = PublicKey::from_hex(PUBLIC).unwrap();
        assert_eq!(files.trust, Some(TokenTrust::Signers(vec![key])));
        assert!(files.sign_replies);
        assert!(config.warnings.iter().any(|w| w.contains("choria.ca")));
        assert!(!config.config_items.keys().any(|key| key.contains("seed")));

        let issuers = "plugin.security.issuer.names = a, b\nplugin.security.issuer.a.public = ";
        let text = format!("{TOKEN}{issuers}{PUBLIC}\nplugin.security.issuer.b.public = 12");
        let errors = read(&text, &flags).unwrap_err().to_string();
        assert!(
            errors.contains("server.conf:7: plugin.security.issuer.b.public"),
            "{errors}"
        );
        let text = format!("{TOKEN}{issuers}{PUBLIC}");
        let errors = read(&text, &flags).unwrap_err().to_string();
        assert!(
            errors.contains("plugin.security.issuer.b.public is needed"),
            "{errors}"
        );
        let errors = read(TOKEN, &flags).unwrap_err().to_string();
        assert!(errors.contains("trusted_signers is needed"), "{errors}");
        let both = format!("{TOKEN}{issuers}{PUBLIC}\nplugin.security.choria.trusted_signers = x");
        let errors = read(&both, &flags).unwrap_err().to_string();
        assert!(
            errors.contains("server.conf:7: plugin.security.choria.trusted_signers"),
            "{errors}"
        );
        let half = format!("{TOKEN}plugin.security.choria.key = /k");
        let errors = read(&half, &flags).unwrap_err().to_string();
        assert!(
            errors.contains("plugin.security.choria.certificate is needed"),
            "{errors}"
        );
        let none = "identity = n1\nplugin.security.provider = choria";
        let errors = read(none, &flags).unwrap_err().to_string();
        for key in ["token_file", "seed_file", "trusted_signers"] {
            assert!(
                errors.contains(&format!("choria.{key} is needed")),
                "{errors}"
            );
        }
    }

    #[test]
    fn legacy_certificates_are_warned_of() {
        let text = format!("{FILE}plugin.security.support_legacy_certificates = 1\n");
        let config = read(&text, &NodeFlags::default()).unwrap();
        assert!(config.warnings[0].contains("support_legacy_certificates"));
    }
}
