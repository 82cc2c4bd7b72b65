//! What a federation broker does to one message. Pure: bytes in, bytes and subjects out.
//!
//! A request's targets become the subjects it is published to, its reply subject becomes the broker's own, and the
//! client's goes into the federation header, which nodes echo. A reply goes to that subject, without the header.
//! Both get one hop. The secure document is carried over as it stands.

use std::borrow::Cow;
use std::fmt;

use muster_protocol::subject::{federation_reply, federation_request};
use muster_protocol::transport::Transport;

/// Subjects one request may name. Clients name 200 nodes in a message.
pub const TARGETS_MAX: usize = 1_000;

/// The processor's names for its stages, as they stand in hops and metrics.
pub const STAGES: [&str; 4] = [
    "choria_nats_ingest",
    "choria_request_transformer",
    "choria_reply_transformer",
    "choria_nats_egest",
];

/// Why a message is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The payload is no transport of a known version.
    NotATransport,
    /// It has no federation header.
    NotFederated,
    /// A request names no target.
    NoTargets,
    /// A request names more than [`TARGETS_MAX`] targets.
    TooManyTargets,
    /// It says nowhere where the reply goes.
    NoReplySubject,
    /// The reply subject is none of a client: it has to look like `C.reply.…`.
    ReplySubject,
    /// A target is none of a fleet: it has to look like `C.broadcast.agent.A`, `C.broadcast.service.A` or `C.node.I`.
    Target,
    /// A request that has been through a broker of this name before.
    Loop,
}

impl Refusal {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::NotATransport,
        Self::NotFederated,
        Self::NoTargets,
        Self::TooManyTargets,
        Self::NoReplySubject,
        Self::ReplySubject,
        Self::Target,
        Self::Loop,
    ];

    /// The reason as metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotATransport => "not_a_transport",
            Self::NotFederated => "not_federated",
            Self::NoTargets => "no_targets",
            Self::TooManyTargets => "too_many_targets",
            Self::NoReplySubject => "no_reply_subject",
            Self::ReplySubject => "reply_subject",
            Self::Target => "target",
            Self::Loop => "loop",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATransport => f.write_str("the message is no transport"),
            Self::NotFederated => f.write_str("the message has no federation header"),
            Self::NoTargets => f.write_str("the request names no target"),
            Self::TooManyTargets => {
                write!(f, "the request names more than {TARGETS_MAX} targets")
            }
            Self::NoReplySubject => f.write_str("the message names no reply subject"),
            Self::ReplySubject => f.write_str("the reply subject is none of a client"),
            Self::Target => f.write_str("a target is no subject of a fleet"),
            Self::Loop => f.write_str("the request was here before"),
        }
    }
}

impl std::error::Error for Refusal {}

/// The way a message takes through this process, for its hop.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The server it came by, as a URL.
    pub came_by: &'a str,
    /// The server it leaves by.
    pub leaves_by: &'a str,
}

/// A request that goes on: one payload for all targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The subjects to publish to on the nodes' side, in the order of the request.
    pub targets: Vec<Box<str>>,
}

/// The transform of one worker.
#[derive(Debug, Clone)]
pub struct Bridge {
    reply_subject: String,
    request_subject: String,
    /// The processor in hops of requests and of replies.
    processors: [String; 2],
    /// How this broker's name begins in a hop, whatever the worker.
    own: String,
    checks_subjects: bool,
}

impl Bridge {
    /// The bridge of `cluster`, in a process called `identity`, as its worker of this number.
    ///
    /// `checks_subjects` refuses targets and reply subjects that are none of a fleet. Without it a client of the federation
    /// network may have anything published on the nodes' network, as with brokers of today's Choria.
    #[must_use]
    pub fn new(cluster: &str, identity: &str, worker: usize, checks_subjects: bool) -> Self {
        let [ingest, request, reply, egest] = STAGES;
        let processor = |transformer: &str| {
            format!("{identity} ({ingest}:{worker}, {transformer}:{worker}, {egest}:{worker})")
        };
        Self {
            reply_subject: federation_reply(cluster),
            request_subject: federation_request(cluster),
            processors: [processor(request), processor(reply)],
            own: format!("{identity} ({ingest}:"),
            checks_subjects,
        }
    }

