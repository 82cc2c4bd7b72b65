//! Where the brokers are: as configured, as DNS says, or where they always are.
//!
//! The first that has an answer counts:
//!
//! 1. for a client that goes through federations, `plugin.choria.federation_middleware_hosts`, then the SRV records of federation brokers;
//! 2. `plugin.choria.middleware_hosts`;
//! 3. the SRV records of brokers, where `plugin.choria.use_srv` allows it;
//! 4. `puppet:4222`.
//!
//! [`SrvQuery::read`] is pure. [`servers`] and [`Resolver`] do I/O and block, for some seconds at worst, so that they belong before a connection is made and on no event loop.
//! Names of hosts are not resolved here: that is the driver's, at each connection.
//!
//! Records come by priority, and by chance according to weight among equals. A connection shuffles the servers it is given, as peers do;
//! with several priorities, give it the best that work.

mod dns;
mod resolv_conf;

use std::time::Duration;

use muster_settings::{Reader, Settings, SettingsErrors};

use crate::nats::ServerAddr;

pub use self::dns::{ResolveError, Resolver, SrvRecord};
pub use self::resolv_conf::ResolvConf;

/// A key with servers, and SRV names without the domain.
type Place = (&'static str, &'static [&'static str]);
/// Where brokers are told of.
const BROKERS: Place = (
    "plugin.choria.middleware_hosts",
    &["_mcollective-server._tcp", "_x-puppet-mcollective._tcp"],
);
/// Where federation brokers are told of.
const FEDERATION: Place = (
    "plugin.choria.federation_middleware_hosts",
    &[
        "_mcollective-federation_server._tcp",
        "_x-puppet-mcollective_federation._tcp",
    ],
);
/// Where a broker is when nothing says otherwise.
const FALLBACK: (&str, u16) = ("puppet", 4222);
/// The longest a search may take, whatever DNS does.
const SEARCH_MAX: Duration = Duration::from_secs(10);

/// Who looks for brokers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Seeker {
    /// A node, or a client on its own network.
    #[default]
    Local,
    /// A client whose requests go through federations.
    Federated,
    /// A federation broker, on its clients' side.
    FederationBroker,
}

/// What the seeker found around it.
#[derive(Debug, Clone, Default)]
pub struct SrvSurroundings {
    /// `CHORIA_SRV_DOMAIN`, where it is set.
    pub domain: Option<String>,
    /// The host's name, fully qualified where that is known.
    pub hostname: String,
}

/// Where to look for brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvQuery {
    /// Places in the order of their rank, each with names and servers; the first with an answer counts.
    steps: Vec<Step>,
    /// The domain of the records; none where only the resolver's own configuration may know one.
    domain: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Servers(Vec<ServerAddr>),
    Records(&'static [&'static str]),
}

/// Servers, and how they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The servers, at least one.
    pub servers: Vec<ServerAddr>,
    /// How.
    pub how: How,
    /// Lookups that failed before, for a log.
    pub problems: Vec<String>,
}

/// How servers were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// They are configured.
    Configured,
    /// By these SRV records.
    Records(String),
    /// Nothing said where they are.
    Fallback,
}

impl SrvQuery {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every problem, with file and line.
    pub fn read(
        settings: &Settings,
        seeker: Seeker,
        around: &SrvSurroundings,
    ) -> Result<Self, SettingsErrors> {
        let mut reader = settings.reader();
        let use_srv = reader.bool("plugin.choria.use_srv", true);
        let configured_domain = reader.opt_string("plugin.choria.srv_domain");
        let mut steps = Vec::new();
        let places: &[Place] = match seeker {
            Seeker::Local => &[BROKERS],
            Seeker::Federated => &[FEDERATION, BROKERS],
            Seeker::FederationBroker => &[FEDERATION],
        };
        for (key, names) in places {
            let servers = servers_of(&mut reader, key);
            if !servers.is_empty() {
                steps.push(Step::Servers(servers));
            }
            if use_srv {
                steps.push(Step::Records(names));
            }
        }
        reader.finish()?;
        let host_domain = around.hostname.split_once('.').map(|(_, domain)| domain);
        let domain = configured_domain
            .or_else(|| around.domain.clone())
            .or_else(|| host_domain.map(str::to_owned))
            .filter(|domain| !domain.is_empty());
        Ok(Self { steps, domain })
    }
}

/// Searches with the system's resolver; at least one server, in the order of their rank.
#[must_use]
pub fn servers(query: &SrvQuery) -> Vec<ServerAddr> {
    search(query, &mut Resolver::system()).servers
}

