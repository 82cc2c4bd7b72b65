//! A core with its sink, its clock and a driver's part played by hand.

use std::sync::Arc;
use std::time::Duration;

use muster_client::nats::{
    Action, ClientConfig, ClientCore, Event, EventSink, LinkEnd, Message, ProtocolError,
    ServerAddr, State,
};

/// An INFO as a plain server sends it.
pub(crate) const INFO: &str =
    r#"INFO {"server_id":"A","version":"2.10.0","headers":true,"max_payload":1024,"client_id":7} "#;

/// What came to the sink, in order, as text.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) events: Vec<Event>,
    pub(crate) messages: Vec<String>,
}

impl EventSink for Recorder {
    fn message(&mut self, message: Message<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "~");
        self.messages.push(format!(
            "{} {} {:?} [{}] {}",
            message.sid,
            text(message.subject),
            message.reply.map(text),
            text(message.headers),
            text(message.payload)
        ));
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

pub(crate) struct Fixture {
    pub(crate) core: ClientCore,
    pub(crate) sink: Recorder,
    pub(crate) now: Duration,
}

impl Fixture {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self::with_seed(config, 1)
    }

    pub(crate) fn with_seed(config: ClientConfig, seed: u64) -> Self {
        let now = Duration::from_secs(1000);
        let core = ClientCore::new(Arc::new(config), None, seed, now);
        Self {
            core,
            sink: Recorder::default(),
            now,
        }
    }

    /// A core on a plain server that took it.
    pub(crate) fn ready() -> Self {
        let mut fixture = Self::new(config(1));
        fixture.connect();
        fixture
    }

    /// From the action `Connect` to the event `Connected`.
    pub(crate) fn connect(&mut self) -> ServerAddr {
        let addr = self.dial();
        self.core.handle_connected(self.now);
        self.feed(&format!("{INFO}\r\n"));
        assert!(self.written().starts_with("CONNECT {"));
        self.feed("PONG\r\n");
        assert_eq!(self.core.state(), State::Ready);
        assert!(self.events().contains(&Event::Connected));
        addr
    }

    /// Takes the action `Connect`.
    pub(crate) fn dial(&mut self) -> ServerAddr {
        match self.core.poll_action() {
            Some(Action::Connect(addr)) => addr,
            other => panic!("not a connect: {other:?}"),
        }
    }

    pub(crate) fn feed(&mut self, bytes: &str) {
        self.try_feed(bytes.as_bytes())
            .expect("the server keeps to the protocol");
    }

    pub(crate) fn try_feed(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.core.handle_bytes(bytes, self.now, &mut self.sink)
    }

    pub(crate) fn lose(&mut self) {
        self.core.handle_disconnected(self.now, &mut self.sink);
    }

    pub(crate) fn fail(&mut self) {
        self.core.handle_connect_failed(self.now, &mut self.sink);
    }

    /// Goes to the core's next deadline; says how long that took.
    pub(crate) fn timeout(&mut self) -> Duration {
        let deadline = self.core.poll_timeout().expect("a deadline");
        let waited = deadline.saturating_sub(self.now);
        // Not a moment earlier does anything happen.
        let before = (self.core.state(), self.sink.events.len());
        let early = deadline.saturating_sub(Duration::from_nanos(1));
        self.core.handle_timeout(early, &mut self.sink);
        assert_eq!((self.core.state(), self.sink.events.len()), before);
        self.now = self.now.max(deadline);
        self.core.handle_timeout(self.now, &mut self.sink);
        waited
    }

    pub(crate) fn written(&mut self) -> String {
        let mut out = Vec::new();
        self.core.take_output(&mut out);
        String::from_utf8(out).expect("these tests publish text")
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.sink.events)
    }

    pub(crate) fn messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sink.messages)
    }

    /// The link was given up by the core for this reason, and the driver is told to close.
    pub(crate) fn assert_closed_by_core(&mut self, end: LinkEnd) {
        assert_eq!(self.core.poll_action(), Some(Action::Close(end)));
    }
}

/// Servers `broker0:4222` and on, no TLS, the fleet's defaults.
pub(crate) fn config(servers: usize) -> ClientConfig {
    let addr = |n| ServerAddr::new(format!("broker{n}"), 4222);
    ClientConfig::new((0..servers).map(addr).collect())
}
