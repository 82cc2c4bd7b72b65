//! The adapters of a process from their start to their stop.
//!
//! ```text
//!  ingest threads ──queue──▶ sink workers                    without a spill
//!  ingest threads ──queue──▶ spill thread ──disk──▶ sink workers
//! ```
//!
//! They stop in this order: the connections of the ingest are closed, the queue runs dry (into the spill where there is
//! one), the sinks get five seconds for what is in memory. What is left is on disk, or lost and counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_reactor::clock::{random_seed, unix_now};
use muster_reactor::process::cores;
use muster_reactor::wake::Wake;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::config::{AdapterConfig, AdaptersConfig, LimitConfig, SinkConfig};
use crate::core::{Gate, Intake};
use crate::counters::Counters;
use crate::ingest::{Entrance, IngestThread};
use crate::item::Item;
use crate::limiter::{Limiter, store};
use crate::link::Access;
use crate::metrics;
use crate::sink::Sink;
use crate::sink::file::FileSink;
use crate::sink::jetstream::JetStream;
use crate::spill::{self, Spill};
use crate::worker::{Source, Worker, spill_queue};

/// How often the state of limiters is written.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// Why adapters do not start.
#[derive(Debug)]
pub enum StartError {
    /// The operating system refuses something to an adapter.
    System(String, &'static str, io::Error),
    /// The client library of Kafka refuses its settings.
    Kafka(String, String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(name, what, error) => write!(f, "adapter {name}: cannot {what}: {error}"),
            Self::Kafka(name, error) => write!(f, "adapter {name}: kafka: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// How the adapters reach the networks.
#[derive(Debug, Clone)]
pub struct Accesses {
    /// The network of the nodes.
    pub ingest: Access,
    /// The servers of each adapter's stream, in the order of the adapters.
    pub streams: Vec<Access>,
}

/// Running adapters. Dropping them stops them.
#[derive(Debug)]
pub struct Adapters {
    identity: String,
    running: Arc<Vec<Running>>,
    stop_ingest: Arc<AtomicBool>,
    stop_work: Arc<AtomicBool>,
    wakes: Vec<Wake>,
    ingests: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
    states: Vec<(LimitConfig, Arc<Gate>)>,
    saved: Mutex<Instant>,
}

/// One adapter's figures.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// What it did.
    pub counters: Arc<Counters>,
    /// Its spill.
    pub spill: Option<Arc<Spill>>,
    pub(crate) queue_capacity: usize,
    queue: Receiver<Item>,
}

impl Running {
    pub(crate) fn queue_length(&self) -> usize {
        self.queue.len()
    }
}

impl Adapters {
    /// Starts all adapters. Call it on a thread of the main descriptor table.
    ///
    /// # Errors
    /// The first refusal; those that were started are stopped.
    pub fn start(config: &AdaptersConfig, accesses: &Accesses) -> Result<Self, StartError> {
        let mut adapters = Self {
            identity: config.identity.clone(),
            running: Arc::new(Vec::new()),
            stop_ingest: Arc::new(AtomicBool::new(false)),
            stop_work: Arc::new(AtomicBool::new(false)),
            wakes: Vec::new(),
            ingests: Vec::new(),
            workers: Vec::new(),
            states: Vec::new(),
            saved: Mutex::new(Instant::now()),
        };
        let mut running = Vec::new();
        for (adapter, stream) in config.adapters.iter().zip(&accesses.streams) {
            running.push(adapters.start_one(adapter, &accesses.ingest, stream)?);
        }
        adapters.running = Arc::new(running);
        Ok(adapters)
    }

    fn start_one(
        &mut self,
        config: &AdapterConfig,
        ingest: &Access,
        stream: &Access,
    ) -> Result<Running, StartError> {
        let failed = |what| move |error| StartError::System(config.name.clone(), what, error);
        let counters = Arc::new(Counters::default());
        let (sender, queue) = bounded(config.queue_len);
        let (source, spill) = match &config.spill {
            None => (Source::Queue(queue.clone()), None),
            Some(spill) => {
                let opened = spill::open(spill.clone()).map_err(failed("use the spill"))?;
                let (writer, spill) = opened;
                let (name, queue) = (config.name.clone(), queue.clone());
                let counters = Arc::clone(&counters);
                let work = move || spill_queue(&name, &queue, writer, &counters);
                self.spawn(&config.name, work)
                    .map_err(failed("start a thread"))?;
                (Source::Spill(Arc::clone(&spill)), Some(spill))
            }
        };
        for number in 0..config.stream_workers {
            let (config, stream, source) = (config.clone(), stream.clone(), source.clone());
            let (counters, stop) = (Arc::clone(&counters), Arc::clone(&self.stop_work));
            let (started, has_started) = bounded(1);
            let name = config.name.clone();
            let work = move || match make_sink(&config, &stream, number) {
                Ok(sink) => {
                    let _ = started.send(Ok(()));
                    let worker = Worker {
                        name: config.name.as_str().into(),
                        source,
                        sink,
                        counters,
                        ack_timeout: config.ack_timeout,
                        stop,
                    };
                    worker.run();
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            };
            self.spawn(&name, work).map_err(failed("start a thread"))?;
            if let Ok(Err(error)) = has_started.recv() {
                return Err(error);
            }
        }
        let running = Running {
            name: config.name.clone(),
            counters,
            spill,
            queue_capacity: config.queue_len,
            queue,
        };
        let ingested = self.start_ingest(config, ingest, &sender, &running);
        ingested.map_err(failed("start its ingest"))?;
        info!(
            adapter = config.name,
            subject = config.ingest_subject,
            "adapter started"
        );
        Ok(running)
    }

    fn start_ingest(
        &mut self,
        config: &AdapterConfig,
        access: &Access,
        queue: &Sender<Item>,
        running: &Running,
    ) -> io::Result<()> {
        let gate = config.limit.as_ref().map(|limit| {
            let gate = Arc::new(open_gate(&config.name, limit));
            self.states.push((limit.clone(), Arc::clone(&gate)));
            gate
        });
        let threads = cores().min(config.ingest_workers).max(1);
        for thread in 0..threads {
            let entrance = Entrance {
                name: config.name.as_str().into(),
                intake: Intake::new(
                    config.kind,
                    &config.protocol,
                    config.topic.clone(),
                    config.filter.clone(),
                    gate.clone(),
                ),
                gate: gate.clone(),
                queue: queue.clone(),
                counters: Arc::clone(&running.counters),
                queue_is_taken: running.spill.is_none(),
                told: None,
                untold: 0,
                unix: unix_now(),
            };
            let wake = Wake::new()?;
            self.wakes.push(wake.clone());
            let numbers = (thread..config.ingest_workers).step_by(threads);
            let stop = Arc::clone(&self.stop_ingest);
            let subject = &config.ingest_subject;
            let access = access.clone();
            let subject = subject.clone();
            let builder = std::thread::Builder::new().name(format!("in-{}", config.name));
            self.ingests.push(builder.spawn(move || {
                match IngestThread::new(&access, &subject, numbers, entrance, stop, wake) {
                    Ok(ingest) => ingest.run(),
                    Err(error) => warn!(%error, "an ingest does not start"),
                }
            })?);
        }
        Ok(())
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let builder = std::thread::Builder::new().name(format!("out-{name}"));
        self.workers.push(builder.spawn(work)?);
        Ok(())
    }

    /// The figures of each adapter.
    #[must_use]
    pub fn running(&self) -> &[Running] {
        &self.running
    }

    /// What appends all figures to a page for Prometheus.
    pub fn renderer(&self) -> impl Fn(&mut String) + Send + Sync + 'static {
        let (running, identity) = (Arc::clone(&self.running), self.identity.clone());
        move |out| metrics::render(&running, &identity, out)
    }

    /// Keeps the state of limiters on disk, every ten seconds where it is called as often; and it is done at the end.
    pub fn save(&self) {
        let mut saved = self.saved.lock();
        if saved.elapsed() >= SAVE_EVERY {
            *saved = Instant::now();
            self.save_now();
        }
    }

    fn save_now(&self) {
        for (limit, gate) in &self.states {
            let mut limiter = gate.limiter.lock();
            limiter.tick(unix_now());
            let values = limiter.values().clone();
            drop(limiter);
            if let Some(path) = &limit.state
                && let Err(error) = store::save(path, &values)
            {
                warn!(path = %path.display(), %error, "cannot save the state of a limiter");
            }
        }
    }

    /// Stops in order, and waits for the end.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop_ingest.store(true, Ordering::SeqCst);
        for wake in &self.wakes {
            wake.wake();
        }
        for thread in self.ingests.drain(..) {
            let _ = thread.join();
        }
        // The last sender is gone with the last ingest, so the queue ends when it is dry.
        self.stop_work.store(true, Ordering::SeqCst);
        for thread in self.workers.drain(..) {
            if thread.join().is_err() {
                warn!("a worker of an adapter ended with a defect");
            }
        }
        self.save_now();
        self.states.clear();
    }
}

impl Drop for Adapters {
    fn drop(&mut self) {
        self.end();
    }
}

fn open_gate(name: &str, limit: &LimitConfig) -> Gate {
    let values = match &limit.state {
        Some(path) => store::load(path).unwrap_or_else(|error| {
            warn!(adapter = name, path = %path.display(), %error, "the state of a limiter is of no use");
            Default::default()
        }),
        None => Default::default(),
    };
    Gate {
        inspect: limit.inspect.clone(),
        force: limit.force.clone(),
        limiter: Mutex::new(Limiter::new(limit.rules, values, random_seed())),
    }
}

fn make_sink(
    config: &AdapterConfig,
    stream: &Access,
    number: usize,
) -> Result<Box<dyn Sink>, StartError> {
    let failed = |what| move |error| StartError::System(config.name.clone(), what, error);
    Ok(match &config.sink {
        SinkConfig::JetStream(jetstream) => {
            let name = format!("{}_{number}", config.name);
            let sink = JetStream::new(stream, &name, jetstream.ack);
            Box::new(sink.map_err(failed("start its sink"))?)
        }
        SinkConfig::File(file) => {
            let sink = FileSink::open(file.clone()).map_err(failed("use its files"))?;
            if sink.repaired() > 0 {
                warn!(
                    adapter = config.name,
                    bytes = sink.repaired(),
                    "a torn line was taken off"
                );
            }
            Box::new(sink)
        }
        #[cfg(feature = "kafka")]
        SinkConfig::Kafka(settings) => {
            let sink = crate::sink::kafka::Kafka::new(settings, config.ack_timeout);
            Box::new(sink.map_err(|error| StartError::Kafka(config.name.clone(), error))?)
        }
        #[cfg(not(feature = "kafka"))]
        SinkConfig::Kafka(_) => {
            let error = "this program was built without it".to_owned();
            return Err(StartError::Kafka(config.name.clone(), error));
        }
    })
}
