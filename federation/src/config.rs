//! Where a federation broker connects, and as whom: from settings to connections.
//!
//! | side | servers | SRV records |
//! |---|---|---|
//! | federation | `plugin.choria.federation_middleware_hosts` | `_mcollective-federation_server._tcp` |
//! | nodes | `plugin.choria.middleware_hosts` | `_mcollective-server._tcp` |
//!
//! Both sides use the process's security provider unless they have TLS files of their own. One process may serve several
//! collectives (`plugin.choria.federation.members`), each under its own cluster name and with servers of its own.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_client::fleet::{ConfigError, FleetSettings, Surroundings};
use muster_client::nats::{ClientConfig, ServerAddr, TlsMode};
use muster_client::provider::X509Files;
use muster_client::resolve::{How, Resolver, Seeker, SrvQuery, SrvSurroundings, search};
use muster_settings::{Reader, Settings, SettingsErrors};

use crate::side::Link;

/// The cluster of a federation broker that names none.
const CLUSTER: &str = "mcollective";
/// More workers than this only cost connections.
const WORKERS_MAX: usize = 64;
const CLUSTER_KEY: &str = "plugin.choria.federation.cluster";
const MEMBERS_KEY: &str = "plugin.choria.federation.members";
const FEDERATION_TLS: &str = "plugin.choria.federation.tls";
const COLLECTIVE_TLS: &str = "plugin.choria.federation.collective.tls";

/// A network of nodes that joins the federation.
#[derive(Debug, Clone)]
pub struct Member {
    /// The name clients address it by.
    pub cluster: String,
    /// How it is connected to.
    pub link: Link,
}

/// All a federation broker needs.
#[derive(Debug, Clone)]
pub struct FederationConfig {
    /// The process's name in hops and metrics.
    pub identity: String,
    /// The clients' side.
    pub federation: Link,
    /// The nodes' sides, one or more.
    pub members: Vec<Member>,
    /// Threads for each member, each with two connections.
    pub workers: usize,
    /// Whether targets and reply subjects have to be those of a fleet.
    pub checks_subjects: bool,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum FederationConfigError {
    /// Settings that are wrong, each with file and line.
    Settings(SettingsErrors),
    /// A file of the security provider.
    Security(ConfigError),
    /// A side has no servers.
    NoServers {
        /// Which.
        side: String,
        /// The key that may name them.
        key: String,
    },
}

impl fmt::Display for FederationConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(errors) => errors.fmt(f),
            Self::Security(error) => error.fmt(f),
            Self::NoServers { side, key } => write!(
                f,
                "no servers are known for {side}: {key} is not set, and no SRV record names any"
            ),
        }
    }
}

impl std::error::Error for FederationConfigError {}

impl From<SettingsErrors> for FederationConfigError {
    fn from(errors: SettingsErrors) -> Self {
        Self::Settings(errors)
    }
}

impl From<ConfigError> for FederationConfigError {
    fn from(error: ConfigError) -> Self {
        Self::Security(error)
    }
}

/// A side's own TLS.
#[derive(Debug, Default)]
struct SideTls {
    disable: bool,
    files: Option<X509Files>,
}

struct MemberKeys {
    cluster: String,
    servers: Vec<ServerAddr>,
    tls: SideTls,
}

