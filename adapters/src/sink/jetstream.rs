//! The sink for JetStream: a publish that wants an answer, and carries the id by which the stream tells a repetition.
//!
//! ```text
//! HPUB <subject> <inbox>.<batch>.<place>     Nats-Msg-Id: <id>
//!   <- {"stream":"…","seq":7}                 stored
//!   <- {"stream":"…","seq":7,"duplicate":true}  it was there already
//!   <- {"error":{"code":…,"description":…}}   5xx: again later; others: never
//!   <- 503                                    no stream has the subject (yet): again later
//! ```
//!
//! All of a batch are under way at once. With `ack = false` it is a plain publish, as the adapters of today make it: what
//! is under way when the connection breaks is lost, and counted.

use std::io;
use std::time::Duration;

use muster_client::nats::PublishError;
use serde::Deserialize;

use super::{Outcome, Sink};
use crate::item::Item;
use crate::link::{Access, Link, Received, new_inbox};

/// The sink.
#[derive(Debug)]
pub struct JetStream {
    link: Link,
    ack: bool,
    inbox: String,
    batches: u64,
}

impl JetStream {
    /// A sink that connects as soon as it is turned.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn new(access: &Access, name: &str, ack: bool) -> io::Result<Self> {
        let mut link = Link::new(access, name)?;
        let inbox = new_inbox();
        if ack {
            link.subscribe(&format!("{inbox}.*.*"));
        }
        Ok(Self {
            link,
            ack,
            inbox,
            batches: 0,
        })
    }

    /// Publishes all, and says of those that can not be published why.
    fn publish(&mut self, batch: &[Item]) -> Vec<Option<Outcome>> {
        let (ack, inbox, number) = (self.ack, &self.inbox, self.batches);
        self.link.publish(|client| {
            let mut reply = String::new();
            let mut headers = String::new();
            let publish = |(place, item): (usize, &Item)| {
                use std::fmt::Write as _;
                headers.clear();
                let _ = write!(headers, "NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", item.id);
                reply.clear();
                let _ = write!(reply, "{inbox}.{number}.{place}");
                let (subject, payload) = (item.subject.as_bytes(), &item.envelope);
                let published = if ack {
                    let reply = Some(reply.as_bytes());
                    client.publish_with_headers(subject, reply, headers.as_bytes(), payload)
                } else {
                    client.publish(subject, None, payload)
                };
                published.err().map(refusal)
            };
            batch.iter().enumerate().map(publish).collect()
        })
    }

    /// Takes answers until there are none missing.
    fn await_acks(&mut self, found: &mut [Option<Outcome>], until: Duration) -> io::Result<()> {
        let breaks = self.link.inbox().breaks;
        let mut missing = found.iter().filter(|outcome| outcome.is_none()).count();
        while missing > 0 {
            while let Some(message) = self.link.inbox().messages.pop_front() {
                if let Some(place) = self.place_of(&message)
                    && let Some(outcome @ None) = found.get_mut(place)
                {
                    *outcome = Some(read_ack(&message));
                    missing -= 1;
                }
            }
            let now = self.link.now();
            if missing == 0 || now >= until || self.link.inbox().breaks != breaks {
                break;
            }
            self.link.turn(until - now)?;
        }
        Ok(())
    }

    /// Which of the present batch an answer is for.
    fn place_of(&self, message: &Received) -> Option<usize> {
        let subject = std::str::from_utf8(&message.subject).ok()?;
        let rest = subject.strip_prefix(&*self.inbox)?.strip_prefix('.')?;
        let (batch, place) = rest.split_once('.')?;
        (batch.parse() == Ok(self.batches))
            .then(|| place.parse().ok())
            .flatten()
    }

    /// Waits until the server has dealt with what was published; `false` where it may not have.
    fn await_flush(&mut self, until: Duration) -> io::Result<bool> {
        let breaks = self.link.inbox().breaks;
        let number = self.link.flush();
        while self.link.flushed() < number {
            let now = self.link.now();
            if now >= until || self.link.inbox().breaks != breaks {
                return Ok(false);
            }
            self.link.turn(until - now)?;
        }
        Ok(self.link.inbox().breaks == breaks)
    }
}

