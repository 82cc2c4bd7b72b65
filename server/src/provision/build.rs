//! What a site compiles into its nodes, and the provisioning token that goes before it at run time.
//!
//! The constants come from environment variables of the build; [`BuildSettings::compiled`] is the only place that reads
//! them, so a test fills the struct as it likes and builds nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use muster_protocol::security::tokens::{ProvisioningClaims, ProvisioningToken, TokenError};

/// The token's file, where the build names none: beside the configuration file.
const JWT_FILE: &str = "provisioning.jwt";

/// How a node is to be provisioned.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// The provisioning brokers, `host:port` or URLs.
    pub brokers: Vec<String>,
    /// The domain whose SRV records name them.
    pub srv_domain: String,
    /// Whether a node whose configuration does not say is to be provisioned.
    pub default: bool,
    /// Whether the agent is there.
    pub agent: bool,
    /// Whether requests must be signed in the mode.
    pub secure: bool,
    /// A file that is published as registration data.
    pub registration_data: String,
    /// A file with facts.
    pub facts: String,
    /// The secret that callers of the agent must know.
    pub token: String,
    /// Where the provisioning token is; see [`BuildSettings::jwt_path`].
    pub jwt_file: String,
    /// Where the node's state is written while it is provisioned.
    pub status_file: String,
    /// The user the broker knows the node by.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// Whether version 2 of the protocol is spoken in the mode.
    pub protocol_v2: bool,
    /// Whether the provisioner may replace the node's program.
    pub allow_update: bool,
}

/// Why a provisioning token is of no use.
#[derive(Debug)]
pub struct BuildError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub error: TokenError,
}

impl BuildSettings {
    /// What was compiled in.
    #[must_use]
    pub fn compiled() -> Self {
        let text = |value: Option<&'static str>| value.unwrap_or_default().to_owned();
        let is = |value: Option<&'static str>, default: bool| match value {
            Some("true" | "1" | "yes") => true,
            Some("false" | "0" | "no") => false,
            _ => default,
        };
        Self {
            brokers: split(option_env!("MUSTER_PROVISION_BROKER_URLS").unwrap_or_default()),
            srv_domain: text(option_env!("MUSTER_PROVISION_BROKER_SRV_DOMAIN")),
            default: is(option_env!("MUSTER_PROVISION_MODE_DEFAULT"), false),
            agent: is(option_env!("MUSTER_PROVISION_AGENT"), true),
            secure: is(option_env!("MUSTER_PROVISION_SECURE"), true),
            registration_data: text(option_env!("MUSTER_PROVISION_REGISTRATION_DATA")),
            facts: text(option_env!("MUSTER_PROVISION_FACTS")),
            token: text(option_env!("MUSTER_PROVISION_TOKEN")),
            jwt_file: text(option_env!("MUSTER_PROVISION_JWT_FILE")),
            status_file: text(option_env!("MUSTER_PROVISION_STATUS_FILE")),
            username: text(option_env!("MUSTER_PROVISION_BROKER_USERNAME")),
            password: text(option_env!("MUSTER_PROVISION_BROKER_PASSWORD")),
            protocol_v2: is(option_env!("MUSTER_PROVISION_USES_PROTOCOL_V2"), false),
            allow_update: is(option_env!("MUSTER_PROVISION_ALLOW_SERVER_UPDATE"), false),
        }
    }

    /// Where the provisioning token is: where the build says, else `provisioning.jwt` beside the configuration file.
    #[must_use]
    pub fn jwt_path(&self, config_file: &Path) -> PathBuf {
        if self.jwt_file.is_empty() {
            config_file.with_file_name(JWT_FILE)
        } else {
            PathBuf::from(&self.jwt_file)
        }
    }

    /// Puts what a provisioning token says in place of what was compiled in; `path` is its file. The token is not
    /// verified: a node has no key to do so.
    ///
    /// # Errors
    /// The text is no provisioning token that a node can go by.
    pub fn apply_token(&mut self, text: &str, path: &Path) -> Result<(), BuildError> {
        let refuse = |error| BuildError {
            path: path.to_owned(),
            error,
        };
        let token = ProvisioningToken::parse(text).map_err(refuse)?;
        token.claims.check().map_err(refuse)?;
        self.apply_claims(&token.claims);
        Ok(())
    }

    fn apply_claims(&mut self, claims: &ProvisioningClaims) {
        self.brokers = claims.brokers().map(str::to_owned).collect();
        self.srv_domain.clone_from(&claims.srv_domain);
        self.token.clone_from(&claims.token);
        self.protocol_v2 = claims.protocol_v2;
        self.allow_update = claims.allow_update;
        self.default = claims.provision_default;
        self.secure = claims.secure;
        for (to, from) in [
            (&mut self.facts, &claims.facts),
            (&mut self.registration_data, &claims.registration_data),
            (&mut self.username, &claims.username),
            (&mut self.password, &claims.password),
        ] {
            if !from.is_empty() {
                to.clone_from(from);
            }
        }
    }

    /// Whether it says where the provisioning brokers are.
    #[must_use]
    pub fn has_target(&self) -> bool {
        !self.brokers.is_empty() || !self.srv_domain.is_empty()
    }

    /// Whether the agent can be asked at all: somebody must be able to prove that he may.
    #[must_use]
    pub fn supports_provisioning(&self) -> bool {
        self.agent && !self.token.is_empty()
    }
}

