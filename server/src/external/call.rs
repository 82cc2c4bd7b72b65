//! One run of a program, from the request to the bytes of its reply.
//!
//! External agents: `program <request file> <reply file> <protocol>`, with the paths in the environment as well. The files
//! lie in a folder that is made for the run, readable by its owner only, and removed after it with all that is in it.
//! Ruby agents: the shim reads the request from its standard input and writes the reply to its standard output.
//! What a program says beside its reply goes to the log: the standard output as information, the standard error as error.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use muster_reactor::child::{self, End, Finished, Output, Program, Stream};
use tracing::{error, info, warn};

use super::contract::{CALL_PROTOCOL, ReplyError};
use super::{ExternalOptions, Shim};

/// How the folders of runs are called.
const FOLDER_PREFIX: &str = "muster-agent-";
/// From this age on the folder of a run is one that a node left when it was killed: no run takes that long.
const LEFT_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Which run of which agent, for the log and for texts.
#[derive(Debug, Clone, Copy)]
pub struct Run<'r> {
    /// The agent.
    pub agent: &'r str,
    /// The action, or what is asked in its place.
    pub action: &'r str,
    /// The request.
    pub request: &'r [u8],
    /// How long it may take.
    pub time_max: Duration,
}

/// Why a run gave no reply.
#[derive(Debug)]
pub enum CallError {
    /// There is no program.
    Missing(PathBuf),
    /// The files of the run cannot be made or read.
    Files(io::Error),
    /// The program does not start.
    Start(PathBuf, io::Error),
    /// The program failed.
    Exit(PathBuf, i32),
    /// The program was ended by a signal.
    Signal(PathBuf, i32),
    /// The program took longer than this.
    TimedOut(Duration),
    /// The program wrote more than it may to one of its streams.
    OutputTooLarge(Stream, usize),
    /// The reply has more than this many bytes.
    ReplyTooLarge(usize),
    /// The reply cannot be read.
    Reply(ReplyError),
}

/// Runs an external agent; the bytes of its reply.
///
/// # Errors
/// There is none.
pub fn run_external(
    run: &Run<'_>,
    program: &Path,
    protocol: &str,
    facts: &str,
    options: &ExternalOptions,
) -> Result<Vec<u8>, CallError> {
    if !program.is_file() {
        return Err(CallError::Missing(program.to_owned()));
    }
    let folder = tempfile::Builder::new()
        .prefix(FOLDER_PREFIX)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(&options.temp_dir)
        .map_err(CallError::Files)?;
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        let written = write_private(&path, content);
        written.map(|()| path).map_err(CallError::Files)
    };
    let request = file("request.json", run.request)?;
    let reply = file("reply.json", b"")?;
    let facts = file("facts.json", facts.as_bytes())?;
    let config = options.config_dir.join("plugin.d").join(run.agent);
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("CHORIA_EXTERNAL_REQUEST".into(), request.clone().into()),
        ("CHORIA_EXTERNAL_REPLY".into(), reply.clone().into()),
        ("CHORIA_EXTERNAL_PROTOCOL".into(), protocol.into()),
        ("CHORIA_EXTERNAL_CONFIG".into(), config.into()),
        ("CHORIA_EXTERNAL_FACTS".into(), facts.into()),
    ];
    let path = options.environment.iter().find(|(key, _)| key == "PATH");
    environment.extend(path.cloned());
    let finished = follow(
        run,
        &Program {
            path: program.to_owned(),
            // The third is the same for every protocol, as ever; the environment tells.
            arguments: vec![request.into(), reply.clone().into(), CALL_PROTOCOL.into()],
            environment,
            directory: options.temp_dir.clone(),
            input: Vec::new(),
            time_max: run.time_max,
            stdout: lines(options),
            stderr: lines(options),
        },
    );
    match judge(finished.end, program)? {
        0 => read_reply(&reply, options.reply_bytes_max),
        code => Err(CallError::Exit(program.to_owned(), code)),
    }
}

/// Runs the shim of Ruby agents; the bytes of its reply.
///
/// # Errors
/// There is none.
pub fn run_shim(
    run: &Run<'_>,
    shim: &Shim,
    options: &ExternalOptions,
) -> Result<Vec<u8>, CallError> {
    for file in [&shim.program, &shim.config] {
        if !file.is_file() {
            return Err(CallError::Missing(file.clone()));
        }
    }
    let finished = follow(
        run,
        &Program {
            path: shim.program.clone(),
            arguments: vec!["--config".into(), shim.config.clone().into()],
            environment: options.environment.clone(),
            directory: options.temp_dir.clone(),
            input: run.request.to_vec(),
            time_max: run.time_max,
            stdout: Output::Keep {
                bytes_max: options.reply_bytes_max,
            },
            stderr: lines(options),
        },
    );
    match judge(finished.end, &shim.program)? {
        0 => {}
        // A shim that fails says why in a reply, which is worth more than its code.
        code if !finished.stdout.trim_ascii().is_empty() => {
            warn!(
                agent = run.agent,
                action = run.action,
                code,
                "the shim failed"
            );
        }
        code => return Err(CallError::Exit(shim.program.clone(), code)),
    }
    Ok(finished.stdout)
}

