//! What nodes announce of themselves: events of their life, and transitions of their autonomous agents.
//!
//! Events are plain JSON on subjects of their own, neither signed nor addressed. There are two forms of the same
//! document: wrapped as CloudEvents 1.0, which is what is sent unless configured otherwise, and bare (*legacy*).
//! Readers take both, and the protocol names of earlier years. Members come in the order of the servers of today.
//!
//! ```text
//! {"specversion":"1.0","id":…,"source":"io.choria.lifecycle","type":"io.choria.lifecycle.v1.startup","subject":identity,
//!  "datacontenttype":"application/json","time":…,"data":{"protocol":…,"id":…,"identity":…,"component":…,"timestamp":…,…}}
//! ```
//!
//! Nobody vouches for an event: whoever may publish to its subject can claim anything.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::json::{write_integer, write_string};
use crate::request_id::RequestId;
use crate::rfc3339::rfc3339_utc;

/// What lifecycle protocol names begin with.
const PROTOCOL: &str = "io.choria.lifecycle.v1.";
/// What they began with in earlier years; `:1` stood behind the type.
const PROTOCOL_OLD: &str = "choria:lifecycle:";
const SOURCE: &str = "io.choria.lifecycle";
const MACHINE_PROTOCOL: &str = "io.choria.machine.v1.transition";
const MACHINE_PROTOCOL_OLD: &str = "choria:machine:transition:1";

/// The subject of all events: what a follower of them subscribes to.
pub const ALL_EVENTS: &str = "choria.lifecycle.event.>";

/// One event of a node's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// The event's own id, a UUID; see [`event_id`].
    pub id: String,
    /// Whose life.
    pub identity: String,
    /// What kind of program: `server`, `provision_mode_server`, `backplane`, …
    pub component: String,
    /// Unix seconds.
    pub timestamp: i64,
    /// What happened.
    pub kind: LifecycleKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleKind {
    /// It is connected and listens.
    Startup {
        /// Of the program.
        version: String,
    },
    /// It ends in good order.
    Shutdown,
    /// It got its configuration.
    Provisioned,
    /// It is still there.
    Alive {
        /// Of the program.
        version: String,
    },
    /// It replaced its own program.
    Upgraded {
        /// Before.
        version: String,
        /// After.
        new_version: String,
    },
    /// It came to, or left, a limit of how many may do something at a time.
    Governor {
        /// The limit's name.
        governor: String,
        /// Its place among those who came.
        sequence: u64,
        /// `enter`, `exit`, `timeouts` or `eviction`.
        event_type: String,
    },
}

/// How an event is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EventForm {
    /// As CloudEvents 1.0.
    #[default]
    CloudEvent,
    /// The document alone.
    Legacy,
}

/// A transition of an autonomous agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MachineTransition {
    /// The event's own id.
    pub id: String,
    /// The node.
    pub identity: String,
    /// Of the autonomous agent.
    pub version: String,
    /// Unix seconds.
    pub timestamp: i64,
    /// The autonomous agent.
    pub machine: String,
    /// What made it change.
    pub transition: String,
    /// Before.
    pub from_state: String,
    /// After.
    pub to_state: String,
    protocol: String,
}

/// Why bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventError {
    /// Not JSON of the right shape.
    Json(Box<str>),
    /// JSON that says it is something else.
    Protocol(Box<str>),
}

/// An event's id made of 16 random bytes the caller brings: a version 4 UUID with its dashes.
#[must_use]
pub fn event_id(random: [u8; 16]) -> String {
    let id = RequestId::from_random(random);
    let hex = id.as_str();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

impl LifecycleKind {
    /// The word for it in subjects and protocol names.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Startup { .. } => "startup",
            Self::Shutdown => "shutdown",
            Self::Provisioned => "provisioned",
            Self::Alive { .. } => "alive",
            Self::Upgraded { .. } => "upgraded",
            Self::Governor { .. } => "governor",
        }
    }
}

