//! The threads of a replicator, one a stream.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use muster_protocol::rfc3339::rfc3339_utc;
use muster_reactor::clock::{random_seed, unix_now};
use serde_json::Value;
use tracing::{info, warn};

use super::config::{Advisory, ReplicateConfig, Start, StreamConfig};
use super::copy::{Origin, consumer_request, headers, target_subject};
use super::figures::{Figures, Named, render};
use crate::config::{NetworkError, NetworkSettings};
use crate::limiter::inspect::{Inspect, field};
use crate::limiter::{Change, Limiter, Reason, Seen, Verdict, store};
use crate::link::{Access, Link, Received, new_inbox};
use crate::sink::Outcome;
use crate::sink::jetstream::read_ack;

/// Messages asked for, and under way, at a time.
const BATCH: usize = 256;
/// How long the source may let us wait for a batch.
const POLL: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The wait after a failure, before the same is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the state is saved, and values are looked at.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// Advisories that may wait.
const ADVISORIES_MAX: usize = 1000;
/// How often an advisory is tried.
const ADVISORY_TRIES: u32 = 10;

/// Why replicators do not start.
#[derive(Debug)]
pub enum ReplicatorError {
    /// A file of TLS is of no use.
    Network(NetworkError),
    /// The operating system refuses something.
    System(io::Error),
    /// The state of a limiter cannot be kept.
    State(PathBuf, io::Error),
}

impl std::fmt::Display for ReplicatorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::System(error) => write!(f, "cannot start a replicator: {error}"),
            Self::State(path, error) => write!(f, "cannot use {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ReplicatorError {}

/// Running replicators. Dropping them stops them.
#[derive(Debug)]
pub struct Replicators {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    figures: Arc<Vec<Named>>,
    name: String,
}

impl Replicators {
    /// Starts a thread for each stream. `read` reads the files of TLS.
    ///
    /// # Errors
    /// A file is of no use, or the operating system refuses something.
    pub fn start(
        config: &ReplicateConfig,
        read: impl Fn(&Path) -> io::Result<String> + Copy,
    ) -> Result<Self, ReplicatorError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut threads, mut figures) = (Vec::new(), Vec::new());
        if let Some(folder) = &config.state_store {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| ReplicatorError::State(folder.clone(), error))?;
        }
        for stream in &config.streams {
            let mine = Arc::new(Figures::default());
            figures.push((
                stream.name.clone(),
                stream.stream.clone(),
                Arc::clone(&mine),
            ));
            let state = (config.state_store.as_ref())
                .map(|folder| folder.join(format!("{}.json", stream.name)));
            let values = match &state {
                Some(path) => store::load(path).unwrap_or_else(|error| {
                    warn!(path = %path.display(), %error, "the state of a limiter is of no use");
                    Default::default()
                }),
                None => Default::default(),
            };
            let limiter = (stream.limit.as_ref())
                .map(|limit| Limiter::new(limit.rules, values, random_seed()));
            let sides = [&stream.source, &stream.target].map(|servers| {
                let (network, tls) = network(stream);
                network.access_to(servers, Some(tls), read)
            });
            let [source, target] = sides;
            let source = source.map_err(ReplicatorError::Network)?;
            let target = target.map_err(ReplicatorError::Network)?;
            let parts = (stream.clone(), config.name.clone(), Arc::clone(&stop));
            let thread = std::thread::Builder::new().name(format!("sr-{}", stream.name));
            let work = move || {
                let (stream, replicator, stop) = parts;
                match Worker::new(stream, replicator, [&source, &target], limiter, state, mine) {
                    Ok(worker) => worker.run(&stop),
                    Err(error) => warn!(%error, "a replicator does not start"),
                }
            };
            threads.push(thread.spawn(work).map_err(ReplicatorError::System)?);
        }
        Ok(Self {
            stop,
            threads,
            figures: Arc::new(figures),
            name: config.name.clone(),
        })
    }

    /// What writes the page for Prometheus.
    pub fn renderer(&self) -> impl Fn(&mut String) + Send + Sync + 'static {
        let (figures, name) = (Arc::clone(&self.figures), self.name.clone());
        move |out| render(&figures, &name, out)
    }

    /// Stops all, and saves their state.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                warn!("a replicator ended with a defect");
            }
        }
    }
}

impl Drop for Replicators {
    fn drop(&mut self) {
        self.end();
    }
}

