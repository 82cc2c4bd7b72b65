//! Where the log goes, and how much of it.

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use muster_settings::Reader;
use tracing::level_filters::LevelFilter;

use crate::exit::Failure;

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
    let level = match level {
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        _ => LevelFilter::ERROR,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false);
    let started = match target {
        Target::Discard => Ok(()),
        Target::Stdout => builder.with_ansi(false).with_writer(io::stdout).try_init(),
        Target::Stderr => builder.with_ansi(false).with_writer(io::stderr).try_init(),
        Target::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            let file = file.map_err(|error| {
                Failure::new(format!(
                    "cannot write the log to {}: {error}",
                    path.display()
                ))
            })?;
            builder
                .with_ansi(false)
                .with_writer(Mutex::new(file))
                .try_init()
        }
    };
    // The only error is that there is a log already.
    let _ = started;
    Ok(())
}
