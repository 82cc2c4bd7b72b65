//! The book of all certificates an authority issued: a plain text, one line a certificate.
//!
//! ```text
//! # serial name profile not_after state [since reason]
//! 5c1f… node1.example.net node 2029-02-28T10:00:00Z valid
//! 60aa… rip.mcollective client 2029-02-28T10:00:00Z revoked 2026-11-25T10:00:00Z key-compromise
//! ```
//!
//! Lines that begin with `#` and empty ones are kept out when the book is written again. A line that is not understood
//! is an error, never skipped: a revocation must not be lost by a slip of an editor. The book is pure text; reading and
//! writing it is [`crate::CaFolder`]'s.

use std::fmt;

use crate::moment::{parse_rfc3339, rfc3339};
use crate::{Reason, RevokedCert, Role, Serial};

const HEADER: &str = "# Certificates of this authority, written by muster ca; one a line:\n\
                      # serial name profile not_after state [since reason]\n";

/// Whether a certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not revoked; it counts until its last second.
    Valid,
    /// Taken back.
    Revoked {
        /// Since when, in unix seconds.
        since: u64,
        /// Why.
        reason: Reason,
    },
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub serial: Serial,
    /// The owner's name.
    pub name: String,
    /// What the owner is.
    pub role: Role,
    /// Its last second, in unix seconds.
    pub not_after: u64,
    /// Whether it counts.
    pub state: State,
}

/// All certificates of an authority, in the order they were issued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// No two with the same number.
    entries: Vec<Entry>,
}

/// A line of the book that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Index {
    /// Reads a book.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, IndexError> {
        let mut index = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let problem = |why: String| IndexError { line: number, why };
            let entry = parse_line(line).map_err(problem)?;
            if index.find(&entry.serial).is_some() {
                return Err(problem(format!("serial {} is there twice", entry.serial)));
            }
            index.entries.push(entry);
        }
        Ok(index)
    }

    /// The book as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = HEADER.to_owned();
        for entry in &self.entries {
            text.push_str(&format!("{entry}\n"));
        }
        text
    }

    /// All certificates, in the order they were issued.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The certificate with this number.
    #[must_use]
    pub fn find(&self, serial: &Serial) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.serial == *serial)
    }

    /// The revoked ones, for a revocation list.
    #[must_use]
    pub fn revoked(&self) -> Vec<RevokedCert> {
        let revoked = self.entries.iter().filter_map(|entry| match entry.state {
            State::Revoked { since, reason } => Some(RevokedCert {
                serial: entry.serial.clone(),
                since,
                reason,
            }),
            State::Valid => None,
        });
        revoked.collect()
    }

    /// Adds a certificate, unless it is there.
    pub(crate) fn insert(&mut self, entry: Entry) {
        if self.find(&entry.serial).is_none() {
            self.entries.push(entry);
        }
    }

    /// Marks those that match and are not revoked yet; returns them.
    pub(crate) fn revoke(
        &mut self,
        matches: impl Fn(&Entry) -> bool,
        since: u64,
        reason: Reason,
    ) -> Vec<Entry> {
        let mut revoked = Vec::new();
        for entry in &mut self.entries {
            if entry.state == State::Valid && matches(entry) {
                entry.state = State::Revoked { since, reason };
                revoked.push(entry.clone());
            }
        }
        revoked
    }
}

fn parse_line(line: &str) -> Result<Entry, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [serial, name, role, not_after, state @ ..] = words.as_slice() else {
        return Err(format!("{} words, five are the least", words.len()));
    };
    let moment = |text: &str| parse_rfc3339(text).ok_or_else(|| format!("{text:?} is no moment"));
    let state = match state {
        ["valid"] => State::Valid,
        ["revoked", since, reason] => State::Revoked {
            since: moment(since)?,
            reason: Reason::parse(reason).ok_or_else(|| format!("{reason:?} is no reason"))?,
        },
        other => return Err(format!("{:?} is no state", other.join(" "))),
    };
    Ok(Entry {
        serial: Serial::parse(serial).ok_or_else(|| format!("{serial:?} is no serial"))?,
        name: (*name).to_owned(),
        role: Role::parse(role).ok_or_else(|| format!("{role:?} is no profile"))?,
        not_after: moment(not_after)?,
        state,
    })
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not_after = rfc3339(self.not_after);
        write!(
            f,
            "{} {} {} {not_after} ",
            self.serial,
            self.name,
            self.role.name()
        )?;
        match self.state {
            State::Valid => f.write_str("valid"),
            State::Revoked { since, reason } => {
                write!(f, "revoked {} {}", rfc3339(since), reason.name())
            }
        }
    }
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for IndexError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
4f0a node1.example.net node 2029-02-28T10:00:00Z valid
60aa rip.mcollective client 2029-02-28T10:00:00Z revoked 2026-11-25T10:00:00Z key-compromise
";

    #[test]
    fn a_book_is_read_and_written_again() {
        let index = Index::parse(&format!("# a comment\n\n{TEXT}")).unwrap();
        assert_eq!(index.entries().len(), 2);
        assert_eq!(index.to_text(), format!("{HEADER}{TEXT}"));
        assert_eq!(Index::parse(&index.to_text()), Ok(index.clone()));
        let revoked = index.revoked();
        assert_eq!(revoked.len(), 1);
        assert_eq!(revoked[0].serial.to_string(), "60aa");
        assert_eq!(revoked[0].reason, Reason::KeyCompromise);
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let good = TEXT.lines().next().unwrap();
        for (line, wanted) in [
            ("4f0a node1", "2 words"),
            (
                "xyz n node 2029-02-28T10:00:00Z valid",
                "\"xyz\" is no serial",
            ),
            (
                "1 n boss 2029-02-28T10:00:00Z valid",
                "\"boss\" is no profile",
            ),
            ("1 n node tomorrow valid", "\"tomorrow\" is no moment"),
            ("1 n node 2029-02-28T10:00:00Z", "\"\" is no state"),
            (
                "1 n node 2029-02-28T10:00:00Z revokd",
                "\"revokd\" is no state",
            ),
            (
                "1 n node 2029-02-28T10:00:00Z revoked 2026-11-25T10:00:00Z whim",
                "\"whim\" is no reason",
            ),
            (good, "4f0a is there twice"),
        ] {
            let error = Index::parse(&format!("{good}\n{line}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{line}");
            assert!(error.why.contains(wanted), "{wanted} in {error}");
        }
    }

    #[test]
    fn a_certificate_is_revoked_once() {
        let mut index = Index::parse(TEXT).unwrap();
        assert!(
            index
                .revoke(|entry| entry.name == "nobody", 1, Reason::Superseded)
                .is_empty()
        );
        let revoked = index.revoke(|_| true, 1, Reason::Superseded);
        assert_eq!(revoked.len(), 1, "the other one keeps its day and reason");
        assert_eq!(revoked[0].name, "node1.example.net");
        assert_eq!(index.revoked()[1].reason, Reason::KeyCompromise);
    }
}
