//! The YAML file of `muster replicate`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use muster_client::nats::ServerAddr;
use muster_settings::parse_duration;
use serde::Deserialize;

use crate::limiter::Rules;
use crate::limiter::inspect::Inspect;

/// What is read. Unknown keys are refused: each of them would change what is copied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    state_store: Option<PathBuf>,
    #[serde(default)]
    monitor_port: u16,
    tls: Option<TlsFiles>,
    streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stream {
    name: Option<String>,
    stream: String,
    filter_subject: Option<String>,
    target_stream: Option<String>,
    target_subject_prefix: Option<String>,
    target_subject_remove: Option<String>,
    source_url: String,
    target_url: String,
    #[serde(default)]
    no_target_create: bool,
    start_sequence: Option<u64>,
    start_time: Option<String>,
    start_delta: Option<String>,
    #[serde(default)]
    start_at_end: bool,
    max_age: Option<String>,
    inspect_field: Option<String>,
    inspect_header: Option<String>,
    inspect_subject_token: Option<i32>,
    inspect_force_field: Option<String>,
    inspect_duration: Option<String>,
    warn_duration: Option<String>,
    size_trigger: Option<u64>,
    advisory: Option<Advisory>,
    tls: Option<TlsFiles>,
}

/// Where it is told what becomes of values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advisory {
    /// The subject; `%s` is the event, `%v` the value.
    pub subject: String,
    /// Whether a stream must acknowledge it.
    #[serde(default)]
    pub reliable: bool,
}

/// TLS with both sides, in PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The authorities of the servers.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct ReplicateConfig {
    /// The replicator's name.
    pub name: String,
    /// Where the state of limiters is kept.
    pub state_store: Option<PathBuf>,
    /// Where figures are served; nowhere, where it is 0.
    pub monitor_port: u16,
    /// The streams.
    pub streams: Vec<StreamConfig>,
}

/// One stream.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Its name among those of the replicator; the consumer is `SR_<name>`.
    pub name: String,
    /// The source stream.
    pub stream: String,
    /// Which of its subjects.
    pub filter_subject: Option<String>,
    /// The target stream.
    pub target_stream: String,
    /// What is put before subjects.
    pub prefix: Option<String>,
    /// What is taken from their beginning first.
    pub remove: Option<String>,
    /// Servers of the source.
    pub source: Vec<ServerAddr>,
    /// Servers of the target.
    pub target: Vec<ServerAddr>,
    /// Whether the target stream is made where it is missing.
    pub create_target: bool,
    /// Where a new consumer starts: members of its configuration.
    pub start: Start,
    /// Older messages are passed over.
    pub age_max: Option<Duration>,
    /// The limiter.
    pub limit: Option<Limit>,
    /// Advisories.
    pub advisory: Option<Advisory>,
    /// TLS.
    pub tls: Option<TlsFiles>,
}

/// A limiter.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Which value.
    pub inspect: Inspect,
    /// The field that lets a message through.
    pub force: Option<String>,
    /// The rules.
    pub rules: Rules,
}

/// Where a new consumer starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message.
    All,
    /// With what comes from now on.
    New,
    /// With this sequence.
    Sequence(u64),
    /// With this moment, in RFC 3339.
    Time(String),
    /// So long ago.
    Ago(Duration),
}

/// What is wrong with a file, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicateConfigError(pub Vec<String>);

impl fmt::Display for ReplicateConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ReplicateConfigError {}

impl ReplicateConfig {
    /// Reads a file's text; `file` names it in problems.
    ///
    /// # Errors
    /// What is no YAML or has an unknown key is named with its line; of all other problems each is named with its stream.
    pub fn parse(text: &str, file: &str) -> Result<Self, ReplicateConfigError> {
        let read: File = serde_saphyr::from_str(text).map_err(|error| {
            let error = error.to_string();
            let first = error.lines().next().unwrap_or_default();
            ReplicateConfigError(vec![format!("{file}: {first}")])
        })?;
        let mut problems = Vec::new();
        let mut streams: Vec<StreamConfig> = Vec::new();
        if !is_name(&read.name) {
            problems.push(format!(
                "{file}: name {:?} is no name of letters and digits",
                read.name
            ));
        }
        if read.streams.is_empty() {
            problems.push(format!("{file}: streams is empty"));
        }
        for stream in read.streams {
            let name = stream.name.clone().unwrap_or_else(|| stream.stream.clone());
            let mut problem =
                |text: String| problems.push(format!("{file}: stream {name}: {text}"));
            if streams.iter().any(|other| other.name == name) {
                problem("is there twice".to_owned());
            }
            streams.push(check(stream, &name, read.tls.clone(), &mut problem));
        }
        if !problems.is_empty() {
            return Err(ReplicateConfigError(problems));
        }
        Ok(Self {
            name: read.name,
            state_store: read.state_store,
            monitor_port: read.monitor_port,
            streams,
        })
    }
}

fn check(
    read: Stream,
    name: &str,
    tls: Option<TlsFiles>,
    problem: &mut impl FnMut(String),
) -> StreamConfig {
    for (key, value) in [("name", name), ("stream", &read.stream)] {
        if !is_name(value) {
            problem(format!("{key} {value:?} is no name of letters and digits"));
        }
    }
    let source = servers("source_url", &read.source_url, problem);
    let target = servers("target_url", &read.target_url, problem);
    let start = start(&read, problem);
    let limit = limit(&read, problem);
    if read.advisory.is_some() && limit.is_none() {
        problem(
            "advisory is of use only with inspect_field, inspect_header or inspect_subject_token"
                .to_owned(),
        );
    }
    StreamConfig {
        name: name.to_owned(),
        target_stream: read.target_stream.unwrap_or_else(|| read.stream.clone()),
        stream: read.stream,
        filter_subject: read.filter_subject,
        prefix: read.target_subject_prefix,
        remove: read.target_subject_remove,
        source,
        target,
        create_target: !read.no_target_create,
        start,
        age_max: duration("max_age", read.max_age.as_deref(), problem),
        limit,
        advisory: read.advisory,
        tls: read.tls.or(tls),
    }
}

