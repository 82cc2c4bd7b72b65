//! The files of a configuration: the main file and what lies beside it.
//!
//! Read in this order, later settings replacing earlier ones:
//!
//! 1. the main file;
//! 2. `conf.d/*.conf` and `conf.d/*.cfg` beside it, by name: more of the same;
//! 3. `plugin.d/<name>.cfg` and `plugin.d/<name>.conf` beside it, by name: a key `x` in them is
//!    `plugin.<name>.x`. Passed over where the main file lies below the user's home, as peers do.

use std::io;
use std::path::{Path, PathBuf};

use crate::{LoadError, Settings};

impl Settings {
    /// Loads a configuration. `home` is the user's home directory where there is one; it also becomes what
    /// `~` stands for. `read` reads a file and `list_dir` names the files of a directory, in any order.
    ///
    /// # Errors
    /// When the main file, or a file or directory that is there beside it, cannot be read. A directory that
    /// is not there is no error.
    pub fn load(
        path: &Path,
        home: Option<&Path>,
        read: impl Fn(&Path) -> io::Result<String>,
        list_dir: impl Fn(&Path) -> io::Result<Vec<PathBuf>>,
    ) -> Result<Self, LoadError> {
        let read = |path: &Path| {
            read(path).map_err(|error| LoadError {
                path: path.to_owned(),
                error,
            })
        };
        let list = |dir: &Path| settings_files(dir, list_dir(dir));
        let mut settings = Self::parse(&read(path)?, &path.to_string_lossy());
        let beside = path.parent().unwrap_or_else(|| Path::new(""));
        for file in list(&beside.join("conf.d"))? {
            settings.merge(&read(&file)?, &file.to_string_lossy());
        }
        if home.is_none_or(|home| !path.starts_with(home)) {
            for file in list(&beside.join("plugin.d"))? {
                let name = file.file_stem().unwrap_or_default().to_string_lossy();
                let prefix = format!("plugin.{name}.");
                settings.merge_under(&prefix, &read(&file)?, &file.to_string_lossy());
            }
        }
        Ok(match home {
            Some(home) => settings.with_home(home),
            None => settings,
        })
    }
}

/// The settings files among the files of a directory, sorted; none where there is no such directory.
fn settings_files(dir: &Path, listed: io::Result<Vec<PathBuf>>) -> Result<Vec<PathBuf>, LoadError> {
    let mut files = match listed {
        Ok(files) => files,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Vec::new()
        }
        Err(error) => {
            return Err(LoadError {
                path: dir.to_owned(),
                error,
            });
        }
    };
    files.retain(|file| {
        let hidden = file
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        !hidden
            && file
                .extension()
                .is_some_and(|ext| ext == "cfg" || ext == "conf")
    });
    files.sort();
    Ok(files)
}
