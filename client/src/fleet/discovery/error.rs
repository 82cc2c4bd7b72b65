//! Why there is no list of names.

use std::fmt;
use std::io;
use std::path::PathBuf;

use muster_reactor::child::End;

use super::Method;

/// Why there is no list of names.
#[derive(Debug)]
pub enum DiscoveryError {
    /// There is no such method.
    UnknownMethod(String),
    /// The method needs a file or a program, and none is given.
    NoSource {
        /// The method.
        method: Method,
        /// The options or keys that give one.
        wanted: &'static str,
    },
    /// The method has no such option, or the option no such value.
    BadOption {
        /// The method.
        method: Method,
        /// The option, with its value where it has one.
        option: String,
    },
    /// The method cannot filter by this.
    BadFilter {
        /// The method.
        method: Method,
        /// What it cannot do.
        why: &'static str,
    },
    /// The file cannot be read, or is too large.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The text does not hold what it should.
    Malformed {
        /// The file, or `standard input`.
        place: String,
        /// What is wrong, with the line where there is one.
        why: String,
    },
    /// The text names what can be no host.
    NotAName {
        /// The file or program.
        place: String,
        /// The name.
        name: String,
    },
    /// The file has no such group.
    UnknownGroup {
        /// The file.
        place: String,
        /// The group.
        group: String,
    },
    /// A fact filter or a compound expression of a group is none.
    BadGroup {
        /// The file.
        place: String,
        /// The group.
        group: String,
        /// What is wrong with it.
        why: String,
    },
    /// The command line of a program cannot be taken apart.
    BadCommand(String),
    /// The program did not do what it should.
    Program {
        /// The program.
        command: String,
        /// How it ended.
        end: End,
    },
    /// The program says it cannot tell.
    Refused {
        /// The program.
        command: String,
        /// Its words.
        error: String,
    },
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMethod(name) => write!(
                f,
                "there is no discovery method {name:?}; there are mc, broadcast, file, flatfile, external, inventory"
            ),
            Self::NoSource { method, wanted } => {
                write!(f, "discovery method {} needs {wanted}", method.name())
            }
            Self::BadOption { method, option } => {
                write!(
                    f,
                    "discovery method {} has no option {option}",
                    method.name()
                )
            }
            Self::BadFilter { method, why } => {
                write!(f, "discovery method {}: {why}", method.name())
            }
            Self::Unreadable { path, error } => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            Self::Malformed { place, why } => write!(f, "{place}: {why}"),
            Self::NotAName { place, name } => write!(f, "{place} names {name:?}, which is no node"),
            Self::UnknownGroup { place, group } => write!(f, "{place} has no group {group:?}"),
            Self::BadGroup { place, group, why } => {
                write!(f, "{place}, group {group:?}: {why}")
            }
            Self::BadCommand(command) => {
                write!(
                    f,
                    "discovery command {command:?} is empty or has an open quote"
                )
            }
            Self::Program { command, end } => {
                write!(f, "discovery command {command:?} ")?;
                match end {
                    End::Exited(code) => write!(f, "ended with exit code {code}"),
                    End::Signalled(signal) => write!(f, "was ended by signal {signal}"),
                    End::TimedOut(time) => write!(f, "took more than {time:?}"),
                    End::OutputTooLarge { bytes_max, .. } => {
                        write!(f, "wrote more than {bytes_max} bytes")
                    }
                    End::FailedToStart(error) => write!(f, "did not start: {error}"),
                }
            }
            Self::Refused { command, error } => {
                write!(f, "discovery command {command:?}: {error}")
            }
        }
    }
}

impl std::error::Error for DiscoveryError {}
