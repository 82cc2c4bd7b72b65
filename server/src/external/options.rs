//! What the configuration says of agents from files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_settings::Reader;

/// How often the library folders are looked at.
const RESCAN_EVERY: Duration = Duration::from_secs(20);
/// How long a file must have been left alone, so that none is loaded half written.
const SETTLE: Duration = Duration::from_secs(5);
/// Largest reply of a program, in bytes.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// Most a program may write to its standard output, and to its standard error, in bytes.
const LOG_BYTES_MAX: usize = 1 << 20;

/// Where agents are found, and the bounds they are run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalOptions {
    /// Folders that hold `mcollective/agent` or `choria/agent`; of two agents of a name the earlier folder's counts.
    pub library_dirs: Vec<PathBuf>,
    /// The folder of the configuration file; agents have theirs in its `plugin.d`.
    pub config_dir: PathBuf,
    /// Where a folder is made for each run; also the working directory of programs. Empty: the host's.
    pub temp_dir: PathBuf,
    /// Runs agents written in Ruby.
    pub shim: Option<Shim>,
    /// Agents that are switched off.
    pub inactive: BTreeSet<String>,
    /// The environment: external agents get `PATH` of it, the Ruby shim all. Empty: the daemon's.
    pub environment: Vec<(OsString, OsString)>,
    /// Largest reply of a program, in bytes.
    pub reply_bytes_max: usize,
    /// Most a program may write to each of its standard streams, in bytes.
    pub log_bytes_max: usize,
    /// How often the folders are looked at.
    pub rescan_every: Duration,
    /// How long a file must have been left alone before it is looked into.
    pub settle: Duration,
}

/// The program that runs Ruby agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shim {
    /// The program.
    pub program: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
}

impl Default for ExternalOptions {
    fn default() -> Self {
        Self {
            library_dirs: Vec::new(),
            config_dir: PathBuf::new(),
            temp_dir: PathBuf::new(),
            shim: None,
            inactive: BTreeSet::new(),
            environment: Vec::new(),
            reply_bytes_max: REPLY_BYTES_MAX,
            log_bytes_max: LOG_BYTES_MAX,
            rescan_every: RESCAN_EVERY,
            settle: SETTLE,
        }
    }
}

impl ExternalOptions {
    /// Reads the keys of a node's configuration; `config_file` is where they stand. Which agents are switched off is a
    /// matter of all agents, and left to the caller.
    pub fn read(reader: &mut Reader<'_>, config_file: &str) -> Self {
        const SHIM: &str = "plugin.choria.agent_provider.mcorpc.agent_shim";
        const SHIM_CONFIG: &str = "plugin.choria.agent_provider.mcorpc.config";
        let mut library_dirs = reader.path_list("libdir");
        for dir in reader.path_list("plugin.choria.agent_provider.mcorpc.libdir") {
            if !library_dirs.contains(&dir) {
                library_dirs.push(dir);
            }
        }
        let shim = match (reader.opt_path(SHIM), reader.opt_path(SHIM_CONFIG)) {
            (Some(program), Some(config)) => Some(Shim { program, config }),
            (Some(_), None) => {
                reader.problem(SHIM_CONFIG, format!("is needed with {SHIM} and not set"));
                None
            }
            // A configuration file alone is what is left when a shim is taken away.
            (None, _) => None,
        };
        Self {
            library_dirs,
            config_dir: Path::new(config_file)
                .parent()
                .map(Path::to_owned)
                .unwrap_or_default(),
            shim,
            ..Self::default()
        }
    }

    /// Whether there is anywhere to look.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        !self.library_dirs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_settings::Settings;

    fn read(text: &str) -> (ExternalOptions, String) {
        let settings = Settings::parse(text, "server.conf");
        let mut reader = settings.reader();
        let options = ExternalOptions::read(&mut reader, "/etc/choria/server.conf");
        let problems = reader.finish().err().map(|errors| errors.to_string());
        (options, problems.unwrap_or_default())
    }

    #[test]
    fn every_key_is_read() {
        let (options, problems) = read(
            "libdir = /a:/b
plugin.choria.agent_provider.mcorpc.libdir = /b:/c
plugin.choria.agent_provider.mcorpc.agent_shim = /usr/bin/shim
plugin.choria.agent_provider.mcorpc.config = /etc/shim.cfg
",
        );
        assert_eq!(problems, "");
        assert_eq!(options.library_dirs, ["/a", "/b", "/c"].map(PathBuf::from));
        let shim = options.shim.as_ref().unwrap();
        assert_eq!(shim.program, PathBuf::from("/usr/bin/shim"));
        assert_eq!(shim.config, PathBuf::from("/etc/shim.cfg"));
        assert_eq!(options.config_dir, PathBuf::from("/etc/choria"));
        assert!(options.is_enabled());
    }

    #[test]
    fn problems_have_their_place() {
        let (_, problems) = read(
            "plugin.choria.agent_provider.mcorpc.agent_shim = /usr/bin/shim
",
        );
        assert!(problems.contains("mcorpc.config is needed"), "{problems}");
        let (options, problems) = read("");
        assert!(problems.is_empty() && !options.is_enabled());
    }
}