    /// Where requests arrive, on the federation's side.
    #[must_use]
    pub fn request_subject(&self) -> &str {
        &self.request_subject
    }

    /// Where replies arrive, on the nodes' side.
    #[must_use]
    pub fn reply_subject(&self) -> &str {
        &self.reply_subject
    }

    /// Turns a client's request into the nodes'; the payload goes to the end of `out`.
    ///
    /// # Errors
    /// Why it is dropped. `out` is as it was.
    pub fn request(
        &self,
        payload: &[u8],
        way: Way<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Request, Refusal> {
        let mut transport = Transport::parse(payload).map_err(|_| Refusal::NotATransport)?;
        let headers = &mut transport.headers;
        let federation = headers.federation.as_mut().ok_or(Refusal::NotFederated)?;
        let targets = std::mem::take(&mut federation.targets);
        if targets.is_empty() {
            return Err(Refusal::NoTargets);
        }
        if targets.len() > TARGETS_MAX {
            return Err(Refusal::TooManyTargets);
        }
        let reply_to = headers.reply_to.take().filter(|reply| !reply.is_empty());
        let reply_to = reply_to.ok_or(Refusal::NoReplySubject)?;
        // Hops are nobody's proof; they only keep brokers that were wired in a ring from going round.
        let was_here =
            |hop: &Vec<Cow<'_, str>>| hop.get(1).is_some_and(|by| by.starts_with(&self.own));
        if headers.seen_by.iter().any(was_here) {
            return Err(Refusal::Loop);
        }
        if self.checks_subjects {
            if !is_reply_subject(&reply_to) {
                return Err(Refusal::ReplySubject);
            }
            if !targets.iter().all(|target| is_target(target)) {
                return Err(Refusal::Target);
            }
        }
        federation.reply_to = Some(reply_to);
        headers.reply_to = Some(Cow::Borrowed(&self.reply_subject));
        headers.push_hop(way.came_by, &*self.processors[0], way.leaves_by);
        transport.encode_into(out);
        let targets = targets.iter().map(|target| (&**target).into()).collect();
        Ok(Request { targets })
    }

    /// Turns a node's reply into the client's; the payload goes to the end of `out`. Returns the subject.
    ///
    /// # Errors
    /// Why it is dropped. `out` is as it was.
    pub fn reply(
        &self,
        payload: &[u8],
        way: Way<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Box<str>, Refusal> {
        let mut transport = Transport::parse(payload).map_err(|_| Refusal::NotATransport)?;
        let headers = &mut transport.headers;
        let federation = headers.federation.take().ok_or(Refusal::NotFederated)?;
        let reply_to = federation.reply_to.filter(|reply| !reply.is_empty());
        let reply_to = reply_to.ok_or(Refusal::NoReplySubject)?;
        if self.checks_subjects && !is_reply_subject(&reply_to) {
            return Err(Refusal::ReplySubject);
        }
        headers.push_hop(way.came_by, &*self.processors[1], way.leaves_by);
        let subject = (&*reply_to).into();
        transport.encode_into(out);
        Ok(subject)
    }
}

/// `C.reply.…`
fn is_reply_subject(subject: &str) -> bool {
    after_collective(subject, &[".reply."])
}

/// `C.broadcast.agent.A`, `C.broadcast.service.A`, `C.node.I`
fn is_target(subject: &str) -> bool {
    let kinds = [".broadcast.agent.", ".broadcast.service.", ".node."];
    after_collective(subject, &kinds)
}

/// Whether one of `kinds` stands behind a name of one token, something stands behind it, and it can be published to.
fn after_collective(subject: &str, kinds: &[&str]) -> bool {
    let Some(dot) = subject.find('.').filter(|dot| *dot > 0) else {
        return false;
    };
    let (collective, rest) = subject.split_at(dot);
    // `choria.federation.…` leads into a federation, `$…` and `_…` into the broker.
    if collective == "choria" && rest.starts_with(".federation.") {
        return false;
    }
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'*' | b'>');
    kinds
        .iter()
        .filter_map(|kind| rest.strip_prefix(kind))
        .any(|name| !name.is_empty() && name.split('.').all(|token| !token.is_empty()))
        && subject.bytes().all(plain)
        && !collective.starts_with(['$', '_'])
}

#[cfg(test)]
mod tests;