fn network(stream: &StreamConfig) -> (NetworkSettings, bool) {
    let Some(tls) = &stream.tls else {
        return (NetworkSettings::default(), false);
    };
    let network = NetworkSettings {
        identity: tls.cert.clone().zip(tls.key.clone()),
        ca: Some(tls.ca.clone()),
        ..NetworkSettings::default()
    };
    (network, true)
}

struct Worker {
    stream: StreamConfig,
    replicator: String,
    source: Link,
    target: Link,
    source_inbox: String,
    target_inbox: String,
    limiter: Option<Limiter>,
    state: Option<PathBuf>,
    figures: Arc<Figures>,
    advisories: VecDeque<Event>,
    saved: Duration,
    rounds: u64,
}

/// An advisory on its way.
struct Event {
    subject: String,
    text: String,
    tries: u32,
}

/// A message under way to the target.
struct Copying {
    ack: String,
    value: Option<String>,
    bytes: usize,
    /// The number of its publish.
    number: u64,
}

impl Worker {
    fn new(
        stream: StreamConfig,
        replicator: String,
        [source, target]: [&Access; 2],
        limiter: Option<Limiter>,
        state: Option<PathBuf>,
        figures: Arc<Figures>,
    ) -> io::Result<Self> {
        let name = format!("muster replicate {}", stream.name);
        let mut source = Link::new(source, &name)?;
        let mut target = Link::new(target, &name)?;
        let (source_inbox, target_inbox) = (new_inbox(), new_inbox());
        source.subscribe(&format!("{source_inbox}.*"));
        target.subscribe(&format!("{target_inbox}.*"));
        Ok(Self {
            stream,
            replicator,
            source,
            target,
            source_inbox,
            target_inbox,
            limiter,
            state,
            figures,
            advisories: VecDeque::new(),
            saved: unix_now(),
            rounds: 0,
        })
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut is_prepared = false;
        while !stop.load(Ordering::SeqCst) {
            let result = if is_prepared {
                self.round()
            } else {
                self.prepare().map(|()| is_prepared = true)
            };
            if let Err(why) = result {
                info!(stream = self.stream.name, "again in a moment: {why}");
                is_prepared = false;
                let _ = self.target.turn(Duration::ZERO);
                let _ = self.source.turn(PAUSE);
            }
            self.tend();
        }
        self.save();
    }

    /// Connects, and makes what is missing.
    fn prepare(&mut self) -> Result<(), String> {
        for link in [&mut self.source, &mut self.target] {
            let until = link.now() + ANSWER;
            let is_ready = link.wait_ready(until).map_err(|error| error.to_string())?;
            if !is_ready {
                return Err("no connection".to_owned());
            }
        }
        if self.stream.create_target {
            self.make_target()?;
        }
        let ago = match &self.stream.start {
            Start::Ago(ago) => rfc3339_utc(unix_now().saturating_sub(*ago)),
            Start::Time(time) => time.clone(),
            _ => String::new(),
        };
        let (stream, name) = (&self.stream.stream, &self.stream.name);
        let info = format!("$JS.API.CONSUMER.INFO.{stream}.SR_{name}");
        let inbox = self.source_inbox.clone();
        // One that is there keeps its place; its settings are whoever's who made it.
        if ask(&mut self.source, &inbox, &info, "")?
            .get("error")
            .is_none()
        {
            return Ok(());
        }
        let create = format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.SR_{name}");
        let request = consumer_request(&self.stream, BATCH, &ago);
        let answer = ask(&mut self.source, &inbox, &create, &request)?;
        refuse_error(&answer, "the consumer")
    }

    fn make_target(&mut self) -> Result<(), String> {
        let name = self.stream.target_stream.clone();
        let inbox = self.target_inbox.clone();
        let info = ask(
            &mut self.target,
            &inbox,
            &format!("$JS.API.STREAM.INFO.{name}"),
            "",
        )?;
        if info.get("error").is_none() {
            return Ok(());
        }
        let source = format!("$JS.API.STREAM.INFO.{}", self.stream.stream);
        let source_inbox = self.source_inbox.clone();
        let source = ask(&mut self.source, &source_inbox, &source, "")?;
        refuse_error(&source, "the source stream")?;
        let mut config = source["config"].clone();
        let subjects = config["subjects"].as_array().cloned().unwrap_or_default();
        let moved = subjects
            .iter()
            .filter_map(Value::as_str)
            .map(|subject| target_subject(&self.stream, subject));
        config["subjects"] = moved.collect::<Vec<_>>().into();
        config["name"] = name.as_str().into();
        if let Some(config) = config.as_object_mut() {
            for key in [
                "mirror",
                "sources",
                "placement",
                "republish",
                "subject_transform",
                "metadata",
            ] {
                config.remove(key);
            }
        }
        let create = format!("$JS.API.STREAM.CREATE.{name}");
        let answer = ask(&mut self.target, &inbox, &create, &config.to_string())?;
        refuse_error(&answer, "the target stream")
    }

