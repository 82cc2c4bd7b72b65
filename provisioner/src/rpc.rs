//! Requests of many nodes over one connection.
//!
//! One subscription takes all replies: `provisioning.reply.<caller>.>`. A reply is told by its request's id and counts only
//! from the node that was asked. Requests carry their reply subject in NATS too, so that a broker says at once where
//! nobody listens, and nobody waits out a time for a node that is gone.
//!
//! A discovery is a broadcast; it is over 300 ms after the latest reply, and after two seconds at any rate. Answers that come
//! later are taken as well, until the next one: ten thousand nodes on a busy host may need more than two seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_client::Moment;
use muster_client::fleet::{Caller, RequestParts, encode_request};
use muster_client::nats::{ClientCore, Message, Sid, State};
use muster_protocol::Scratch;
use muster_protocol::filter::Filter;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::{DISCOVERY_AGENT, DISCOVERY_PING, RpcRequest};
use muster_protocol::subject;

use crate::call::{AGENT, Action, Call, CallFailure};
use crate::helper::cut;
use crate::metrics::Drop;
use crate::queue::Identity;

/// How long a discovery lasts at most.
pub const DISCOVERY_TIME: Duration = Duration::from_secs(2);
/// How long after the latest reply it is over.
pub const DISCOVERY_WINDOW: Duration = Duration::from_millis(300);
/// The longest name a node may have.
const IDENTITY_BYTES_MAX: usize = 255;

/// What a message meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// The reply to a call.
    Reply {
        /// Of this node.
        identity: Identity,
        /// To this action.
        action: Action,
        /// After this time.
        took: Duration,
        /// The agent's body.
        body: Vec<u8>,
    },
    /// A call that cannot be answered.
    Failed {
        /// On this node.
        identity: Identity,
        /// Of this action.
        action: Action,
        /// Why.
        failure: CallFailure,
    },
    /// A node without configuration.
    Discovered(String),
    /// Nothing.
    Dropped(Drop),
}

#[derive(Debug)]
struct Pending {
    identity: Identity,
    action: Action,
    sent: Duration,
    due: Duration,
}

#[derive(Debug)]
struct Discovery {
    id: String,
    limit: Duration,
    latest: Option<Duration>,
    found: usize,
    /// Its time is over. Who answers later is without configuration all the same, so it is kept until the next one.
    is_over: bool,
}

/// Requests under way.
#[derive(Debug)]
pub struct Rpc {
    caller: Arc<Caller>,
    sid: Sid,
    reply_prefix: String,
    rng: Rng,
    scratch: Scratch,
    /// By request id.
    pending: BTreeMap<String, Pending>,
    /// When each is due, and its id.
    due: BTreeSet<(Duration, String)>,
    discovery: Option<Discovery>,
}

/// Whether a text is a node's name: it becomes part of a subject.
#[must_use]
pub fn is_identity(name: &str) -> bool {
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let tokens = |name: &str| name.split('.').all(|token| !token.is_empty());
    (1..=IDENTITY_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_name_byte) && tokens(name)
}

impl Rpc {
    /// Subscribes to the caller's replies.
    pub fn new(caller: Arc<Caller>, client: &mut ClientCore, seed: u64) -> Self {
        let prefix = subject::reply_prefix(&caller.main_collective, &caller.caller_id);
        let sid = client.subscribe(format!("{prefix}.>").as_bytes(), None);
        Self {
            caller,
            sid,
            reply_prefix: prefix,
            rng: Rng::with_seed(seed),
            scratch: Scratch::new(),
            pending: BTreeMap::new(),
            due: BTreeSet::new(),
            discovery: None,
        }
    }

    /// The subscription of replies.
    #[must_use]
    pub const fn sid(&self) -> Sid {
        self.sid
    }

    /// Calls an action of one node.
    ///
    /// # Errors
    /// It was not sent.
    pub fn call(
        &mut self,
        client: &mut ClientCore,
        identity: &Identity,
        call: &Call,
        at: Moment,
    ) -> Result<(), CallFailure> {
        let agent = call.action.agent();
        let data = serde_json::to_string(&call.inputs).unwrap_or_default();
        let body = RpcRequest::encode(agent, call.action.name(), &data);
        let to = subject::node(&self.caller.collective, identity);
        let id = self.send(client, agent, &body, agent, &to, at)?;
        let due = at.now + call.time;
        self.due.insert((due, id.clone()));
        self.pending.insert(
            id,
            Pending {
                identity: Arc::clone(identity),
                action: call.action,
                sent: at.now,
                due,
            },
        );
        Ok(())
    }

    /// Asks who is without configuration. One that is under way is left to itself.
    ///
    /// # Errors
    /// It was not sent.
    pub fn discover(&mut self, client: &mut ClientCore, at: Moment) -> Result<(), CallFailure> {
        let to = subject::broadcast(&self.caller.collective, DISCOVERY_AGENT);
        let id = self.send(client, DISCOVERY_AGENT, DISCOVERY_PING, AGENT, &to, at)?;
        self.discovery = Some(Discovery {
            id,
            limit: at.now + DISCOVERY_TIME,
            latest: None,
            found: 0,
            is_over: false,
        });
        Ok(())
    }

