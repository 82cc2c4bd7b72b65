//! The stanza that applications keep for their backplane in a configuration file of their own.
//!
//! ```yaml
//! management:
//!   name: app                       # required; [a-z0-9]+
//!   brokers: [broker1.example.net:4222]
//!   logfile: /var/log/app/backplane.log
//!   loglevel: warn
//!   tls:                            # left out: no TLS, and nothing is verified
//!     scheme: puppet                # or manual, file
//!     identity: app1.example.net
//!   auth:
//!     full: [sre.choria]
//!     read_only: [1stline.choria]
//! ```
//!
//! Every problem is reported at once, by the name of its key. A key that is not known is a problem: a misspelt `tls`
//! would otherwise be an application that anybody commands. `logfile` and `loglevel` are read for the application, which
//! owns its log; the backplane writes to whatever subscriber of `tracing` there is.

use std::fmt;
use std::path::PathBuf;

use muster_client::nats::ServerAddr;
use serde_json::{Map, Value};

use crate::auth::Authorization;

/// The stanza's usual name.
const STANZA: &str = "management";
const KEYS: [&str; 6] = ["name", "brokers", "logfile", "loglevel", "tls", "auth"];
const TLS_KEYS: [&str; 7] = [
    "identity", "ssl_dir", "scheme", "ca", "cert", "key", "cache",
];
const AUTH_KEYS: [&str; 3] = ["insecure", "full", "read_only"];
const LOG_LEVELS: [&str; 6] = ["debug", "info", "warn", "warning", "error", "fatal"];

/// A backplane's configuration, checked.
#[derive(Debug, Clone)]
pub struct ManagementConfig {
    /// The application's name.
    pub name: String,
    /// The brokers.
    pub brokers: Vec<ServerAddr>,
    /// Where the application wants the backplane's log; its standard output without one.
    pub log_file: Option<PathBuf>,
    /// How much of it: `debug`, `info`, `warn`, `error` or `fatal`.
    pub log_level: &'static str,
    /// Keys and certificates; without them there is no TLS, and requests are not verified.
    pub tls: Option<TlsSetting>,
    /// Who may do what.
    pub auth: Authorization,
}

/// Where keys and certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSetting {
    /// In the folder of the host's configuration management (`scheme: puppet`).
    Puppet {
        /// The certificate's name, and the node's; the host's name without one.
        identity: Option<String>,
        /// The folder; the usual one of the user without one.
        ssl_dir: Option<PathBuf>,
    },
    /// In files of their own (`scheme: manual` or `file`), PEM.
    Files {
        /// The node's name; the host's without one.
        identity: Option<String>,
        /// The node's certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// The authorities of callers and brokers.
        ca: PathBuf,
    },
}

/// Something wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, with those above it: `management.tls.scheme`.
    pub key: String,
    /// What is wrong; reads on from the key.
    pub problem: String,
}

/// Everything wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl ManagementConfig {
    /// Reads the stanza `management` of a YAML document.
    ///
    /// # Errors
    /// Every problem of the stanza, or what makes the document none.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigProblems> {
        let document: Value = serde_saphyr::from_str(text).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            one_problem("document", format!("is not yaml: {why}"))
        })?;
        match document.get(STANZA) {
            Some(stanza) => Self::from_value(stanza),
            None => Err(one_problem(STANZA, "is needed and not there".to_owned())),
        }
    }

    /// Reads the stanza, taken out of a document of whatever kind.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn from_value(stanza: &Value) -> Result<Self, ConfigProblems> {
        let mut problems = Vec::new();
        let empty = Map::new();
        let mut stanza = Section::new(STANZA, stanza, &KEYS, &empty, &mut problems);
        let config = Self {
            name: stanza.needed_text("name").unwrap_or_default(),
            brokers: brokers(&mut stanza),
            log_file: stanza.text("logfile").map(PathBuf::from),
            log_level: log_level(&mut stanza),
            tls: tls(&mut stanza),
            auth: auth(&mut stanza),
        };
        if let Some(problem) = name_problem(&config.name) {
            stanza.problem("name", problem);
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigProblems(problems))
        }
    }
}

/// What is wrong with an application's name, if it is there: it becomes a collective and so a part of subjects.
pub(crate) fn name_problem(name: &str) -> Option<String> {
    let is_fine = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (!is_fine).then(|| format!("{name:?} does not match ^[a-z0-9]+$"))
}

fn brokers(stanza: &mut Section<'_>) -> Vec<ServerAddr> {
    let texts = stanza.list("brokers");
    if texts.is_empty() {
        stanza.problem("brokers", "is needed and names none");
    }
    let mut brokers = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match ServerAddr::parse(text) {
            Ok(broker) => brokers.push(broker),
            Err(error) => stanza.problem(&format!("brokers[{index}]"), error.to_string()),
        }
    }
    brokers
}

