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
const SERVERS_KEY: &str = "plugin.choria.federation_middleware_hosts";
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

#[derive(Debug)]
struct MemberKeys {
    cluster: String,
    servers: Vec<ServerAddr>,
    tls: SideTls,
}

/// What the settings say, checked but not yet carried out.
#[derive(Debug)]
pub struct FederationSettings {
    /// Whether the broker's process is to run a federation broker.
    pub enabled: bool,
    identity: String,
    workers: usize,
    checks_subjects: bool,
    federation_tls: SideTls,
    members: Vec<MemberKeys>,
}

impl FederationSettings {
    /// Reads the settings. `hostname` is the identity of a process that names none, `cores` how many this process may use.
    ///
    /// # Errors
    /// Every problem, with file and line.
    pub fn read(settings: &Settings, hostname: &str, cores: usize) -> Result<Self, SettingsErrors> {
        let mut reader = settings.reader();
        let read = Self {
            enabled: reader.bool("plugin.choria.broker_federation", false),
            identity: reader.string("identity", hostname),
            workers: reader.whole(
                "plugin.choria.federation.workers",
                cores.clamp(1, WORKERS_MAX),
                1..=WORKERS_MAX,
            ),
            checks_subjects: reader.bool("plugin.choria.federation.check_subjects", true),
            federation_tls: SideTls::read(&mut reader, FEDERATION_TLS),
            members: read_members(&mut reader),
        };
        // The clients' side is looked up later; a mistake in its key is told of now.
        let servers = reader.list(SERVERS_KEY, &[]);
        for text in servers {
            if let Err(error) = ServerAddr::parse(&text) {
                reader.problem(SERVERS_KEY, format!("is no list of brokers: {error}"));
            }
        }
        reader.finish()?;
        Ok(read)
    }

    /// Reads the files of the security provider, and asks DNS where servers are not configured.
    ///
    /// # Errors
    /// What is wrong with the provider's settings or files, or a side without servers.
    pub fn load(
        self,
        settings: &Settings,
        around: &Surroundings,
        domain: &SrvSurroundings,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<FederationConfig, FederationConfigError> {
        let plain =
            self.federation_tls.disable && self.members.iter().all(|member| member.tls.disable);
        let around = Surroundings {
            // A broker's certificate is the host's, whoever runs it.
            is_root: true,
            certname: (around.certname.clone()).or_else(|| Some(self.identity.clone())),
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
        let servers = find(Seeker::FederationBroker, "the federation", SERVERS_KEY)?;
        let federation = link(servers, &self.federation_tls, "federation")?;
        let mut members = Vec::with_capacity(self.members.len());
        for member in self.members {
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
            members.push(Member { cluster, link });
        }
        Ok(FederationConfig {
            identity: self.identity,
            federation,
            members,
            workers: self.workers,
            checks_subjects: self.checks_subjects,
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
            reader.problem(
                MEMBERS_KEY,
                format!("names {cluster:?}, and {key} is not set"),
            );
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FederationSettings, String> {
        let settings = Settings::parse(text, "broker.conf");
        FederationSettings::read(&settings, "fb1.example.net", 2)
            .map_err(|errors| errors.to_string())
    }

    fn load(text: &str) -> Result<FederationConfig, String> {
        let settings = Settings::parse(text, "broker.conf");
        let domain = SrvSurroundings::default();
        let none = |_: &Path| Err(io::ErrorKind::NotFound.into());
        let read = FederationSettings::read(&settings, "fb1.example.net", 2).unwrap();
        let around = Surroundings {
            hostname: "fb1.example.net".to_owned(),
            ..Surroundings::default()
        };
        read.load(&settings, &around, &domain, none)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_federation_of_one_collective_needs_two_lists_of_servers() {
        let config = load(
            "plugin.choria.federation_middleware_hosts = fed1:4222, fed2:4222\n\
             plugin.choria.middleware_hosts = m1:4222\nplugin.choria.federation.cluster = mt1\n\
             plugin.choria.federation.tls.disable = 1\nplugin.choria.federation.collective.tls.disable = 1\n",
        )
        .unwrap();
        assert_eq!(config.identity, "fb1.example.net");
        assert_eq!(config.workers, 2);
        assert!(config.checks_subjects);
        assert_eq!(config.federation.client.servers.len(), 2);
        assert_eq!(config.members.len(), 1);
        assert_eq!(config.members[0].cluster, "mt1");
        assert_eq!(
            config.members[0].link.client.servers,
            [ServerAddr::new("m1", 4222)]
        );
        assert_eq!(config.members[0].link.client.tls, TlsMode::Off);
    }

    #[test]
    fn several_collectives_have_servers_of_their_own() {
        let config = load(
            "plugin.choria.federation_middleware_hosts = fed1:4222\nplugin.choria.federation.members = mt1, de1\n\
             plugin.choria.federation.member.mt1.middleware_hosts = m1:4222\n\
             plugin.choria.federation.member.de1.middleware_hosts = d1:4222, d2:4222\n\
             plugin.choria.federation.member.mt1.tls.disable = y\nplugin.choria.federation.member.de1.tls.disable = y\n\
             plugin.choria.federation.tls.disable = y\n",
        )
        .unwrap();
        let servers: Vec<usize> = config
            .members
            .iter()
            .map(|member| member.link.client.servers.len())
            .collect();
        assert_eq!(servers, [1, 2]);
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let text = read(
            "plugin.choria.federation.workers = 100\nplugin.choria.federation.members = a.b, c, c\n\
             plugin.choria.federation.cluster = x\nplugin.choria.federation.tls.cert = /no/such.pem\n\
             plugin.choria.federation_middleware_hosts = fed1:none\n",
        )
        .unwrap_err();
        for wanted in [
            "broker.conf:1",
            "100",
            "broker.conf:2",
            "\"a.b\"",
            "twice",
            "broker.conf:3",
            "member.c.middleware_hosts",
            "federation.tls.key",
            "broker.conf:5",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }

    #[test]
    fn a_side_without_servers_is_named() {
        let text = "plugin.choria.use_srv = 0\nplugin.choria.federation.tls.disable = 1\n\
                    plugin.choria.federation.collective.tls.disable = 1\n";
        let error = load(text).unwrap_err();
        assert!(error.contains("federation_middleware_hosts"), "{error}");
        let error = load(&format!("{text}{SERVERS_KEY} = f:1\n")).unwrap_err();
        assert!(error.contains("the collective mcollective"), "{error}");
    }
}
