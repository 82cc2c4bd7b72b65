//! TLS of the connections on a page: version, suite and, where asked for, the certificates that were shown.

use std::collections::HashMap;
use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use muster_broker_core::ids::Key;
use muster_broker_core::shard::ConnInfo;
use muster_reactor::tls::TlsSession;
use serde::Serialize;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate, X509Name};

use crate::Broker;

/// What `/connz` shows of one connection's TLS; empty where there is none.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tls {
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cipher_suite: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_peer_certs: Vec<PeerCert>,
}

#[derive(Debug, Serialize)]
struct PeerCert {
    subject: String,
    spki_sha256: String,
    cert_sha256: String,
}

/// A session as its shard tells it; certificates are taken apart on the monitor's thread.
#[derive(Debug)]
struct Session {
    version: Option<&'static str>,
    suite: Option<&'static str>,
    chain: Vec<Vec<u8>>,
}

/// The TLS of these connections, by their numbers. What a silent shard does not tell is left out.
pub(super) fn sessions(broker: &Broker, shown: &[ConnInfo], certs: bool) -> HashMap<u64, Tls> {
    let wanted: Vec<(u64, Key)> = shown
        .iter()
        .filter(|info| info.stopped.is_none())
        .map(|info| (info.cid.0, info.key))
        .collect();
    if wanted.is_empty() {
        return HashMap::new();
    }
    let answers = broker.ask_loops(move |shard, _| {
        let mut found = Vec::new();
        for (cid, key) in &wanted {
            // A key means something else to each shard.
            let is_meant = || {
                let info = shard.core().connection(*key, false);
                info.is_some_and(|info| info.cid.0 == *cid)
            };
            if let Some(session) = shard.session(*key).filter(|_| is_meant()) {
                found.push((*cid, Session::of(session, certs)));
            }
        }
        found
    });
    let answers = answers.into_iter().flatten().flatten();
    answers
        .map(|(cid, session)| (cid, session.into()))
        .collect()
}

impl Session {
    fn of(session: &TlsSession, certs: bool) -> Self {
        let chain = session.peer_certificates().filter(|_| certs);
        Self {
            version: session.version(),
            suite: session.cipher_suite(),
            chain: chain
                .unwrap_or_default()
                .iter()
                .map(|der| der.to_vec())
                .collect(),
        }
    }
}

impl From<Session> for Tls {
    fn from(session: Session) -> Self {
        Self {
            tls_version: session.version,
            tls_cipher_suite: session.suite,
            tls_peer_certs: session.chain.iter().filter_map(|der| cert(der)).collect(),
        }
    }
}

fn cert(der: &[u8]) -> Option<PeerCert> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(PeerCert {
        subject: distinguished_name(cert.subject()),
        spki_sha256: sha256(cert.public_key().raw),
        cert_sha256: sha256(der),
    })
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As RFC 2253 writes it, the last part first: what nats-server shows.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter().collect();
    let part = |attributes: Vec<String>| attributes.join("+");
    let parts = parts.iter().rev();
    let parts: Vec<String> = parts
        .map(|attributes| part(attributes.iter().map(attribute).collect()))
        .collect();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    let kind = oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_id_string(), str::to_owned);
    let value = attribute.as_str().unwrap_or_default();
    let mut text = format!("{kind}=");
    for (at, c) in value.char_indices() {
        let is_edge = (at == 0 && matches!(c, ' ' | '#')) || (at + 1 == value.len() && c == ' ');
        if is_edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One relative name: a set of one attribute below `2.5.4`.
    fn part(kind: u8, value: &str) -> Vec<u8> {
        let len = u8::try_from(value.len()).unwrap();
        let head = [0x31, len + 9, 0x30, len + 7, 6, 3, 0x55, 4, kind, 0x0c, len];
        [&head[..], value.as_bytes()].concat()
    }

    #[test]
    fn subjects_are_written_last_part_first_and_escaped() {
        let parts = [
            part(10, "A, \"B\""),
            part(11, "#1 "),
            part(3, "rip.mcollective"),
        ]
        .concat();
        let der = [&[0x30, u8::try_from(parts.len()).unwrap()], &parts[..]].concat();
        let (_, name) = X509Name::from_der(&der).unwrap();
        assert_eq!(
            distinguished_name(&name),
            "CN=rip.mcollective,OU=\\#1\\ ,O=A\\, \\\"B\\\""
        );
    }
}