impl Sink for JetStream {
    fn store(
        &mut self,
        batch: &[Item],
        limit: Duration,
        outcomes: &mut Vec<Outcome>,
    ) -> io::Result<()> {
        let until = self.link.now() + limit;
        if !self.link.wait_ready(until)? {
            let down = || Outcome::Retry("no connection".into());
            outcomes.extend(batch.iter().map(|_| down()));
            return Ok(());
        }
        self.batches += 1;
        self.link.inbox().messages.clear();
        let mut found = self.publish(batch);
        let unanswered = if self.ack {
            self.await_acks(&mut found, until)?;
            Outcome::Retry("no acknowledgement in time".into())
        } else if self.await_flush(until)? {
            Outcome::Stored
        } else {
            Outcome::Unconfirmed
        };
        let found = found.into_iter();
        outcomes.extend(found.map(|outcome| outcome.unwrap_or_else(|| unanswered.clone())));
        Ok(())
    }

    fn idle(&mut self, wait: Duration) -> io::Result<()> {
        self.link.turn(wait)?;
        self.link.inbox().messages.clear();
        Ok(())
    }
}

fn refusal(error: PublishError) -> Outcome {
    let text = error.to_string().into();
    match error {
        PublishError::BadSubject | PublishError::TooLarge { .. } => Outcome::Rejected(text),
        _ => Outcome::Retry(text),
    }
}

/// What a stream answered.
pub(crate) fn read_ack(message: &Received) -> Outcome {
    #[derive(Deserialize)]
    struct Ack {
        error: Option<ApiError>,
        #[serde(default)]
        seq: u64,
        #[serde(default)]
        duplicate: bool,
    }
    if message.payload.is_empty() && message.headers.starts_with(b"NATS/1.0 503") {
        return Outcome::Retry("no stream has the subject".into());
    }
    match serde_json::from_slice::<Ack>(&message.payload) {
        Ok(Ack {
            error: Some(error), ..
        }) => error.outcome(),
        Ok(ack) if ack.duplicate => Outcome::Duplicate,
        Ok(ack) if ack.seq > 0 => Outcome::Stored,
        // Somebody else answers on the subject, who is no stream.
        _ => Outcome::Retry("the answer is no acknowledgement".into()),
    }
}

/// An error of JetStream.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) code: u32,
    #[serde(default)]
    pub(crate) err_code: u32,
    #[serde(default)]
    pub(crate) description: String,
}

impl ApiError {
    fn outcome(&self) -> Outcome {
        let text = format!("{} ({})", self.description, self.err_code).into();
        match self.code {
            400..=499 => Outcome::Rejected(text),
            _ => Outcome::Retry(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn ack(headers: &'static str, payload: &'static str) -> Outcome {
        read_ack(&Received {
            subject: Bytes::new(),
            reply: None,
            headers: headers.into(),
            payload: payload.into(),
        })
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(ack("", r#"{"stream":"S","seq":1}"#), Outcome::Stored);
        assert_eq!(
            ack("", r#"{"stream":"S","seq":1,"duplicate":true}"#),
            Outcome::Duplicate
        );
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"S","seq":0}"#;
        assert_eq!(
            ack("", full),
            Outcome::Retry("maximum messages exceeded (10077)".into())
        );
        let large = r#"{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}"#;
        assert!(matches!(ack("", large), Outcome::Rejected(_)));
        assert!(matches!(ack("NATS/1.0 503\r\n\r\n", ""), Outcome::Retry(_)));
        for strange in ["", "+OK", "{}", "[]"] {
            assert!(matches!(ack("", strange), Outcome::Retry(_)), "{strange:?}");
        }
    }
}
