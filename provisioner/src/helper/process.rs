//! The helper as a program: one process a node, fed, read, timed and killed.
//!
//! The program gets the provisioner's environment and working directory, one document on its standard input and
//! [`TIME_MAX`] to write one to its standard output. What it writes to its standard error goes nowhere but for its last
//! line, which is logged where it fails.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use muster_reactor::child::{self, End, Output, Program, Stream};

use super::{Helper, HelperError, OUTPUT_BYTES_MAX, TIME_MAX, cut};

/// Bytes of complaints a helper may write before it is killed for it.
const STDERR_BYTES_MAX: usize = 1024 * 1024;

/// A helper that is a program.
#[derive(Debug, Clone)]
pub struct ProcessHelper {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    time_max: Duration,
}

impl ProcessHelper {
    /// A program by the words of its command line, with this environment and working directory. A program without a
    /// slash in its name is looked for in the `PATH` of the environment.
    ///
    /// # Panics
    /// There are no words.
    #[must_use]
    pub fn new(
        words: &[String],
        environment: Vec<(OsString, OsString)>,
        directory: PathBuf,
    ) -> Self {
        let (program, arguments) = words.split_first().expect("a command line has a word");
        Self {
            path: PathBuf::from(program),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment,
            directory,
            time_max: TIME_MAX,
        }
    }

    /// The same program with another time, for tests.
    #[must_use]
    pub const fn with_time_max(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }
}

impl Helper for ProcessHelper {
    fn run(&self, input: &[u8]) -> Result<Vec<u8>, HelperError> {
        let program = Program {
            path: self.path.clone(),
            arguments: self.arguments.clone(),
            environment: self.environment.clone(),
            directory: self.directory.clone(),
            input: input.to_vec(),
            time_max: self.time_max,
            stdout: Output::Keep {
                bytes_max: OUTPUT_BYTES_MAX,
            },
            stderr: Output::Lines {
                bytes_max: STDERR_BYTES_MAX,
            },
        };
        let mut last_line = String::new();
        let finished = child::run(&program, &mut |stream, line| {
            if stream == Stream::Stderr && !line.trim_ascii().is_empty() {
                last_line = cut(&String::from_utf8_lossy(line));
            }
        });
        match finished.end {
            End::Exited(0) if finished.stdout.is_empty() => Err(HelperError::Silent),
            End::Exited(0) => Ok(finished.stdout),
            End::Exited(code) => Err(HelperError::Exited {
                code,
                said: last_line,
            }),
            End::Signalled(signal) => Err(HelperError::Signalled { signal }),
            End::TimedOut(time) => Err(HelperError::TimedOut(time)),
            End::OutputTooLarge { bytes_max, .. } => Err(HelperError::TooMuch { bytes_max }),
            End::FailedToStart(error) => Err(HelperError::Start(cut(&error.to_string()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ProcessHelper {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        let environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
        ProcessHelper::new(&words, environment, PathBuf::from("/"))
    }

    fn run(script: &str) -> Result<Vec<u8>, HelperError> {
        shell(script).run(b"{\"identity\":\"n1\"}")
    }

    #[test]
    fn a_document_goes_in_and_one_comes_out() {
        assert_eq!(run("cat").unwrap(), b"{\"identity\":\"n1\"}");
        // A helper that does not read is no failure either.
        assert_eq!(run("echo '{}'").unwrap(), b"{}\n");
        assert_eq!(run("echo noise >&2; echo '{}'").unwrap(), b"{}\n");
    }

    #[test]
    fn every_way_to_fail_has_its_name() {
        assert_eq!(
            run("echo first >&2; echo 'no such pod\t!' >&2; exit 3"),
            Err(HelperError::Exited {
                code: 3,
                said: "no such pod !".to_owned()
            })
        );
        assert_eq!(run("exit 0"), Err(HelperError::Silent));
        assert_eq!(run("kill -9 $$"), Err(HelperError::Signalled { signal: 9 }));
        assert_eq!(
            run("yes x | head -c 2000000"),
            Err(HelperError::TooMuch {
                bytes_max: OUTPUT_BYTES_MAX
            })
        );
        let none = ProcessHelper::new(&["/nonexistent/helper".to_owned()], Vec::new(), "/".into());
        assert!(matches!(none.run(b"{}"), Err(HelperError::Start(_))));
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let time = Duration::from_millis(50);
        let helper = shell("sleep 600").with_time_max(time);
        assert_eq!(helper.run(b"{}"), Err(HelperError::TimedOut(time)));
    }
}
