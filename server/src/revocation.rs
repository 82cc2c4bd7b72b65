//! The node's revocation list on disk: read at the start, read again whenever it changes.
//!
//! It goes two ways: to the verifier of requests, which takes it at once, and to TLS, for the connections that are made from
//! then on. A list that cannot be used stops a start; later it is told of and leaves all as it was. One that is overdue still
//! counts and is told of once a day.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use muster_protocol::security::Revocation;
use muster_reactor::tls::crl_next_update;
use tracing::{info, warn};

use crate::daemon::RunError;

/// How often an overdue list is told of.
const WARN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How the file looked; none where it was not there.
type Look = Option<(SystemTime, u64)>;

/// A watch over the file.
#[derive(Debug)]
pub(crate) struct CrlWatch {
    path: PathBuf,
    /// Of the verifier of requests, where there is one.
    revocation: Option<Revocation>,
    look: Look,
    next_update: Option<u64>,
    /// As time since the Unix epoch.
    next_warning: Duration,
}

impl CrlWatch {
    pub(crate) fn new(path: &Path, revocation: Option<Revocation>) -> Self {
        Self {
            path: path.to_owned(),
            revocation,
            look: None,
            next_update: None,
            next_warning: Duration::ZERO,
        }
    }

    /// Puts the list in force; `tls` makes a new configuration of its text.
    pub(crate) fn read<T>(
        &mut self,
        tls: impl Fn(&str) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        // Before it is read, so that one which changes meanwhile is read once more.
        self.look = look(&self.path);
        let text = fs::read_to_string(&self.path)
            .map_err(|error| RunError::File(self.path.clone(), error))?;
        let next_update = crl_next_update(&text)?;
        let tls = tls(&text)?;
        if let Some(revocation) = &self.revocation {
            revocation.replace(&text)?;
        }
        self.next_update = next_update;
        self.next_warning = Duration::ZERO;
        Ok(tls)
    }

    /// As [`Self::read`], if the file looks different; says what came of it.
    pub(crate) fn refresh<T>(
        &mut self,
        unix: Duration,
        tls: impl Fn(&str) -> Result<T, RunError>,
    ) -> Option<T> {
        self.warn_if_overdue(unix);
        if look(&self.path) == self.look {
            return None;
        }
        let path = self.path.display().to_string();
        match self.read(tls) {
            Ok(tls) => {
                info!(path, "a new revocation list is in force");
                Some(tls)
            }
            Err(error) => {
                warn!(path, %error, "the revocation list is of no use, the one before stays");
                None
            }
        }
    }

    fn warn_if_overdue(&mut self, unix: Duration) {
        let is_overdue = self.next_update.is_some_and(|due| due < unix.as_secs());
        if is_overdue && unix >= self.next_warning {
            self.next_warning = unix + WARN_EVERY;
            warn!(
                path = %self.path.display(),
                "the revocation list is overdue: it still counts, but newer revocations are not known"
            );
        }
    }
}

fn look(path: &Path) -> Look {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
