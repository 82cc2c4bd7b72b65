//! A set of files and folders that is put in place as a whole, or not at all.
//!
//! ```text
//! stage ──▶ everything lies beside its target, written and synced ──commit──▶ renamed one by one
//!   └─ error: what was staged is removed                                └─ error: what was renamed is put back
//! ```
//!
//! A process that dies between two renames leaves some files new and some old; each is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Mode of folders that are made.
const FOLDER_MODE: u32 = 0o700;

/// Files about to be put in place.
#[derive(Debug, Default)]
pub(crate) struct FileSet {
    staged: Vec<Staged>,
    /// Files that are to be gone.
    removed: Vec<PathBuf>,
    is_done: bool,
}

#[derive(Debug)]
struct Staged {
    target: PathBuf,
    beside: PathBuf,
}

/// What failed, with its place.
#[derive(Debug)]
pub(crate) struct FileError {
    doing: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl FileSet {
    /// Writes a file beside its target; a link is followed, so that what it points to is replaced.
    pub(crate) fn stage(&mut self, target: &Path, text: &[u8], mode: u32) -> Result<(), FileError> {
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let beside = self.beside(&target);
        let staged = Staged {
            target,
            beside: beside.clone(),
        };
        // Named before it is made, so that what is left of it is removed too.
        self.staged.push(staged);
        write(&beside, text, mode).map_err(|error| FileError {
            doing: "write",
            path: beside,
            error,
        })
    }

    /// Makes a folder with these files beside its target, which it replaces with all that is in it.
    pub(crate) fn stage_folder(
        &mut self,
        target: &Path,
        files: &[(PathBuf, &str)],
        mode: u32,
    ) -> Result<(), FileError> {
        let beside = self.beside(target);
        self.staged.push(Staged {
            target: target.to_owned(),
            beside: beside.clone(),
        });
        make_folder(&beside)?;
        for (name, text) in files {
            let path = beside.join(name);
            if let Some(parent) = path.parent() {
                make_folder(parent)?;
            }
            write(&path, text.as_bytes(), mode).map_err(|error| FileError {
                doing: "write",
                path,
                error,
            })?;
        }
        Ok(())
    }

    /// Has a file gone once the others are in place.
    pub(crate) fn remove(&mut self, target: &Path) {
        self.removed.push(target.to_owned());
    }

    /// Puts everything in place.
    pub(crate) fn commit(mut self) -> Result<(), FileError> {
        let mut done: Vec<(&Staged, Option<PathBuf>)> = Vec::new();
        for staged in &self.staged {
            match replace(staged) {
                Ok(old) => done.push((staged, old)),
                Err(error) => {
                    for (staged, old) in done.iter().rev() {
                        put_back(staged, old.as_deref());
                    }
                    return Err(error);
                }
            }
        }
        for (_, old) in &done {
            if let Some(old) = old {
                remove_any(old);
            }
        }
        for path in &self.removed {
            // One that is not there is as good as gone.
            let _ = fs::remove_file(path);
        }
        for staged in &self.staged {
            if let Some(folder) = staged.target.parent()
                && let Ok(folder) = File::open(folder)
            {
                // A file system that cannot do this has done what it can.
                let _ = folder.sync_all();
            }
        }
        self.is_done = true;
        Ok(())
    }

    fn beside(&self, target: &Path) -> PathBuf {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let (pid, count) = (std::process::id(), self.staged.len());
        target.with_file_name(format!(".provision-{name}.{pid}.{count}.new"))
    }
}

impl Drop for FileSet {
    fn drop(&mut self) {
        if !self.is_done {
            for staged in &self.staged {
                remove_any(&staged.beside);
            }
        }
    }
}

/// Makes a folder and those above it, for its owner only.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(FOLDER_MODE).create(path);
    made.map_err(|error| FileError {
        doing: "make the folder",
        path: path.to_owned(),
        error,
    })
}

fn write(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    // One left over from a process that died has perhaps another mode, or is a link of somebody else's.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(text)?;
    // The process's umask may have taken something away.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Puts one in place; where the old one lies, if there was one.
fn replace(staged: &Staged) -> Result<Option<PathBuf>, FileError> {
    let failed = |doing, error| FileError {
        doing,
        path: staged.target.clone(),
        error,
    };
    let old = staged.beside.with_extension("old");
    let is_there = fs::symlink_metadata(&staged.target).is_ok();
    if is_there {
        let kept = if staged.target.is_dir() {
            fs::rename(&staged.target, &old)
        } else {
            // A second name, so that the target is there all the time.
            fs::hard_link(&staged.target, &old)
        };
        kept.map_err(|error| failed("keep the old", error))?;
    }
    if let Err(error) = fs::rename(&staged.beside, &staged.target) {
        if is_there {
            put_back(staged, Some(&old));
        }
        return Err(failed("replace", error));
    }
    Ok(is_there.then_some(old))
}

fn put_back(staged: &Staged, old: Option<&Path>) {
    let undone = match old {
        Some(old) => {
            if old.is_dir() {
                remove_any(&staged.target);
            }
            fs::rename(old, &staged.target)
        }
        None => {
            remove_any(&staged.target);
            Ok(())
        }
    };
    if let Err(error) = undone {
        let path = staged.target.display();
        tracing::error!(%path, %error, "a file cannot be put back as it was");
    }
}

fn remove_any(path: &Path) {
    // Neither is there where the other is, or where nothing was made yet.
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { doing, path, error } = self;
        write!(f, "cannot {doing} {}: {error}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_are_put_in_place_with_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("a"), dir.path().join("policies"));
        fs::write(&file, "old").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("gone.policy"), "").unwrap();
        fs::write(dir.path().join("csr"), "").unwrap();
        let mut set = FileSet::default();
        set.stage(&file, b"new", 0o600).unwrap();
        let policies = [("x.policy".into(), "X"), ("rego/y.rego".into(), "Y")];
        set.stage_folder(&folder, &policies, 0o400).unwrap();
        set.remove(&dir.path().join("csr"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        set.commit().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(names(dir.path()), ["a", "policies"]);
        assert_eq!(names(&folder), ["rego", "x.policy"]);
        let policy = fs::metadata(folder.join("x.policy")).unwrap();
        assert_eq!(policy.permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn a_rename_that_fails_puts_back_those_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, "old").unwrap();
        let fresh = dir.path().join("fresh");
        let mut set = FileSet::default();
        set.stage(&file, b"new", 0o600).unwrap();
        set.stage(&fresh, b"new", 0o600).unwrap();
        let last = dir.path().join("last");
        set.stage(&last, b"new", 0o600).unwrap();
        // The last one is lost before it can be put in place.
        fs::remove_file(&set.staged[2].beside).unwrap();
        let error = set.commit().unwrap_err().to_string();
        assert!(error.contains("cannot replace"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn nothing_is_left_of_a_set_that_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let mut set = FileSet::default();
        set.stage(&dir.path().join("a"), b"x", 0o600).unwrap();
        let nowhere = dir.path().join("no/folder/b");
        let error = set.stage(&nowhere, b"x", 0o600).unwrap_err().to_string();
        assert!(error.contains("no/folder"), "{error}");
        drop(set);
        assert!(names(dir.path()).is_empty());
    }
}
