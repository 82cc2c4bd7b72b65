//! Programs that are run, and what they say.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use libtest_mimic::Failed;

/// How often a log file is looked at before that is given up: a minute's worth.
const LOG_LOOKS_MAX: u32 = 3000;
/// The time between two looks.
const LOG_INTERVAL: std::time::Duration = std::time::Duration::from_millis(20);

/// A `muster` command line, apart from the caller's own settings.
pub(crate) fn muster(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .args(words)
        .current_dir(home)
        .env("HOME", home)
        .stdin(Stdio::null());
    for variable in [
        "MCOLLECTIVE_CERTNAME",
        "INSECURE_DISABLE_TLS",
        "INSECURE_YES_REALLY",
    ] {
        command.env_remove(variable);
    }
    command
}

/// `ca.pem`, and a certificate for the broker, each node and each caller, in this folder.
pub(crate) fn make_certificates<'n>(
    home: &Path,
    nodes: impl IntoIterator<Item = &'n str>,
    callers: [&str; 2],
) -> Result<(), Failed> {
    let ca = |words: &[&str]| Said::of(muster(home, &[&["ca"], words].concat()))?.ended_with(0);
    ca(&["init", "."])?;
    ca(&[
        "broker",
        "broker",
        "--dns",
        "localhost",
        "--ip",
        "127.0.0.1",
    ])?;
    for name in nodes {
        ca(&["node", name])?;
    }
    for name in callers {
        ca(&["client", name])?;
    }
    Ok(())
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(mut command: Command) -> Result<Self, Failed> {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output()?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self {
            code: status.code(),
            out: text(&stdout),
            err: text(&stderr),
        })
    }

    /// Checks the exit code.
    pub(crate) fn ended_with(self, code: i32) -> Result<Self, Failed> {
        if self.code == Some(code) {
            Ok(self)
        } else {
            Err(format!("not {code}: {self:#?}").into())
        }
    }

    /// Checks that each text is in the output or the errors.
    pub(crate) fn says(self, wanted: &[&str]) -> Result<Self, Failed> {
        let missing = wanted
            .iter()
            .find(|text| !self.out.contains(**text) && !self.err.contains(**text));
        match missing {
            None => Ok(self),
            Some(text) => Err(format!("no {text:?} in {self:#?}").into()),
        }
    }

    /// Checks that none of the texts is there.
    pub(crate) fn says_nothing_of(self, unwanted: &[&str]) -> Result<Self, Failed> {
        let found = unwanted
            .iter()
            .find(|text| self.out.contains(**text) || self.err.contains(**text));
        match found {
            None => Ok(self),
            Some(text) => Err(format!("{text:?} in {self:#?}").into()),
        }
    }

    /// The lines of the output, sorted.
    pub(crate) fn sorted_lines(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.out.lines().collect();
        lines.sort_unstable();
        lines
    }
}

/// A program that runs on until it is dropped.
pub(crate) struct Daemon {
    child: Child,
    /// The lines up to the awaited one, with it.
    pub(crate) said: String,
}

impl Daemon {
    /// Starts a program, and waits until it has said a line with this text on its standard error.
    pub(crate) fn start(mut command: Command, awaited: &str) -> Result<Self, Failed> {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut daemon = Self {
            child,
            said: String::new(),
        };
        let log = daemon.child.stderr.take().expect("piped");
        daemon.wait_for(BufReader::new(log), awaited)?;
        Ok(daemon)
    }

    /// As [`Daemon::start`], for one that speaks on its standard output.
    pub(crate) fn start_talking(mut command: Command, awaited: &str) -> Result<Self, Failed> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut daemon = Self {
            child,
            said: String::new(),
        };
        let log = daemon.child.stdout.take().expect("piped");
        daemon.wait_for(BufReader::new(log), awaited)?;
        Ok(daemon)
    }

    /// As [`Daemon::start`], with all it says kept in a file.
    pub(crate) fn start_logging(
        mut command: Command,
        log: &Path,
        awaited: &str,
    ) -> Result<Self, Failed> {
        let child = command
            .stdout(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()?;
        let mut daemon = Self {
            child,
            said: String::new(),
        };
        for looks in 0.. {
            if daemon.said.contains(awaited) {
                break;
            }
            if looks == LOG_LOOKS_MAX || daemon.child.try_wait()?.is_some() {
                return Err(format!("it did not say {awaited:?}: {}", daemon.said).into());
            }
            std::thread::sleep(LOG_INTERVAL);
            daemon.said = std::fs::read_to_string(log)?;
        }
        Ok(daemon)
    }

    fn wait_for<R>(&mut self, mut log: BufReader<R>, awaited: &str) -> Result<(), Failed>
    where
        R: Read + Send + 'static,
    {
        let mut before = 0;
        while !self.said[before..].contains(awaited) {
            before = self.said.len();
            if log.read_line(&mut self.said)? == 0 {
                return Err(format!("it ended early: {}", self.said).into());
            }
        }
        // The log goes on; a full pipe would stop the daemon.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What follows a text in the lines it has said.
    pub(crate) fn said_after(&self, text: &str) -> Result<&str, Failed> {
        let line = self.said.lines().find_map(|line| line.split_once(text));
        line.map(|(_, rest)| rest.trim())
            .ok_or_else(|| format!("no {text:?} in {}", self.said).into())
    }

    /// Sends a signal, and waits for the end.
    pub(crate) fn end_with(mut self, signal: &str) -> Result<ExitStatus, Failed> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status()?;
        if !sent.success() {
            return Err(format!("kill: {sent}").into());
        }
        Ok(self.child.wait()?)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