impl FederationConfig {
    /// Reads the settings and the files they name, and asks DNS where they name no servers. `cores` is how many this process may use.
    ///
    /// # Errors
    /// Everything that is wrong with the settings, or the first thing that is wrong with what they name.
    pub fn load(
        settings: &Settings,
        around: &Surroundings,
        domain: &SrvSurroundings,
        cores: usize,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, FederationConfigError> {
        let mut reader = settings.reader();
        let identity = reader.string("identity", &around.hostname);
        let workers = reader.whole(
            "plugin.choria.federation.workers",
            cores.clamp(1, WORKERS_MAX),
            1..=WORKERS_MAX,
        );
        let checks_subjects = reader.bool("plugin.choria.federation.check_subjects", true);
        let federation_tls = SideTls::read(&mut reader, FEDERATION_TLS);
        let members = read_members(&mut reader);
        reader.finish()?;

        let plain = federation_tls.disable && members.iter().all(|member| member.tls.disable);
        let around = Surroundings {
            // A broker's certificate is the host's, whoever runs it.
            is_root: true,
            disable_tls: around.disable_tls || plain,
            insecure: around.insecure || plain,
            ..around.clone()
        };
        let base = FleetSettings::read(settings, &around)?.load(&read)?;
        let link = |servers: Vec<ServerAddr>, tls: &SideTls, purpose: &str| {
            side(
                &base.client,
                base.tls.as_ref(),
                servers,
                tls,
                purpose,
                &read,
            )
        };
        let mut resolver = Resolver::system();
        let mut find = |seeker, side: &str, key: &str| {
            let query = SrvQuery::read(settings, seeker, domain)?;
            let found = search(&query, &mut resolver);
            match found.how {
                How::Fallback => Err(FederationConfigError::NoServers {
                    side: side.to_owned(),
                    key: key.to_owned(),
                }),
                How::Configured | How::Records(_) => Ok(found.servers),
            }
        };
        let key = "plugin.choria.federation_middleware_hosts";
        let servers = find(Seeker::FederationBroker, "the federation", key)?;
        let federation = link(servers, &federation_tls, "federation")?;
        let mut joined = Vec::with_capacity(members.len());
        for member in members {
            let MemberKeys {
                cluster,
                servers,
                tls,
            } = member;
            let servers = if servers.is_empty() {
                let key = "plugin.choria.middleware_hosts";
                find(Seeker::Local, &format!("the collective {cluster}"), key)?
            } else {
                servers
            };
            let link = link(servers, &tls, &cluster)?;
            joined.push(Member { cluster, link });
        }
        Ok(Self {
            identity,
            federation,
            members: joined,
            workers,
            checks_subjects,
        })
    }
}

fn side(
    base: &ClientConfig,
    provided: Option<&Arc<muster_reactor::rustls::ClientConfig>>,
    servers: Vec<ServerAddr>,
    tls: &SideTls,
    purpose: &str,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Link, ConfigError> {
    let mut client = ClientConfig {
        servers,
        name: format!("choria federation broker ({purpose})").into(),
        ..base.clone()
    };
    // What cannot be sent waits in a lane, where it is counted when it is lost.
    client.reconnect_buffer_max = 0;
    let own = match &tls.files {
        Some(files) => Some(files.tls(|path| {
            read(path).map_err(|error| ConfigError::File {
                path: path.to_owned(),
                error,
            })
        })?),
        None => provided.cloned(),
    };
    let tls = own.filter(|_| !tls.disable);
    client.tls = match &tls {
        Some(_) => TlsMode::Required,
        None => TlsMode::Off,
    };
    Ok(Link {
        client: Arc::new(client),
        tls,
    })
}

impl SideTls {
    fn read(reader: &mut Reader<'_>, prefix: &str) -> Self {
        let key = |name: &str| format!("{prefix}.{name}");
        let disable = reader.bool(&key("disable"), false);
        let names = ["cert", "key", "ca"].map(key);
        let paths = names.each_ref().map(|name| reader.opt_path(name));
        if paths.iter().any(Option::is_some) {
            for (name, path) in names.iter().zip(&paths) {
                if path.is_none() {
                    reader.problem(name, format!("is needed with the other keys of {prefix}"));
                }
            }
        }
        let files = match paths {
            [Some(certificate), Some(key), Some(ca)] => Some(X509Files {
                certificate,
                key,
                ca,
                crl: None::<PathBuf>,
            }),
            _ => None,
        };
        Self { disable, files }
    }
}

fn read_members(reader: &mut Reader<'_>) -> Vec<MemberKeys> {
    let names = reader.list(MEMBERS_KEY, &[]);
    if names.is_empty() {
        let cluster = reader.string(CLUSTER_KEY, CLUSTER);
        check_cluster(reader, CLUSTER_KEY, &cluster);
        return vec![MemberKeys {
            cluster,
            servers: Vec::new(),
            tls: SideTls::read(reader, COLLECTIVE_TLS),
        }];
    }
    if reader.has(CLUSTER_KEY) {
        reader.problem(
            CLUSTER_KEY,
            format!("cannot be set together with {MEMBERS_KEY}"),
        );
    }
    let mut members: Vec<MemberKeys> = Vec::with_capacity(names.len());
    for cluster in names {
        check_cluster(reader, MEMBERS_KEY, &cluster);
        if members.iter().any(|member| member.cluster == cluster) {
            reader.problem(MEMBERS_KEY, format!("names {cluster:?} twice"));
        }
        let prefix = format!("plugin.choria.federation.member.{cluster}");
        let key = format!("{prefix}.middleware_hosts");
        let mut servers = Vec::new();
        for text in reader.list(&key, &[]) {
            match ServerAddr::parse(&text) {
                Ok(server) => servers.push(server),
                Err(error) => reader.problem(&key, format!("is no list of brokers: {error}")),
            }
        }
        if servers.is_empty() {
            reader.problem(&key, format!("is needed: {MEMBERS_KEY} names {cluster:?}"));
        }
        let tls = SideTls::read(reader, &format!("{prefix}.tls"));
        members.push(MemberKeys {
            cluster,
            servers,
            tls,
        });
    }
    members
}

fn check_cluster(reader: &mut Reader<'_>, key: &str, cluster: &str) {
    let is_token = |b: u8| b.is_ascii_graphic() && !matches!(b, b'.' | b'*' | b'>');
    if cluster.is_empty() || !cluster.bytes().all(is_token) {
        reader.problem(key, format!("has {cluster:?}, which makes no subject"));
    }
}
