//! Everything real clients and nodes signed on 2026-11-25 is accepted, and nothing once it is changed.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;

const CALLER: &str = "choria=rip.mcollective";

struct Recorded {
    case: Case,
    time: u64,
    place: String,
}

fn testdata() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/choria-0.30.2"
    ))
}

#[expect(clippy::disallowed_methods, reason = "test data lie in files")]
fn read(path: &str) -> String {
    std::fs::read_to_string(testdata().join(path)).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The signed request inside one recorded line, if it is one.
fn request_of(line: &str) -> Option<(Case, u64)> {
    let line: Value = serde_json::from_str(line).unwrap();
    let transport: Value = serde_json::from_str(line["data"].as_str()?).ok()?;
    if transport["protocol"] != "choria:transport:1" {
        return None;
    }
    let data = STANDARD.decode(transport["data"].as_str()?).unwrap();
    let secure: Value = serde_json::from_slice(&data).unwrap();
    if secure["protocol"] != "choria:secure:request:1" {
        return None;
    }
    let message = text(&secure["message"]);
    let request: Value = serde_json::from_str(&message).unwrap();
    let case = Case {
        message: message.into_bytes(),
        signature: text(&secure["signature"]),
        pubcert: text(&secure["pubcert"]),
        caller_id: text(&request["envelope"]["callerid"]),
    };
    Some((case, request["envelope"]["time"].as_u64().unwrap()))
}

fn recorded() -> Vec<Recorded> {
    let mut files: Vec<_> = std::fs::read_dir(testdata().join("wire-v1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        for (number, line) in read(&format!("wire-v1/{file}")).lines().enumerate() {
            if let Some((case, time)) = request_of(line) {
                found.push(Recorded {
                    case,
                    time,
                    place: format!("{file}:{}", number + 1),
                });
            }
        }
    }
    assert!(found.len() >= 40, "only {} requests found", found.len());
    found
}

fn policy() -> TrustPolicy {
    TrustPolicy::new(read("pki/ca.pem"))
}

#[test]
fn every_recorded_request_is_accepted() {
    let mut policy = policy();
    // Nodes sign their registrations with names that are no callers by default.
    policy.allow.push(r"/^node\d\.example\.net$/".to_owned());
    let verifier = Verifier::new(policy).unwrap();
    for Recorded { case, time, place } in recorded() {
        let verified = case
            .check(&verifier, time)
            .unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(
            format!("choria={}", verified.certname),
            case.caller_id,
            "{place}"
        );
        assert!(!verified.privileged, "{place}");
    }
}

#[test]
fn nodes_are_no_callers_by_default() {
    let verifier = Verifier::new(policy()).unwrap();
    let (mut callers, mut nodes) = (0, 0);
    for Recorded { case, time, place } in recorded() {
        if case.caller_id == CALLER {
            callers += 1;
            assert_eq!(case.reason(&verifier, time), "accepted", "{place}");
        } else {
            nodes += 1;
            assert_eq!(case.reason(&verifier, time), "not_allowed", "{place}");
        }
    }
    assert!(
        callers > 30 && nodes == 6,
        "{callers} callers, {nodes} nodes"
    );
}

#[test]
fn no_recorded_request_survives_a_change() {
    let verifier = Verifier::new(policy()).unwrap();
    for Recorded {
        mut case,
        time,
        place,
    } in recorded()
    {
        if case.caller_id != CALLER {
            continue;
        }
        for at in [0, case.message.len() / 2, case.message.len() - 1] {
            case.message[at] ^= 1;
            assert_eq!(
                case.reason(&verifier, time),
                "bad_signature",
                "{place} at {at}"
            );
            case.message[at] ^= 1;
        }
        case.message.push(b'\n');
        assert_eq!(case.reason(&verifier, time), "bad_signature", "{place}");
    }
}

#[test]
fn recorded_signatures_come_out_of_the_recorded_key_again() {
    let signer = Signer::from_pem(
        &read("pki/rip.mcollective.pem"),
        &read("pki/rip.mcollective.key"),
    )
    .unwrap();
    assert_eq!(signer.names().common_name(), Some("rip.mcollective"));
    assert_eq!(signer.names().dns(), ["rip.mcollective", "localhost"]);
    let mut signed = 0;
    for Recorded { case, place, .. } in recorded() {
        if case.caller_id == CALLER {
            assert_eq!(
                signer.sign_base64(&case.message).unwrap(),
                case.signature,
                "{place}"
            );
            // Peers trim the end of the file.
            assert_eq!(
                signer.pubcert().trim_end(),
                case.pubcert.trim_end(),
                "{place}"
            );
            signed += 1;
        }
    }
    assert!(signed > 30, "only {signed}");
}
