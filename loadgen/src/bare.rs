//! Bare connections: a NATS client and eight subscriptions, without a node behind them.
//!
//! They measure the broker alone: seven subjects that all share and one of their own, as a node has them.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::driver::Endpoint;
use muster_client::nats::{ClientConfig, ClientCore, Event, EventSink, Message, ProtocolError};
use muster_reactor::rustls::ClientConfig as TlsConfig;

use crate::progress::Progress;

/// The subject that every bare connection answers.
pub(crate) const ROLL_CALL: &str = "bare.all.0";

/// Subjects that all connections share.
const SHARED_SUBJECTS: usize = 7;

/// The subjects of bare connections, made once.
#[derive(Debug)]
pub(crate) struct BareSubjects(Vec<Arc<[u8]>>);

impl BareSubjects {
    pub(crate) fn new() -> Self {
        Self(
            (0..SHARED_SUBJECTS)
                .map(|number| format!("bare.all.{number}").into_bytes().into())
                .collect(),
        )
    }
}

/// A connection that answers the roll call with its name.
#[derive(Debug)]
pub(crate) struct BareNode {
    client: ClientCore,
    tls: Option<Arc<TlsConfig>>,
    payload: Arc<[u8]>,
}

/// What the bare connections of one thread use in turn.
#[derive(Debug)]
pub(crate) struct BareShared {
    replies: Vec<Vec<u8>>,
    progress: Arc<Progress>,
}

impl BareShared {
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        Self {
            replies: Vec::new(),
            progress,
        }
    }
}

impl BareNode {
    pub(crate) fn new(
        name: &str,
        subjects: &BareSubjects,
        config: Arc<ClientConfig>,
        tls: Option<Arc<TlsConfig>>,
        payload: Arc<[u8]>,
        seed: u64,
        now: Duration,
    ) -> Self {
        let mut client = ClientCore::new(config, Some(name.into()), seed, now);
        for subject in &subjects.0 {
            client.subscribe_shared(Arc::clone(subject), None);
        }
        client.subscribe(format!("bare.node.{name}").as_bytes(), None);
        client.flush();
        Self {
            client,
            tls,
            payload,
        }
    }

    fn answer(&mut self, shared: &mut BareShared) {
        for reply_to in shared.replies.drain(..) {
            let mut body = self.client.name().as_bytes().to_vec();
            body.extend_from_slice(&self.payload);
            // A reply that the core refuses shows as a missing node.
            let _ = self.client.publish(&reply_to, None, &body);
        }
    }
}

impl EventSink for BareShared {
    fn message(&mut self, message: Message<'_>) {
        self.replies.extend(message.reply.map(<[u8]>::to_vec));
    }

    fn event(&mut self, event: Event) {
        self.progress.note(&event);
    }
}

impl Endpoint for BareNode {
    type Shared = BareShared;

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        shared: &mut BareShared,
    ) -> Result<(), ProtocolError> {
        let result = self.client.handle_bytes(bytes, at.now, shared);
        self.answer(shared);
        result
    }

    fn handle_timeout(&mut self, at: Moment, shared: &mut BareShared) {
        self.client.handle_timeout(at.now, shared);
    }

    fn handle_connect_failed(&mut self, at: Moment, shared: &mut BareShared) {
        self.client.handle_connect_failed(at.now, shared);
    }

    fn handle_disconnected(&mut self, at: Moment, shared: &mut BareShared) {
        self.client.handle_disconnected(at.now, shared);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}
