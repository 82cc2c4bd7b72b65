//! Certificates and keys on disk: `<name>.pem` and `<name>.key`, the key readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::profile::check_name;
use crate::{Authority, Issued};

const CERT_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

/// What to do with files that exist already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfExists {
    /// Fail and leave both as they are.
    #[default]
    Refuse,
    /// Put the new ones in their place.
    Replace,
}

/// Writes a certificate and its key into an existing directory; returns their paths, certificate first.
///
/// A file appears under its name only when it is complete. The key comes first, so a certificate is never
/// there without its key.
///
/// # Errors
/// `AlreadyExists` naming the file, with [`IfExists::Refuse`]; `InvalidInput` for a name that is none;
/// else what the file system says.
pub fn write_pem_files(
    dir: &Path,
    name: &str,
    cert_pem: &str,
    key_pem: &str,
    if_exists: IfExists,
) -> io::Result<(PathBuf, PathBuf)> {
    check_name(name).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))?;
    let cert = dir.join(format!("{name}.pem"));
    let key = dir.join(format!("{name}.key"));
    refuse_existing(&[&cert, &key], if_exists)?;
    place(&key, key_pem, KEY_MODE, if_exists)?;
    if let Err(error) = place(&cert, cert_pem, CERT_MODE, if_exists) {
        if if_exists == IfExists::Refuse {
            // Nothing was there before, so nothing is left behind.
            let _ = fs::remove_file(&key);
        }
        return Err(error);
    }
    Ok((cert, key))
}

impl Issued {
    /// Writes `<name>.pem` and `<name>.key`; see [`write_pem_files`].
    ///
    /// # Errors
    /// As [`write_pem_files`].
    pub fn write_files(
        &self,
        dir: &Path,
        name: &str,
        if_exists: IfExists,
    ) -> io::Result<(PathBuf, PathBuf)> {
        write_pem_files(dir, name, &self.cert_pem, &self.key_pem, if_exists)
    }
}

impl Authority {
    /// Writes the root as `<name>.pem` and `<name>.key`; see [`write_pem_files`].
    ///
    /// # Errors
    /// As [`write_pem_files`].
    pub fn write_files(
        &self,
        dir: &Path,
        name: &str,
        if_exists: IfExists,
    ) -> io::Result<(PathBuf, PathBuf)> {
        write_pem_files(dir, name, self.cert_pem(), self.key_pem(), if_exists)
    }
}

/// Writes a file that is no secret.
///
/// # Errors
/// As [`write_pem_files`].
pub(crate) fn write_public(path: &Path, text: &str, if_exists: IfExists) -> io::Result<()> {
    place(path, text, CERT_MODE, if_exists)
}

/// Fails where one of the files is there and is to be left as it is.
pub(crate) fn refuse_existing(paths: &[&Path], if_exists: IfExists) -> io::Result<()> {
    let is_there = |path: &&&Path| fs::symlink_metadata(path).is_ok();
    match paths.iter().find(is_there) {
        Some(path) if if_exists == IfExists::Refuse => Err(exists(path)),
        _ => Ok(()),
    }
}

/// Writes a file beside its place and moves it there. Linking refuses an existing name, renaming does not.
fn place(path: &Path, text: &str, mode: u32, if_exists: IfExists) -> io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    // Left over from a run that died; opening it as it is could keep a mode that is too wide.
    match fs::remove_file(&partial) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            // A name must not appear before the contents it stands for, a crash included.
            file.sync_all()
        });
    let moved = written.and_then(|()| match if_exists {
        IfExists::Refuse => fs::hard_link(&partial, path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => e,
        }),
        IfExists::Replace => fs::rename(&partial, path),
    });
    if moved.is_err() || if_exists == IfExists::Refuse {
        let _ = fs::remove_file(&partial);
    }
    moved
}

fn exists(path: &Path) -> io::Error {
    let text = format!("{} exists and is not overwritten", path.display());
    io::Error::new(io::ErrorKind::AlreadyExists, text)
}
