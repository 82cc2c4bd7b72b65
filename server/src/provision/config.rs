//! The configuration of a node in the mode, and the check of the one it is given.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_client::nats::ServerAddr;
use muster_client::provider::{Provider, X509Files};
use muster_protocol::security::tokens::{Claims, TokenSigner};
use muster_settings::Settings;

use super::build::BuildSettings;
use super::mode::{ConfigFile, Mode, ModeFacts, ServerToken, decide};
use super::names::{COLLECTIVE, COMPONENT, REGISTRATION_SUBJECT};
use crate::config::{NodeConfig, NodeFlags, RegistrationConfig, SourceConfig, SourceKind};

const DATA_KEY: &str = "plugin.choria.registration.file_content.data";
const TARGET_KEY: &str = "plugin.choria.registration.file_content.target";
/// Time between two registrations.
const REGISTER_EVERY: Duration = Duration::from_secs(120);
/// Time between two writings of the status file.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// What a configuration of the mode is made of.
#[derive(Debug)]
pub struct ModeSources<'a> {
    /// What is compiled in or said by the provisioning token.
    pub build: &'a BuildSettings,
    /// The text of the provisioning token, which the broker knows the node by.
    pub jwt: Option<&'a str>,
    /// The provisioning brokers.
    pub targets: Vec<ServerAddr>,
    /// The settings of the configuration file, none where there is no file: identity, log and registration are theirs.
    pub settings: &'a Settings,
    /// What the command line and the host say.
    pub flags: &'a NodeFlags,
}