/// Removes the folders of runs that a node of this user did not live to see the end of.
pub fn sweep(temp_dir: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(temp_dir) else {
        return;
    };
    // Whoever may write to the folder can make such names, so only what is ours is touched.
    let Ok(user) = fs::metadata("/proc/self").map(|metadata| metadata.uid()) else {
        return;
    };
    for entry in entries.flatten() {
        let is_run = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(FOLDER_PREFIX));
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let age = metadata.modified().ok();
        let age = age.and_then(|modified| now.duration_since(modified).ok());
        let is_old = age.is_some_and(|age| age >= LEFT_AFTER);
        if is_run && is_old && metadata.is_dir() && metadata.uid() == user {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => info!(path = %entry.path().display(), "removed what a run left"),
                Err(error) => warn!(path = %entry.path().display(), %error, "cannot be removed"),
            }
        }
    }
}

const fn lines(options: &ExternalOptions) -> Output {
    Output::Lines {
        bytes_max: options.log_bytes_max,
    }
}

fn follow(run: &Run<'_>, program: &Program) -> Finished {
    let (agent, action) = (run.agent, run.action);
    child::run(program, &mut |stream, line| {
        // What a program prints must not look like lines of our log.
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end().escape_debug();
        match stream {
            Stream::Stdout => info!(agent, action, "{line}"),
            Stream::Stderr => error!(agent, action, "{line}"),
        }
    })
}

/// The code of a program that ended by itself.
fn judge(end: End, program: &Path) -> Result<i32, CallError> {
    let program = || program.to_owned();
    match end {
        End::Exited(code) => Ok(code),
        End::Signalled(signal) => Err(CallError::Signal(program(), signal)),
        End::TimedOut(time_max) => Err(CallError::TimedOut(time_max)),
        End::OutputTooLarge { stream, bytes_max } => {
            Err(CallError::OutputTooLarge(stream, bytes_max))
        }
        End::FailedToStart(error) => Err(CallError::Start(program(), error)),
    }
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, content)
}

fn read_reply(path: &Path, bytes_max: usize) -> Result<Vec<u8>, CallError> {
    // A pipe in its place would have us wait.
    let metadata = fs::symlink_metadata(path).map_err(CallError::Files)?;
    if !metadata.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidData, "the reply is not a file");
        return Err(CallError::Files(error));
    }
    let file = fs::File::open(path).map_err(CallError::Files)?;
    let mut reply = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1))
        .read_to_end(&mut reply)
        .map_err(CallError::Files)?;
    if reply.len() > bytes_max {
        return Err(CallError::ReplyTooLarge(bytes_max));
    }
    Ok(reply)
}

impl From<ReplyError> for CallError {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

/// The last part of a path: callers need not know where things lie on a host.
struct Name<'p>(&'p Path);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.file_name().unwrap_or_default().display().fmt(f)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{} was not found", Name(path)),
            Self::Files(error) => write!(f, "files of the call: {error}"),
            Self::Start(path, error) => write!(f, "{} does not start: {error}", Name(path)),
            Self::Exit(path, code) => write!(f, "{} failed: exit status {code}", Name(path)),
            Self::Signal(path, signal) => write!(f, "{} failed: signal {signal}", Name(path)),
            Self::TimedOut(time) => write!(f, "no reply within {} seconds", time.as_secs_f32()),
            Self::OutputTooLarge(stream, max) => {
                let stream = match stream {
                    Stream::Stdout => "output",
                    Stream::Stderr => "error",
                };
                write!(f, "more than {max} bytes on its standard {stream}")
            }
            Self::ReplyTooLarge(max) => write!(f, "the reply has more than {max} bytes"),
            Self::Reply(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_folders_of_runs_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["muster-agent-a", "muster-agent-b", "other"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("reply.json"), "").unwrap();
        }
        fs::write(path("muster-agent-file"), "").unwrap();
        std::os::unix::fs::symlink(path("other"), path("muster-agent-link")).unwrap();
        let now = SystemTime::now();
        sweep(dir.path(), now + LEFT_AFTER / 2);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
        sweep(dir.path(), now + LEFT_AFTER * 2);
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["muster-agent-file", "muster-agent-link", "other"]);
        assert!(path("other/reply.json").exists());
    }
}
