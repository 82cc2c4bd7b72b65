//! Finding the policy of an agent, and deciding by it.
//!
//! | looked for, in this order | if |
//! |---|---|
//! | `policies/<agent>.policy` | |
//! | `policies/<default name>.policy` | `enable_default` |
//! | the policy [shipped](super::shipped_policy) for the agent | `use_shipped` |
//!
//! beside the configuration file. Without any of them the call is denied, and the log says which file is missing.
//! `allow_unconfigured` does not change that: as on the servers of today it is only what a policy file without
//! `policy default` falls back to.
//!
//! Files are looked at for every decision and read again when they changed, so an edit counts at once. One that can
//! not be read denies. This is a part of the daemon: it opens files, through [`PolicyFiles`].

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use muster_settings::Reader;
use parking_lot::Mutex;
use tracing::warn;

use super::{CallContext, Decision, Effect, Groups, Policy, PolicyWarning, shipped_policy};
use crate::agent::{Authorise, CallId, HostView, Verdict};

/// Longest policy or groups file, in bytes; the parsed form takes a small multiple of that.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// The file of the groups.
const GROUPS_FILE: &str = "groups";

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyOptions {
    /// What a policy file without `policy default` falls back to is to allow.
    pub allow_unconfigured: bool,
    /// There may be a policy for all agents without one.
    pub enable_default: bool,
    /// The name of that policy, without `.policy`.
    pub default_name: String,
    /// The policies shipped are in force for agents without a file.
    pub use_shipped: bool,
}

/// Files of policies, by name.
pub trait PolicyFiles: Send + Sync + fmt::Debug {
    /// What tells one state of a file from another; `None` if there is no file.
    ///
    /// # Errors
    /// It can not be looked at.
    fn stamp(&self, name: &str) -> io::Result<Option<FileStamp>>;

    /// The text of a file.
    ///
    /// # Errors
    /// It can not be read, or is longer than [`FILE_BYTES_MAX`].
    fn read(&self, name: &str) -> io::Result<String>;

    /// The name as the log gives it.
    fn describe(&self, name: &str) -> String;
}

/// A state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Second and nanosecond of the last change of its content.
    pub modified: (i64, i64),
    /// Second and nanosecond of the last change of anything.
    pub changed: (i64, i64),
    /// Its length.
    pub bytes: u64,
    /// Its number on its file system.
    pub inode: u64,
}

/// Files in a directory.
#[derive(Debug, Clone)]
pub struct PolicyDirectory {
    path: PathBuf,
}

/// Decides by the policies of a node.
#[derive(Debug)]
pub struct PolicyStore {
    options: PolicyOptions,
    files: Box<dyn PolicyFiles>,
    read: Mutex<ReadFiles>,
}

/// What was read so far.
#[derive(Debug, Default)]
struct ReadFiles {
    policies: HashMap<String, (FileStamp, Arc<Policy>)>,
    shipped: HashMap<String, Arc<Policy>>,
    groups: Option<(FileStamp, Arc<Groups>)>,
}

impl PolicyOptions {
    /// Reads the keys `plugin.actionpolicy.*`.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        Self {
            allow_unconfigured: reader.bool(
                "plugin.actionpolicy.allow_unconfigured",
                defaults.allow_unconfigured,
            ),
            enable_default: reader.bool(
                "plugin.actionpolicy.enable_default",
                defaults.enable_default,
            ),
            default_name: reader.string("plugin.actionpolicy.default_name", &defaults.default_name),
            use_shipped: reader.bool("plugin.actionpolicy.use_shipped", defaults.use_shipped),
        }
    }
}

impl Default for PolicyOptions {
    /// Only an agent's own file, or the one shipped for it.
    fn default() -> Self {
        Self {
            allow_unconfigured: false,
            enable_default: false,
            default_name: "default".to_owned(),
            use_shipped: true,
        }
    }
}

impl PolicyStore {
    /// A store of the files in `path`, the directory `policies` beside the configuration file.
    #[must_use]
    pub fn new(options: PolicyOptions, path: impl Into<PathBuf>) -> Self {
        Self::with_files(options, Box::new(PolicyDirectory { path: path.into() }))
    }

    /// A store of other files.
    #[must_use]
    pub fn with_files(options: PolicyOptions, files: Box<dyn PolicyFiles>) -> Self {
        Self {
            options,
            files,
            read: Mutex::default(),
        }
    }

    /// Decides about a call.
    #[must_use]
    pub fn decide(&self, call: &CallContext<'_>) -> Decision {
        let groups = self.groups();
        match self.policy(call.agent) {
            Ok(policy) => policy.decide(call, &groups),
            Err(why) => Decision::Deny {
                line: None,
                why: why.into(),
            },
        }
    }

