//! An authority on disk: `ca.pem`, `ca.key`, what it issued, the book of it and the revocation list.
//!
//! | file | holds |
//! |---|---|
//! | `ca.pem`, `ca.key` | the root and its key, the key readable by its owner only |
//! | `NAME.pem`, `NAME.key` | what was issued here; no key where a request was signed |
//! | `issued.txt` | the book: every certificate, see [`Index`] |
//! | `crl.pem` | the revocation list, written anew with every revocation |
//!
//! Invariants: one process at a time (the folder is locked while a [`CaFolder`] lives); a certificate stands in the book
//! before it is on disk, so none is out that could not be revoked; each file appears whole or not at all; a revocation
//! stands in the book before it is in the list, so a list made later repeats it.

mod error;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{refuse_existing, write_public};
use crate::inspect::{cert_der, parse_cert};
use crate::{
    Authority, CertInfo, CrlInfo, Entry, IfExists, Index, KeyKind, Profile, PublicKey,
    PublicKeyKind, Reason, Role, Serial, SigningRequest, State, Validity, write_pem_files,
};

pub use self::error::FolderError;

/// File name of the authority, without its ending.
const CA: &str = "ca";
const INDEX: &str = "issued.txt";
const CRL: &str = "crl.pem";

/// A certificate that was issued, and where it lies.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What it says.
    pub info: CertInfo,
    /// Its file.
    pub cert: PathBuf,
    /// The file of its key, where the key was made here.
    pub key: Option<PathBuf>,
}

/// How a certificate is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal<'a> {
    /// For the same key; the certificate goes to this file, or to `NAME.pem` in the folder.
    SameKey(Option<&'a Path>),
    /// With a new key of this kind, or of the old one's; both go to the folder.
    NewKey(Option<KeyKind>),
}

/// An authority's folder, locked.
#[derive(Debug)]
pub struct CaFolder {
    dir: PathBuf,
    index: Index,
    /// Holds the lock.
    _lock: File,
}

