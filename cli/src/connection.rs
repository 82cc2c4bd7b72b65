//! From flags and configuration files to a connected client of the fleet.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use muster_client::fleet::discovery::DiscoverySettings;
use muster_client::fleet::{Fleet, FleetConfig, FleetSettings, Surroundings};
use muster_client::nats::ServerAddr;
use muster_client::resolve::{Resolver, Seeker, SrvQuery, SrvSurroundings, search};
use muster_protocol::security::Signer;
use muster_settings::{Settings, SettingsErrors, parse_duration};

use crate::exit::Failure;
use crate::render::Style;
use crate::{files, host, site};

/// What stands for a file's name in problems with flags.
const FLAGS: &str = "command line";
/// Which nodes a limit takes.
const LIMIT_METHODS: [&str; 2] = ["first", "random"];

/// How to reach the fleet.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Configuration file; the usual places are searched without it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Brokers, in place of the configured ones.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    broker: Vec<String>,
    /// The caller's certificate.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<String>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<String>,
    /// The authorities the broker's certificate is checked against.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_ca: Option<String>,
    /// DANGEROUS: no TLS and unsigned requests, which only nodes that believe everybody answer.
    #[arg(long, conflicts_with = "tls_cert")]
    insecure: bool,
    /// The collective to ask, in place of the main one.
    #[arg(short = 'T', long, value_name = "COLLECTIVE")]
    target: Option<String>,
    /// Ask through these federations, in place of the configured ones.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    federations: Vec<String>,
    /// How long nodes may act on a request, in seconds, in place of the configured time.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<String>,
}

/// A client's configuration, and what the command itself goes by.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) fleet: FleetConfig,
    /// Where descriptions of agents may lie.
    pub(crate) libdirs: Vec<PathBuf>,
    /// How nodes become known where the command line does not say.
    pub(crate) discovery: DiscoverySettings,
    /// Whether a limit takes any nodes, not the first ones.
    pub(crate) limit_is_random: bool,
    /// The federations every request goes through; none for the network we are on.
    federations: Vec<String>,
    pub(crate) style: Style,
}

/// Settings that are the command's own.
#[derive(Debug)]
pub(crate) struct OwnSettings {
    libdirs: Vec<PathBuf>,
    discovery: DiscoverySettings,
    federations: Vec<String>,
    brokers: SrvQuery,
    limit_is_random: bool,
    color: bool,
}

/// What a daemon that connects to brokers finds around it.
pub(crate) fn surroundings_of_daemon() -> (Surroundings, SrvSurroundings) {
    let around = ConnectionArgs::default().surroundings();
    let domain = srv_surroundings(&around);
    (around, domain)
}

fn srv_surroundings(around: &Surroundings) -> SrvSurroundings {
    SrvSurroundings {
        domain: std::env::var("CHORIA_SRV_DOMAIN").ok(),
        hostname: around.hostname.clone(),
    }
}

impl ConnectionArgs {
    /// What a daemon that is a client goes by: this file, or the usual places.
    pub(crate) fn of_daemon(config: Option<PathBuf>, insecure: bool) -> Self {
        Self {
            config,
            insecure,
            ..Self::default()
        }
    }