fn log_level(stanza: &mut Section<'_>) -> &'static str {
    let Some(text) = stanza.text("loglevel") else {
        return "warn";
    };
    match LOG_LEVELS.iter().find(|level| **level == text) {
        Some(&"warning") => "warn",
        Some(level) => level,
        None => {
            let known = LOG_LEVELS.join(", ");
            stanza.problem("loglevel", format!("{text:?} is not one of {known}"));
            "warn"
        }
    }
}

fn tls(stanza: &mut Section<'_>) -> Option<TlsSetting> {
    let value = stanza.given("tls")?;
    let empty = Map::new();
    let path = stanza.path("tls");
    let mut tls = Section::new(&path, value, &TLS_KEYS, &empty, stanza.problems);
    let identity = tls.text("identity");
    // Nothing received is stored, so there is nothing to keep in a cache.
    tls.text("cache");
    match tls.text("scheme").as_deref() {
        Some("puppet") => Some(TlsSetting::Puppet {
            identity,
            ssl_dir: tls.text("ssl_dir").map(PathBuf::from),
        }),
        Some("manual" | "file") => {
            let mut file = |key| PathBuf::from(tls.needed_text(key).unwrap_or_default());
            Some(TlsSetting::Files {
                identity,
                certificate: file("cert"),
                key: file("key"),
                ca: file("ca"),
            })
        }
        other => {
            let scheme = other.unwrap_or_default();
            let problem = format!("{scheme:?} is not one of puppet, manual, file");
            tls.problem("scheme", problem);
            None
        }
    }
}

fn auth(stanza: &mut Section<'_>) -> Authorization {
    let Some(value) = stanza.given("auth") else {
        return Authorization::default();
    };
    let empty = Map::new();
    let path = stanza.path("auth");
    let mut auth = Section::new(&path, value, &AUTH_KEYS, &empty, stanza.problems);
    let is_insecure = auth.boolean("insecure");
    let (full, read_only) = (auth.list("full"), auth.list("read_only"));
    match Authorization::new(&full, &read_only) {
        Ok(_) if is_insecure => Authorization::insecure(),
        Ok(authorization) => authorization,
        Err(bad) => {
            for pattern in bad {
                let key = format!("{}[{}]", pattern.list, pattern.index);
                auth.problem(&key, format!("is no regular expression: {}", pattern.why));
            }
            Authorization::default()
        }
    }
}

/// A mapping under a key, and the problems found so far.
struct Section<'a> {
    path: String,
    members: &'a Map<String, Value>,
    problems: &'a mut Vec<ConfigProblem>,
}

impl<'a> Section<'a> {
    fn new(
        path: &str,
        value: &'a Value,
        known: &[&str],
        empty: &'a Map<String, Value>,
        problems: &'a mut Vec<ConfigProblem>,
    ) -> Self {
        let mut section = Self {
            path: path.to_owned(),
            members: value.as_object().unwrap_or(empty),
            problems,
        };
        if !value.is_object() {
            section.problems.push(ConfigProblem {
                key: path.to_owned(),
                problem: "is not a mapping of keys to values".to_owned(),
            });
        }
        for key in section
            .members
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
        {
            let problem = format!("is not known; there is {}", known.join(", "));
            section.problem(key, problem);
        }
        section
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn problem(&mut self, key: &str, problem: impl Into<String>) {
        self.problems.push(ConfigProblem {
            key: self.path(key),
            problem: problem.into(),
        });
    }

    /// The value of a key that is there and not null.
    fn given(&self, key: &str) -> Option<&'a Value> {
        self.members.get(key).filter(|value| !value.is_null())
    }

    /// A text on one line, none where it is empty.
    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.given(key)?;
        match value.as_str() {
            Some("") => None,
            Some(text) if !text.chars().any(char::is_control) => Some(text.to_owned()),
            _ => {
                self.problem(key, "is not a text on one line");
                None
            }
        }
    }

    fn needed_text(&mut self, key: &str) -> Option<String> {
        let is_there = self.given(key).is_some_and(|value| value != "");
        if !is_there {
            self.problem(key, "is needed and not set");
            return None;
        }
        self.text(key)
    }

    fn boolean(&mut self, key: &str) -> bool {
        match self.given(key) {
            None => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                self.problem(key, "is neither true nor false");
                false
            }
        }
    }

    /// Texts; those that are none are reported and left out.
    fn list(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.given(key) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.problem(key, "is not a list");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) if !text.chars().any(char::is_control) => texts.push(text.to_owned()),
                _ => self.problem(&format!("{key}[{index}]"), "is not a text on one line"),
            }
        }
        texts
    }
}

fn one_problem(key: &str, problem: String) -> ConfigProblems {
    let key = key.to_owned();
    ConfigProblems(vec![ConfigProblem { key, problem }])
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.problem)
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}

#[cfg(test)]
mod tests;