impl CaFolder {
    /// Puts a new authority into a folder that exists; its book begins empty. Where another one is replaced, its book and
    /// list are kept with `.old` behind their names.
    ///
    /// # Errors
    /// With [`IfExists::Refuse`], that one is there; else what the file system says.
    pub fn create(
        dir: &Path,
        authority: &Authority,
        if_exists: IfExists,
    ) -> Result<Signed, FolderError> {
        let _lock = lock(dir)?;
        let (cert, key) = authority
            .write_files(dir, CA, if_exists)
            .map_err(|e| FolderError::Io(dir.to_owned(), e))?;
        for name in [INDEX, CRL] {
            let (from, to) = (dir.join(name), dir.join(format!("{name}.old")));
            match fs::rename(&from, &to) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Io(from, e));
                }
                _ => {}
            }
        }
        Ok(Signed {
            info: CertInfo::from_pem(authority.cert_pem())?,
            cert,
            key: Some(key),
        })
    }

    /// Locks a folder, waiting for whoever has it, and reads its book.
    ///
    /// # Errors
    /// The folder is not there, or a line of the book is not understood.
    pub fn open(dir: &Path) -> Result<Self, FolderError> {
        // Said of the file rather than of the folder: it is what is missed.
        let root = dir.join(format!("{CA}.pem"));
        fs::metadata(&root).map_err(|e| FolderError::Io(root, e))?;
        let lock = lock(dir)?;
        let path = dir.join(INDEX);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(FolderError::Io(path, e)),
        };
        let index = Index::parse(&text).map_err(|e| FolderError::Index(path, e))?;
        Ok(Self {
            dir: dir.to_owned(),
            index,
            _lock: lock,
        })
    }

    /// All that was issued.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Where the revocation list is written.
    #[must_use]
    pub fn crl_path(&self) -> PathBuf {
        self.dir.join(CRL)
    }

    /// The authority itself.
    ///
    /// # Errors
    /// A file of it is not there or of no use.
    pub fn authority(&self) -> Result<Authority, FolderError> {
        let cert = read(&self.dir.join(format!("{CA}.pem")))?;
        let key = read(&self.dir.join(format!("{CA}.key")))?;
        Authority::from_pem(&cert, &key).map_err(FolderError::from)
    }

    /// Issues a certificate with a key of its own. `now` is unix seconds here and below.
    ///
    /// # Errors
    /// Files are there, the authority is not valid now, or the profile cannot be certified.
    pub fn issue(
        &mut self,
        profile: &Profile,
        now: u64,
        if_exists: IfExists,
    ) -> Result<Signed, FolderError> {
        let authority = self.signer(&profile.name, now)?;
        let (cert, key) = (self.pem(&profile.name), self.key(&profile.name));
        self.refuse_existing(&[&cert, &key], if_exists)?;
        let issued = authority.issue(profile)?;
        let info = self.book(&issued.cert_pem, profile.role)?;
        write_pem_files(
            &self.dir,
            &profile.name,
            &issued.cert_pem,
            &issued.key_pem,
            if_exists,
        )
        .map_err(|e| FolderError::Io(self.dir.clone(), e))?;
        Ok(Signed {
            info,
            cert,
            key: Some(key),
        })
    }

    /// Signs a request that was checked; the certificate goes to `out`, or to its own name in the folder.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn sign(
        &mut self,
        request: &SigningRequest,
        (role, validity): (Role, Validity),
        now: u64,
        (out, if_exists): (Option<&Path>, IfExists),
    ) -> Result<Signed, FolderError> {
        let profile = request.profile(role, validity);
        self.sign_key(&profile, request.key(), now, (out, if_exists))
    }

    fn sign_key(
        &mut self,
        profile: &Profile,
        key: &PublicKey,
        now: u64,
        (out, if_exists): (Option<&Path>, IfExists),
    ) -> Result<Signed, FolderError> {
        let authority = self.signer(&profile.name, now)?;
        let cert = out.map_or_else(|| self.pem(&profile.name), Path::to_owned);
        self.refuse_existing(&[&cert], if_exists)?;
        let pem = authority.sign(profile, key)?;
        let info = self.book(&pem, profile.role)?;
        write_public(&cert, &pem, if_exists).map_err(|e| FolderError::Io(cert.clone(), e))?;
        Ok(Signed {
            info,
            cert,
            key: None,
        })
    }

    /// Renews a certificate, given by name or file: same names, new dates and number. The old one counts until it expires
    /// or is revoked; in the folder the new one takes its place.
    ///
    /// # Errors
    /// As [`Self::issue`], and where the old one is not this authority's, or is revoked.
    pub fn renew(
        &mut self,
        which: &str,
        validity: Validity,
        renewal: Renewal<'_>,
        now: u64,
    ) -> Result<Signed, FolderError> {
        let file = if Path::new(which).is_file() {
            PathBuf::from(which)
        } else {
            self.pem(which)
        };
        if !file.is_file() {
            return Err(FolderError::Unknown(which.to_owned()));
        }
        let (info, key) = self.own_cert(&file)?;
        let booked = self.index.find(&info.serial);
        if booked.is_some_and(|entry| entry.state != State::Valid) {
            return Err(FolderError::Revoked(which.to_owned()));
        }
        let role = booked.map_or_else(|| info.role(), |entry| entry.role);
        let mut profile = Profile::new(role, &info.name, validity);
        profile.dns_names.clone_from(&info.dns_names);
        profile.ips.clone_from(&info.ips);
        match renewal {
            Renewal::SameKey(out) => self.sign_key(&profile, &key, now, (out, IfExists::Replace)),
            Renewal::NewKey(kind) => {
                let like_old = match key.kind() {
                    PublicKeyKind::Rsa(_) => KeyKind::Rsa2048,
                    _ => KeyKind::EcdsaP256,
                };
                let profile = profile.key_kind(kind.unwrap_or(like_old));
                self.issue(&profile, now, IfExists::Replace)
            }
        }
    }

    /// Revokes certificates, given by number, file or name; a name means all that were issued to it. The list is written
    /// anew, the next one due in `days`.
    ///
    /// # Errors
    /// Nothing is meant, all of it is revoked already, or the file is none of this authority's.
    pub fn revoke(
        &mut self,
        which: &str,
        reason: Reason,
        now: u64,
        days: u32,
    ) -> Result<Vec<Entry>, FolderError> {
        let meant = self.meant(which)?;
        let matches = |entry: &Entry| meant.contains(&entry.serial);
        let revoked = self.index.revoke(matches, now, reason);
        if revoked.is_empty() {
            return Err(FolderError::Revoked(which.to_owned()));
        }
        self.write_index()?;
        self.write_crl(now, days)?;
        Ok(revoked)
    }

    /// The numbers that are meant; a certificate that is not in the book yet comes in.
    fn meant(&mut self, which: &str) -> Result<Vec<Serial>, FolderError> {
        if Path::new(which).is_file() {
            return Ok(vec![self.adopt(Path::new(which))?]);
        }
        if let Some(entry) = Serial::parse(which).and_then(|serial| self.index.find(&serial)) {
            return Ok(vec![entry.serial.clone()]);
        }
        // The file may be older than the book, and another than those in it.
        let file = self.pem(which);
        if which != CA && file.is_file() {
            self.adopt(&file)?;
        }
        let named = self
            .index
            .entries()
            .iter()
            .filter(|entry| entry.name == which);
        let serials: Vec<Serial> = named.map(|entry| entry.serial.clone()).collect();
        if serials.is_empty() {
            return Err(FolderError::Unknown(which.to_owned()));
        }
        Ok(serials)
    }

    fn adopt(&mut self, file: &Path) -> Result<Serial, FolderError> {
        let (info, _) = self.own_cert(file)?;
        let role = info.role();
        self.index.insert(entry_of(&info, role));
        Ok(info.serial)
    }

    /// Writes the revocation list; returns its file and what it says.
    ///
    /// # Errors
    /// The authority is not valid now, `days` is none, the list before has what the book lost, or what the file system says.
    pub fn write_crl(&self, now: u64, days: u32) -> Result<(PathBuf, CrlInfo), FolderError> {
        let (this_update, next_update) = Validity::days_from(now, days).bounds()?;
        let authority = self.authority()?;
        authority.check_dates(now)?;
        let path = self.crl_path();
        let revoked = self.index.revoked();
        let before = list_before(&path)?;
        if let Some(list) = &before {
            let is_kept = |serial: &&Serial| revoked.iter().any(|cert| cert.serial == **serial);
            if let Some(lost) = list.revoked.iter().find(|serial| !is_kept(serial)) {
                return Err(FolderError::Forgotten(path, lost.clone()));
            }
        }
        // Lists grow in number; the clock serves where there was none before.
        let number = before.and_then(|list| list.number);
        let number = number.map_or(now, |number| now.max(number.saturating_add(1)));
        let pem = authority.revocation_list(&revoked, number, this_update, next_update)?;
        write_public(&path, &pem, IfExists::Replace)
            .map_err(|e| FolderError::Io(path.clone(), e))?;
        Ok((path, CrlInfo::from_pem(&pem)?))
    }

    /// The authority, if it may sign for this name now.
    fn signer(&self, name: &str, now: u64) -> Result<Authority, FolderError> {
        if [CA, CRL.trim_end_matches(".pem")].contains(&name) {
            return Err(FolderError::OwnName);
        }
        let authority = self.authority()?;
        authority.check_dates(now)?;
        Ok(authority)
    }

    /// A certificate of this authority.
    fn own_cert(&self, file: &Path) -> Result<(CertInfo, PublicKey), FolderError> {
        let of_file = |error| FolderError::Pki(Some(file.to_owned()), error);
        let der = cert_der(&read(file)?).map_err(of_file)?;
        let cert = parse_cert(&der).map_err(of_file)?;
        if cert.is_ca() || !self.authority()?.has_signed(&cert) {
            return Err(FolderError::Foreign(file.to_owned()));
        }
        let key = PublicKey::of(cert.public_key()).map_err(of_file)?;
        Ok((CertInfo::of(&cert, &der), key))
    }

    /// Enters a new certificate.
    fn book(&mut self, cert_pem: &str, role: Role) -> Result<CertInfo, FolderError> {
        let info = CertInfo::from_pem(cert_pem)?;
        self.index.insert(entry_of(&info, role));
        self.write_index()?;
        Ok(info)
    }

    fn write_index(&self) -> Result<(), FolderError> {
        let path = self.dir.join(INDEX);
        write_public(&path, &self.index.to_text(), IfExists::Replace)
            .map_err(|e| FolderError::Io(path, e))
    }

    fn refuse_existing(&self, paths: &[&Path], if_exists: IfExists) -> Result<(), FolderError> {
        refuse_existing(paths, if_exists).map_err(|e| FolderError::Io(self.dir.clone(), e))
    }

    fn pem(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }
}

fn list_before(path: &Path) -> Result<Option<CrlInfo>, FolderError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FolderError::Io(path.to_owned(), e)),
    };
    let list = CrlInfo::from_pem(&text);
    list.map(Some)
        .map_err(|e| FolderError::Pki(Some(path.to_owned()), e))
}

fn entry_of(info: &CertInfo, role: Role) -> Entry {
    Entry {
        serial: info.serial.clone(),
        name: info.name.clone(),
        role,
        not_after: info.not_after,
        state: State::Valid,
    }
}

fn lock(dir: &Path) -> Result<File, FolderError> {
    let locked = File::open(dir).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|e| FolderError::Io(dir.to_owned(), e))
}

fn read(path: &Path) -> Result<String, FolderError> {
    fs::read_to_string(path).map_err(|e| FolderError::Io(path.to_owned(), e))
}