    /// Reads flags, files and environment.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let around = self.surroundings();
        if around.insecure {
            eprintln!(
                "warning: dangerous: no TLS, and requests are not signed; anybody could send them and read the replies"
            );
        } else if around.disable_tls {
            eprintln!(
                "warning: dangerous: no TLS; anybody on the way can read requests and replies"
            );
        }
        let settings = self.settings(around.insecure)?;
        let (mut checked, own) = self.check(&settings).map_err(Failure::new)?;
        for warning in &checked.warnings {
            eprintln!("warning: {warning}");
        }
        if around.certname.is_none() {
            take_name_of_certificate(&mut checked);
        }
        checked.brokers = find_brokers(&own.brokers);
        let mut fleet = checked.load(files::read).map_err(Failure::new)?;
        if let Some(target) = &self.target {
            fleet.caller.collective.clone_from(target);
        }
        let color =
            own.color && std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal();
        Ok(Client {
            fleet,
            libdirs: own.libdirs,
            discovery: own.discovery,
            limit_is_random: own.limit_is_random,
            federations: own.federations,
            style: Style { color },
        })
    }

    /// Reads every key that concerns a client. All of them are asked for, so that what is left over has no effect.
    pub(crate) fn check(
        &self,
        settings: &Settings,
    ) -> Result<(FleetSettings, OwnSettings), SettingsErrors> {
        let around = self.surroundings();
        let checked = FleetSettings::read(settings, &around);
        let federations = std::env::var("CHORIA_FED_COLLECTIVE").ok();
        let discovery = DiscoverySettings::read(settings, federations.as_deref());
        let around = srv_surroundings(&around);
        let brokers = |seeker| SrvQuery::read(settings, seeker, &around);
        let (local, federated) = (brokers(Seeker::Local), brokers(Seeker::Federated));
        let mut reader = settings.reader();
        let libdirs = reader.path_list("libdir");
        let limit_is_random = reader.one_of("rpclimitmethod", "first", &LIMIT_METHODS) == "random";
        let color = reader.bool("color", true);
        let finished = reader.finish();
        // Only now, when every key was asked for, may a problem end it.
        let (checked, discovery, local, federated) = (checked?, discovery?, local?, federated?);
        finished?;
        let federations = if self.federations.is_empty() {
            discovery.federations.clone()
        } else {
            self.federations.clone()
        };
        let own = OwnSettings {
            libdirs,
            brokers: if federations.is_empty() {
                local
            } else {
                federated
            },
            discovery,
            federations,
            limit_is_random,
            color,
        };
        Ok((checked, own))
    }

    /// Where descriptions of agents may lie. Without any configuration there are still those that are built in.
    pub(crate) fn libdirs(&self) -> Result<Vec<PathBuf>, Failure> {
        let settings = match (&self.config, files::find_client_file()) {
            (Some(path), _) => files::load_client(Some(path))?,
            (None, Ok(path)) => files::load_client(Some(&path))?,
            (None, Err(_)) => return Ok(Vec::new()),
        };
        let mut reader = settings.reader();
        let libdirs = reader.path_list("libdir");
        reader.finish().map_err(Failure::new)?;
        Ok(libdirs)
    }

    fn surroundings(&self) -> Surroundings {
        let user = host::user();
        Surroundings {
            user: user.name,
            hostname: host::hostname().unwrap_or_default(),
            is_root: user.is_root,
            certname: std::env::var("MCOLLECTIVE_CERTNAME").ok(),
            disable_tls: !site::TLS || host::is_set("INSECURE_DISABLE_TLS"),
            insecure: self.insecure || host::is_set("INSECURE_YES_REALLY"),
        }
    }

    /// The configuration file that was named.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The settings a client would go by, of files and flags.
    pub(crate) fn client_settings(&self) -> Result<Settings, Failure> {
        self.settings(self.surroundings().insecure)
    }

    /// The files' settings with those of the flags over them. Flags that say all there is to say need no file.
    fn settings(&self, insecure: bool) -> Result<Settings, Failure> {
        let flags_suffice = !self.broker.is_empty() && (insecure || self.tls_cert.is_some());
        let mut settings = if self.config.is_none() && flags_suffice {
            Settings::default()
        } else {
            files::load_client(self.config.as_deref())?
        };
        settings.merge(&self.flag_settings(), FLAGS);
        Ok(settings)
    }

    fn flag_settings(&self) -> String {
        let mut lines = String::new();
        let mut set = |key: &str, value: &str| lines.push_str(&format!("{key} = {value}\n"));
        if !self.broker.is_empty() {
            let brokers = self.broker.join(",");
            set("plugin.choria.middleware_hosts", &brokers);
            set("plugin.choria.federation_middleware_hosts", &brokers);
        }
        if let Some(ttl) = &self.ttl {
            set("ttl", ttl);
        }
        if let (Some(cert), Some(key), Some(ca)) = (&self.tls_cert, &self.tls_key, &self.tls_ca) {
            set("plugin.security.provider", "file");
            set("plugin.security.file.certificate", cert);
            set("plugin.security.file.key", key);
            set("plugin.security.file.ca", ca);
        }
        lines
    }
}

