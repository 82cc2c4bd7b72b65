//! Where the log goes, and how much of it.

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use muster_settings::Reader;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::exit::Failure;

/// Changes the level of the log while it runs.
static HANDLE: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();
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
            let file = OpenOptions::new().append(true).create(true).open(path);
            let file = file.map_err(|error| {
                Failure::new(format!(
                    "cannot write the log to {}: {error}",
                    path.display()
                ))
            })?;
            BoxMakeWriter::new(Mutex::new(file))
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

fn level_filter(level: &str) -> LevelFilter {
    match level {
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        _ => LevelFilter::ERROR,
    }
}
