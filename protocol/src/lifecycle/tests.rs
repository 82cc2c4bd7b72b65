use super::*;

const ID: &str = "d2dab36f-79f1-4c31-bc6a-e8a51f82a1dc";

fn event(kind: LifecycleKind) -> LifecycleEvent {
    LifecycleEvent {
        id: ID.to_owned(),
        identity: "node3.example.net".to_owned(),
        component: "server".to_owned(),
        timestamp: 1_795_587_658,
        kind,
    }
}

fn kinds() -> [LifecycleKind; 6] {
    let version = "0.29.4".to_owned();
    [
        LifecycleKind::Startup {
            version: version.clone(),
        },
        LifecycleKind::Shutdown,
        LifecycleKind::Provisioned,
        LifecycleKind::Alive {
            version: version.clone(),
        },
        LifecycleKind::Upgraded {
            version,
            new_version: "0.30.0".to_owned(),
        },
        LifecycleKind::Governor {
            governor: "puppet".to_owned(),
            sequence: 7,
            event_type: "enter".to_owned(),
        },
    ]
}

/// The payloads recorded on lifecycle subjects, with their subjects.
fn recorded(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let messages = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let events = messages.filter_map(|message| {
        let subject = message["subject"].as_str()?.to_owned();
        let is_event = subject.starts_with("choria.lifecycle.");
        is_event.then(|| (subject, message["data"].as_str().unwrap().to_owned()))
    });
    events.collect()
}

#[test]
fn recorded_events_encode_byte_for_byte() {
    let v1 = include_str!("../../../testdata/choria-0.30.2/wire-v1/startup_registration.jsonl");
    let v2 = include_str!("../../../testdata/choria-0.30.2/wire-v2/startup.jsonl");
    let events = [recorded(v1), recorded(v2)].concat();
    assert_eq!(events.len(), 6);
    for (subject, payload) in events {
        let event = LifecycleEvent::parse(payload.as_bytes()).unwrap();
        assert_eq!(event.subject(), subject);
        let ours = event.encode(EventForm::CloudEvent);
        assert_eq!(String::from_utf8(ours).unwrap(), payload);
    }
}

#[test]
fn every_kind_round_trips_in_both_forms() {
    for kind in kinds() {
        let event = event(kind);
        for form in [EventForm::CloudEvent, EventForm::Legacy] {
            let payload = event.encode(form);
            assert_eq!(LifecycleEvent::parse(&payload), Ok(event.clone()));
        }
    }
    assert_eq!(
        event(LifecycleKind::Shutdown).subject(),
        "choria.lifecycle.event.shutdown.server"
    );
    assert_eq!(
        String::from_utf8(event(kinds()[4].clone()).encode(EventForm::Legacy)).unwrap(),
        format!(
            r#"{{"protocol":"io.choria.lifecycle.v1.upgraded","id":"{ID}","identity":"node3.example.net","component":"server","timestamp":1795587658,"version":"0.29.4","new_version":"0.30.0"}}"#
        )
    );
}

#[test]
fn names_of_earlier_years_are_read() {
    let old = br#"{"protocol":"choria:lifecycle:alive:1","identity":"n1","component":"server","timestamp":7,"version":"0.8"}"#;
    let event = LifecycleEvent::parse(old).unwrap();
    assert_eq!(
        event.kind,
        LifecycleKind::Alive {
            version: "0.8".to_owned()
        }
    );
    assert_eq!((event.id.as_str(), event.timestamp), ("", 7));
}

#[test]
fn other_documents_are_refused_by_name() {
    for (payload, expected) in [
        (
            &br#"{"protocol":"x:1"}"#[..],
            r#"event: field protocol is "x:1""#,
        ),
        (
            br#"{"specversion":"1.0","data":{"protocol":"io.choria.lifecycle.v1.born"}}"#,
            r#"event: field protocol is "io.choria.lifecycle.v1.born""#,
        ),
        (b"{}", r#"event: field protocol is """#),
    ] {
        let error = LifecycleEvent::parse(payload).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    for payload in [
        &b""[..],
        b"[]",
        b"{\"timestamp\":\"x\"}",
        b"{\"specversion\":1}",
        &[b'['; 5000],
    ] {
        let error = LifecycleEvent::parse(payload).unwrap_err();
        assert!(matches!(error, EventError::Json(_)), "{error}");
    }
}

#[test]
fn transitions_are_read_in_both_forms() {
    let document = r#"{"protocol":"io.choria.machine.v1.transition","id":"1","identity":"n1","version":"1.0.0","timestamp":9,"machine":"m","transition":"go","from_state":"a","to_state":"b"}"#;
    let wrapped = format!(r#"{{"specversion":"1.0","data":{document}}}"#);
    for payload in [document, &wrapped] {
        let seen = MachineTransition::parse(payload.as_bytes()).unwrap();
        assert_eq!((&*seen.machine, &*seen.to_state), ("m", "b"));
    }
    assert!(MachineTransition::parse(b"{\"protocol\":\"choria:lifecycle:alive:1\"}").is_err());
}

#[test]
fn ids_are_uuids() {
    assert_eq!(event_id([0; 16]), "00000000-0000-4000-8000-000000000000");
}
