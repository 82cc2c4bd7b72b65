//! What a running daemon tells: registrations, the status file, the figures behind the statistics pages.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::read::GzEncoder;
use muster_client::Moment;
use muster_client::nats::Stats;
use muster_protocol::registration::{FileContent, Packed, Registration};
use parking_lot::Mutex;
use tracing::warn;

use crate::config::{AnnounceConfig, SourceConfig, SourceKind};
use crate::counters::Counters;
use crate::node::Node;
use crate::status::{NodeStatus, inventory};

/// Largest file that is registered, in bytes: what fits into a message of a broker as it comes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Mode of the status file: monitoring reads it.
const STATUS_MODE: u32 = 0o644;

/// The figures that the pages show.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) identity: String,
    pub(super) version: String,
    pub(super) config_file: String,
    /// The connection is encrypted.
    pub(super) tls: bool,
    /// Requests must be signed.
    pub(super) secure: bool,
    pub(super) counters: Counters,
    pub(super) connection: Stats,
    pub(super) connected: bool,
    pub(super) last_message: i64,
    pub(super) uptime: Duration,
    pub(super) certificate_expires: Option<i64>,
}

/// When what the node proves itself with ends, in unix seconds; none where there is nothing, or no end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expiries {
    pub(super) certificate: Option<i64>,
    pub(super) token: Option<i64>,
}

/// Figures shared with the threads that serve pages.
pub(super) type SharedFigures = Arc<Mutex<Figures>>;

/// Tells what is due.
#[derive(Debug)]
pub(super) struct Reporter {
    config: AnnounceConfig,
    expiries: Expiries,
    /// On the daemon's clock.
    started: Duration,
    next_status: Duration,
    last_total: u64,
    last_message: i64,
    /// When each registered file was changed last, as far as this process knows.
    mtimes: Vec<Option<i64>>,
    figures: Option<SharedFigures>,
}

impl Reporter {
    pub(super) fn new(
        config: AnnounceConfig,
        expiries: Expiries,
        now: Duration,
        figures: Option<SharedFigures>,
    ) -> Self {
        Self {
            config,
            expiries,
            started: now,
            next_status: now,
            last_total: 0,
            last_message: 0,
            mtimes: Vec::new(),
            figures,
        }
    }

    /// Goes by other settings from here on.
    pub(super) fn reconfigure(
        &mut self,
        config: AnnounceConfig,
        expiries: Expiries,
        now: Duration,
    ) {
        self.config = config;
        self.expiries = expiries;
        self.next_status = now;
        self.mtimes.clear();
    }

    /// How long the daemon may sleep.
    pub(super) fn wait(&self, now: Duration, longest: Duration) -> Duration {
        match self.config.status_file {
            Some(_) => self.next_status.saturating_sub(now).min(longest),
            None => longest,
        }
    }

    /// Tells what is due.
    pub(super) fn tend(&mut self, node: &mut Node, at: Moment) {
        let total = node.counters().total;
        if total != self.last_total {
            self.last_total = total;
            self.last_message = i64::try_from(at.unix.as_secs()).unwrap_or(i64::MAX);
        }
        while let Some(source) = node.poll_registration() {
            self.register(source, node, at);
        }
        if let Some(path) = &self.config.status_file
            && self.next_status <= at.now
        {
            self.next_status = at.now + self.config.status_interval;
            let text = self.with_status(node, at, |status| status.to_json());
            if let Err(error) = write_atomically(path, text.as_bytes()) {
                warn!(path = %path.display(), %error, "the status file cannot be written");
            }
        }
        if let Some(figures) = &self.figures {
            let mut figures = figures.lock();
            figures.counters.clone_from(node.counters());
            figures.connection = *node.connection().stats();
            figures.connected = node.connection().connected_server().is_some();
            figures.last_message = self.last_message;
            figures.certificate_expires = self.expiries.certificate;
            figures.uptime = at.now.saturating_sub(self.started);
        }
    }

    fn register(&mut self, source: usize, node: &mut Node, at: Moment) {
        let config = self.config.registration.as_ref();
        let Some(config) = config.and_then(|config| config.sources.get(source)) else {
            return;
        };
        let config = config.clone();
        let content = match &config.kind {
            SourceKind::Inventory => Ok(self.inventory(&config, node, at)),
            SourceKind::File(path) => self.file(source, path, &config),
        };
        match content {
            Ok(content) => {
                node.publish_registration(source, &content.encode(), at);
            }
            Err(error) => warn!(%error, "nothing is registered"),
        }
    }

    fn inventory(&self, config: &SourceConfig, node: &Node, at: Moment) -> Registration {
        let content = self.with_status(node, at, |status| {
            inventory(node.setup(), node.facts(), node.classes(), status)
        });
        Registration::Inventory(pack(content.into_bytes(), config.compression))
    }

    fn file(
        &mut self,
        source: usize,
        path: &Path,
        config: &SourceConfig,
    ) -> io::Result<Registration> {
        let named = |error: io::Error| {
            let text = format!("cannot read {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        };
        let (mtime, content) = read_bounded(path).map_err(named)?;
        if content.is_empty() {
            return Err(io::Error::other(format!("{} is empty", path.display())));
        }
        if self.mtimes.len() <= source {
            self.mtimes.resize(source + 1, None);
        }
        let former = self.mtimes[source].replace(mtime);
        Ok(Registration::File(FileContent {
            mtime,
            file: path.to_string_lossy().into_owned(),
            // Not at the first look, so that a fleet that restarts does not have everything replicated.
            updated: former.is_some_and(|former| mtime > former),
            content: pack(content, config.compression),
        }))
    }

    fn with_status<T>(
        &self,
        node: &Node,
        at: Moment,
        tell: impl FnOnce(&NodeStatus<'_>) -> T,
    ) -> T {
        let server = node.connection().connected_server();
        let server = server.map(|server| format!("nats://{server}"));
        tell(&NodeStatus {
            identity: node.identity(),
            uptime: at.now.saturating_sub(self.started).as_secs(),
            connected_server: server.as_deref(),
            last_message: self.last_message,
            counters: node.counters(),
            certificate_expires: self.expiries.certificate,
            token_expires: self.expiries.token,
        })
    }
}

fn pack(content: Vec<u8>, compression: bool) -> Packed {
    if !compression {
        return Packed::Plain(content);
    }
    let mut packed = Vec::new();
    let mut encoder = GzEncoder::new(&*content, Compression::default());
    match encoder.read_to_end(&mut packed) {
        Ok(_) => Packed::Gzip(packed),
        // Reading from memory does not fail.
        Err(_) => Packed::Plain(content),
    }
}

/// When a file was changed last, in unix seconds, and what is in it.
fn read_bounded(path: &Path) -> io::Result<(i64, Vec<u8>)> {
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        let text = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::other(text));
    }
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let mtime = modified.map_or(0, |since| since.as_secs());
    Ok((i64::try_from(mtime).unwrap_or(i64::MAX), content))
}

/// Replaces a file, so that whoever reads it sees the old or the new text and nothing in between.
fn write_atomically(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(STATUS_MODE)
            .open(&beside)?;
        file.write_all(text)?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // What is left of a failed write is of no use.
        let _ = fs::remove_file(&beside);
    })
}
