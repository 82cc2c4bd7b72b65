//! Looks after the files TLS is made of: what changes on disk is taken without a restart, and a list that is overdue is told of.
//!
//! A renewed certificate or a new revocation list so comes into force within a second or two of being put in its place.
//! Files that do not fit together, as while they are being exchanged, are told of and leave all as it was.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use muster_reactor::clock::unix_now;

use crate::running::Broker;
use crate::tls::{TlsPaths, TlsSetting};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often an overdue revocation list is told of.
const WARN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How a file looked; none where it was not there.
type Look = Option<(SystemTime, u64)>;

/// The watch over one broker's files.
#[derive(Debug)]
pub struct TlsWatch {
    paths: TlsPaths,
    looks: Vec<Look>,
    next_look: Duration,
    crl_next_update: Option<u64>,
    next_warning: Duration,
}

impl TlsWatch {
    /// A watch over the files `setting` was made of.
    #[must_use]
    pub fn new(paths: TlsPaths, setting: &TlsSetting) -> Self {
        let looks = looks(&paths);
        Self {
            paths,
            looks,
            next_look: Duration::ZERO,
            crl_next_update: setting.crl_next_update,
            next_warning: Duration::ZERO,
        }
    }

    /// Looks, unless it did a moment ago. Call it from one thread of the main descriptor table, now and then.
    pub fn look(&mut self, broker: &Broker, read: impl Fn(&Path) -> io::Result<String>) {
        let now = unix_now();
        // A clock that was set back must not stop the watch.
        if now < self.next_look && self.next_look <= now + LOOK_EVERY {
            return;
        }
        self.next_look = now + LOOK_EVERY;
        let looks = looks(&self.paths);
        if looks != self.looks {
            // Before the files are read, so that one which changes meanwhile is read once more.
            self.looks = looks;
            self.take(broker, read);
        }
        self.warn_of_crl(now);
    }

    fn take(&mut self, broker: &Broker, read: impl Fn(&Path) -> io::Result<String>) {
        match self.paths.load(read) {
            Ok(setting) => {
                self.crl_next_update = setting.crl_next_update;
                self.next_warning = Duration::ZERO;
                if broker.replace_tls(setting) {
                    tracing::info!("TLS files changed and are in force");
                }
            }
            Err(error) => {
                tracing::warn!("TLS files changed and are of no use, all stays as it was: {error}");
            }
        }
    }

    fn warn_of_crl(&mut self, now: Duration) {
        let Some(due) = self.crl_next_update.filter(|due| *due < now.as_secs()) else {
            return;
        };
        if now < self.next_warning {
            return;
        }
        self.next_warning = now + WARN_EVERY;
        let overdue = now.as_secs() - due;
        tracing::warn!(
            overdue_secs = overdue,
            "the revocation list is overdue: it still counts, but newer revocations are not known"
        );
    }
}

fn looks(paths: &TlsPaths) -> Vec<Look> {
    paths.iter().map(look).collect()
}

fn look(path: &Path) -> Look {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
