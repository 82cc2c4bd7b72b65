//! What a connection may publish and subscribe to.
//!
//! Each direction has an allow list, a deny list, or both: what is denied is denied, and where there is an allow list the
//! rest is denied too. The rules are nats-server's:
//!
//! * A message may be published if its subject is matched by the allow list and by no entry of the deny list.
//! * A subscription is refused if the allow list does not cover it, or the deny list does.
//! * A subscription that is wider than a denied subject is taken, and messages on that subject are left out on delivery.
//! * An entry for subscriptions may name a queue group, `subject queue`, with wildcards in both. In the allow list, such
//!   entries that match decide which groups may subscribe; in the deny list they refuse those groups alone.
//!
//! Unlike nats-server, a list without entries is a list: nothing is allowed, or nothing denied.
//! A pattern that is no valid subject covers and matches nothing.
//!
//! Sets are meant to be shared: connections with equal rights for publishing have one [`PublishRules`],
//! and a shard remembers its verdicts by it, so fifty thousand nodes fill it no more than one does.

mod verdicts;

use std::fmt;
use std::sync::Arc;

use muster_wire::subject::{has_wildcard, matches};

use crate::pattern::{covers, overlaps};

pub(crate) use verdicts::Verdicts;

/// What a connection may do. 56 bytes and its lists; the rules for publishing are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    publish: Arc<PublishRules>,
    subscribe: SubscribeRules,
}

/// What may be published.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PublishRules {
    allow: Option<Box<[Box<str>]>>,
    deny: Box<[Box<str>]>,
}

/// What may be subscribed to. The default allows everything.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SubscribeRules {
    allow: Option<Box<[SubscribeRule]>>,
    deny: Box<[SubscribeRule]>,
}

/// One entry of a list for subscriptions: a subject, and maybe the queue groups it is about.
#[derive(Clone, PartialEq, Eq)]
struct SubscribeRule {
    /// The subject, followed by a space and the queue where one is named.
    text: Box<str>,
}

/// What becomes of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Allowed,
    /// It is taken, and messages must be looked at before they are delivered.
    Filtered,
    /// It is refused.
    Denied,
}

impl Permissions {
    /// Rights of both kinds.
    #[must_use]
    pub const fn new(publish: Arc<PublishRules>, subscribe: SubscribeRules) -> Self {
        Self { publish, subscribe }
    }

    /// No right at all.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            publish: Arc::new(PublishRules::new(Some(&[]), &[])),
            subscribe: SubscribeRules::new(Some(&[]), &[]),
        }
    }

    /// The rules for publishing.
    #[must_use]
    pub const fn publish(&self) -> &Arc<PublishRules> {
        &self.publish
    }

    /// The rules for subscriptions.
    #[must_use]
    pub const fn subscribe(&self) -> &SubscribeRules {
        &self.subscribe
    }
}

impl PublishRules {
    /// Rules of an allow list, where there is one, and a deny list.
    #[must_use]
    pub fn new(allow: Option<&[&str]>, deny: &[&str]) -> Self {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
        Self {
            allow: allow.map(list),
            deny: list(deny),
        }
    }

    /// Entries of both lists.
    pub(crate) fn len(&self) -> usize {
        self.allow.as_deref().unwrap_or_default().len() + self.deny.len()
    }

    /// Whether a message may be published to this subject.
    #[must_use]
    pub fn allows(&self, subject: &[u8]) -> bool {
        let any = |list: &[Box<str>]| list.iter().any(|text| matches(text.as_bytes(), subject));
        self.allow.as_deref().is_none_or(any) && !any(&self.deny)
    }
}

impl SubscribeRules {
    /// Rules of an allow list, where there is one, and a deny list; an entry may be `subject queue`.
    #[must_use]
    pub fn new(allow: Option<&[&str]>, deny: &[&str]) -> Self {
        let list = |texts: &[&str]| texts.iter().copied().map(SubscribeRule::new).collect();
        Self {
            allow: allow.map(list),
            deny: list(deny),
        }
    }

    /// What becomes of a subscription to this subject, which is a valid one.
    #[must_use]
    pub fn verdict(&self, subject: &[u8], queue: Option<&[u8]>) -> Verdict {
        let allowed = self
            .allow
            .as_deref()
            .is_none_or(|allow| is_allowed(allow, subject, queue));
        let is_denied =
            |rule: &SubscribeRule| covers(rule.subject(), subject) && rule.is_about(queue);
        if !allowed || self.deny.iter().any(is_denied) {
            return Verdict::Denied;
        }
        let may_bring_denied =
            |rule: &SubscribeRule| overlaps(rule.subject(), subject) && rule.is_about(queue);
        if has_wildcard(subject) && self.deny.iter().any(may_bring_denied) {
            return Verdict::Filtered;
        }
        Verdict::Allowed
    }

    /// Whether a message on this subject must not be delivered, by a subscription of this queue group.
    #[must_use]
    pub fn denies_delivery(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let denies =
            |rule: &SubscribeRule| matches(rule.subject(), subject) && rule.is_about(queue);
        self.deny.iter().any(denies)
    }
}

/// Of the entries that cover the subject, those with a queue decide about queue groups where there are any.
fn is_allowed(allow: &[SubscribeRule], subject: &[u8], queue: Option<&[u8]>) -> bool {
    let mut plain = false;
    let mut queues = false;
    for rule in allow.iter().filter(|rule| covers(rule.subject(), subject)) {
        match (rule.queue(), queue) {
            (None, _) => plain = true,
            (Some(_), None) => {}
            (Some(want), Some(queue)) if matches(want, queue) => return true,
            (Some(_), Some(_)) => queues = true,
        }
    }
    plain && !queues
}

impl SubscribeRule {
    fn new(text: &str) -> Self {
        let mut words = text.split_ascii_whitespace();
        let (subject, queue) = (words.next().unwrap_or_default(), words.next());
        let text = match queue {
            Some(queue) => format!("{subject} {queue}").into(),
            None => subject.into(),
        };
        Self { text }
    }

    fn subject(&self) -> &[u8] {
        let text = self.text.as_bytes();
        text.split(|byte| *byte == b' ').next().unwrap_or(text)
    }

    fn queue(&self) -> Option<&[u8]> {
        self.text.as_bytes().split(|byte| *byte == b' ').nth(1)
    }

    /// Whether the entry is about subscriptions of this group, or of none.
    fn is_about(&self, queue: Option<&[u8]>) -> bool {
        match (self.queue(), queue) {
            (None, _) => true,
            (Some(want), Some(queue)) => matches(want, queue),
            (Some(_), None) => false,
        }
    }
}

impl fmt::Debug for SubscribeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests;
