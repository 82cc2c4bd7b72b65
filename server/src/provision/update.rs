//! The action `release_update`: another release of the program takes the place of the running one.
//!
//! A repository is a web server with `VERSION/OS/ARCHITECTURE/release.json`, which names a file compressed with bzip2
//! beside it and the SHA-256 of what is in it:
//!
//! ```text
//! {"binary": "choria.bz2", "hash": "12a61f4e…"}
//! ```
//!
//! The hash guards against damage, not against the repository: whoever knows the provision token says where releases
//! are. The program before stays beside the new one, as `NAME.backup`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bzip2::read::BzDecoder;
use muster_client::download::{DownloadError, DownloadLimits, download};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use serde_json::Value;

use super::keys::hex;

/// The description of a release has some hundred bytes.
const MANIFEST_LIMITS: DownloadLimits = DownloadLimits {
    bytes_max: 64 * 1024,
    time: Duration::from_secs(5),
};
/// A release has some tens of megabytes.
const BINARY_LIMITS: DownloadLimits = DownloadLimits {
    bytes_max: 256 << 20,
    time: Duration::from_secs(60),
};
/// Bytes a program may have once it is unpacked.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;

/// A release as its repository describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The file, beside the description.
    binary: String,
    /// What is in it, in hex.
    hash: String,
}

/// Why there is no update. The program that was there is there still, but for [`UpdateError::Broken`].
#[derive(Debug)]
pub(crate) enum UpdateError {
    /// The version is none that can stand in a URL.
    BadVersion,
    /// The description of a release is none.
    Manifest(&'static str),
    /// Something cannot be fetched.
    Download(String, DownloadError),
    /// The file is not what its description says.
    Hash,
    /// The file is no bzip2, or too large.
    Unpack(io::Error),
    /// A file cannot be written or replaced.
    File(PathBuf, io::Error),
    /// The new program was put in place, is not what it should be, and the old one could not be put back.
    Broken(io::Error),
}

impl Manifest {
    /// Reads a description.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, &'static str> {
        let value: Value = serde_json::from_slice(json).map_err(|_| "it is no JSON")?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (binary, hash) = (text("binary"), text("hash"));
        if !is_segment(binary) {
            return Err("binary is no name of a file");
        }
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("hash is no sha-256 in hex");
        }
        Ok(Self {
            binary: binary.to_owned(),
            hash: hash.to_ascii_lowercase(),
        })
    }
}

/// Whether a text is one part of a path, and means itself in a URL.
fn is_segment(text: &str) -> bool {
    let is_byte =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'~');
    !text.is_empty() && text.bytes().all(is_byte) && text != "." && text != ".."
}

/// How repositories call this machine.
fn platform() -> (&'static str, &'static str) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    (std::env::consts::OS, architecture)
}

/// Puts the release in place of `program`.
pub(crate) fn update(
    program: &Path,
    repository: &str,
    version: &str,
    tls: Option<&Arc<TlsConfig>>,
) -> Result<(), UpdateError> {
    if !is_segment(version) {
        return Err(UpdateError::BadVersion);
    }
    let (os, architecture) = platform();
    let repository = repository.trim_end_matches('/');
    let folder = format!("{repository}/{version}/{os}/{architecture}");
    let fetch = |name: &str, limits| {
        let url = format!("{folder}/{name}");
        download(&url, tls, limits).map_err(|error| UpdateError::Download(name.to_owned(), error))
    };
    let manifest = fetch("release.json", MANIFEST_LIMITS)?;
    let manifest = Manifest::parse(&manifest).map_err(UpdateError::Manifest)?;
    let packed = fetch(&manifest.binary, BINARY_LIMITS)?;
    let mut unpacked = Vec::new();
    let mut reader = BzDecoder::new(&*packed).take(PROGRAM_BYTES_MAX + 1);
    reader
        .read_to_end(&mut unpacked)
        .map_err(UpdateError::Unpack)?;
    if unpacked.len() as u64 > PROGRAM_BYTES_MAX {
        let error = io::Error::other(format!("it has more than {PROGRAM_BYTES_MAX} bytes"));
        return Err(UpdateError::Unpack(error));
    }
    if hash(&unpacked) != manifest.hash {
        return Err(UpdateError::Hash);
    }
    replace(program, &unpacked, &manifest.hash)
}

fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn named(program: &Path, ending: &str) -> PathBuf {
    let mut name = program.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    program.with_file_name(name)
}

