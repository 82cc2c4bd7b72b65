//! The site's helper: what it is told of a node, and what it may answer.
//!
//! ```text
//!  in:  {"identity":…, "csr":null|{"csr","ssldir","public_key"}, "ed25519_pubkey":null|{"public_key","directory","signature"},
//!        "inventory":"{…}", "jwt":null|{…}}
//!  out: {"defer":bool, "msg":…, "shutdown":bool, "configuration":{key: text}, "certificate", "ca", "ssldir", "key",
//!        "server_claims":{…}, "action_policies":{file: text}, "opa_policies":{file: text}, "upgrade": version}
//! ```
//!
//! One document in, one out. Members that are not known are ignored, those left out or null are empty. This module only
//! reads and writes the documents; [`process`] runs the program. The inventory travels as JSON inside a text, as ever.

pub mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::secret::Secret;

/// Bytes of an answer, at most.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// How long a helper may take.
pub const TIME_MAX: Duration = Duration::from_secs(10);
/// Characters of a text of the helper's that are repeated in logs.
const SAID_CHARS_MAX: usize = 256;

/// Runs a helper, off the provisioner's thread. It may block for as long as it likes; what waits for it is one worker.
pub trait Helper: fmt::Debug + Send + Sync {
    /// The document that goes in; what came out.
    ///
    /// # Errors
    /// There is no document.
    fn run(&self, input: &[u8]) -> Result<Vec<u8>, HelperError>;
}

/// What a helper decides about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Not now, for the reason told.
    Defer(String),
    /// The node is to end.
    Shutdown,
    /// The node is to be this.
    Configure(Box<Setup>),
}

/// What a node is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// Its configuration; never empty.
    pub configuration: BTreeMap<String, String>,
    /// Its certificate, in PEM.
    pub certificate: String,
    /// The authorities, in PEM.
    pub ca: String,
    /// A key made for it, in PEM.
    pub key: Option<Secret>,
    /// Where these go, unless the node has said.
    pub ssldir: String,
    /// What its token shall say, over the usual.
    pub server_claims: Option<Map<String, Value>>,
    /// Policies of its agents, by file.
    pub action_policies: BTreeMap<String, String>,
    /// The same in Open Policy Agent's language.
    pub opa_policies: BTreeMap<String, String>,
    /// The version it shall have.
    pub upgrade: String,
}

/// Why there is no decision. Texts of the helper's are cut, and nothing of its answer is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperError {
    /// It could not be started.
    Start(String),
    /// It was still running after this time, and was killed.
    TimedOut(Duration),
    /// It said by its exit code that it failed.
    Exited {
        /// The code.
        code: i32,
        /// The last line it wrote to its standard error.
        said: String,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It wrote more than is read.
    TooMuch {
        /// Bytes it may write.
        bytes_max: usize,
    },
    /// It wrote nothing.
    Silent,
    /// What it wrote is no answer.
    NoAnswer(String),
    /// A value of the configuration, or of policies, is no text.
    NotText {
        /// The member with the key.
        key: String,
    },
    /// It neither deferred nor gave a configuration.
    Empty,
}

/// What the helper is told.
#[derive(Debug, Clone, Copy)]
pub struct HelperInput<'a> {
    /// The node's name.
    pub identity: &'a str,
    /// The outputs of `gencsr`.
    pub csr: Option<&'a Value>,
    /// The outputs of `gen25519`.
    pub ed25519: Option<&'a Value>,
    /// The outputs of `rpcutil#inventory`, as JSON.
    pub inventory: &'a str,
    /// The claims of the node's `provisioning.jwt`.
    pub jwt: Option<&'a Value>,
}

impl HelperInput<'_> {
    /// The document.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let document = json!({
            "identity": self.identity,
            "csr": self.csr,
            "ed25519_pubkey": self.ed25519,
            "inventory": self.inventory,
            "jwt": self.jwt,
        });
        document.to_string().into_bytes()
    }
}

