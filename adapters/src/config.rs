//! The adapters of a configuration: what is read, and what is refused.
//!
//! An adapter `N` of `plugin.choria.adapters` has its keys below `plugin.choria.adapter.N.`. Every problem is reported, each
//! with its file and line. Keys of the adapters of today keep their names and meanings; the others are ours.

mod network;

use std::path::PathBuf;
use std::time::Duration;

use muster_client::nats::{ServerAddr, is_sendable};
use muster_settings::{Reader, Settings, SettingsErrors};

pub use self::network::{NetworkError, NetworkSettings};
use crate::envelope::Kind;
use crate::filter::Filter;
use crate::item::Topic;
use crate::limiter::Rules;
use crate::limiter::inspect::Inspect;
use crate::sink::file::{FileConfig, Sync};
use crate::spill::{SPILL_MIN, SpillConfig, folder};

/// The key with the names of adapters.
pub const ADAPTERS_KEY: &str = "plugin.choria.adapters";
/// Connections and workers at most.
const WORKERS_MAX: usize = 256;

/// All adapters of a process.
#[derive(Debug, Clone)]
pub struct AdaptersConfig {
    /// The adapters.
    pub adapters: Vec<AdapterConfig>,
    /// The process's name in metrics.
    pub identity: String,
    /// How the network of the nodes is reached.
    pub network: NetworkSettings,
}

/// One adapter.
#[derive(Debug, Clone)]
pub struct AdapterConfig {
    /// Its name.
    pub name: String,
    /// Its type, as envelopes name it.
    pub protocol: String,
    /// Messages that may wait.
    pub queue_len: usize,
    /// The subject messages come from.
    pub ingest_subject: String,
    /// What they are.
    pub kind: Kind,
    /// Connections they come by.
    pub ingest_workers: usize,
    /// Where they go.
    pub topic: Topic,
    /// Sinks that work side by side.
    pub stream_workers: usize,
    /// What kind of sink.
    pub sink: SinkConfig,
    /// How long an answer of the sink may take.
    pub ack_timeout: Duration,
    /// Which messages are taken.
    pub filter: Option<Filter>,
    /// Which of those are held back.
    pub limit: Option<LimitConfig>,
    /// Where they wait on disk.
    pub spill: Option<SpillConfig>,
}

/// A limiter.
#[derive(Debug, Clone)]
pub struct LimitConfig {
    /// Which value it goes by.
    pub inspect: Inspect,
    /// The field that lets a message through.
    pub force: Option<Box<str>>,
    /// The rules.
    pub rules: Rules,
    /// Where its state is kept.
    pub state: Option<PathBuf>,
}

/// What kind of sink.
#[derive(Debug, Clone)]
pub enum SinkConfig {
    /// JetStream, or plain subjects.
    JetStream(JetStreamConfig),
    /// Files.
    File(FileConfig),
    /// Kafka: the client library's own settings.
    Kafka(Vec<(String, String)>),
}

/// Where JetStream is.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// Its servers; those of the network, where there are none.
    pub servers: Vec<ServerAddr>,
    /// Whether TLS is spoken with them; as on the network, where it is not said.
    pub tls: Option<bool>,
    /// Whether answers are waited for.
    pub ack: bool,
}

impl AdaptersConfig {
    /// Reads the adapters. No adapter is no problem.
    ///
    /// # Errors
    /// Every problem, with file and line.
    pub fn read(settings: &Settings) -> Result<Self, SettingsErrors> {
        let mut reader = settings.reader();
        let names = reader.list(ADAPTERS_KEY, &[]);
        let mut adapters: Vec<AdapterConfig> = Vec::new();
        let mut is_needed = false;
        for name in names {
            let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            if name.is_empty() || !name.chars().all(is_good) {
                let problem = format!("has {name:?}, which is no name of letters and digits");
                reader.problem(ADAPTERS_KEY, problem);
                // Read all the same, so that what is wrong below it is said as well.
                let _ = AdapterReader::new(&mut reader, &name).read();
                is_needed = true;
            } else if adapters.iter().any(|other| other.name == name) {
                reader.problem(ADAPTERS_KEY, format!("names {name} twice"));
            } else {
                adapters.extend(AdapterReader::new(&mut reader, &name).read());
            }
        }
        let network = NetworkSettings::read(&mut reader, is_needed || !adapters.is_empty());
        let identity = reader.opt_string("identity").unwrap_or_default();
        reader.finish()?;
        Ok(Self {
            adapters,
            identity,
            network,
        })
    }
}