/// Writes the new program, keeps the old one, renames, and looks at what is there now.
fn replace(program: &Path, bytes: &[u8], expected: &str) -> Result<(), UpdateError> {
    let (new, backup) = (named(program, ".new"), named(program, ".backup"));
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| UpdateError::File(path, error)
    };
    let result = (|| {
        let mode = fs::metadata(program).map_err(at(program))?;
        let mode = mode.permissions().mode() & 0o777;
        write(&new, bytes, mode).map_err(at(&new))?;
        let _ = fs::remove_file(&backup);
        fs::hard_link(program, &backup).map_err(at(&backup))?;
        fs::rename(&new, program).map_err(at(program))
    })();
    if let Err(error) = result {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    match fs::read(program) {
        Ok(there) if hash(&there) == expected => Ok(()),
        Ok(_) | Err(_) => {
            fs::rename(&backup, program).map_err(UpdateError::Broken)?;
            Err(UpdateError::Hash)
        }
    }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadVersion => f.write_str("the version cannot stand in a url"),
            Self::Manifest(why) => write!(f, "release.json cannot be used: {why}"),
            Self::Download(name, error) => write!(f, "cannot fetch {name}: {error}"),
            Self::Hash => f.write_str("the file has another hash than release.json says"),
            Self::Unpack(error) => write!(f, "the file cannot be unpacked: {error}"),
            Self::File(path, error) => write!(f, "cannot replace {}: {error}", path.display()),
            Self::Broken(error) => write!(f, "the program before cannot be put back: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use bzip2::Compression;
    use bzip2::read::BzEncoder;

    use super::*;

    /// A web server with these files; its URL.
    fn serve(files: Vec<(String, Vec<u8>)>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let line = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let path = line.split(' ').nth(1).unwrap().to_owned();
                let file = files.iter().find(|(name, _)| *name == path);
                let (status, body) = match file {
                    Some((_, body)) => ("200 OK", body.as_slice()),
                    None => ("404 Not Found", &b""[..]),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(body).unwrap();
            }
        });
        format!("http://{address}/repo")
    }

    fn release(version: &str, program: &[u8], hash: &str) -> Vec<(String, Vec<u8>)> {
        let (os, arch) = platform();
        let folder = format!("/repo/{version}/{os}/{arch}");
        let mut packed = Vec::new();
        BzEncoder::new(program, Compression::best())
            .read_to_end(&mut packed)
            .unwrap();
        let manifest = format!(r#"{{"binary":"muster.bz2","hash":"{hash}"}}"#);
        vec![
            (format!("{folder}/release.json"), manifest.into_bytes()),
            (format!("{folder}/muster.bz2"), packed),
        ]
    }

    #[test]
    fn a_release_takes_the_place_of_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("muster");
        write(&program, b"old program", 0o755).unwrap();
        let new = b"new program".repeat(1000);
        let url = serve(release("1.2.3", &new, &hash(&new).to_uppercase()));
        update(&program, &url, "1.2.3", None).unwrap();
        assert_eq!(fs::read(&program).unwrap(), new);
        let mode = fs::metadata(&program).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        let backup = fs::read(dir.path().join("muster.backup")).unwrap();
        assert_eq!(backup, b"old program");
        let error = update(&program, &url, "9.9.9", None).unwrap_err();
        assert!(error.to_string().contains("status 404"), "{error}");
        for version in ["../1.2.3", "a/b", "..", ""] {
            let error = update(&program, &url, version, None).unwrap_err();
            assert!(matches!(error, UpdateError::BadVersion), "{error}");
        }
    }

    #[test]
    fn what_is_not_as_described_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("muster");
        write(&program, b"old program", 0o755).unwrap();
        let url = serve(release("1.2.3", b"new", &hash(b"other")));
        let error = update(&program, &url, "1.2.3", None).unwrap_err();
        assert!(matches!(error, UpdateError::Hash), "{error}");
        // What is put in place and found to be something else gives way to what was there.
        let error = replace(&program, b"new", &hash(b"other")).unwrap_err();
        assert!(matches!(error, UpdateError::Hash), "{error}");
        assert_eq!(fs::read(&program).unwrap(), b"old program");
        let gone = dir.path().join("gone");
        let error = replace(&gone, b"new", &hash(b"new")).unwrap_err();
        assert!(matches!(error, UpdateError::File(..)), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn descriptions_that_are_none() {
        for (json, why) in [
            ("", "no JSON"),
            (r#"{"hash":"00"}"#, "name of a file"),
            (r#"{"binary":"../x","hash":"00"}"#, "name of a file"),
            (r#"{"binary":"x.bz2","hash":"00"}"#, "no sha-256"),
        ] {
            assert!(Manifest::parse(json.as_bytes()).unwrap_err().contains(why));
        }
    }
}