/// Every member of an answer that means something. Types are judged one by one, so that the reason names the member.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Answer {
    defer: Option<bool>,
    msg: Option<String>,
    shutdown: Option<bool>,
    certificate: Option<String>,
    ca: Option<String>,
    key: Option<String>,
    ssldir: Option<String>,
    upgrade: Option<String>,
    server_claims: Option<Map<String, Value>>,
    configuration: Option<Map<String, Value>>,
    action_policies: Option<Map<String, Value>>,
    opa_policies: Option<Map<String, Value>>,
}

impl Decision {
    /// Reads what a helper wrote.
    ///
    /// # Errors
    /// It is no decision, for the reason told.
    pub fn parse(output: &[u8]) -> Result<Self, HelperError> {
        if output.len() > OUTPUT_BYTES_MAX {
            return Err(HelperError::TooMuch {
                bytes_max: OUTPUT_BYTES_MAX,
            });
        }
        if output.iter().all(u8::is_ascii_whitespace) {
            return Err(HelperError::Silent);
        }
        // The library's words repeat values that are of the wrong type, and one of them may be a key.
        let answer: Answer = serde_json::from_slice(output).map_err(|error| {
            HelperError::NoAnswer(format!(
                "{} in line {}, column {}",
                match error.classify() {
                    serde_json::error::Category::Data => "a member has a wrong type",
                    serde_json::error::Category::Eof => "the json is cut off",
                    serde_json::error::Category::Syntax | serde_json::error::Category::Io =>
                        "it is no json",
                },
                error.line(),
                error.column()
            ))
        })?;
        if answer.defer == Some(true) {
            return Ok(Self::Defer(cut(&answer.msg.unwrap_or_default())));
        }
        if answer.shutdown == Some(true) {
            return Ok(Self::Shutdown);
        }
        let setup = Setup {
            configuration: texts("configuration", answer.configuration)?,
            certificate: answer.certificate.unwrap_or_default(),
            ca: answer.ca.unwrap_or_default(),
            key: answer.key.filter(|key| !key.is_empty()).map(Secret::new),
            ssldir: answer.ssldir.unwrap_or_default(),
            server_claims: answer.server_claims,
            action_policies: texts("action_policies", answer.action_policies)?,
            opa_policies: texts("opa_policies", answer.opa_policies)?,
            upgrade: answer.upgrade.unwrap_or_default(),
        };
        if setup.configuration.is_empty() {
            return Err(HelperError::Empty);
        }
        Ok(Self::Configure(Box::new(setup)))
    }
}

fn texts(
    member: &str,
    values: Option<Map<String, Value>>,
) -> Result<BTreeMap<String, String>, HelperError> {
    let text = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        _ => Err(HelperError::NotText {
            key: format!("{member}.{}", cut(&key)),
        }),
    };
    values.unwrap_or_default().into_iter().map(text).collect()
}

/// A stranger's text, fit for one line of a log.
pub(crate) fn cut(text: &str) -> String {
    let plain = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SAID_CHARS_MAX).collect()
}

impl fmt::Display for HelperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(why) => write!(f, "helper does not start: {why}"),
            Self::TimedOut(time) => write!(f, "helper was killed after {time:?}"),
            Self::Exited { code, said } if said.is_empty() => {
                write!(f, "helper ended with code {code}")
            }
            Self::Exited { code, said } => write!(f, "helper ended with code {code}: {said}"),
            Self::Signalled { signal } => write!(f, "helper was ended by signal {signal}"),
            Self::TooMuch { bytes_max } => {
                write!(f, "helper wrote more than {bytes_max} bytes")
            }
            Self::Silent => f.write_str("helper wrote nothing"),
            Self::NoAnswer(why) => write!(f, "helper's answer cannot be read: {why}"),
            Self::NotText { key } => write!(f, "helper's answer has {key}, which is no text"),
            Self::Empty => f.write_str("helper gave an empty configuration"),
        }
    }
}

impl std::error::Error for HelperError {}

#[cfg(test)]
mod tests;