    /// The policy in force for an agent, or why there is none.
    fn policy(&self, agent: &str) -> Result<Arc<Policy>, String> {
        let own = format!("{agent}.policy");
        if let Some(policy) = self.file(&own)? {
            return Ok(policy);
        }
        let default = format!("{}.policy", self.options.default_name);
        if self.options.enable_default
            && let Some(policy) = self.file(&default)?
        {
            return Ok(policy);
        }
        if self.options.use_shipped
            && let Some(text) = shipped_policy(agent)
        {
            return Ok(self.shipped(agent, text));
        }
        let own = self.files.describe(&own);
        Err(if self.options.enable_default {
            let default = self.files.describe(&default);
            format!("there is no policy file {own}, and no {default}")
        } else {
            format!("there is no policy file {own}")
        })
    }

    fn shipped(&self, agent: &str, text: &str) -> Arc<Policy> {
        let mut read = self.read.lock();
        let policy = read.shipped.entry(agent.to_owned()).or_insert_with(|| {
            let (policy, _) = Policy::parse(text, &format!("shipped policy of {agent}"));
            Arc::new(policy)
        });
        Arc::clone(policy)
    }

    /// The policy in a file, if there is one.
    fn file(&self, name: &str) -> Result<Option<Arc<Policy>>, String> {
        // The name of an agent is no path.
        if name.contains('/') {
            return Err(format!("{name:?} is no name of a policy file"));
        }
        let describe = |error| format!("policy file {}: {error}", self.files.describe(name));
        let mut read = self.read.lock();
        let Some(stamp) = self.files.stamp(name).map_err(describe)? else {
            read.policies.remove(name);
            return Ok(None);
        };
        if let Some((known, policy)) = read.policies.get(name)
            && *known == stamp
        {
            return Ok(Some(Arc::clone(policy)));
        }
        let text = self.files.read(name).map_err(describe)?;
        let (policy, warnings) = Policy::parse(&text, &self.files.describe(name));
        log(&warnings);
        let policy = Arc::new(if self.options.allow_unconfigured {
            policy.with_default(Effect::Allow)
        } else {
            policy
        });
        let kept = (stamp, Arc::clone(&policy));
        read.policies.insert(name.to_owned(), kept);
        Ok(Some(policy))
    }

    /// The groups; none where their file is missing or can not be read.
    fn groups(&self) -> Arc<Groups> {
        let mut read = self.read.lock();
        match self.read_groups(&mut read) {
            Ok(groups) => groups,
            Err(error) => {
                let file = self.files.describe(GROUPS_FILE);
                warn!(%file, %error, "no caller is in a group: their file can not be read");
                Arc::default()
            }
        }
    }

    fn read_groups(&self, read: &mut ReadFiles) -> io::Result<Arc<Groups>> {
        let Some(stamp) = self.files.stamp(GROUPS_FILE)? else {
            read.groups = None;
            return Ok(Arc::default());
        };
        if let Some((known, groups)) = &read.groups
            && *known == stamp
        {
            return Ok(Arc::clone(groups));
        }
        let text = self.files.read(GROUPS_FILE)?;
        let (groups, warnings) = Groups::parse(&text, &self.files.describe(GROUPS_FILE));
        log(&warnings);
        let groups = Arc::new(groups);
        read.groups = Some((stamp, Arc::clone(&groups)));
        Ok(groups)
    }
}

impl Authorise for PolicyStore {
    fn decide(&self, call: &CallId<'_>, host: &HostView<'_>) -> Verdict {
        let context = CallContext {
            caller: call.caller_id,
            agent: call.agent,
            action: call.action,
            facts: host.facts,
            classes: host.classes,
        };
        match Self::decide(self, &context) {
            Decision::Allow => Verdict::Allow,
            Decision::Deny { why, .. } => Verdict::Deny(why.into_string().into()),
        }
    }
}

impl PolicyFiles for PolicyDirectory {
    fn stamp(&self, name: &str) -> io::Result<Option<FileStamp>> {
        match fs::metadata(self.path.join(name)) {
            Ok(metadata) => Ok(Some(FileStamp {
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
                bytes: metadata.len(),
                inode: metadata.ino(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, name: &str) -> io::Result<String> {
        let mut bytes = Vec::new();
        let file = fs::File::open(self.path.join(name))?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            let why = format!("it is longer than {FILE_BYTES_MAX} bytes");
            return Err(io::Error::other(why));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn describe(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

fn log(warnings: &[PolicyWarning]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

#[cfg(test)]
mod tests;
