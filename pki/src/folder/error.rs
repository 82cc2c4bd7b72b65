//! Why an authority's folder cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::INDEX;
use crate::{IndexError, PkiError, Serial};

/// Why a folder cannot be used, or not for this.
#[derive(Debug)]
#[non_exhaustive]
pub enum FolderError {
    /// A file or the folder.
    Io(PathBuf, io::Error),
    /// A line of the book.
    Index(PathBuf, IndexError),
    /// A certificate, a key or the authority, of this file where one is concerned.
    Pki(Option<PathBuf>, PkiError),
    /// The name is the authority's own.
    OwnName,
    /// No certificate is meant by this.
    Unknown(String),
    /// The certificate is none of this authority.
    Foreign(PathBuf),
    /// All certificates that are meant are revoked already.
    Revoked(String),
    /// The revocation list has a certificate that the book does not know as revoked: a new list would forget it.
    Forgotten(PathBuf, Serial),
}

impl From<PkiError> for FolderError {
    fn from(error: PkiError) -> Self {
        Self::Pki(None, error)
    }
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It names the file itself.
            Self::Io(_, error) if error.kind() == io::ErrorKind::AlreadyExists => error.fmt(f),
            Self::Io(path, error) => write!(f, "cannot use {}: {error}", path.display()),
            Self::Index(path, error) => {
                write!(f, "{}:{}: {}", path.display(), error.line, error.why)
            }
            Self::Pki(Some(path), error) => write!(f, "{}: {error}", path.display()),
            Self::Pki(None, error) => error.fmt(f),
            Self::OwnName => f.write_str("the names ca and crl are the authority's own"),
            Self::Unknown(which) => write!(
                f,
                "no certificate of this authority has the name or serial {which:?}, and no file does"
            ),
            Self::Foreign(path) => write!(
                f,
                "{} is no certificate issued by this authority",
                path.display()
            ),
            Self::Revoked(which) => write!(f, "{which:?} is revoked already"),
            Self::Forgotten(path, serial) => write!(
                f,
                "{} has the revoked certificate {serial} that {INDEX} does not know as such; revoke it by its file, or bring the book back",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FolderError {}
