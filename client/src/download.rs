//! One file over HTTP or HTTPS, into memory: bounded in bytes and in time, no redirects, no credentials.
//!
//! It is I/O, and it waits: it belongs on a thread of its own.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use muster_reactor::rustls::pki_types::ServerName;
use muster_reactor::rustls::{ClientConfig as TlsConfig, ClientConnection, StreamOwned};

use crate::fleet::SignError;
use crate::signer::http::{Deadline, Response, TimedStream, read_response};
use crate::signer::{SignerUrl, SignerUrlError};

/// Why a file is not there.
#[derive(Debug)]
pub enum DownloadError {
    /// The URL is none.
    Url(SignerUrlError),
    /// The URL begins with `https`, and there is no TLS to speak.
    NoTls,
    /// The server answered with another status than 200.
    Status(u16),
    /// The exchange failed, or was too long or too large; the words say which.
    Exchange(String),
}

/// What bounds a download.
#[derive(Debug, Clone, Copy)]
pub struct DownloadLimits {
    /// Bytes of the answer, its head included.
    pub bytes_max: usize,
    /// From the first attempt to connect to the last byte.
    pub time: Duration,
}

/// Fetches what is at a URL. `tls` is what is spoken where it begins with `https`.
///
/// # Errors
/// There is none, or the limits are passed.
pub fn download(
    url: &str,
    tls: Option<&Arc<TlsConfig>>,
    limits: DownloadLimits,
) -> Result<Vec<u8>, DownloadError> {
    let url = SignerUrl::parse(url).map_err(DownloadError::Url)?;
    let deadline = Deadline::after(limits.time);
    let mut stream = TimedStream::connect(url.host(), url.port(), deadline)?;
    let response = if url.is_https() {
        let tls = tls.ok_or(DownloadError::NoTls)?;
        let failed = |error: &dyn fmt::Display| DownloadError::Exchange(error.to_string());
        let name = ServerName::try_from(url.host().to_owned()).map_err(|error| failed(&error))?;
        let session =
            ClientConnection::new(Arc::clone(tls), name).map_err(|error| failed(&error))?;
        let mut stream = StreamOwned::new(session, stream);
        ask(&mut stream, &url, limits.bytes_max, deadline)?
    } else {
        ask(&mut stream, &url, limits.bytes_max, deadline)?
    };
    match response.status {
        200 => Ok(response.body),
        status => Err(DownloadError::Status(status)),
    }
}

fn ask(
    stream: &mut (impl Read + Write),
    url: &SignerUrl,
    bytes_max: usize,
    deadline: Deadline,
) -> Result<Response, DownloadError> {
    let sent = stream.write_all(&url.get()).and_then(|()| stream.flush());
    sent.map_err(|error| deadline.error(&error))?;
    Ok(read_response(stream, bytes_max, deadline)?)
}

impl From<SignError> for DownloadError {
    fn from(error: SignError) -> Self {
        Self::Exchange(error.to_string())
    }
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "the url {error}"),
            Self::NoTls => f.write_str("no authorities are known to check the server with"),
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::Exchange(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DownloadError {}