/// The configuration of a node in the mode: the collective `provisioning` and no other, TLS that checks nobody, requests
/// signed only where the build wants it and an authority is known.
///
/// # Errors
/// The node has no name, or the log of the file's settings cannot be used.
pub fn node_config(sources: &ModeSources<'_>) -> Result<NodeConfig, String> {
    let ModeSources { build, flags, .. } = sources;
    let ca = Path::new(&flags.config_file)
        .with_file_name("ssl")
        .join("ca.pem");
    let checks = build.secure && ca.is_file();
    let mut text = "main_collective = provisioning\ncollectives = provisioning\n\
                    rpcauthorization = 0\nplugin.security.provider = file\n"
        .to_owned();
    for key in ["identity", "loglevel", "logfile"] {
        if let Some(value) = sources.settings.option(key) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    let settings = Settings::parse(&text, &flags.config_file);
    let flags = NodeFlags {
        disable_tls: true,
        insecure: true,
        domain: None,
        ..(*flags).clone()
    };
    let mut config =
        NodeConfig::from_settings(&settings, &flags).map_err(|error| error.to_string())?;
    config.warnings.clear();
    config.warnings.push(
        "this node waits for a provisioner; the broker's certificate is not checked meanwhile"
            .to_owned(),
    );
    config.servers.clone_from(&sources.targets);
    config.srv = None;
    config.tls = !sources.flags.disable_tls;
    config.anonymous_tls = true;
    config.insecure = !checks;
    config.security = Provider::X509(X509Files {
        ca: if checks { ca } else { PathBuf::new() },
        ..X509Files::default()
    });
    config.auth_token = sources.jwt.map(|jwt| jwt.trim().to_owned());
    config.credentials =
        (!build.username.is_empty()).then(|| (build.username.clone(), build.password.clone()));
    config.facts_files = files(&build.facts);
    config.inactive_agents = BTreeSet::new();
    config.announce.component = COMPONENT.to_owned();
    config.announce.registration = registration(sources);
    config.announce.status_file = files(&build.status_file).pop();
    config.announce.status_interval = STATUS_EVERY;
    config.announce.stats = None;
    Ok(config)
}

fn files(path: &str) -> Vec<PathBuf> {
    let path = (!path.is_empty()).then(|| PathBuf::from(path));
    path.into_iter().collect()
}

fn registration(sources: &ModeSources<'_>) -> Option<RegistrationConfig> {
    let own = sources.settings.option(DATA_KEY).unwrap_or_default();
    let data = [&*sources.build.registration_data, own];
    let data = data.into_iter().find(|data| !data.is_empty())?;
    let target = sources.settings.option(TARGET_KEY);
    let target = target.filter(|target| !target.is_empty());
    Some(RegistrationConfig {
        sources: vec![SourceConfig {
            kind: SourceKind::File(PathBuf::from(data)),
            target: Some(target.unwrap_or(REGISTRATION_SUBJECT).to_owned()),
            compression: true,
        }],
        collective: COLLECTIVE.to_owned(),
        interval: REGISTER_EVERY,
        splay: false,
        size_trigger: 0,
        size_interval: REGISTER_EVERY,
    })
}

/// How the token of a configured node stands. `unix_now` is the wall clock in seconds.
#[must_use]
pub fn server_token(config: &NodeConfig, unix_now: u64) -> ServerToken {
    let Provider::Token(files) = &config.security else {
        return ServerToken::NotUsed;
    };
    let (Ok(token), Ok(seed)) = (
        fs::read_to_string(&files.token),
        fs::read_to_string(&files.seed),
    ) else {
        return ServerToken::Missing;
    };
    let Ok(signer) = TokenSigner::new(&token, &seed) else {
        return ServerToken::Unusable;
    };
    match signer.claims() {
        Claims::Server(claims) if claims.identity != config.identity => ServerToken::OtherIdentity,
        Claims::Client(_) => ServerToken::Unusable,
        Claims::Server(_) if signer.check_time(unix_now).is_err() => ServerToken::Expired,
        Claims::Server(_) => ServerToken::Good,
    }
}

/// Tells what a configuration would make of the node.
#[derive(Debug, Clone)]
pub struct ConfigCheck {
    /// What is compiled in or said by the provisioning token.
    pub build: BuildSettings,
    /// Whether there is a file with a provisioning token.
    pub jwt_exists: bool,
    /// What the command line and the host say.
    pub flags: NodeFlags,
    /// The node's name.
    pub identity: String,
}

impl ConfigCheck {
    /// The node's name.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Reads a configuration as the node would when it starts.
    ///
    /// # Errors
    /// Every problem.
    pub fn check(&self, settings: &Settings) -> Result<NodeConfig, String> {
        NodeConfig::from_settings(settings, &self.flags).map_err(|error| error.to_string())
    }

    /// What the node would be after a start with these settings.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn mode(&self, settings: &Settings, unix_now: u64) -> Result<Mode, String> {
        let config = self.check(settings)?;
        Ok(decide(&ModeFacts {
            build: &self.build,
            jwt_exists: self.jwt_exists,
            config: ConfigFile::Present {
                provision: config.provision,
            },
            token: server_token(&config, unix_now),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(build: &BuildSettings, settings: &str, flags: &NodeFlags) -> NodeConfig {
        node_config(&ModeSources {
            build,
            jwt: Some("a.b.c\n"),
            targets: vec![ServerAddr::new("p1", 4222)],
            settings: &Settings::parse(settings, "server.conf"),
            flags,
        })
        .unwrap()
    }

    #[test]
    fn a_node_in_the_mode_goes_by_the_token_and_not_by_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let flags = NodeFlags {
            hostname: Some("host1.example.net".to_owned()),
            config_file: folder.path().join("server.conf").to_string_lossy().into(),
            ..NodeFlags::default()
        };
        let mut build = BuildSettings {
            registration_data: "/data.json".to_owned(),
            facts: "/facts.json".to_owned(),
            status_file: "/status.json".to_owned(),
            username: "u".to_owned(),
            password: "hunter2".to_owned(),
            secure: true,
            ..BuildSettings::default()
        };
        let text =
            "collectives = mcollective\nlogfile = /var/log/n.log\nttl = 5\nregistration = x\n";
        let found = config(&build, text, &flags);
        assert_eq!(found.identity, "host1.example.net");
        assert_eq!(found.collectives, [COLLECTIVE]);
        assert_eq!(found.servers[0].to_string(), "p1:4222");
        assert_eq!(found.auth_token.as_deref(), Some("a.b.c"));
        assert!(found.tls && found.anonymous_tls && found.policies.is_none());
        // Requests should be signed, and there is no authority to check them with.
        assert!(found.insecure);
        assert_eq!(found.facts_files, [PathBuf::from("/facts.json")]);
        assert_eq!(found.announce.component, COMPONENT);
        assert_eq!(found.announce.status_file, Some("/status.json".into()));
        assert_eq!(found.announce.status_interval, Duration::from_secs(10));
        let registration = found.announce.registration.clone().unwrap();
        assert_eq!(registration.interval, Duration::from_secs(120));
        assert_eq!(registration.collective, COLLECTIVE);
        assert!(!registration.splay);
        let source = &registration.sources[0];
        assert_eq!(source.kind, SourceKind::File("/data.json".into()));
        assert_eq!(source.target.as_deref(), Some(REGISTRATION_SUBJECT));
        let shown = format!("{found:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("a.b.c"));

        fs::create_dir(folder.path().join("ssl")).unwrap();
        fs::write(folder.path().join("ssl/ca.pem"), "x").unwrap();
        assert!(!config(&build, "", &flags).insecure);
        build.secure = false;
        assert!(config(&build, "", &flags).insecure);
        // What a return to provisioning leaves, and the subject of the first provisioners.
        build.registration_data.clear();
        assert!(config(&build, "", &flags).announce.registration.is_none());
        let kept =
            format!("identity = n9\n{DATA_KEY} = /kept\n{TARGET_KEY} = choria.provisioning_data\n");
        let found = config(&build, &kept, &flags);
        assert_eq!(found.identity, "n9");
        let source = found.announce.registration.unwrap().sources.remove(0);
        assert_eq!(source.kind, SourceKind::File("/kept".into()));
        assert_eq!(source.target.as_deref(), Some("choria.provisioning_data"));
    }
}
