//! The client's configuration: from settings to checked values, from checked values to keys and TLS.
//!
//! Two steps. [`FleetSettings::read`] is pure and reports every problem with file and line; [`FleetSettings::load`] reads the certificate files
//! through a function it is given. Nothing here looks at the environment: [`Surroundings`] brings what the command found there.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::caller::choria_caller;
use muster_protocol::version::ProtocolVersion;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_settings::{Reader, Settings, SettingsErrors};

use super::error::ConfigError;
use super::identity::Caller;
use super::proof::{Proof, read_token, remote_of_files, remote_of_token};
use super::session::PREPARE_TIMEOUT;
use crate::nats::{ClientConfig, ConnectOptions, ServerAddr, TlsMode};
use crate::provider::{
    Owner, Provider, ProviderKind, TokenFiles, X509Files, X509Needs, legacy_certificates_warning,
};
use crate::signer::SignerSettings;

/// Appended to a user's name to make a certificate name.
const CERTNAME_SUFFIX: &str = "mcollective";
/// Client programs look after their link more often than nodes do.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(120);
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
    /// The name of the caller's certificate, which is also the sender of its requests. With a token the user's name, which is the sender only.
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
    /// The certificate files; none for a client that has a token, or neither signs nor speaks TLS.
    pub files: Option<TlsPaths>,
    /// The token's files, for a client that has one.
    pub token: Option<TokenFiles>,
    /// The service that signs requests, where it is not the client itself.
    pub signer: Option<SignerSettings>,
    /// Whether requests are signed.
    pub signed: bool,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// User and password, where the broker wants them.
    pub connect: ConnectOptions,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// The files of a security provider that goes by certificates.
pub type TlsPaths = X509Files;

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
        let kind = ProviderKind::read(&mut reader);
        let collectives = collectives(&mut reader, kind.default_collective());
        let certname = certname(&mut reader, around, kind);
        let signer = signed.then(|| SignerSettings::read(&mut reader, kind));
        let signer = signer.flatten();
        let needed = signed && (tls || signer.is_none());
        let (files, token) = provider_files(&mut reader, around, kind, &certname, needed);
        let unchecked = token
            .as_ref()
            .filter(|_| tls)
            .and_then(TokenFiles::tls_warning);
        let legacy = legacy_certificates_warning(&mut reader);
        let remote = signer.as_ref().and_then(SignerSettings::warning);
        let warnings = [unchecked, legacy, remote].into_iter().flatten().collect();
        let ttl_min = match token {
            Some(_) => ProtocolVersion::V2.ttl_min(),
            None => ProtocolVersion::V1.ttl_min(),
        };
        let ttl_min = Duration::from_secs(ttl_min.unsigned_abs());
        let second = Duration::from_secs(1);
        let read = Self {
            brokers: brokers(&mut reader),
            certname,
            main_collective: main_collective(&mut reader, &collectives),
            collectives,
            ttl: reader.duration_in("ttl", Duration::from_secs(60), ttl_min..=TTL_MAX),
            discovery_timeout: reader.duration("discovery_timeout", 2 * second),
            connect_timeout: reader.duration_in(
                "plugin.choria.network.connect_timeout",
                2 * second,
                second..=CONNECT_TIMEOUT_MAX,
            ),
            require_filter: reader.bool("plugin.choria.require_client_filter", false),
            files,
            token,
            signer,
            signed,
            tls,
            connect: ConnectOptions {
                user: reader.opt_string("plugin.nats.user").map(Into::into),
                pass: reader.opt_string("plugin.nats.pass").map(Into::into),
                ..ConnectOptions::default()
            },
            warnings,
        };
        reader.finish()?;
        Ok(read)
    }

    /// Reads the provider's files and makes a client's configuration of all.
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
        let proof = match (&self.files, &self.token, &self.signer) {
            (Some(files), _, None) => Proof::of_certificate(files, self.tls, read)?,
            (Some(files), _, Some(signer)) => remote_of_files(signer, files, self.tls, read)?,
            (None, Some(files), None) => read_token(files, self.tls, read)?,
            (None, Some(files), Some(signer)) => remote_of_token(signer, files, self.tls, read)?,
            (None, None, _) => Proof::insecure(),
        };
        let mut client = ClientConfig::new(self.brokers);
        client.tls = if self.tls {
            TlsMode::Required
        } else {
            TlsMode::Off
        };
        client.connect_timeout = self.connect_timeout;
        client.ping_interval = PING_INTERVAL;
        client.connect = self.connect;
        client.connect.signer = proof.nonce_signer();
        Ok(FleetConfig {
            caller: Caller {
                caller_id: proof
                    .caller_id
                    .unwrap_or_else(|| choria_caller(&self.certname)),
                sender: self.certname,
                security: proof.security,
                collective: self.main_collective.clone(),
                main_collective: self.main_collective,
                ttl: self.ttl,
            },
            client,
            tls: proof.tls,
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
/// Puppet knows no root among callers, and with a token it is the bare user.
fn certname(reader: &mut Reader<'_>, around: &Surroundings, kind: ProviderKind) -> String {
    let identity = reader.string("identity", &around.hostname);
    let name = match (&around.certname, kind) {
        (Some(name), _) => name.clone(),
        (None, ProviderKind::File) if around.is_root => identity,
        (None, _) if around.user.is_empty() => String::new(),
        (None, ProviderKind::Choria) => around.user.clone(),
        (None, ProviderKind::File | ProviderKind::Puppet) => {
            format!("{}.{CERTNAME_SUFFIX}", around.user)
        }
    };
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if name.is_empty() || !name.bytes().all(is_name_byte) {
        let problem =
            format!("is needed: {name:?} is no certificate name (letters, digits, _ . -)");
        reader.problem("identity", problem);
    }
    name
}

fn collectives(reader: &mut Reader<'_>, default: &str) -> Vec<String> {
    let key = "collectives";
    let collectives = reader.list(key, &[default]);
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
    let first = collectives.first().map_or("", String::as_str);
    let main = reader.string(key, first);
    if !collectives.contains(&main) && reader.has(key) {
        reader.problem(
            key,
            format!("is not one of the collectives {}", collectives.join(", ")),
        );
    }
    main
}

/// The provider's files, of the kind it goes by; none for a client that does not sign. Certificates may not be `needed`: where a service signs
/// and no TLS is spoken.
fn provider_files(
    reader: &mut Reader<'_>,
    around: &Surroundings,
    kind: ProviderKind,
    certname: &str,
    needed: bool,
) -> (Option<TlsPaths>, Option<TokenFiles>) {
    if around.insecure {
        return (None, None);
    }
    let is_root = around.is_root;
    let needs = X509Needs {
        identity: needed,
        ca: needed,
    };
    match kind.read_files(reader, Owner { certname, is_root }, needs) {
        Provider::X509(files) => (Some(files), None),
        Provider::Token(files) => (None, Some(files)),
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
