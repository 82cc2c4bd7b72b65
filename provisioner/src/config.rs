//! The provisioner's own file: YAML, checked as a whole.
//!
//! ```yaml
//! workers: 4
//! interval: 1m
//! helper: /etc/muster/provision-helper
//! token: s3cret
//! features: {pki: true}
//! monitor_port: 8080
//! site: eu1
//! ```
//!
//! Every mistake is reported at once, with its line; a key that is not known is a mistake. How the broker is reached stands in a
//! client's configuration, not here. No file is opened: paths are kept as they are.
//! The keys are in `docs/provisioning.md`.

mod document;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use muster_backplane::ManagementConfig;
use muster_settings::parse_duration;

use self::document::Document;
pub use self::document::{ConfigProblem, ConfigProblems, DOCUMENT_BYTES_MAX};
use crate::csr::DenyList;
use crate::secret::Secret;

/// The component whose startup events announce nodes without configuration.
pub const LIFECYCLE_COMPONENT: &str = "provision_mode_server";
/// How long server tokens are good for, unless configured otherwise.
pub const SERVER_TOKEN_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The shortest life of a server token.
pub const SERVER_TOKEN_VALIDITY_MIN: Duration = Duration::from_secs(60 * 60);
/// The shortest and the usual time between discoveries.
pub const INTERVAL_MIN: Duration = Duration::from_secs(60);
/// The longest; more is a mistake in units.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Nodes that can be in work at a time; each may be a process of the helper's.
pub const WORKERS_MAX: u64 = 4096;
/// The longest token nodes take.
const TOKEN_CHARS_MAX: usize = 128;
/// The levels a configuration can name.
const LOG_LEVELS: [&str; 6] = ["debug", "info", "warn", "warning", "error", "fatal"];
const KEYS: [&str; 26] = [
    "workers",
    "interval",
    "logfile",
    "loglevel",
    "helper",
    "token",
    "choria_insecure",
    "site",
    "monitor_port",
    "management",
    "features.pki",
    "features.jwt",
    "features.ed25519",
    "features.upgrades",
    "lifecycle_component",
    "broker_provisioning_password",
    "cert_deny_list",
    "jwt_verify_cert",
    "jwt_signing_key",
    "jwt_signing_token",
    "server_jwt_validity",
    "leader_election",
    "upgrades_repository",
    "upgrades_optional",
    "rego_policy",
    "broker_port",
];

/// The provisioner's configuration, checked.
#[derive(Debug, Clone)]
pub struct ProvisionerConfig {
    /// Nodes in work at the same time.
    pub workers: NonZeroUsize,
    /// Time between discoveries.
    pub interval: Duration,
    /// Where the log goes: a file, `stdout`, `stderr` or `discard`; nothing is the standard output.
    pub log_file: Option<String>,
    /// How much of it.
    pub log_level: &'static str,
    /// The helper's words, the program first; never empty.
    pub helper: Vec<String>,
    /// What nodes want to see before they do anything.
    pub token: Option<Secret>,
    /// **Dangerous**: no TLS and unsigned requests.
    pub is_insecure: bool,
    /// The label `site` of all metrics.
    pub site: String,
    /// Where `/metrics` is served, on all addresses.
    pub monitor_port: Option<u16>,
    /// The circuit breaker.
    pub management: Option<ManagementConfig>,
    /// Which steps the flow has.
    pub features: Features,
    /// The component whose startup events announce nodes.
    pub lifecycle_component: String,
    /// With it the provisioner logs in as the broker's user `provisioner`.
    pub broker_password: Option<Secret>,
    /// Names no certificate is asked for.
    pub deny: DenyList,
    /// Who signs `provisioning.jwt`: a file, or a key in hex.
    pub jwt_verify_cert: Option<String>,
    /// The key server tokens are signed with.
    pub jwt_signing_key: Option<PathBuf>,
    /// The token of a chain issuer with that key.
    pub jwt_signing_token: Option<PathBuf>,
    /// How long server tokens are good for.
    pub server_token_validity: Duration,
    /// Whether one of several provisioners is chosen to work.
    pub leader_election: bool,
    /// Where nodes find other versions of themselves.
    pub upgrades: Option<Upgrades>,
    /// What an operator should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Which steps the flow has beside those of every node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// A signing request of the node goes to the helper, its certificate to the node.
    pub pki: bool,
    /// The node's `provisioning.jwt` is verified.
    pub jwt: bool,
    /// The node makes an ed25519 key and gets a token for it.
    pub ed25519: bool,
    /// Nodes are brought to the helper's version before they are configured.
    pub upgrades: bool,
}

