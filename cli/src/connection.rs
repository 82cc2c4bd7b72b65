//! From flags and configuration files to a connected client of the fleet.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use muster_client::fleet::{Fleet, FleetConfig, FleetSettings, Surroundings};
use muster_client::nats::ServerAddr;
use muster_client::resolve::{Resolver, Seeker, SrvQuery, SrvSurroundings, search};
use muster_protocol::security::Signer;
use muster_settings::{Settings, SettingsErrors, parse_duration};

use crate::exit::Failure;
use crate::render::Style;
use crate::{files, host};

/// What stands for a file's name in problems with flags.
const FLAGS: &str = "command line";

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
}

/// A client's configuration, and what the command itself goes by.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) fleet: FleetConfig,
    /// Where descriptions of agents may lie.
    pub(crate) libdirs: Vec<PathBuf>,
    pub(crate) style: Style,
}

/// Settings that are the command's own.
#[derive(Debug)]
pub(crate) struct OwnSettings {
    libdirs: Vec<PathBuf>,
    color: bool,
}

impl ConnectionArgs {
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
        if around.certname.is_none() {
            take_name_of_certificate(&mut checked);
        }
        checked.brokers = find_brokers(&settings, &around)?;
        let mut fleet = checked.load(files::read).map_err(Failure::new)?;
        if let Some(target) = &self.target {
            fleet.caller.collective.clone_from(target);
        }
        let color =
            own.color && std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal();
        Ok(Client {
            fleet,
            libdirs: own.libdirs,
            style: Style { color },
        })
    }

    /// Reads every key that concerns a client. All of them are asked for, so that what is left over has no effect.
    pub(crate) fn check(
        &self,
        settings: &Settings,
    ) -> Result<(FleetSettings, OwnSettings), SettingsErrors> {
        let checked = FleetSettings::read(settings, &self.surroundings());
        let mut reader = settings.reader();
        let own = OwnSettings {
            libdirs: reader.path_list("libdir"),
            color: reader.bool("color", true),
        };
        let finished = reader.finish();
        let checked = checked?;
        finished?;
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
            disable_tls: host::is_set("INSECURE_DISABLE_TLS"),
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
            set("plugin.choria.middleware_hosts", &self.broker.join(","));
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
fn find_brokers(settings: &Settings, around: &Surroundings) -> Result<Vec<ServerAddr>, Failure> {
    let around = SrvSurroundings {
        domain: std::env::var("CHORIA_SRV_DOMAIN").ok(),
        hostname: around.hostname.clone(),
    };
    let query = SrvQuery::read(settings, Seeker::Local, &around).map_err(Failure::new)?;
    let found = search(&query, &mut Resolver::system());
    for problem in &found.problems {
        tracing::warn!("cannot look brokers up: {problem}");
    }
    tracing::debug!(servers = ?found.servers, how = ?found.how, "brokers");
    Ok(found.servers)
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
        Fleet::connect(self.fleet.clone()).map_err(Failure::new)
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
