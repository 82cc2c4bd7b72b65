//! Where the provisioning brokers are.

use std::fmt;
use std::path::PathBuf;

use muster_client::nats::ServerAddr;
use muster_client::resolve::{ResolveError, Resolver};

use super::build::BuildSettings;

/// The SRV name of provisioning brokers, without the domain.
const SRV_NAME: &str = "_choria-provisioner._tcp";

/// Finds the provisioning brokers. A site that knows better writes its own.
pub trait TargetResolver: Send + fmt::Debug {
    /// What it is called where people look.
    fn name(&self) -> &str;

    /// The brokers, at least one. It may wait for the network, some seconds at most; the caller asks again with growing
    /// pauses where there is an error that time can heal.
    ///
    /// # Errors
    /// There are none.
    fn targets(&mut self) -> Result<Vec<ServerAddr>, ResolverError>;
}

/// Why there are no brokers.
#[derive(Debug)]
pub enum ResolverError {
    /// Neither brokers nor a domain are known.
    NotConfigured,
    /// A broker is none that can be connected to.
    BadBroker {
        /// Its name as it stands.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The domain has no records.
    NoRecords(String),
    /// They cannot be looked up.
    Lookup(String, ResolveError),
}

impl ResolverError {
    /// Whether asking again may help.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::NotConfigured | Self::BadBroker { .. } => false,
            Self::NoRecords(_) | Self::Lookup(..) => true,
        }
    }
}

/// The brokers of the settings: those they name, else those their domain has records of.
#[derive(Debug)]
pub struct BuildResolver {
    name: &'static str,
    brokers: Vec<String>,
    srv_domain: String,
    dns: Option<Resolver>,
}

impl BuildResolver {
    /// The resolver of these settings; `jwt` is the provisioning token's file, where they are its.
    #[must_use]
    pub fn new(build: &BuildSettings, jwt: Option<&PathBuf>) -> Self {
        Self {
            name: if jwt.is_some() {
                "Choria JWT Resolver"
            } else {
                "Build Settings Resolver"
            },
            brokers: build.brokers.clone(),
            srv_domain: build.srv_domain.clone(),
            dns: None,
        }
    }

    /// Asks this resolver of names in place of the system's.
    #[must_use]
    pub fn with_dns(mut self, dns: Resolver) -> Self {
        self.dns = Some(dns);
        self
    }
}

impl TargetResolver for BuildResolver {
    fn name(&self) -> &str {
        self.name
    }

    fn targets(&mut self) -> Result<Vec<ServerAddr>, ResolverError> {
        let parse = |name: &String| {
            ServerAddr::parse(name).map_err(|error| ResolverError::BadBroker {
                name: name.clone(),
                why: error.to_string(),
            })
        };
        if !self.brokers.is_empty() {
            return self.brokers.iter().map(parse).collect();
        }
        if self.srv_domain.is_empty() {
            return Err(ResolverError::NotConfigured);
        }
        let name = format!("{SRV_NAME}.{}", self.srv_domain);
        let records = self.dns.get_or_insert_with(Resolver::system).srv(&name);
        match records {
            Ok(records) if records.is_empty() => Err(ResolverError::NoRecords(name)),
            Ok(records) => Ok(records.into_iter().map(|record| record.server).collect()),
            Err(error) => Err(ResolverError::Lookup(name, error)),
        }
    }
}

impl fmt::Display for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => f.write_str("neither brokers nor a domain are configured"),
            Self::BadBroker { name, why } => write!(f, "broker {name:?} cannot be used: {why}"),
            Self::NoRecords(name) => write!(f, "{name} has no records"),
            Self::Lookup(name, error) => write!(f, "cannot look {name} up: {error}"),
        }
    }
}

impl std::error::Error for ResolverError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_brokers_need_no_network() {
        let mut build = BuildSettings {
            brokers: vec!["nats://p1:4222".to_owned(), "p2:4223".to_owned()],
            ..BuildSettings::default()
        };
        let mut resolver = BuildResolver::new(&build, None);
        let targets = resolver.targets().unwrap();
        let texts: Vec<_> = targets.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["p1:4222", "p2:4223"]);
        build.brokers = vec!["p1:x".to_owned()];
        let error = BuildResolver::new(&build, None).targets().unwrap_err();
        assert!(!error.is_temporary(), "{error}");
        build.brokers.clear();
        let error = BuildResolver::new(&build, Some(&PathBuf::new())).targets();
        assert!(matches!(error, Err(ResolverError::NotConfigured)));
    }
}
