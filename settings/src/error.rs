//! Problems of a configuration, each with its place.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A file or directory that could not be read.
#[derive(Debug)]
pub struct LoadError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// One value that is not what its key needs, or one key that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The key.
    pub key: String,
    /// The value as it stands in the file, none where the key is missing.
    pub value: Option<String>,
    /// File and line, none where the key is missing.
    pub place: Option<(Arc<str>, u32)>,
    /// What is wrong and what the limit is.
    pub problem: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, line)) = &self.place {
            write!(f, "{file}:{line}: ")?;
        }
        match &self.value {
            Some(value) => write!(f, "{} = {value:?} {}", self.key, self.problem),
            None => write!(f, "{} {}", self.key, self.problem),
        }
    }
}

impl std::error::Error for SettingsError {}

/// All problems of a configuration, in the order the keys were asked for. Never empty. Printed one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors(pub(crate) Vec<SettingsError>);

impl SettingsErrors {
    /// The problems.
    #[must_use]
    pub fn errors(&self) -> &[SettingsError] {
        &self.0
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}
