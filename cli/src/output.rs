//! Where a command's result goes: the standard output, or a file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::render;

/// The place of a result.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout,
    File(PathBuf, File),
}

impl Output {
    /// A new file, or the standard output. An old file of the name is emptied at once, so that nobody takes it for the result.
    pub(crate) fn to(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let file = File::create(path).map_err(|error| unwritten(path, &error))?;
        Ok(Self::File(path.to_owned(), file))
    }

    pub(crate) fn put(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout => render::put(text),
            Self::File(path, file) => file
                .write_all(text.as_bytes())
                .map_err(|error| unwritten(path, &error)),
        }
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_emptied_first_and_written_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "old and longer than the new").unwrap();
        let mut output = Output::to(Some(&path)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        output.put("a\n").unwrap();
        output.put("b\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\n");
        let failure = Output::to(Some(&folder.path().join("no/out"))).unwrap_err();
        assert!(failure.to_string().contains("no/out"), "{failure}");
    }
}