/// The brokers: as configured, as DNS says, or where they always are.
fn find_brokers(query: &SrvQuery) -> Vec<ServerAddr> {
    let found = search(query, &mut Resolver::system());
    for problem in &found.problems {
        tracing::warn!("cannot look brokers up: {problem}");
    }
    tracing::debug!(servers = ?found.servers, how = ?found.how, "brokers");
    found.servers
}

/// Nodes take a caller only by a name its certificate carries. A name that was merely derived from user or host gives way to the certificate's,
/// rather than have every node refuse in silence.
fn take_name_of_certificate(settings: &mut FleetSettings) {
    let Some(paths) = &settings.files else { return };
    // What cannot be read is reported when it is needed.
    let (Ok(cert), Ok(key)) = (files::read(&paths.certificate), files::read(&paths.key)) else {
        return;
    };
    let Ok(signer) = Signer::from_pem(&cert, &key) else {
        return;
    };
    let names = signer.names();
    if !names.contains(&settings.certname)
        && let Some(name) = names.common_name()
    {
        tracing::debug!(
            derived = settings.certname,
            name,
            "the certificate has another name"
        );
        name.clone_into(&mut settings.certname);
    }
}

impl Client {
    /// Connects.
    pub(crate) fn connect(&self) -> Result<Fleet, Failure> {
        Fleet::connect_through(self.fleet.clone(), &self.federations).map_err(Failure::new)
    }

    /// The federations every request goes through.
    pub(crate) fn federations(&self) -> &[String] {
        &self.federations
    }

    /// Refuses an empty filter where the configuration wants one.
    pub(crate) fn check_filter(&self, is_empty: bool) -> Result<(), Failure> {
        if is_empty && self.fleet.require_filter {
            let text = "plugin.choria.require_client_filter is on: a filter is needed";
            return Err(Failure::new(text));
        }
        Ok(())
    }
}

/// Seconds, whole or not, or a duration with units.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let duration = Duration::try_from_secs_f64(seconds);
        return duration.map_err(|_| format!("{text:?} is no time to wait"));
    }
    parse_duration(text).map_err(|error| format!("{text:?} {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_or_have_units() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("1m"), Ok(Duration::from_secs(60)));
        for bad in ["-1", "inf", "NaN", "soon", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_can_say_all_there_is_to_say() {
        let args = ConnectionArgs {
            broker: vec!["broker1:4222".to_owned(), "broker2:4222".to_owned()],
            insecure: true,
            target: Some("eu".to_owned()),
            ..ConnectionArgs::default()
        };
        let client = args.client().unwrap();
        assert_eq!(client.fleet.client.servers.len(), 2);
        assert_eq!(client.fleet.caller.collective, "eu");
        assert_eq!(client.fleet.caller.main_collective, "mcollective");
        assert!(client.fleet.tls.is_none());
    }

    #[test]
    fn federations_have_brokers_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client.conf");
        let text = "plugin.choria.middleware_hosts = local:4222\n\
            plugin.choria.federation_middleware_hosts = far:4222\nrpclimitmethod = random\n";
        std::fs::write(&file, text).unwrap();
        let client = |federations: &[&str]| {
            let args = ConnectionArgs {
                config: Some(file.clone()),
                federations: federations.iter().map(|name| (*name).to_owned()).collect(),
                ttl: Some("90".to_owned()),
                insecure: true,
                ..ConnectionArgs::default()
            };
            args.client().unwrap()
        };
        assert_eq!(client(&[]).fleet.client.servers[0].host.as_ref(), "local");
        let through = client(&["de1", "mt1"]);
        assert_eq!(through.fleet.client.servers[0].host.as_ref(), "far");
        assert_eq!(through.federations(), ["de1", "mt1"]);
        assert!(through.limit_is_random);
        assert_eq!(through.fleet.caller.ttl, Duration::from_secs(90));
    }

    #[test]
    fn a_bad_broker_is_named_with_its_place() {
        let args = ConnectionArgs {
            broker: vec!["nowhere".to_owned()],
            insecure: true,
            ..ConnectionArgs::default()
        };
        let failure = format!("{:?}", args.client().unwrap_err());
        assert!(
            failure.contains("command line:1") && failure.contains("nowhere"),
            "{failure}"
        );
    }
}