    /// Takes a batch from the source and copies it.
    fn round(&mut self) -> Result<(), String> {
        let batch = self.fetch()?;
        if batch.is_empty() {
            // Pings of the target want an answer.
            return self.target.turn(Duration::ZERO).map_err(|e| e.to_string());
        }
        let mut copying = Vec::new();
        let mut done = Vec::new();
        for message in batch {
            self.consider(&message, &mut copying, &mut done);
        }
        let failed = self.await_copies(&mut copying, &mut done)?;
        self.answer(&done, "+ACK")?;
        let failed: Vec<String> = failed.into_iter().map(|copy| copy.ack).collect();
        self.answer(&failed, "-NAK {\"delay\":1000000000}")
    }

    /// Asks for messages, and waits for as many as there are.
    fn fetch(&mut self) -> Result<Vec<Received>, String> {
        self.rounds += 1;
        let reply = format!("{}.{}", self.source_inbox, self.rounds);
        let (stream, name) = (&self.stream.stream, &self.stream.name);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.SR_{name}");
        let ask = format!("{{\"batch\":{BATCH},\"expires\":{}}}", POLL.as_nanos());
        publish(
            &mut self.source,
            &subject,
            Some(&reply),
            None,
            ask.as_bytes(),
        )?;
        let until = self.source.now() + POLL + ANSWER;
        let mut batch = Vec::new();
        loop {
            while let Some(message) = self.source.inbox().messages.pop_front() {
                if message
                    .reply
                    .as_deref()
                    .is_some_and(|reply| reply.starts_with(b"$JS.ACK."))
                {
                    batch.push(message);
                } else if *message.subject == *reply.as_bytes() {
                    return end_of_batch(&message, batch);
                }
            }
            let now = self.source.now();
            if batch.len() >= BATCH {
                return Ok(batch);
            }
            if now >= until {
                return Err("the consumer does not answer".to_owned());
            }
            // What has come is copied before the rest is waited for: it may be all there is.
            let wait = if batch.is_empty() {
                until - now
            } else {
                Duration::from_millis(20)
            };
            let before = batch.len();
            self.source.turn(wait).map_err(|error| error.to_string())?;
            if before > 0 && self.source.inbox().messages.is_empty() {
                return Ok(batch);
            }
        }
    }

    /// Decides on a message: it is copied, or done with.
    fn consider(&mut self, message: &Received, copying: &mut Vec<Copying>, done: &mut Vec<String>) {
        let figures = Arc::clone(&self.figures);
        figures.received.add(1);
        figures.received_bytes.add(message.payload.len() as u64);
        let reply = message.reply.as_deref().unwrap_or_default();
        let ack = String::from_utf8_lossy(reply).into_owned();
        let Some(origin) = Origin::parse(reply) else {
            return done.push(ack);
        };
        figures.sequence.store(origin.sequence, Ordering::Relaxed);
        let now = unix_now();
        let age = now.saturating_sub(origin.stored);
        if self.stream.age_max.is_some_and(|max| age > max) {
            figures.too_old.add(1);
            return done.push(ack);
        }
        let subject = String::from_utf8_lossy(&message.subject).into_owned();
        let value = self.value(&subject, message);
        if !self.decide(value.as_deref(), message, now) {
            figures.skipped.add(1);
            return done.push(ack);
        }
        self.rounds += 1;
        let number = self.rounds;
        let headers = headers(
            &message.headers,
            &self.stream,
            &self.replicator,
            origin,
            now,
        );
        let target = target_subject(&self.stream, &subject);
        let inbox = format!("{}.{number}", self.target_inbox);
        let sent = publish(
            &mut self.target,
            &target,
            Some(&inbox),
            Some(&headers),
            &message.payload,
        );
        copying.push(Copying {
            ack,
            value,
            bytes: message.payload.len(),
            // One that could not be published is never answered, and comes again.
            number: if sent.is_ok() { number } else { 0 },
        });
    }

