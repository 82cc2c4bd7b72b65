//! `tool event`: what nodes say of their life, one line each, in the words of the fleet's other tools.

use std::borrow::Cow;

use muster_protocol::lifecycle::{LifecycleEvent, LifecycleKind};
use serde_json::Value;

use super::text::one_line;
use crate::timestamp;

/// `15:04:05 [startup] n1.example.net: server version 1.0`; the time is ours, since clocks of nodes differ.
pub(crate) fn line(now: i64, event: &LifecycleEvent) -> String {
    let (time, words) = (timestamp::time_of_day(now), words(event));
    let (kind, identity) = (event.kind.name(), one_line(&event.identity));
    format!("{time} [{kind}] {identity}: {}\n", one_line(&words))
}

fn words(event: &LifecycleEvent) -> String {
    let component = &event.component;
    match &event.kind {
        LifecycleKind::Startup { version } | LifecycleKind::Alive { version } => {
            format!("{component} version {version}")
        }
        LifecycleKind::Upgraded {
            version,
            new_version,
        } => format!("{component} version {version} to {new_version}"),
        LifecycleKind::Governor {
            governor,
            sequence,
            event_type,
        } => slot(governor, *sequence, event_type),
        LifecycleKind::Shutdown | LifecycleKind::Provisioned => component.clone(),
    }
}

/// What became of a place among those that may do something at a time; events of older nodes have no number for it.
fn slot(governor: &str, sequence: u64, event_type: &str) -> String {
    let [with, without] = match event_type {
        "exit" => ["vacated slot", "vacated"],
        "enter" => ["obtained slot", "obtained slot on"],
        "eviction" => ["evicted from slot", "evicted from"],
        _ => return format!("failed to obtain a slot on {governor}"),
    };
    match sequence {
        0 => format!("{without} {governor}"),
        slot => format!("{with} {slot} on {governor}"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 15:04:05.
    const NOW: i64 = 15 * 3600 + 4 * 60 + 5;

    fn shown(members: &str) -> String {
        let text = format!(r#"{{"identity":"n1.example.net","id":"x","timestamp":1,{members}}}"#);
        match LifecycleEvent::parse(text.as_bytes()) {
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
        let event = LifecycleEvent::parse(text.as_bytes()).unwrap();
        assert_eq!(
            line(NOW, &event),
            "15:04:05 [startup] n1: server version 1.0\n"
        );
        let json = json_line(text.as_bytes()).unwrap();
        assert_eq!(json.lines().count(), 1);
        assert!(LifecycleEvent::parse(json.as_bytes()).is_ok());
    }
}