struct AdapterReader<'r, 's> {
    reader: &'r mut Reader<'s>,
    name: &'r str,
}

impl<'r, 's> AdapterReader<'r, 's> {
    fn new(reader: &'r mut Reader<'s>, name: &'r str) -> Self {
        Self { reader, name }
    }

    fn key(&self, key: &str) -> String {
        format!("plugin.choria.adapter.{}.{key}", self.name)
    }

    /// The adapter, if its type is known.
    fn read(mut self) -> Option<AdapterConfig> {
        let (protocol, sink) = self.sink()?;
        let ingest = self.key("ingest.topic");
        let ingest_subject = self.reader.required_string(&ingest);
        if !ingest_subject.is_empty() && !is_sendable(ingest_subject.as_bytes()) {
            self.reader.problem(&ingest, "is no subject");
        }
        let protocol_key = self.key("ingest.protocol");
        let kind = match self
            .reader
            .one_of(&protocol_key, "reply", &["reply", "request"])
        {
            "request" => Kind::Request,
            _ => Kind::Reply,
        };
        let topic = self.reader.string(&self.key("stream.topic"), self.name);
        let is_file = matches!(sink, SinkConfig::File(_));
        let workers = self.number("stream.workers", 1, WORKERS_MAX);
        if is_file && workers > 1 {
            let key = self.key("stream.workers");
            self.reader
                .problem(&key, "must be 1: a file has one writer");
        }
        let spill = self.spill();
        if let (SinkConfig::JetStream(jetstream), Some(_)) = (&sink, &spill)
            && !jetstream.ack
        {
            let key = self.key("ack");
            let problem =
                "must be true with a spill: without answers nobody knows what may leave it";
            self.reader.problem(&key, problem);
        }
        let ack_timeout = self.key("ack_timeout");
        Some(AdapterConfig {
            protocol,
            sink,
            queue_len: self.number("queue_len", 1000, 10_000_000),
            ingest_workers: self.number("ingest.workers", 10, WORKERS_MAX),
            ingest_subject,
            kind,
            topic: Topic::new(&topic),
            stream_workers: workers,
            ack_timeout: self.reader.duration_in(
                &ack_timeout,
                Duration::from_secs(5),
                Duration::from_millis(100)..=Duration::from_secs(300),
            ),
            filter: self.filter(),
            limit: self.limit(),
            spill,
            name: self.name.to_owned(),
        })
    }

    fn number(&mut self, key: &str, default: usize, max: usize) -> usize {
        let key = self.key(key);
        self.reader.whole(&key, default, 1..=max)
    }

    /// The type, which older documents put in two other places as well, and the sink.
    fn sink(&mut self) -> Option<(String, SinkConfig)> {
        let places = [
            self.key("type"),
            self.key("stream.type"),
            format!("plugin.choria.adapters.{}.type", self.name),
        ];
        // All are asked for, so that none is warned of as unknown.
        let given: Vec<_> = places
            .iter()
            .map(|key| (key, self.reader.opt_string(key)))
            .collect();
        let given = given.into_iter().find_map(|(key, kind)| Some((key, kind?)));
        let Some((key, kind)) = given else {
            self.reader.problem(&places[0], "is needed and not set");
            return None;
        };
        match &*kind {
            "choria_streams" | "jetstream" => {
                let sink = SinkConfig::JetStream(self.jetstream());
                Some((kind, sink))
            }
            "file" => Some((kind, SinkConfig::File(self.file()))),
            "kafka" => self.kafka().map(|kafka| (kind, SinkConfig::Kafka(kafka))),
            "nats_stream" | "natsstream" => {
                let problem = "is a NATS Streaming server, which its makers gave up in 2023: use choria_streams with JetStream";
                self.reader.problem(key, problem);
                None
            }
            _ => {
                let problem = "is none of choria_streams, jetstream, file and kafka";
                self.reader.problem(key, problem);
                None
            }
        }
    }

    fn jetstream(&mut self) -> JetStreamConfig {
        let key = self.key("stream.servers");
        let servers = network::servers(self.reader, &key);
        let tls = self.key("stream.tls");
        JetStreamConfig {
            servers,
            tls: self.reader.has(&tls).then(|| self.reader.bool(&tls, true)),
            ack: self.reader.bool(&self.key("ack"), true),
        }
    }