    fn value(&self, subject: &str, message: &Received) -> Option<String> {
        let limit = self.stream.limit.as_ref()?;
        let found = limit
            .inspect
            .value(subject, &message.headers, &message.payload);
        found.map(|value| value.into_owned())
    }

    fn decide(&mut self, value: Option<&str>, message: &Received, now: Duration) -> bool {
        let (Some(limit), Some(limiter)) = (&self.stream.limit, &mut self.limiter) else {
            return true;
        };
        let force = limit.force.as_deref();
        let is_forced = force.is_some_and(|path| field(&message.payload, path).is_some());
        let size = message.payload.len() as u64;
        let verdict = limiter.decide(value, size, is_forced, now);
        let change = match verdict {
            Verdict::Forward(Reason::New) => Some(Change::New),
            Verdict::Forward(Reason::Recovered) => Some(Change::Recover),
            _ => None,
        };
        if let (Some(change), Some(value)) = (change, value) {
            let seen = limiter.values().get(value).copied();
            self.tell(value, change, seen, now);
        }
        verdict != Verdict::Hold
    }

    /// Waits for the target's answers; returns what it does not have.
    fn await_copies(
        &mut self,
        copying: &mut Vec<Copying>,
        done: &mut Vec<String>,
    ) -> Result<Vec<Copying>, String> {
        let until = self.target.now() + ANSWER;
        let prefix = format!("{}.", self.target_inbox);
        let mut failed: Vec<Copying> = Vec::new();
        while copying.iter().any(|copy| copy.number != 0) {
            while let Some(message) = self.target.inbox().messages.pop_front() {
                let subject = String::from_utf8_lossy(&message.subject).into_owned();
                let number = subject
                    .strip_prefix(&prefix)
                    .and_then(|text| text.parse::<u64>().ok());
                let place = copying.iter().position(|copy| Some(copy.number) == number);
                let Some(copy) = place.map(|place| copying.swap_remove(place)) else {
                    continue;
                };
                match read_ack(&message) {
                    Outcome::Stored | Outcome::Duplicate => {
                        self.figures.copied.add(1);
                        self.figures.copied_bytes.add(copy.bytes as u64);
                        done.push(copy.ack);
                    }
                    other => {
                        info!(stream = self.stream.name, "not copied: {other:?}");
                        failed.push(copy);
                    }
                }
            }
            let now = self.target.now();
            if now >= until || copying.iter().all(|copy| copy.number == 0) {
                break;
            }
            self.target
                .turn(until - now)
                .map_err(|error| error.to_string())?;
        }
        failed.append(copying);
        self.figures.failed.add(failed.len() as u64);
        for copy in &failed {
            if let (Some(limiter), Some(value)) = (&mut self.limiter, &copy.value) {
                limiter.undo(value);
            }
        }
        Ok(failed)
    }

    fn answer(&mut self, acks: &[String], what: &str) -> Result<(), String> {
        for ack in acks {
            publish(&mut self.source, ack, None, None, what.as_bytes())?;
        }
        self.source
            .turn(Duration::ZERO)
            .map_err(|error| error.to_string())
    }

    /// What is due now and then.
    fn tend(&mut self) {
        let now = unix_now();
        if now.saturating_sub(self.saved) >= SAVE_EVERY {
            let changes = self.limiter.as_mut().map(|limiter| limiter.tick(now));
            for (value, change, seen) in changes.unwrap_or_default() {
                self.tell(&value, change, Some(seen), now);
            }
            self.save();
            self.saved = now;
        }
        self.send_advisories();
    }

    fn save(&self) {
        let Some(limiter) = &self.limiter else { return };
        let seen = limiter.values().len() as u64;
        self.figures.seen.store(seen, Ordering::Relaxed);
        if let Some(path) = &self.state
            && let Err(error) = store::save(path, limiter.values())
        {
            warn!(path = %path.display(), %error, "cannot save the state of a limiter");
        }
    }

    fn tell(&mut self, value: &str, change: Change, seen: Option<Seen>, now: Duration) {
        let place = match change {
            Change::New => 0,
            Change::Timeout => 1,
            Change::Recover => 2,
            Change::Expire => 3,
        };
        self.figures.advisories[place].add(1);
        let Some(advisory) = &self.stream.advisory else {
            return;
        };
        let event = advisory_event(
            &self.stream,
            &self.replicator,
            advisory,
            (value, change, seen, now),
        );
        if self.advisories.len() >= ADVISORIES_MAX {
            self.figures.advisories_lost.add(1);
            return;
        }
        self.advisories.push_back(event);
    }