fn limit(read: &Stream, problem: &mut impl FnMut(String)) -> Option<Limit> {
    let mut given = Vec::new();
    given.extend(
        read.inspect_field
            .as_ref()
            .map(|path| Inspect::Field(path.as_str().into())),
    );
    given.extend(
        read.inspect_header
            .as_ref()
            .map(|name| Inspect::Header(name.as_str().into())),
    );
    given.extend(read.inspect_subject_token.map(Inspect::SubjectToken));
    if given.len() > 1 {
        problem(
            "only one of inspect_field, inspect_header and inspect_subject_token may be set"
                .to_owned(),
        );
    }
    let age = duration(
        "inspect_duration",
        read.inspect_duration.as_deref(),
        problem,
    );
    let warn = duration("warn_duration", read.warn_duration.as_deref(), problem);
    let inspect = given.pop();
    match (inspect, age) {
        (Some(inspect), Some(age)) => Some(Limit {
            inspect,
            force: read.inspect_force_field.clone(),
            rules: Rules {
                age,
                missed_after: Some(warn.unwrap_or(age / 2)),
                size_trigger: read.size_trigger.filter(|bytes| *bytes > 0),
            },
        }),
        (Some(_), None) => {
            problem("inspect_duration is needed with what is inspected".to_owned());
            None
        }
        (None, Some(_)) => {
            problem("inspect_duration is of use only with something to inspect".to_owned());
            None
        }
        (None, None) => None,
    }
}

fn start(read: &Stream, problem: &mut impl FnMut(String)) -> Start {
    let mut given = Vec::new();
    given.extend(
        read.start_sequence
            .filter(|first| *first > 0)
            .map(Start::Sequence),
    );
    given.extend(read.start_time.clone().map(Start::Time));
    given.extend(duration("start_delta", read.start_delta.as_deref(), problem).map(Start::Ago));
    if read.start_at_end {
        given.push(Start::New);
    }
    if given.len() > 1 {
        problem(
            "only one of start_sequence, start_time, start_delta and start_at_end may be set"
                .to_owned(),
        );
    }
    given.pop().unwrap_or(Start::All)
}

fn duration(key: &str, text: Option<&str>, problem: &mut impl FnMut(String)) -> Option<Duration> {
    match parse_duration(text?) {
        Ok(duration) if !duration.is_zero() => Some(duration),
        Ok(_) => None,
        Err(error) => {
            problem(format!("{key} {:?} {error}", text.unwrap_or_default()));
            None
        }
    }
}

fn servers(key: &str, text: &str, problem: &mut impl FnMut(String)) -> Vec<ServerAddr> {
    let mut servers = Vec::new();
    for text in text.split(',') {
        match ServerAddr::parse(text) {
            Ok(server) => servers.push(server),
            Err(error) => problem(format!("{key}: {error}")),
        }
    }
    servers
}

/// What may stand in the subjects of JetStream's interface.
fn is_name(text: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && text.chars().all(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_today_is_understood() {
        let text = "name: site1\nstate_store: /var/lib/sr\nmonitor_port: 9100\nstreams:\n\
                    - stream: FLEET\n  source_url: nats://a:4222, nats://b:4222\n  target_url: nats://c:4222\n\
                    \x20 target_subject_prefix: site1.\n  inspect_subject_token: -1\n  inspect_duration: 1h\n\
                    \x20 size_trigger: 1024\n  advisory:\n    subject: sr.%s.%v\n    reliable: true\n";
        let config = ReplicateConfig::parse(text, "sr.yaml").unwrap();
        let stream = &config.streams[0];
        assert_eq!((&*stream.name, &*stream.target_stream), ("FLEET", "FLEET"));
        assert_eq!(stream.source.len(), 2);
        let limit = stream.limit.as_ref().unwrap();
        assert_eq!(limit.inspect, Inspect::SubjectToken(-1));
        assert_eq!(limit.rules.missed_after, Some(Duration::from_secs(1800)));
        assert!(stream.create_target && stream.advisory.as_ref().unwrap().reliable);
    }

    #[test]
    fn problems_are_named() {
        let error = |text: &str| {
            ReplicateConfig::parse(text, "sr.yaml")
                .unwrap_err()
                .to_string()
        };
        assert!(error("name: a\nnosuch: 1\nstreams: []\n").contains("nosuch"));
        assert!(error("name: a\nstreams: []\n").contains("streams is empty"));
        let text = "name: a b\nstreams:\n- stream: S.T\n  source_url: nowhere\n  target_url: c:1\n  inspect_field: x\n\
                    \x20 start_at_end: true\n  start_sequence: 5\n  max_age: 5x\n";
        let said = error(text);
        for wanted in [
            "\"a b\"",
            "\"S.T\"",
            "source_url",
            "inspect_duration is needed",
            "only one of start",
            "max_age",
        ] {
            assert!(said.contains(wanted), "{wanted} in {said}");
        }
    }
}