    fn file(&mut self) -> FileConfig {
        let directory = self.key("file.directory");
        let directory = match self.reader.opt_path(&directory) {
            Some(path) => path,
            None => {
                self.reader.problem(&directory, "is needed and not set");
                PathBuf::new()
            }
        };
        let sync = self.key("file.sync");
        FileConfig {
            directory,
            name: self.name.into(),
            bytes_max: self
                .reader
                .u64_in(&self.key("file.size"), 64 << 20, 1024..=1 << 40),
            age_max: self.reader.duration_in(
                &self.key("file.age"),
                Duration::from_secs(86_400),
                Duration::from_secs(1)..=Duration::from_secs(366 * 86_400),
            ),
            keep: self.reader.usize(&self.key("file.keep"), 30),
            sync: match self.reader.bool(&sync, true) {
                true => Sync::Always,
                false => Sync::Never,
            },
        }
    }

    fn kafka(&mut self) -> Option<Vec<(String, String)>> {
        let prefix = self.key("kafka.");
        let settings = self.reader.settings();
        let keys: Vec<String> = settings
            .with_prefix(&prefix)
            .map(|entry| entry.key().to_owned())
            .collect();
        let mut passed = Vec::new();
        for key in keys {
            if let Some(value) = self.reader.opt_string(&key) {
                passed.push((key[prefix.len()..].to_owned(), value));
            }
        }
        let servers = self.key("stream.servers");
        match self.reader.opt_string(&servers) {
            Some(servers) => passed.push(("bootstrap.servers".to_owned(), servers)),
            None if passed.iter().any(|(key, _)| key == "bootstrap.servers") => {}
            None => self.reader.problem(&servers, "is needed and not set"),
        }
        if cfg!(feature = "kafka") {
            return Some(passed);
        }
        let key = self.key("type");
        let problem = "is not in this program: it was built without the feature kafka";
        self.reader.problem(&key, problem);
        None
    }

    fn filter(&mut self) -> Option<Filter> {
        let key = self.key("filter");
        self.reader.parsed(&key, |text| {
            Filter::parse(text).map_err(|error| format!("is no filter: {error}"))
        })
    }

    fn limit(&mut self) -> Option<LimitConfig> {
        let keys = ["inspect", "inspect.header", "inspect.token"].map(|key| self.key(key));
        let field = self.reader.opt_string(&keys[0]);
        let header = self.reader.opt_string(&keys[1]);
        let token = self.reader.i64(&keys[2], 0);
        let mut given = Vec::new();
        given.extend(field.map(|path| Inspect::Field(path.into())));
        given.extend(header.map(|name| Inspect::Header(name.into())));
        if token != 0 {
            let token = i32::try_from(token).ok().filter(|token| *token >= -1);
            match token {
                Some(token) => given.push(Inspect::SubjectToken(token)),
                None => self.reader.problem(&keys[2], "is no token of a subject"),
            }
        }
        let age = self.key("age");
        let has_age = self.reader.has(&age);
        let rules = Rules {
            age: self.reader.duration(&age, Duration::from_secs(3600)),
            missed_after: None,
            size_trigger: match self.reader.u64(&self.key("size_trigger"), 0) {
                0 => None,
                bytes => Some(bytes),
            },
        };
        let force = self.reader.opt_string(&self.key("inspect.force"));
        let state = self.reader.opt_path(&self.key("inspect.state"));
        let mut given = given.into_iter();
        let Some(inspect) = given.next() else {
            if has_age {
                self.reader
                    .problem(&age, format!("is of use only with {}", keys[0]));
            }
            return None;
        };
        if given.next().is_some() {
            self.reader.problem(
                &keys[0],
                "cannot be set together with inspect.header or inspect.token",
            );
        }
        Some(LimitConfig {
            inspect,
            force: force.map(Into::into),
            rules,
            state,
        })
    }

    fn spill(&mut self) -> Option<SpillConfig> {
        let directory = self.reader.opt_path(&self.key("spill.directory"));
        let max = self.key("spill.max");
        let bytes_max = self.reader.u64_in(&max, 1 << 30, SPILL_MIN..=1 << 44);
        let sync = self.reader.bool(&self.key("spill.sync"), true);
        Some(SpillConfig {
            directory: folder(&directory?, self.name),
            bytes_max,
            sync,
        })
    }
}

#[cfg(test)]
mod tests;
