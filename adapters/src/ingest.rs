//! The threads that take messages from the network.
//!
//! An adapter has a number of connections, all members of one queue group, so that each message comes to one of them and
//! any number of processes share the work. A few threads drive them. A message that does not fit into the queue is dropped,
//! newest first, and counted: reading goes on whatever the sink does, so the broker never has to cut us off.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, TrySendError};
use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::nats::{ClientCore, Event, EventSink, Message, ProtocolError};
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::wake::Wake;
use tracing::{debug, info, warn};

use crate::core::{Gate, Intake, Taken};
use crate::counters::{Counters, DropReason};
use crate::item::Item;
use crate::link::{Access, log_event};

/// How long a turn waits at most.
const TURN_MAX: Duration = Duration::from_secs(1);
/// Dropped messages are told of at most this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What the connections of a thread share.
pub(crate) struct Entrance {
    pub(crate) name: Box<str>,
    pub(crate) intake: Intake,
    pub(crate) gate: Option<Arc<Gate>>,
    pub(crate) queue: Sender<Item>,
    pub(crate) counters: Arc<Counters>,
    /// Messages in the queue count as taken; where there is a spill, it counts them.
    pub(crate) queue_is_taken: bool,
    /// When a drop was told of last, and how many there were since.
    pub(crate) told: Option<Instant>,
    pub(crate) untold: u64,
    pub(crate) unix: Duration,
}

/// A thread with some of an adapter's connections.
pub(crate) struct IngestThread {
    driver: Driver<Member>,
    stop: Arc<AtomicBool>,
}

struct Member {
    client: ClientCore,
    tls: Option<Arc<TlsConfig>>,
}

impl IngestThread {
    /// Connections of these numbers. Messages are held back by nothing until [`IngestThread::run`] is called.
    pub(crate) fn new(
        access: &Access,
        subject: &str,
        numbers: impl Iterator<Item = usize>,
        entrance: Entrance,
        stop: Arc<AtomicBool>,
        wake: Wake,
    ) -> io::Result<Self> {
        let clock = Clock::start();
        let name = entrance.name.clone();
        let queue = format!("nats_ingest_{name}");
        let mut driver = Driver::new(clock, DriverOptions::default(), entrance, Some(wake))?;
        for number in numbers {
            let (config, tls) = access.named(&format!("choria adapter {name}.{number}"));
            let mut client = ClientCore::new(config, None, random_seed(), clock.now());
            client.subscribe(subject.as_bytes(), Some(queue.as_bytes()));
            driver.add(Member { client, tls }, None);
        }
        Ok(Self { driver, stop })
    }

    /// Takes messages until it is told to stop.
    pub(crate) fn run(mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            if let Err(error) = self.driver.turn(TURN_MAX) {
                warn!(%error, "an ingest of an adapter ends");
                return;
            }
            for failure in self.driver.take_connect_failures() {
                info!(server = %failure.server, "cannot connect: {}", failure.why);
            }
            let now = muster_reactor::clock::unix_now();
            self.driver.shared().tick(now);
        }
        // A last look takes what the broker has sent already.
        for number in 0..self.driver.len() {
            self.driver
                .with(number, |member, _, _| member.client.close());
        }
    }
}

impl Entrance {
    fn tick(&mut self, unix: Duration) {
        self.unix = unix;
        let is_time = self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if self.untold > 0 && is_time {
            let (adapter, dropped) = (&*self.name, self.untold);
            warn!(adapter, dropped, "messages were dropped");
            self.told = Some(Instant::now());
            self.untold = 0;
        }
    }

    fn give_up(&mut self, reason: DropReason) {
        self.counters.give_up(reason, 1);
        self.counters.input.errors.add(1);
        self.untold += 1;
    }

    fn take(&mut self, message: Message<'_>) {
        let start = Instant::now();
        let counters = Arc::clone(&self.counters);
        counters.received.add(1);
        counters.input.bytes.add(message.payload.len() as u64);
        let subject = String::from_utf8_lossy(message.subject);
        match self
            .intake
            .take(&subject, message.headers, message.payload, self.unix)
        {
            Taken::Item(item, value) => self.enqueue(item, value),
            Taken::Filtered => counters.filtered.add(1),
            Taken::Unchanged => counters.unchanged.add(1),
            Taken::Dropped(reason, why) => {
                if let Some(why) = why {
                    debug!(adapter = &*self.name, %subject, "not taken: {why}");
                }
                self.give_up(reason);
            }
        }
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        counters.input.timed.add(1);
        counters.input.nanos.add(nanos);
    }

    fn enqueue(&mut self, item: Item, value: Option<Box<str>>) {
        match self.queue.try_send(item) {
            Ok(()) => {
                self.counters.input.messages.add(1);
                if self.queue_is_taken {
                    self.counters.taken.add(1);
                }
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                if let (Some(gate), Some(value)) = (&self.gate, value) {
                    gate.limiter.lock().undo(&value);
                }
                self.give_up(DropReason::QueueFull);
            }
        }
    }
}

impl EventSink for Entrance {
    fn message(&mut self, message: Message<'_>) {
        self.take(message);
    }

    fn event(&mut self, event: Event) {
        log_event(&self.name, &event);
    }
}

impl Endpoint for Member {
    type Shared = Entrance;

    fn client(&mut self) -> &mut ClientCore {
        &mut self.client
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        at: Moment,
        entrance: &mut Entrance,
    ) -> Result<(), ProtocolError> {
        entrance.unix = at.unix;
        self.client.handle_bytes(bytes, at.now, entrance)
    }

    fn handle_timeout(&mut self, at: Moment, entrance: &mut Entrance) {
        self.client.handle_timeout(at.now, entrance);
    }

    fn handle_connect_failed(&mut self, at: Moment, entrance: &mut Entrance) {
        self.client.handle_connect_failed(at.now, entrance);
    }

    fn handle_disconnected(&mut self, at: Moment, entrance: &mut Entrance) {
        self.client.handle_disconnected(at.now, entrance);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.client.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}