/// Searches, and says how.
pub fn search(query: &SrvQuery, resolver: &mut Resolver) -> Found {
    let mut problems = Vec::new();
    resolver.begin_search(SEARCH_MAX);
    let domain = query.domain.clone();
    let domain = domain.or_else(|| resolver.domain().map(str::to_owned));
    for step in &query.steps {
        let names = match step {
            Step::Servers(servers) => {
                return Found {
                    servers: servers.clone(),
                    how: How::Configured,
                    problems,
                };
            }
            Step::Records(names) => names,
        };
        // Without a domain there is nowhere to ask.
        let Some(domain) = &domain else { continue };
        for name in *names {
            let name = format!("{name}.{domain}");
            match resolver.srv(&name) {
                Ok(records) if records.is_empty() => {}
                Ok(records) => {
                    return Found {
                        servers: records.into_iter().map(|r| r.server).collect(),
                        how: How::Records(name),
                        problems,
                    };
                }
                Err(error) => problems.push(format!("{name}: {error}")),
            }
        }
    }
    Found {
        servers: vec![ServerAddr::new(FALLBACK.0, FALLBACK.1)],
        how: How::Fallback,
        problems,
    }
}

fn servers_of(reader: &mut Reader<'_>, key: &str) -> Vec<ServerAddr> {
    let mut servers = Vec::new();
    for text in reader.list(key, &[]) {
        match ServerAddr::parse(&text) {
            Ok(server) => servers.push(server),
            Err(error) => reader.problem(key, format!("is no list of brokers: {error}")),
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str, seeker: Seeker, domain: Option<&str>, hostname: &str) -> SrvQuery {
        let around = SrvSurroundings {
            domain: domain.map(str::to_owned),
            hostname: hostname.to_owned(),
        };
        SrvQuery::read(&Settings::parse(text, "client.conf"), seeker, &around).unwrap()
    }

    #[test]
    fn places_are_searched_in_their_order() {
        let hosts = "plugin.choria.middleware_hosts = b1:1, nats://b2:2\n";
        let federation = "plugin.choria.federation_middleware_hosts = f1:3\n";
        let steps = |text: &str, seeker| query(text, seeker, None, "h").steps;
        let servers = |list: &[(&str, u16)]| {
            let list = list.iter();
            Step::Servers(
                list.map(|(host, port)| ServerAddr::new(*host, *port))
                    .collect(),
            )
        };
        let (brokers, federations) = (Step::Records(BROKERS.1), Step::Records(FEDERATION.1));
        assert_eq!(steps("", Seeker::Local), std::slice::from_ref(&brokers));
        let both = [servers(&[("b1", 1), ("b2", 2)]), brokers.clone()];
        assert_eq!(steps(hosts, Seeker::Local), both);
        let all = [servers(&[("f1", 3)]), federations, brokers];
        assert_eq!(steps(federation, Seeker::Federated), all);
        assert_eq!(
            steps("plugin.choria.use_srv = false", Seeker::Federated),
            []
        );
        let bad = Settings::parse("\nplugin.choria.middleware_hosts = b1", "client.conf");
        let read = SrvQuery::read(&bad, Seeker::Local, &SrvSurroundings::default());
        assert!(read.unwrap_err().to_string().contains("client.conf:2"));
    }

    #[test]
    fn the_domain_is_the_configured_one_before_that_of_environment_and_host() {
        let key = "plugin.choria.srv_domain = conf.example\n";
        let domain = |text, domain, host| query(text, Seeker::Local, domain, host).domain;
        assert_eq!(
            domain(key, Some("env.example"), "h.x").as_deref(),
            Some("conf.example")
        );
        assert_eq!(
            domain("", Some("env.example"), "h.x").as_deref(),
            Some("env.example")
        );
        assert_eq!(
            domain("", None, "h.host.example").as_deref(),
            Some("host.example")
        );
        assert_eq!(domain("", None, "h"), None);
    }

    #[test]
    fn what_is_configured_needs_no_resolver_and_nothing_leads_to_puppet() {
        let mut resolver = Resolver::new(ResolvConf::default());
        let hosts = "plugin.choria.middleware_hosts = b1:1";
        let found = search(&query(hosts, Seeker::Local, None, "h"), &mut resolver);
        assert_eq!(found.servers, [ServerAddr::new("b1", 1)]);
        assert_eq!(found.how, How::Configured);
        let off = "plugin.choria.use_srv = 0";
        let found = search(&query(off, Seeker::Federated, None, "h.x"), &mut resolver);
        assert_eq!(found.servers, [ServerAddr::new("puppet", 4222)]);
        assert_eq!((found.how, found.problems.len()), (How::Fallback, 0));
    }
}
