//! Who can be at the near end of a link.

use std::time::Duration;

use muster_client::Moment;
use muster_client::fleet::{FleetEvent, FleetSession};
use muster_client::nats::{ClientCore, Event, EventSink, Message, Sid};
use muster_server::{Node, NodeScratch};

use crate::raw::Raw;

/// A station of a [`World`](crate::World).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StationId(pub(crate) usize);

/// A plain client core with everything that came to it.
#[derive(Debug)]
pub struct Peer {
    /// The connection.
    pub core: ClientCore,
    /// The messages, as subscription, subject and payload, in order.
    pub messages: Vec<(Sid, String, String)>,
    /// The events, in order.
    pub events: Vec<Event>,
}

/// A fleet client and what it said.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) session: FleetSession,
    pub(crate) events: Vec<FleetEvent>,
}

#[derive(Debug)]
pub(crate) enum Endpoint {
    Node(Box<Node>),
    Asker(Box<Asker>),
    Peer(Box<Peer>),
    Raw(Box<Raw>),
}

impl Endpoint {
    /// The connection, where there is a core for it.
    pub(crate) fn client(&mut self) -> Option<&mut ClientCore> {
        match self {
            Self::Node(node) => Some(node.client()),
            Self::Asker(asker) => Some(asker.session.client()),
            Self::Peer(peer) => Some(&mut peer.core),
            Self::Raw(_) => None,
        }
    }

    pub(crate) fn handle_bytes(&mut self, bytes: &[u8], at: Moment, scratch: &mut NodeScratch) {
        let result = match self {
            Self::Node(node) => node.handle_bytes(bytes, at, scratch),
            Self::Asker(asker) => asker.session.handle_bytes(bytes, at),
            Self::Peer(peer) => {
                let Peer {
                    core,
                    messages,
                    events,
                } = &mut **peer;
                core.handle_bytes(bytes, at.now, &mut Sink { messages, events })
            }
            Self::Raw(raw) => {
                raw.handle_bytes(bytes, at.now);
                Ok(())
            }
        };
        result.expect("the broker keeps to the protocol");
        self.take_events();
    }

    pub(crate) fn handle_timeout(&mut self, at: Moment, scratch: &mut NodeScratch) {
        match self {
            Self::Node(node) => node.handle_timeout(at, scratch),
            Self::Asker(asker) => asker.session.handle_timeout(at),
            Self::Peer(peer) => {
                let Peer {
                    core,
                    messages,
                    events,
                } = &mut **peer;
                core.handle_timeout(at.now, &mut Sink { messages, events });
            }
            Self::Raw(_) => {}
        }
        self.take_events();
    }

    pub(crate) fn handle_disconnected(&mut self, at: Moment, scratch: &mut NodeScratch) {
        match self {
            Self::Node(node) => node.handle_disconnected(at, scratch),
            Self::Asker(asker) => asker.session.handle_disconnected(at),
            Self::Peer(peer) => {
                let Peer {
                    core,
                    messages,
                    events,
                } = &mut **peer;
                core.handle_disconnected(at.now, &mut Sink { messages, events });
            }
            Self::Raw(raw) => raw.handle_closed(at.now),
        }
        self.take_events();
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        match self {
            Self::Node(node) => node.next_timeout(),
            Self::Asker(asker) => asker.session.next_timeout(),
            Self::Peer(peer) => peer.core.poll_timeout(),
            Self::Raw(_) => None,
        }
    }

    /// What is to be written.
    pub(crate) fn output(&mut self) -> &[u8] {
        match self {
            Self::Node(node) => node.client().output().as_slice(),
            Self::Asker(asker) => asker.session.client().output().as_slice(),
            Self::Peer(peer) => peer.core.output().as_slice(),
            Self::Raw(raw) => raw.output(),
        }
    }

    /// So many bytes were written.
    pub(crate) fn advance(&mut self, count: usize) {
        match self {
            Self::Raw(raw) => raw.advance(count),
            Self::Node(_) | Self::Asker(_) | Self::Peer(_) => {
                if let Some(client) = self.client() {
                    client.output().advance(count);
                }
            }
        }
    }

    pub(crate) fn take_events(&mut self) {
        if let Self::Asker(asker) = self {
            while let Some(event) = asker.session.poll_event() {
                asker.events.push(event);
            }
        }
    }
}

struct Sink<'a> {
    messages: &'a mut Vec<(Sid, String, String)>,
    events: &'a mut Vec<Event>,
}

impl EventSink for Sink<'_> {
    fn message(&mut self, message: Message<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.messages
            .push((message.sid, text(message.subject), text(message.payload)));
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}