impl LifecycleEvent {
    /// Where it is published.
    #[must_use]
    pub fn subject(&self) -> String {
        format!(
            "choria.lifecycle.event.{}.{}",
            self.kind.name(),
            self.component
        )
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self, form: EventForm) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        match form {
            EventForm::Legacy => self.write_document(&mut out),
            EventForm::CloudEvent => self.write_cloud_event(&mut out),
        }
        out
    }

    fn write_cloud_event(&self, out: &mut Vec<u8>) {
        let time = Duration::from_secs(u64::try_from(self.timestamp).unwrap_or(0));
        text(out, b"{", "specversion", "1.0");
        text(out, b",", "id", &self.id);
        text(out, b",", "source", SOURCE);
        text(out, b",", "type", &self.protocol());
        text(out, b",", "subject", &self.identity);
        text(out, b",", "datacontenttype", "application/json");
        text(out, b",", "time", &rfc3339_utc(time));
        out.extend_from_slice(b",\"data\":");
        self.write_document(out);
        out.push(b'}');
    }

    fn write_document(&self, out: &mut Vec<u8>) {
        text(out, b"{", "protocol", &self.protocol());
        text(out, b",", "id", &self.id);
        text(out, b",", "identity", &self.identity);
        text(out, b",", "component", &self.component);
        out.extend_from_slice(b",\"timestamp\":");
        write_integer(out, self.timestamp);
        match &self.kind {
            LifecycleKind::Shutdown | LifecycleKind::Provisioned => {}
            LifecycleKind::Startup { version } | LifecycleKind::Alive { version } => {
                text(out, b",", "version", version);
            }
            LifecycleKind::Upgraded {
                version,
                new_version,
            } => {
                text(out, b",", "version", version);
                text(out, b",", "new_version", new_version);
            }
            LifecycleKind::Governor {
                governor,
                sequence,
                event_type,
            } => {
                text(out, b",", "governor", governor);
                out.extend_from_slice(format!(",\"sequence\":{sequence}").as_bytes());
                text(out, b",", "event_type", event_type);
            }
        }
        out.push(b'}');
    }

    fn protocol(&self) -> String {
        format!("{PROTOCOL}{}", self.kind.name())
    }

    /// Reads an event in either form.
    ///
    /// # Errors
    /// The bytes are not JSON, or an event of another kind.
    pub fn parse(payload: &[u8]) -> Result<Self, EventError> {
        let document: Document = unwrap(payload)?;
        let protocol = &*document.protocol;
        let kind = protocol.strip_prefix(PROTOCOL).or_else(|| {
            let old = protocol.strip_prefix(PROTOCOL_OLD)?;
            old.strip_suffix(":1")
        });
        let version = document.version;
        let kind = match kind {
            Some("startup") => LifecycleKind::Startup { version },
            Some("shutdown") => LifecycleKind::Shutdown,
            Some("provisioned") => LifecycleKind::Provisioned,
            Some("alive") => LifecycleKind::Alive { version },
            Some("upgraded") => LifecycleKind::Upgraded {
                version,
                new_version: document.new_version,
            },
            Some("governor") => LifecycleKind::Governor {
                governor: document.governor,
                sequence: document.sequence,
                event_type: document.event_type,
            },
            _ => return Err(EventError::Protocol(short(protocol))),
        };
        Ok(Self {
            id: document.id,
            identity: document.identity,
            component: document.component,
            timestamp: document.timestamp,
            kind,
        })
    }
}

impl MachineTransition {
    /// Reads a transition in either form.
    ///
    /// # Errors
    /// The bytes are not JSON, or something else.
    pub fn parse(payload: &[u8]) -> Result<Self, EventError> {
        let transition: Self = unwrap(payload)?;
        match &*transition.protocol {
            MACHINE_PROTOCOL | MACHINE_PROTOCOL_OLD => Ok(transition),
            other => Err(EventError::Protocol(short(other))),
        }
    }
}

impl Default for MachineTransition {
    fn default() -> Self {
        Self {
            id: String::new(),
            identity: String::new(),
            version: String::new(),
            timestamp: 0,
            machine: String::new(),
            transition: String::new(),
            from_state: String::new(),
            to_state: String::new(),
            protocol: MACHINE_PROTOCOL.to_owned(),
        }
    }
}

/// Every member any kind of event has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    protocol: String,
    id: String,
    identity: String,
    component: String,
    timestamp: i64,
    version: String,
    new_version: String,
    governor: String,
    sequence: u64,
    event_type: String,
}

/// The document, out of its wrapping where it has one.
fn unwrap<T: for<'de> Deserialize<'de>>(payload: &[u8]) -> Result<T, EventError> {
    let json = |error: serde_json::Error| EventError::Json(error.to_string().into());
    let value: serde_json::Value = serde_json::from_slice(payload).map_err(json)?;
    let document = match value {
        serde_json::Value::Object(mut members) if members.contains_key("specversion") => {
            members.remove("data").unwrap_or_default()
        }
        bare @ serde_json::Value::Object(_) => bare,
        _ => return Err(EventError::Json("not an object".into())),
    };
    serde_json::from_value(document).map_err(json)
}

fn text(out: &mut Vec<u8>, lead: &[u8], key: &str, value: &str) {
    out.extend_from_slice(lead);
    write_string(out, key);
    out.push(b':');
    write_string(out, value);
}

fn short(name: &str) -> Box<str> {
    name.chars().take(64).collect::<String>().into()
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "event: {why}"),
            Self::Protocol(name) => write!(f, "event: field protocol is {name:?}"),
        }
    }
}

impl std::error::Error for EventError {}

#[cfg(test)]
mod tests;
