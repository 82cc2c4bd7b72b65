//! What a copy is made of: pure.

use std::fmt::Write as _;
use std::time::Duration;

use super::config::{Start, StreamConfig};

/// Where a message of a consumer comes from, as its reply subject says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// Its number in the stream.
    pub(super) sequence: u64,
    /// When it was stored, since the Unix epoch.
    pub(super) stored: Duration,
}

impl Origin {
    /// Reads `$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<…>.<nanoseconds>.<pending>`, or its longer form with a
    /// domain and an account before the stream.
    pub(super) fn parse(reply: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(reply).ok()?;
        let tokens: Vec<&str> = text.strip_prefix("$JS.ACK.")?.split('.').collect();
        let at = match tokens.len() {
            7 => 0,
            9.. => 2,
            _ => return None,
        };
        Some(Self {
            sequence: tokens[at + 3].parse().ok()?,
            stored: Duration::from_nanos(tokens[at + 5].parse().ok()?),
        })
    }
}

/// The subject of a copy.
pub(super) fn target_subject(stream: &StreamConfig, subject: &str) -> String {
    let rest = match &stream.remove {
        Some(remove) => subject.strip_prefix(remove.as_str()).unwrap_or(subject),
        None => subject,
    };
    let rest = rest.trim_start_matches('.');
    match &stream.prefix {
        Some(prefix) => format!("{}.{rest}", prefix.trim_end_matches('.')),
        None => rest.to_owned(),
    }
}

/// The headers of a copy: those of the message, but for its id, with ours and where it is from.
pub(super) fn headers(
    source: &[u8],
    stream: &StreamConfig,
    replicator: &str,
    origin: Origin,
    now: Duration,
) -> Vec<u8> {
    let mut out = String::from("NATS/1.0\r\n");
    let source = String::from_utf8_lossy(source);
    for line in source.split("\r\n").skip(1).filter(|line| !line.is_empty()) {
        let key = line.split(':').next().unwrap_or_default().trim();
        let is_ours = ["nats-msg-id", "choria-sr-source"];
        // What a publisher expects of the source stream is not to be expected of the target.
        let is_expectation = key.to_ascii_lowercase().starts_with("nats-expected");
        if !is_ours.iter().any(|ours| key.eq_ignore_ascii_case(ours)) && !is_expectation {
            let _ = write!(out, "{line}\r\n");
        }
    }
    let (name, sequence) = (&stream.stream, origin.sequence);
    let _ = write!(out, "Nats-Msg-Id: {replicator}.{name}.{sequence}\r\n");
    let (worker, millis) = (&stream.name, now.as_millis());
    let _ = write!(
        out,
        "Choria-SR-Source: {name} {sequence} {replicator} {worker} {millis}\r\n\r\n"
    );
    out.into_bytes()
}

/// The request that makes the consumer, or finds it made.
pub(super) fn consumer_request(stream: &StreamConfig, batch: usize, start_time: &str) -> String {
    let mut config = serde_json::json!({
        "durable_name": format!("SR_{}", stream.name),
        "ack_policy": "explicit",
        "ack_wait": 30_000_000_000_u64,
        "max_ack_pending": batch,
        "replay_policy": "instant",
    });
    match &stream.start {
        Start::All => config["deliver_policy"] = "all".into(),
        Start::New => config["deliver_policy"] = "new".into(),
        Start::Sequence(first) => {
            config["deliver_policy"] = "by_start_sequence".into();
            config["opt_start_seq"] = (*first).into();
        }
        Start::Time(_) | Start::Ago(_) => {
            config["deliver_policy"] = "by_start_time".into();
            config["opt_start_time"] = start_time.into();
        }
    }
    if let Some(filter) = &stream.filter_subject {
        config["filter_subject"] = filter.as_str().into();
    }
    serde_json::json!({ "stream_name": stream.stream, "config": config }).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::config::ReplicateConfig;
    use super::*;

    fn stream(more: &str) -> StreamConfig {
        let text =
            format!("name: r\nstreams:\n- stream: S\n  source_url: a:1\n  target_url: b:1\n{more}");
        ReplicateConfig::parse(&text, "f")
            .unwrap()
            .streams
            .remove(0)
    }

    #[test]
    fn subjects_are_moved() {
        let moved = stream("  target_subject_prefix: site1\n  target_subject_remove: in\n");
        assert_eq!(target_subject(&moved, "in.a.b"), "site1.a.b");
        assert_eq!(target_subject(&moved, "out.a"), "site1.out.a");
        assert_eq!(target_subject(&stream(""), "in.a"), "in.a");
    }

    #[test]
    fn origins_are_read_in_both_forms() {
        let origin = Some(Origin {
            sequence: 7,
            stored: Duration::from_nanos(99),
        });
        assert_eq!(Origin::parse(b"$JS.ACK.S.SR_S.1.7.3.99.0"), origin);
        assert_eq!(Origin::parse(b"$JS.ACK._.hash.S.SR_S.1.7.3.99.0.x"), origin);
        for bad in [
            &b""[..],
            b"$JS.ACK.S.C.1",
            b"$JS.ACK.S.C.1.x.3.4.5",
            b"_INBOX.a",
        ] {
            assert_eq!(Origin::parse(bad), None);
        }
    }

    #[test]
    fn headers_are_kept_but_for_ids_and_expectations() {
        let source = b"NATS/1.0\r\nA: 1\r\nNats-Msg-Id: x\r\nNats-Expected-Stream: S\r\n\r\n";
        let origin = Origin {
            sequence: 7,
            stored: Duration::ZERO,
        };
        let out = headers(source, &stream(""), "r", origin, Duration::from_millis(5));
        let expected =
            "NATS/1.0\r\nA: 1\r\nNats-Msg-Id: r.S.7\r\nChoria-SR-Source: S 7 r S 5\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
