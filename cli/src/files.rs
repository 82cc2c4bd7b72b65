//! Configuration files: reading, finding and warning. What is in them is for those who read the settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_settings::Settings;

use crate::exit::Failure;
use crate::host;

/// Where a client's configuration lies below the home directory, in the order of preference.
const CLIENT_FILES_AT_HOME: [&str; 2] = [".choriarc", ".mcollective"];
/// Where else it may lie.
const CLIENT_FILES: [&str; 4] = [
    "/etc/muster/client.conf",
    "/etc/choria/client.conf",
    "/usr/local/etc/choria/client.conf",
    "/etc/puppetlabs/mcollective/client.cfg",
];
/// A project's own settings for clients.
const PROJECT_FILE: &str = "choria.conf";

/// Reads a text file.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

/// Reads a text file for a command that needs it.
pub(crate) fn need(path: &Path) -> Result<String, Failure> {
    read(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// Loads a configuration with what lies beside it.
pub(crate) fn load(path: &Path) -> Result<Settings, Failure> {
    let list = |dir: &Path| fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect();
    Settings::load(path, host::home().as_deref(), read, list).map_err(Failure::new)
}

/// Loads a client's configuration: this file or else the first that is found, and a project's settings over it.
pub(crate) fn load_client(path: Option<&Path>) -> Result<Settings, Failure> {
    let found = match path {
        Some(path) => path.to_owned(),
        None => find_client_file()?,
    };
    let mut settings = load(&found)?;
    let here = std::env::current_dir().unwrap_or_default();
    let mut folders: Vec<&Path> = here.ancestors().collect();
    folders.reverse();
    for folder in folders {
        let file = folder.join(PROJECT_FILE);
        if file.is_file() && file != found {
            settings.merge(&need(&file)?, &file.to_string_lossy());
        }
    }
    Ok(settings)
}

/// The first file in the usual places.
pub(crate) fn find_client_file() -> Result<PathBuf, Failure> {
    let at_home = host::home().into_iter();
    let at_home = at_home.flat_map(|home| CLIENT_FILES_AT_HOME.map(|name| home.join(name)));
    let candidates: Vec<_> = at_home.chain(CLIENT_FILES.map(PathBuf::from)).collect();
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let places: Vec<_> = candidates.iter().map(|path| path.to_string_lossy()).collect();
        Failure::new(format!(
            "no configuration: none of {} is there; give --config, or --broker with --tls-cert, --tls-key and --tls-ca",
            places.join(", ")
        ))
    })
}

/// What nobody asked for in a daemon's configuration, one warning each, with its place.
pub(crate) fn warnings(settings: &Settings) -> Vec<String> {
    let unused = settings.unused().map(|entry| {
        let (file, line, key) = (entry.file(), entry.line(), entry.key());
        format!("{file}:{line}: {key} is not known and has no effect")
    });
    let stray = settings.stray_lines().iter();
    let stray =
        stray.map(|stray| format!("{}:{}: no setting: there is no =", stray.file, stray.line));
    unused.chain(stray).collect()
}

/// Says the warnings on the standard error.
pub(crate) fn warn(settings: &Settings) {
    for warning in warnings(settings) {
        eprintln!("warning: {warning}");
    }
}

/// A file with our process id, gone when dropped.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    pub(crate) fn write(path: &Path) -> Result<Self, Failure> {
        fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            Failure::new(format!(
                "cannot write the process id to {}: {error}",
                path.display()
            ))
        })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody else may have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_stray_lines_are_named_with_their_place() {
        let settings = Settings::parse("identity = a\nloglevle = debug\nnonsense\n", "broker.conf");
        assert!(settings.find("identity").is_some());
        assert_eq!(
            warnings(&settings),
            [
                "broker.conf:2: loglevle is not known and has no effect",
                "broker.conf:3: no setting: there is no =",
            ]
        );
    }
}