    fn send_advisories(&mut self) {
        let is_reliable = self
            .stream
            .advisory
            .as_ref()
            .is_some_and(|advisory| advisory.reliable);
        while let Some(mut event) = self.advisories.pop_front() {
            let inbox = self.target_inbox.clone();
            let sent = if is_reliable {
                ask(&mut self.target, &inbox, &event.subject, &event.text)
                    .and_then(|answer| refuse_error(&answer, "an advisory"))
            } else {
                publish(
                    &mut self.target,
                    &event.subject,
                    None,
                    None,
                    event.text.as_bytes(),
                )
            };
            if let Err(why) = sent {
                event.tries += 1;
                if event.tries < ADVISORY_TRIES {
                    self.advisories.push_front(event);
                    return;
                }
                self.figures.advisories_lost.add(1);
                warn!(stream = self.stream.name, "an advisory is lost: {why}");
            }
        }
    }
}

fn advisory_event(
    stream: &StreamConfig,
    replicator: &str,
    advisory: &Advisory,
    (value, change, seen, now): (&str, Change, Option<Seen>, Duration),
) -> Event {
    let field = match stream.limit.as_ref().map(|limit| &limit.inspect) {
        Some(Inspect::Field(name) | Inspect::Header(name)) => name.to_string(),
        Some(Inspect::SubjectToken(number)) => number.to_string(),
        None => String::new(),
    };
    let seen = seen.map_or(now, |seen| seen.seen);
    let text = serde_json::json!({
        "protocol": "io.choria.sr.v2.age_advisory",
        "event_id": format!("{:016x}{:016x}", random_seed(), random_seed()),
        "inspect_field": field,
        "age": now.saturating_sub(seen).as_secs_f64(),
        "seen": seen.as_secs(),
        "replicator": replicator,
        "timestamp": now.as_secs(),
        "event": change.name(),
        "value": value,
    });
    Event {
        subject: (advisory.subject)
            .replace("%s", change.name())
            .replace("%v", value),
        text: text.to_string(),
        tries: 0,
    }
}

/// The word of the server that ends a batch.
fn end_of_batch(message: &Received, batch: Vec<Received>) -> Result<Vec<Received>, String> {
    let status = message.headers.get(9..12).unwrap_or_default();
    match status {
        // No messages, the time is over, or a server said good-bye to the request.
        b"404" | b"408" | b"409" => Ok(batch),
        b"503" => Err("there is no such consumer, or no JetStream".to_owned()),
        _ => Err(format!(
            "the consumer says {}",
            String::from_utf8_lossy(&message.headers)
        )),
    }
}

fn publish(
    link: &mut Link,
    subject: &str,
    reply: Option<&str>,
    headers: Option<&[u8]>,
    payload: &[u8],
) -> Result<(), String> {
    let (subject, reply) = (subject.as_bytes(), reply.map(str::as_bytes));
    let published = link.publish(|client| match headers {
        Some(headers) => client.publish_with_headers(subject, reply, headers, payload),
        None => client.publish(subject, reply, payload),
    });
    published.map_err(|error| error.to_string())
}

/// A request, and the JSON of its answer.
fn ask(link: &mut Link, inbox: &str, subject: &str, payload: &str) -> Result<Value, String> {
    let reply = format!("{inbox}.ask{:016x}", random_seed());
    publish(link, subject, Some(&reply), None, payload.as_bytes())?;
    let until = link.now() + ANSWER;
    loop {
        while let Some(message) = link.inbox().messages.pop_front() {
            if *message.subject != *reply.as_bytes() {
                continue;
            }
            let answer = serde_json::from_slice(&message.payload);
            return answer.map_err(|_| format!("{subject}: nobody answers"));
        }
        let now = link.now();
        if now >= until {
            return Err(format!("{subject}: no answer in time"));
        }
        link.turn(until - now).map_err(|error| error.to_string())?;
    }
}

fn refuse_error(answer: &Value, what: &str) -> Result<(), String> {
    match answer.get("error") {
        Some(error) => Err(format!(
            "{what}: {}",
            error["description"].as_str().unwrap_or("refused")
        )),
        None => Ok(()),
    }
}
