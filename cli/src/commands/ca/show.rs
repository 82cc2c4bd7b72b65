//! What certificates, requests, lists and the book say, as text.
//!
//! Names come from files of strangers: what is not printable is shown escaped.

use std::fmt::Display;
use std::path::Path;

use muster_pki::{CertInfo, CrlInfo, Index, SigningRequest, State, rfc3339};

use crate::exit::Failure;
use crate::files;

/// All that is in a file, by the words PEM marks it with.
pub(super) fn file(path: &Path, now: u64) -> Result<String, Failure> {
    let text = files::need(path)?;
    let of_file = |error: &dyn Display| Failure::new(format!("{}: {error}", path.display()));
    let has = |word: &str| text.contains(&format!("-----BEGIN {word}-----"));
    if has("CERTIFICATE") {
        let info = CertInfo::from_pem(&text).map_err(|error| of_file(&error))?;
        Ok(cert(&info, now))
    } else if has("CERTIFICATE REQUEST") {
        let wish = SigningRequest::from_pem(&text).map_err(|error| of_file(&error))?;
        Ok(request(&wish))
    } else if has("X509 CRL") {
        let info = CrlInfo::from_pem(&text).map_err(|error| of_file(&error))?;
        Ok(crl(&info, now))
    } else {
        let text = "is no pem file of a certificate, a request or a revocation list";
        Err(of_file(&text))
    }
}

pub(super) fn cert(info: &CertInfo, now: u64) -> String {
    let uses = match (info.is_authority, info.is_server) {
        (true, _) => "authority",
        (false, true) => "tls server and client",
        (false, false) => "tls client",
    };
    let mut names = info.dns_names.clone();
    names.extend(info.ips.iter().map(ToString::to_string));
    names.extend_from_slice(&info.other_names);
    let mut text = String::new();
    line(&mut text, "subject", &info.subject);
    line(&mut text, "names", &names.join(", "));
    line(&mut text, "issuer", &info.issuer);
    line(&mut text, "serial", &info.serial);
    let validity = format!(
        "{} to {}{}",
        rfc3339(info.not_before),
        rfc3339(info.not_after),
        remark(info.not_before, Some(info.not_after), now)
    );
    line(&mut text, "valid", &validity);
    line(&mut text, "key", &info.key);
    line(&mut text, "uses", &uses);
    line(&mut text, "sha256", &info.fingerprint);
    text
}

fn request(request: &SigningRequest) -> String {
    let mut names = request.dns_names().to_vec();
    names.extend(request.ips().iter().map(ToString::to_string));
    let mut text = String::new();
    line(&mut text, "request", &request.name());
    line(&mut text, "names", &names.join(", "));
    line(&mut text, "key", &request.key().kind());
    line(&mut text, "left out", &request.ignored().join(", "));
    text
}

pub(super) fn crl(info: &CrlInfo, now: u64) -> String {
    let mut text = String::new();
    line(&mut text, "issuer", &info.issuer);
    let number = info.number.map_or_else(String::new, |n| n.to_string());
    line(&mut text, "number", &number);
    line(&mut text, "made", &rfc3339(info.this_update));
    let next = info.next_update.map_or_else(String::new, rfc3339);
    let next = next + remark(info.this_update, info.next_update, now);
    line(&mut text, "next", &next);
    line(&mut text, "revoked", &info.revoked.len());
    for serial in &info.revoked {
        line(&mut text, "", serial);
    }
    text
}

/// The book: serial, name, profile, last second, state.
pub(super) fn list(index: &Index, now: u64) -> String {
    let width = index.entries().iter().map(|entry| entry.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for entry in index.entries() {
        let state = match entry.state {
            State::Revoked { since, reason } => {
                format!("revoked {} {}", rfc3339(since), reason.name())
            }
            State::Valid if entry.not_after < now => "expired".to_owned(),
            State::Valid => "valid".to_owned(),
        };
        text.push_str(&format!(
            "{} {:width$} {:6} {} {state}\n",
            entry.serial,
            entry.name,
            entry.role.name(),
            rfc3339(entry.not_after),
        ));
    }
    text
}

const fn remark(from: u64, to: Option<u64>, now: u64) -> &'static str {
    match to {
        _ if now < from => " (not yet)",
        Some(to) if to < now => " (past)",
        _ => "",
    }
}

/// A line with its label, unless there is nothing to say.
fn line(text: &mut String, label: &str, value: &dyn Display) {
    let value = value.to_string();
    if !value.is_empty() {
        let value: String = value.chars().flat_map(printable).collect();
        text.push_str(&format!("{label:>8}  {value}\n"));
    }
}

fn printable(c: char) -> Vec<char> {
    if c.is_control() {
        c.escape_default().collect()
    } else {
        vec![c]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_tells_expired_from_revoked() {
        let index = Index::parse(
            "4f0a node1 node 2026-01-01T00:00:00Z valid\n\
             60aa rip.mcollective client 2029-01-01T00:00:00Z revoked 2026-11-25T10:00:00Z superseded\n\
             60ab b broker 2029-01-01T00:00:00Z valid\n",
        )
        .unwrap();
        assert_eq!(
            list(&index, 1_795_600_800),
            "4f0a node1           node   2026-01-01T00:00:00Z expired\n\
             60aa rip.mcollective client 2029-01-01T00:00:00Z revoked 2026-11-25T10:00:00Z superseded\n\
             60ab b               broker 2029-01-01T00:00:00Z valid\n"
        );
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        let mut text = String::new();
        line(&mut text, "subject", &"CN=\u{1b}[2Jx\nserial  1");
        assert_eq!(text, " subject  CN=\\u{1b}[2Jx\\nserial  1\n");
    }
}
