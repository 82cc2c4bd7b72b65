//! Where the log goes, and how much of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use muster_settings::Reader;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::exit::Failure;

/// Changes the level of the log while it runs.
static HANDLE: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();
/// The file the log goes to, where it goes to one.
static FILE: OnceLock<LogFile> = OnceLock::new();
/// The levels a configuration can name.
const LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Discard,
    Stdout,
    Stderr,
    File(PathBuf),
}

/// Reads `loglevel` and `logfile`. A broker logs to the standard error unless told otherwise.
pub(crate) fn read(reader: &mut Reader<'_>) -> (&'static str, Target) {
    let level = reader.one_of("loglevel", "info", &LEVELS);
    let target = match &*reader.string("logfile", "stderr") {
        "discard" => Target::Discard,
        "stdout" => Target::Stdout,
        "stderr" | "" => Target::Stderr,
        _ => Target::File(reader.path("logfile", "")),
    };
    (level, target)
}

/// Starts logging; does nothing where it was started before, as in a demonstration that runs several commands.
pub(crate) fn start(level: &str, target: &Target) -> Result<(), Failure> {
    let writer = match target {
        Target::Discard => return Ok(()),
        Target::Stdout => BoxMakeWriter::new(io::stdout),
        Target::Stderr => BoxMakeWriter::new(io::stderr),
        Target::File(path) => {
            let file = LogFile::open(path).map_err(|error| {
                Failure::new(format!(
                    "cannot write the log to {}: {error}",
                    path.display()
                ))
            })?;
            BoxMakeWriter::new(FILE.get_or_init(|| file))
        }
    };
    let (filter, handle) = reload::Layer::new(level_filter(level));
    let layer = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .with_writer(writer);
    let log = tracing_subscriber::registry().with(filter).with(layer);
    // The only error is that there is a log already.
    if log.try_init().is_ok() {
        let _ = HANDLE.set(handle);
    }
    Ok(())
}

/// Has the log go by another level from here on, where there is one.
pub(crate) fn set_level(level: &str) {
    if let Some(handle) = HANDLE.get() {
        // It fails only when the log is gone.
        let _ = handle.reload(level_filter(level));
    }
}

/// Opens the log file again, so that what moved it away to rotate it has the old one to itself.
/// Where it cannot be opened the log goes on in the old one.
pub(crate) fn reopen() {
    let Some(log) = FILE.get() else { return };
    match append_to(&log.path) {
        Ok(file) => *log.lock() = file,
        Err(error) => {
            let path = log.path.display();
            tracing::warn!("cannot open the log {path} again: {error}");
        }
    }
}

/// A file that can be exchanged below those who write to it.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(append_to(path)?),
        })
    }

    /// A writer that panicked left whole lines or a part of one: the next line is still worth having.
    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

impl<'a> MakeWriter<'a> for &'static LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn level_filter(level: &str) -> LevelFilter {
    match level {
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        _ => LevelFilter::ERROR,
    }
}
