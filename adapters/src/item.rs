//! What moves from ingest to sink: an envelope, where it goes, and the id by which a stream tells a repetition.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use crate::envelope::{Kind, Parts};

/// Tells a message that is sent again from one that was never seen.
///
/// It is the beginning of a SHA-256 over kind, subject in the stream, sender, request id and body, so it is the same after
/// a retry, after a restart, and in another process that got the same message; and a message that differs in any of these
/// has another. A node that says the same again says it in a new request, so nothing true is ever taken for a repetition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// The id of a message that goes to `subject`.
    #[must_use]
    pub fn of(kind: Kind, subject: &str, parts: &Parts<'_>) -> Self {
        let mut context = Context::new(&SHA256);
        let fields: [&[u8]; 5] = [
            kind.name().as_bytes(),
            subject.as_bytes(),
            parts.sender.as_bytes(),
            parts.request_id.as_bytes(),
            &parts.body,
        ];
        for field in fields {
            // With its length before it no field runs into the next.
            context.update(&(field.len() as u64).to_le_bytes());
            context.update(field);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(id)
    }

    /// The id from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One envelope on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// By what a repetition is told.
    pub id: MessageId,
    /// Where it goes: a subject, or the topic of a Kafka.
    pub subject: Box<str>,
    /// Who sent it.
    pub sender: Box<str>,
    /// The envelope.
    pub envelope: Bytes,
}

/// The name of a stream's subject, in which `%s` stands for the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic(Box<str>);

impl Topic {
    /// A topic from its text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The subject for a sender; none where the sender's name can be no part of one: it would be another subject than the
    /// configured kind, or none at all.
    #[must_use]
    pub fn subject(&self, sender: &str) -> Option<Box<str>> {
        if !self.0.contains("%s") {
            return Some(self.0.clone());
        }
        let is_good = |token: &str| {
            !token.is_empty()
                && !token
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>'))
        };
        let good = sender.split('.').all(is_good);
        good.then(|| self.0.replace("%s", sender).into())
    }

    /// As it is configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::time::Duration;

    fn parts<'a>(sender: &'a str, request_id: &'a str, body: &'a str) -> Parts<'a> {
        Parts {
            body: Cow::Borrowed(body.as_bytes()),
            sender: sender.into(),
            request_id: request_id.into(),
            time: Duration::ZERO,
        }
    }

    #[test]
    fn an_id_is_stable_and_everything_counts() {
        let id = |kind, subject, parts: &Parts<'_>| MessageId::of(kind, subject, parts);
        let one = id(Kind::Reply, "s", &parts("n1", "r1", "b"));
        assert_eq!(one, id(Kind::Reply, "s", &parts("n1", "r1", "b")));
        // Ids outlive the process that made them, so their value is part of the format.
        assert_eq!(one.to_string(), "e53ed6b08f0ac1e3efe07a9d26235a96");
        for other in [
            id(Kind::Request, "s", &parts("n1", "r1", "b")),
            id(Kind::Reply, "t", &parts("n1", "r1", "b")),
            id(Kind::Reply, "s", &parts("n2", "r1", "b")),
            id(Kind::Reply, "s", &parts("n1", "r2", "b")),
            id(Kind::Reply, "s", &parts("n1", "r1", "c")),
            id(Kind::Reply, "s", &parts("n1r1", "", "b")),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn the_sender_stands_in_the_subject_where_it_can() {
        let topic = Topic::new("js.in.%s.data");
        let subject = |sender| topic.subject(sender);
        assert_eq!(
            subject("n1.example").as_deref(),
            Some("js.in.n1.example.data")
        );
        for bad in ["", "a b", "a.*", ">", "a..b", ".a", "a\r\n"] {
            assert_eq!(subject(bad), None, "{bad:?}");
        }
        assert_eq!(Topic::new("plain").subject("a b").as_deref(), Some("plain"));
    }
}
