//! The client's configuration: from settings to checked values, from checked values to keys and TLS.
//!
//! Two steps. [`FleetSettings::read`] is pure and reports every problem with file and line; [`FleetSettings::load`] reads the certificate files
//! through a function it is given. Nothing here looks at the environment: [`Surroundings`] brings what the command found there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::caller::choria_caller;
use muster_protocol::security::Signer;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::tls::{ServerVerification, client_config};
use muster_settings::{Reader, Settings, SettingsErrors};

use super::error::ConfigError;
use super::identity::{Caller, CallerSecurity};
use super::session::PREPARE_TIMEOUT;
use crate::nats::{ClientConfig, ConnectOptions, ServerAddr, TlsMode};

const COLLECTIVE: &str = "mcollective";
/// Appended to a user's name to make a certificate name.
const CERTNAME_SUFFIX: &str = "mcollective";
/// Client programs look after their link more often than nodes do.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Nodes take no request that may live for less.
const TTL_MIN: Duration = Duration::from_secs(30);
/// A year; a longer one is a mistake in units.
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the command found around it: environment, user and host.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The user's name.
    pub user: String,
    /// The host's name, fully qualified where that is known.
    pub hostname: String,
    /// Whether the user is root.
    pub is_root: bool,
    /// `MCOLLECTIVE_CERTNAME`, where it is set.
    pub certname: Option<String>,
    /// Speak without TLS. **Dangerous** anywhere but in a laboratory.
    pub disable_tls: bool,
    /// Send unsigned requests, and speak without TLS. **Dangerous** anywhere but in a laboratory.
    pub insecure: bool,
}

/// The client's settings, checked.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// The brokers.
    pub brokers: Vec<ServerAddr>,
    /// The name of the caller's certificate, which is also the sender of its requests.
    pub certname: String,
    /// The collective that is asked unless another is named.
    pub main_collective: String,
    /// All collectives.
    pub collectives: Vec<String>,
    /// How long a request may be acted on.
    pub ttl: Duration,
    /// How long a discovery waits at most.
    pub discovery_timeout: Duration,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// Whether an empty filter is refused.
    pub require_filter: bool,
    /// The certificate files; none for a client that neither signs nor speaks TLS.
    pub files: Option<TlsPaths>,
    /// Whether requests are signed.
    pub signed: bool,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// User and password, where the broker wants them.
    pub connect: ConnectOptions,
}

/// The files of the security provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPaths {
    /// The caller's certificate, intermediates behind it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities the broker's certificate is checked against.
    pub ca: PathBuf,
}

/// All a [`Fleet`](super::Fleet) needs.
#[derive(Clone)]
pub struct FleetConfig {
    /// Who asks.
    pub caller: Caller,
    /// How to connect.
    pub client: ClientConfig,
    /// What TLS is spoken with; [`ClientConfig::tls`] says whether.
    pub tls: Option<Arc<TlsConfig>>,
    /// How long to wait for a working connection.
    pub prepare_timeout: Duration,
    /// How long a discovery waits at most; a default for the owner.
    pub discovery_timeout: Duration,
    /// Whether an empty filter is refused; the owner's to apply.
    pub require_filter: bool,
}

impl FleetSettings {
    /// Reads and checks the settings.
    ///
    /// # Errors
    /// Every problem, with file and line.
    pub fn read(settings: &Settings, around: &Surroundings) -> Result<Self, SettingsErrors> {
        let mut reader = settings.reader();
        let signed = !around.insecure;
        let tls = signed && !around.disable_tls;
        let collectives = collectives(&mut reader);
        let second = Duration::from_secs(1);
        let read = Self {
            brokers: brokers(&mut reader),
            certname: certname(&mut reader, around),
            main_collective: main_collective(&mut reader, &collectives),
            collectives,
            ttl: reader.duration_in("ttl", Duration::from_secs(60), TTL_MIN..=TTL_MAX),
            discovery_timeout: reader.duration("discovery_timeout", 2 * second),
            connect_timeout: reader.duration_in(
                "plugin.choria.network.connect_timeout",
                2 * second,
                second..=CONNECT_TIMEOUT_MAX,
            ),
            require_filter: reader.bool("plugin.choria.require_client_filter", false),
            files: if signed {
                Some(provider_files(&mut reader))
            } else {
                None
            },
            signed,
            tls,
            connect: ConnectOptions {
                user: reader.opt_string("plugin.nats.user").map(Into::into),
                pass: reader.opt_string("plugin.nats.pass").map(Into::into),
                ..ConnectOptions::default()
            },
        };
        reader.finish()?;
        Ok(read)
    }

