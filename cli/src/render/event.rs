//! `tool event`: what nodes say of their life, one line each.
//!
//! Events come as CloudEvents 1.0 with the event in `data`, or bare in the form of older nodes; their protocol names have an older form too.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::text::one_line;
use crate::timestamp;

/// Begins the protocol's name today, and in the form of older nodes.
const PROTOCOLS: [(&str, &str); 2] = [("io.choria.lifecycle.v1.", ""), ("choria:lifecycle:", ":1")];

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    /// The last part of the protocol's name: `startup` and others.
    pub(crate) kind: String,
    pub(crate) component: String,
    identity: String,
    details: Details,
}

/// What only some kinds have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    version: String,
    new_version: String,
    governor: String,
    sequence: u64,
    event_type: String,
}

/// The members that all kinds have.
#[derive(Debug, Deserialize)]
struct Common {
    protocol: String,
    identity: String,
    #[serde(default)]
    component: String,
    #[serde(flatten)]
    details: Details,
}

/// Why a message is no event.
#[derive(Debug)]
pub(crate) enum NoEvent {
    Json(serde_json::Error),
    Protocol(String),
}

impl Lifecycle {
    /// Reads either form.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, NoEvent> {
        let mut document: Value = serde_json::from_slice(payload).map_err(NoEvent::Json)?;
        let event = match document.get_mut("specversion") {
            Some(_) => document
                .get_mut("data")
                .map(Value::take)
                .unwrap_or_default(),
            None => document,
        };
        let event: Common = serde_json::from_value(event).map_err(NoEvent::Json)?;
        let kind = PROTOCOLS.iter().find_map(|(begin, end)| {
            let rest = event.protocol.strip_prefix(begin)?;
            rest.strip_suffix(end)
        });
        match kind.map(str::to_owned) {
            Some(kind) => Ok(Self {
                kind,
                component: event.component,
                identity: event.identity,
                details: event.details,
            }),
            None => Err(NoEvent::Protocol(event.protocol)),
        }
    }

    /// What happened, in the words of the fleet's other tools.
    fn words(&self) -> String {
        let Details {
            version,
            new_version,
            governor,
            sequence,
            ..
        } = &self.details;
        let component = &self.component;
        match self.kind.as_str() {
            "startup" | "alive" => format!("{component} version {version}"),
            "upgraded" => format!("{component} version {version} to {new_version}"),
            "governor" => {
                let slot = |with: &str, without: &str| match sequence {
                    0 => format!("{without} {governor}"),
                    slot => format!("{with} {slot} on {governor}"),
                };
                match self.details.event_type.as_str() {
                    "exit" => slot("vacated slot", "vacated"),
                    "enter" => slot("obtained slot", "obtained slot on"),
                    "eviction" | "evict" => slot("evicted from slot", "evicted from"),
                    _ => format!("failed to obtain a slot on {governor}"),
                }
            }
            _ => component.clone(),
        }
    }
}

/// `15:04:05 [startup] n1.example.net: server version 1.0`; the time is ours, since clocks of nodes differ.
pub(crate) fn line(now: i64, event: &Lifecycle) -> String {
    let (time, words) = (timestamp::time_of_day(now), event.words());
    let (kind, identity) = (one_line(&event.kind), one_line(&event.identity));
    format!("{time} [{kind}] {identity}: {}\n", one_line(&words))
}

/// The message as it came, on one line.
pub(crate) fn json_line(payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    let text: Cow<'_, str> = if text.contains('\n') {
        let document: Value = serde_json::from_str(text).ok()?;
        document.to_string().into()
    } else {
        text.into()
    };
    Some(format!("{text}\n"))
}

impl fmt::Display for NoEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Protocol(name) => write!(f, "protocol {name:?} is none of lifecycle events"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 15:04:05.
    const NOW: i64 = 15 * 3600 + 4 * 60 + 5;

    fn shown(members: &str) -> String {
        let text = format!(r#"{{"identity":"n1.example.net","id":"x","timestamp":1,{members}}}"#);
        match Lifecycle::parse(text.as_bytes()) {
            Ok(event) => line(NOW, &event),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_kind_has_its_words() {
        let kinds = [
            r#""protocol":"io.choria.lifecycle.v1.startup","component":"server","version":"0.29.4""#,
            r#""protocol":"choria:lifecycle:startup:1","component":"server","version":"0.29.4""#,
            r#""protocol":"io.choria.lifecycle.v1.alive","component":"server","version":"0.29.4""#,
            r#""protocol":"io.choria.lifecycle.v1.shutdown","component":"server""#,
            r#""protocol":"io.choria.lifecycle.v1.provisioned","component":"provision_mode_server""#,
            r#""protocol":"io.choria.lifecycle.v1.upgraded","component":"server","version":"1","new_version":"2""#,
            r#""protocol":"io.choria.lifecycle.v1.governor","component":"CLI","governor":"cron","sequence":3,"event_type":"enter""#,
            r#""protocol":"io.choria.lifecycle.v1.governor","component":"CLI","governor":"cron","event_type":"exit""#,
            r#""protocol":"io.choria.lifecycle.v1.governor","component":"CLI","governor":"cron","event_type":"timeout""#,
            r#""protocol":"io.choria.lifecycle.v1.shutdown","component":"a\u001b[2J\nb""#,
            r#""protocol":"io.choria.machine.v1.transition","component":"server""#,
        ];
        let lines: Vec<_> = kinds
            .map(shown)
            .iter()
            .map(|line| line.trim_end().to_owned())
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn cloud_events_are_opened() {
        let text = r#"{"specversion":"1.0","id":"x","source":"io.choria.lifecycle","type":"io.choria.lifecycle.v1.startup",
            "subject":"n1","time":"2026-01-02T03:04:05Z","datacontenttype":"application/json",
            "data":{"protocol":"io.choria.lifecycle.v1.startup","id":"x","identity":"n1","component":"server","timestamp":1,"version":"1.0"}}"#;
        let event = Lifecycle::parse(text.as_bytes()).unwrap();
        assert_eq!(
            line(NOW, &event),
            "15:04:05 [startup] n1: server version 1.0\n"
        );
        let json = json_line(text.as_bytes()).unwrap();
        assert_eq!(json.lines().count(), 1);
        assert!(Lifecycle::parse(json.as_bytes()).is_ok());
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"specversion":"1.0"}"#,
            r#"{"specversion":"1.0","data":"x"}"#,
        ] {
            assert!(Lifecycle::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