fn split(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Leaves the secrets out.
impl fmt::Debug for BuildSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |text: &String| if text.is_empty() { "" } else { "***" };
        f.debug_struct("BuildSettings")
            .field("brokers", &self.brokers)
            .field("srv_domain", &self.srv_domain)
            .field("default", &self.default)
            .field("agent", &self.agent)
            .field("secure", &self.secure)
            .field("registration_data", &self.registration_data)
            .field("facts", &self.facts)
            .field("token", &hidden(&self.token))
            .field("jwt_file", &self.jwt_file)
            .field("status_file", &self.status_file)
            .field("username", &self.username)
            .field("password", &hidden(&self.password))
            .field("protocol_v2", &self.protocol_v2)
            .field("allow_update", &self.allow_update)
            .finish()
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for BuildError {}

#[cfg(test)]
mod tests {
    use muster_protocol::security::tokens::{IssuerSigningKey, SigningKey};

    use super::*;

    #[test]
    fn a_token_goes_before_what_was_compiled_in() {
        let mut build = BuildSettings {
            brokers: vec!["old:1".to_owned()],
            facts: "/old.json".to_owned(),
            registration_data: "/data.json".to_owned(),
            agent: true,
            secure: true,
            ..BuildSettings::default()
        };
        assert!(!build.supports_provisioning());
        let claims = ProvisioningClaims {
            token: "s3cret".to_owned(),
            urls: "p1:4222, p2:4222".to_owned(),
            facts: "/new.json".to_owned(),
            provision_default: true,
            ..ProvisioningClaims::default()
        };
        let key = IssuerSigningKey::Ed25519(SigningKey::from_seed(&[1; 32]).unwrap());
        let text = claims.clone().sign(&key).unwrap();
        build.apply_token(&text, Path::new("/p.jwt")).unwrap();
        assert_eq!(build.brokers, ["p1:4222", "p2:4222"]);
        assert!(build.default && !build.secure && build.supports_provisioning());
        assert_eq!(build.facts, "/new.json");
        assert_eq!(build.registration_data, "/data.json");
        assert!(!format!("{build:?}").contains("s3cret"));
        let both = ProvisioningClaims {
            srv_domain: "x".to_owned(),
            ..claims
        };
        let text = both.sign(&key).unwrap();
        let error = build.apply_token(&text, Path::new("/p.jwt")).unwrap_err();
        assert!(error.to_string().starts_with("cannot use /p.jwt: "));
    }

    #[test]
    fn the_token_lies_beside_the_configuration_unless_the_build_says_where() {
        let mut build = BuildSettings::default();
        let config = Path::new("/etc/choria/server.conf");
        assert_eq!(
            build.jwt_path(config),
            Path::new("/etc/choria/provisioning.jwt")
        );
        build.jwt_file = "/p/x.jwt".to_owned();
        assert_eq!(build.jwt_path(config), Path::new("/p/x.jwt"));
    }
}