    /// Reads the certificate files and makes a client's configuration of all.
    ///
    /// # Errors
    /// A file can not be read, or is of no use.
    pub fn load(
        self,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<FleetConfig, ConfigError> {
        let read = |path: &Path| {
            read(path).map_err(|error| ConfigError::File {
                path: path.to_owned(),
                error,
            })
        };
        let mut security = CallerSecurity::Insecure;
        let mut tls = None;
        if let Some(files) = &self.files {
            let (cert, key) = (read(&files.certificate)?, read(&files.key)?);
            if self.signed {
                let signer =
                    Signer::from_pem(&cert, &key).map_err(|error| ConfigError::Signer {
                        certificate: files.certificate.clone(),
                        error,
                    })?;
                security = CallerSecurity::X509(Arc::new(signer));
            }
            if self.tls {
                let ca = read(&files.ca)?;
                let identity = Some((cert.as_str(), key.as_str()));
                let config = client_config(Some(&ca), identity, ServerVerification::Full);
                tls = Some(config.map_err(ConfigError::Tls)?);
            }
        }
        let mut client = ClientConfig::new(self.brokers);
        client.tls = if self.tls {
            TlsMode::Required
        } else {
            TlsMode::Off
        };
        client.connect_timeout = self.connect_timeout;
        client.ping_interval = PING_INTERVAL;
        client.connect = self.connect;
        Ok(FleetConfig {
            caller: Caller {
                caller_id: choria_caller(&self.certname),
                sender: self.certname,
                security,
                collective: self.main_collective.clone(),
                main_collective: self.main_collective,
                ttl: self.ttl,
            },
            client,
            tls,
            prepare_timeout: PREPARE_TIMEOUT,
            discovery_timeout: self.discovery_timeout,
            require_filter: self.require_filter,
        })
    }
}

fn brokers(reader: &mut Reader<'_>) -> Vec<ServerAddr> {
    let key = "plugin.choria.middleware_hosts";
    let mut brokers = Vec::new();
    for text in reader.list(key, &["puppet:4222"]) {
        match ServerAddr::parse(&text) {
            Ok(addr) => brokers.push(addr),
            Err(error) => reader.problem(key, format!("is no list of brokers: {error}")),
        }
    }
    brokers
}

/// The name of the caller's certificate: what the environment says, else the identity for root, else one made of the user's name.
fn certname(reader: &mut Reader<'_>, around: &Surroundings) -> String {
    let identity = reader.string("identity", &around.hostname);
    let name = match &around.certname {
        Some(name) => name.clone(),
        None if around.is_root => identity,
        None if around.user.is_empty() => String::new(),
        None => format!("{}.{CERTNAME_SUFFIX}", around.user),
    };
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if name.is_empty() || !name.bytes().all(is_name_byte) {
        let problem =
            format!("is needed: {name:?} is no certificate name (letters, digits, _ . -)");
        reader.problem("identity", problem);
    }
    name
}

fn collectives(reader: &mut Reader<'_>) -> Vec<String> {
    let key = "collectives";
    let collectives = reader.list(key, &[COLLECTIVE]);
    if collectives.is_empty() {
        reader.problem(key, "names no collective");
    }
    for collective in &collectives {
        let is_token = |b: u8| b.is_ascii_graphic() && !matches!(b, b'*' | b'>');
        if !collective.bytes().all(is_token) {
            reader.problem(key, format!("has {collective:?}, which makes no subject"));
        }
    }
    collectives
}

fn main_collective(reader: &mut Reader<'_>, collectives: &[String]) -> String {
    let key = "main_collective";
    let first = collectives.first().map_or(COLLECTIVE, String::as_str);
    let main = reader.string(key, first);
    if !collectives.contains(&main) && reader.has(key) {
        reader.problem(
            key,
            format!("is not one of the collectives {}", collectives.join(", ")),
        );
    }
    main
}

/// The files of the `file` provider, the only one there is; peers default to another, so the key must say it.
fn provider_files(reader: &mut Reader<'_>) -> TlsPaths {
    let key = "plugin.security.provider";
    if !reader.has(key) {
        reader.problem(key, "is needed and not set; file is the provider there is");
    }
    reader.one_of(key, "file", &["file"]);
    let mut path = |key: &str| {
        reader.opt_path(key).unwrap_or_else(|| {
            reader.problem(key, "is needed and not set");
            PathBuf::new()
        })
    };
    TlsPaths {
        certificate: path("plugin.security.file.certificate"),
        key: path("plugin.security.file.key"),
        ca: path("plugin.security.file.ca"),
    }
}

/// Leaves the TLS keys out.
impl fmt::Debug for FleetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetConfig")
            .field("caller", &self.caller)
            .field("client", &self.client)
            .field("tls", &self.tls.is_some())
            .field("prepare_timeout", &self.prepare_timeout)
            .field("discovery_timeout", &self.discovery_timeout)
            .field("require_filter", &self.require_filter)
            .finish()
    }
}