    fn send(
        &mut self,
        client: &mut ClientCore,
        agent: &str,
        body: &str,
        with_agent: &str,
        to: &str,
        at: Moment,
    ) -> Result<String, CallFailure> {
        if client.state() != State::Ready {
            return Err(CallFailure::NotConnected);
        }
        let mut random = [0; 16];
        self.rng.fill(&mut random);
        let id = self.caller.security.request_id(at.unix, random);
        let mut filter = Filter::default();
        filter.add_agent(with_agent);
        let parts = RequestParts {
            agent,
            body,
            filter: &filter,
        };
        let broker = client
            .connected_server()
            .map_or_else(String::new, |server| format!("nats://{server}"));
        let not_sent =
            |error: &dyn std::fmt::Display| CallFailure::NotSent(cut(&error.to_string()));
        let payload = encode_request(&self.caller, &parts, id, at.unix, &broker)
            .map_err(|error| not_sent(&error))?;
        let reply = format!("{}.{id}", self.reply_prefix);
        client
            .publish(to.as_bytes(), Some(reply.as_bytes()), &payload)
            .map_err(|error| not_sent(&error))?;
        Ok(id.as_str().to_owned())
    }

    /// A message of the subscription of replies.
    pub fn handle_message(&mut self, message: &Message<'_>, now: Duration) -> Arrived {
        if message.is_no_responders() {
            return self.no_responders(message.subject);
        }
        let Ok(reply) = parse_reply(message.payload, &mut self.scratch) else {
            return Arrived::Dropped(Drop::Malformed);
        };
        if !reply.hash_ok {
            return Arrived::Dropped(Drop::Malformed);
        }
        if let Some(discovery) = &mut self.discovery
            && discovery.id == *reply.request_id
        {
            discovery.latest = Some(now);
            discovery.found += 1;
            return match is_identity(&reply.sender) {
                true => Arrived::Discovered(reply.sender.into_owned()),
                false => Arrived::Dropped(Drop::BadIdentity),
            };
        }
        let id = &*reply.request_id;
        let Some(pending) = self.pending.get(id) else {
            return Arrived::Dropped(Drop::UnknownRequest);
        };
        if *pending.identity != *reply.sender {
            return Arrived::Dropped(Drop::OtherSender);
        }
        let (identity, action) = (Arc::clone(&pending.identity), pending.action);
        let took = now.saturating_sub(pending.sent);
        let due = (pending.due, id.to_owned());
        self.due.remove(&due);
        self.pending.remove(&due.1);
        Arrived::Reply {
            identity,
            action,
            took,
            body: reply.body.to_vec(),
        }
    }

    fn no_responders(&mut self, subject: &[u8]) -> Arrived {
        let subject = String::from_utf8_lossy(subject);
        let id = subject.rsplit('.').next().unwrap_or_default();
        match self.remove(id) {
            Some(pending) => Arrived::Failed {
                identity: pending.identity,
                action: pending.action,
                failure: CallFailure::NoResponders,
            },
            // Nobody to discover is no failure.
            None => Arrived::Dropped(Drop::UnknownRequest),
        }
    }

    fn remove(&mut self, id: &str) -> Option<Pending> {
        let pending = self.pending.remove(id)?;
        self.due.remove(&(pending.due, id.to_owned()));
        Some(pending)
    }

    /// A call whose time is over.
    pub fn poll_expired(&mut self, now: Duration) -> Option<(Identity, Action)> {
        let (due, id) = self.due.first()?;
        if *due > now {
            return None;
        }
        let id = id.clone();
        let pending = self.remove(&id)?;
        Some((pending.identity, pending.action))
    }

    /// Gives every call up, as the connection is gone; their nodes and actions.
    pub fn take_all(&mut self) -> Vec<(Identity, Action)> {
        self.due.clear();
        self.discovery = None;
        let pending = std::mem::take(&mut self.pending).into_values();
        pending.map(|p| (p.identity, p.action)).collect()
    }

    /// How many nodes a discovery that is over has found.
    pub fn poll_discovered(&mut self, now: Duration) -> Option<usize> {
        let due = self.discovery_due()?;
        if now < due {
            return None;
        }
        let discovery = self.discovery.as_mut()?;
        discovery.is_over = true;
        Some(discovery.found)
    }

    fn discovery_due(&self) -> Option<Duration> {
        let discovery = self.discovery.as_ref().filter(|d| !d.is_over)?;
        let window = discovery.latest.map(|latest| latest + DISCOVERY_WINDOW);
        Some(window.map_or(discovery.limit, |window| window.min(discovery.limit)))
    }

    /// When something is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let call = self.due.first().map(|(due, _)| *due);
        [call, self.discovery_due()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_make_no_subject_are_none() {
        for good in ["n1", "n1.example.net", "a-b_c.9"] {
            assert!(is_identity(good), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            ".",
            "a..b",
            "a.",
            "*",
            "a.>",
            "a b",
            "a\r\nPUB x 0",
            "ä",
            &long,
        ] {
            assert!(!is_identity(bad), "{bad}");
        }
    }
}
