//! The messages of one request: to which subjects, and through which federations.
//!
//! Without a federation a request is published as it is: once, or once for each node. With federations each of them gets it on its own subject,
//! and the transport names the targets on the other side; nodes go two hundred to a message. All messages carry the same signed document.
//!
//! Nodes are counted as the collector numbers them. A broadcast and a service request have one target, number 0.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use muster_protocol::request_id::RequestId;
use muster_protocol::subject;
use muster_protocol::transport::{Federation, Transport};

use super::collect::Collector;
use super::plan::Addressing;
use crate::nats::{ClientCore, PublishError, is_sendable};

/// Nodes one message to a federation names at most.
const FEDERATION_TARGETS_MAX: usize = 200;

/// Names of federations.
pub(super) type Federations = Arc<[Box<str>]>;

/// Where the messages of one request go.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) addressing: Addressing,
    pub(super) collective: String,
    pub(super) agent: String,
    pub(super) federations: Federations,
}

/// What a call has handed over.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sent {
    /// Targets dealt with.
    pub(super) targets: usize,
    /// Messages the connection took.
    pub(super) messages: usize,
    /// Targets whose name makes no subject.
    pub(super) unsent: usize,
}

impl Route {
    /// The first subject that can not be sent, of those that all messages depend on.
    pub(super) fn unsendable(&self) -> Option<String> {
        let own = subject::broadcast(&self.collective, &self.agent);
        let federated = self
            .federations
            .iter()
            .map(|name| subject::federation_request(name));
        federated
            .chain([own])
            .find(|subject| !is_sendable(subject.as_bytes()))
    }

    /// Publishes to the first targets of `range`, as many as one call does. The range is not empty.
    pub(super) fn send(
        &self,
        client: &mut ClientCore,
        payload: &[u8],
        id: RequestId,
        names: &Collector,
        range: Range<usize>,
    ) -> Result<Sent, PublishError> {
        if !self.federations.is_empty() {
            return self.send_federated(client, payload, id, names, range);
        }
        let subject = self.subject(names.node(range.start));
        match client.publish(subject.as_bytes(), None, payload) {
            Ok(()) => Ok(Sent {
                targets: 1,
                messages: 1,
                unsent: 0,
            }),
            // One bad name does not keep the others from being asked; its node is named as missing.
            Err(PublishError::BadSubject) => Ok(Sent {
                targets: 1,
                messages: 0,
                unsent: 1,
            }),
            Err(error) => Err(error),
        }
    }

    fn send_federated(
        &self,
        client: &mut ClientCore,
        payload: &[u8],
        id: RequestId,
        names: &Collector,
        range: Range<usize>,
    ) -> Result<Sent, PublishError> {
        let end = range.end.min(range.start + FEDERATION_TARGETS_MAX);
        let subjects = (range.start..end).map(|index| self.subject(names.node(index)));
        let (targets, bad): (Vec<_>, Vec<_>) =
            subjects.partition(|subject| is_sendable(subject.as_bytes()));
        let mut sent = Sent {
            targets: end - range.start,
            messages: 0,
            unsent: bad.len(),
        };
        if targets.is_empty() {
            return Ok(sent);
        }
        let payload = federated(payload, id, &targets);
        for federation in self.federations.iter() {
            let subject = subject::federation_request(federation);
            client.publish(subject.as_bytes(), None, &payload)?;
            sent.messages += 1;
        }
        Ok(sent)
    }

    fn subject(&self, node: Option<&str>) -> String {
        match self.addressing {
            Addressing::Broadcast => subject::broadcast(&self.collective, &self.agent),
            Addressing::Service => subject::service(&self.collective, &self.agent),
            Addressing::Direct => subject::node(&self.collective, node.unwrap_or_default()),
        }
    }
}

/// The same request, with a federation header that names its targets.
fn federated(payload: &[u8], id: RequestId, targets: &[String]) -> Vec<u8> {
    let mut transport = Transport::parse(payload).expect("we have encoded it ourselves");
    transport.headers.federation = Some(Federation {
        request_id: Some(Cow::Owned(id.as_str().to_owned())),
        reply_to: None,
        targets: targets
            .iter()
            .map(|target| Cow::Borrowed(&**target))
            .collect(),
    });
    let mut out = Vec::new();
    transport.encode_into(&mut out);
    out
}

/// The same request, with its replies to another subject.
pub(super) fn with_reply_to(payload: &[u8], reply_to: &str) -> Vec<u8> {
    let mut transport = Transport::parse(payload).expect("we have encoded it ourselves");
    transport.headers.reply_to = Some(Cow::Borrowed(reply_to));
    let mut out = Vec::new();
    transport.encode_into(&mut out);
    out
}