/// Where nodes find other versions of themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrades {
    /// An HTTP or HTTPS URL.
    pub repository: String,
    /// Whether a node whose upgrade fails is configured as it is.
    pub is_optional: bool,
}

impl ProvisionerConfig {
    /// Reads a document; `file` names it in problems, `cpus` is how many workers there are unless configured otherwise.
    ///
    /// # Errors
    /// Every problem, with its line where that is known.
    pub fn from_yaml(text: &str, file: &str, cpus: NonZeroUsize) -> Result<Self, ConfigProblems> {
        let mut document = Document::parse(text).map_err(|problem| ConfigProblems {
            file: file.to_owned(),
            problems: vec![problem],
        })?;
        let doc = &mut document;
        doc.refuse_others(&KEYS);
        if doc.given("rego_policy").is_some_and(|value| value != "") {
            doc.problem(
                "rego_policy",
                "is not supported: nodes are decided about by the helper",
            );
        }
        let mut warnings = Vec::new();
        if doc.given("broker_port").is_some() {
            warnings.push("broker_port has no effect: brokers stand in the client's configuration");
        }
        let cpus = u64::try_from(cpus.get()).unwrap_or(WORKERS_MAX);
        let workers = doc.number("workers", cpus.min(WORKERS_MAX), 1, WORKERS_MAX);
        let features = features(doc);
        let config = Self {
            workers: usize::try_from(workers)
                .ok()
                .and_then(NonZeroUsize::new)
                .unwrap_or(NonZeroUsize::MIN),
            interval: interval(doc),
            log_file: doc.text("logfile"),
            log_level: log_level(doc),
            helper: helper(doc),
            token: token(doc),
            is_insecure: doc.switch("choria_insecure"),
            site: doc.text("site").unwrap_or_default(),
            monitor_port: monitor_port(doc),
            management: management(doc),
            features,
            lifecycle_component: component(doc),
            broker_password: doc.text("broker_provisioning_password").map(Secret::new),
            deny: deny_list(doc),
            jwt_verify_cert: doc.text("jwt_verify_cert"),
            jwt_signing_key: doc.text("jwt_signing_key").map(PathBuf::from),
            jwt_signing_token: doc.text("jwt_signing_token").map(PathBuf::from),
            server_token_validity: validity(doc),
            leader_election: doc.switch("leader_election"),
            upgrades: upgrades(doc, features),
            warnings: warnings.into_iter().map(str::to_owned).collect(),
        };
        config.check_relations(doc);
        document.finish(file)?;
        Ok(config)
    }

    fn check_relations(&self, doc: &mut Document) {
        let mut need = |is_missing: bool, key: &str, by: &str| {
            if is_missing {
                doc.problem(key, format!("is needed by {by} and not set"));
            }
        };
        let jwt = if self.features.ed25519 {
            "features.ed25519"
        } else {
            "features.jwt"
        };
        need(
            self.features.jwt && self.jwt_verify_cert.is_none(),
            "jwt_verify_cert",
            jwt,
        );
        need(
            self.features.ed25519 && self.jwt_signing_key.is_none(),
            "jwt_signing_key",
            "features.ed25519",
        );
        need(
            self.jwt_signing_token.is_some() && self.jwt_signing_key.is_none(),
            "jwt_signing_key",
            "jwt_signing_token",
        );
    }
}

fn features(doc: &mut Document) -> Features {
    let mut features = Features {
        pki: doc.switch("features.pki"),
        jwt: doc.switch("features.jwt"),
        ed25519: doc.switch("features.ed25519"),
        upgrades: doc.switch("features.upgrades"),
    };
    if features.ed25519 {
        features.jwt = true;
        if features.pki {
            doc.problem(
                "features.pki",
                "cannot be on together with features.ed25519",
            );
        }
    }
    features
}

fn interval(doc: &mut Document) -> Duration {
    let interval = duration(doc, "interval", INTERVAL_MIN);
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        let size = if interval < INTERVAL_MIN {
            "small"
        } else {
            "large"
        };
        let problem = format!("{interval:?} is too {size}, from 1m to 1d is possible");
        doc.problem("interval", problem);
    }
    interval
}

fn duration(doc: &mut Document, key: &str, default: Duration) -> Duration {
    let Some(text) = doc.text(key) else {
        return default;
    };
    parse_duration(&text).unwrap_or_else(|error| {
        doc.problem(key, format!("{text:?} {error}"));
        default
    })
}

fn validity(doc: &mut Document) -> Duration {
    let validity = duration(doc, "server_jwt_validity", SERVER_TOKEN_VALIDITY);
    if validity < SERVER_TOKEN_VALIDITY_MIN {
        let problem = format!("{validity:?} is too small, 1h is the least");
        doc.problem("server_jwt_validity", problem);
    }
    validity
}

fn log_level(doc: &mut Document) -> &'static str {
    let Some(text) = doc.text("loglevel") else {
        return "info";
    };
    match LOG_LEVELS.iter().find(|level| **level == text) {
        Some(&"warning") => "warn",
        Some(level) => level,
        None => {
            let known = LOG_LEVELS.join(", ");
            doc.problem("loglevel", format!("{text:?} is not one of {known}"));
            "info"
        }
    }
}

fn helper(doc: &mut Document) -> Vec<String> {
    if doc.given("helper").is_none_or(|value| value == "") {
        doc.problem("helper", "is needed and not set");
        return Vec::new();
    }
    let Some(text) = doc.text("helper") else {
        return Vec::new();
    };
    let words = shlex::split(&text).unwrap_or_default();
    if words.first().is_none_or(String::is_empty) {
        doc.problem(
            "helper",
            "is not a command line: a quote is not closed, or it is empty",
        );
        return Vec::new();
    }
    words
}

fn token(doc: &mut Document) -> Option<Secret> {
    let text = doc.text("token")?;
    let chars = text.chars().count();
    if chars > TOKEN_CHARS_MAX {
        // The length alone: the token itself is nobody's to read.
        doc.problem(
            "token",
            format!("has {chars} characters, nodes take {TOKEN_CHARS_MAX}"),
        );
    }
    Some(Secret::new(text))
}

fn monitor_port(doc: &mut Document) -> Option<u16> {
    let port = doc.number("monitor_port", 0, 0, u64::from(u16::MAX));
    u16::try_from(port).ok().filter(|port| *port > 0)
}

fn management(doc: &mut Document) -> Option<ManagementConfig> {
    let stanza = doc.given("management")?.clone();
    match ManagementConfig::from_value(&stanza) {
        Ok(config) => Some(config),
        Err(problems) => {
            for problem in problems.0 {
                doc.problem(&problem.key, problem.problem);
            }
            None
        }
    }
}

fn component(doc: &mut Document) -> String {
    let component = doc.text("lifecycle_component");
    let component = component.unwrap_or_else(|| LIFECYCLE_COMPONENT.to_owned());
    let is_token = |c: char| c.is_ascii_graphic() && !matches!(c, '.' | '>' | '*');
    if !component.chars().all(is_token) {
        let problem = format!("{component:?} makes no subject: blanks, . > and * are not allowed");
        doc.problem("lifecycle_component", problem);
    }
    component
}

fn deny_list(doc: &mut Document) -> DenyList {
    let Some(patterns) = doc.list("cert_deny_list") else {
        return DenyList::default();
    };
    let (deny, bad) = DenyList::new(&patterns);
    for (pattern, why) in bad {
        let problem = format!("has {pattern:?}, which is no regular expression: {why}");
        doc.problem("cert_deny_list", problem);
    }
    deny
}

fn upgrades(doc: &mut Document, features: Features) -> Option<Upgrades> {
    let repository = doc.text("upgrades_repository");
    let is_optional = doc.switch("upgrades_optional");
    if let Some(url) = &repository
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        doc.problem(
            "upgrades_repository",
            format!("{url:?} is not an http or https url"),
        );
    }
    if !features.upgrades {
        return None;
    }
    if repository.is_none() {
        doc.problem(
            "upgrades_repository",
            "is needed by features.upgrades and not set",
        );
    }
    Some(Upgrades {
        repository: repository?,
        is_optional,
    })
}

#[cfg(test)]
mod tests;
