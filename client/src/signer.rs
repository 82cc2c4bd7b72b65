//! The service that signs a client's requests, over HTTP or HTTPS.
//!
//! ```text
//!  POST {"token": <the caller's token>, "request": <base64 of the request>, "signature": <hex, by the token's key>}
//!  200  {"secure_request": <base64 of a secure request>}    or    {"error": <why not>}
//! ```
//!
//! It is I/O, and it waits: a request is held up by as long as the service takes, [`TIME_LIMIT`] at most.
//! What the answer must be to be published is not decided here; see [`RemoteSigner`].
//!
//! The token leaves this process in that request and nowhere else: no error and no log has it, also where a service repeats it.

pub(crate) mod http;
mod settings;
mod url;

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::base64;
use muster_protocol::security::tokens::TokenSigner;
use muster_reactor::clock::unix_now;
use muster_reactor::rustls::pki_types::ServerName;
use muster_reactor::rustls::{ClientConfig as TlsConfig, ClientConnection, StreamOwned};
use serde::{Deserialize, Serialize};

use self::http::{Deadline, Response, TimedStream};
pub use self::settings::SignerSettings;
pub use self::url::{SignerUrl, SignerUrlError};
use crate::fleet::{RemoteSigner, SignError};

/// How long an exchange may take, from the first attempt to connect to the last byte. Looking the host up is the system's, and is not in it.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How many bytes an answer may have, its head included.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Characters of a service's own words that an error repeats.
const SAID_CHARS_MAX: usize = 200;

/// A signing service that is reached over HTTP or HTTPS, and the token it knows the caller by.
pub struct HttpSigner {
    url: SignerUrl,
    holder: Arc<TokenSigner>,
    tls: Option<Arc<TlsConfig>>,
    time_limit: Duration,
}

#[derive(Serialize)]
struct SignRequest<'a> {
    token: &'a str,
    request: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct SignReply {
    #[serde(default)]
    secure_request: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

impl HttpSigner {
    /// A service at this URL. `holder` is whose token it is shown; `tls` is what is spoken with it where the URL begins with `https`.
    #[must_use]
    pub fn new(url: SignerUrl, holder: Arc<TokenSigner>, tls: Option<Arc<TlsConfig>>) -> Self {
        Self {
            url,
            holder,
            tls,
            time_limit: TIME_LIMIT,
        }
    }

    /// Sets how long an exchange may take, [`TIME_LIMIT`] otherwise.
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    fn exchange(&self, body: &[u8]) -> Result<Response, SignError> {
        let deadline = Deadline::after(self.time_limit);
        let mut stream = TimedStream::connect(self.url.host(), self.url.port(), deadline)?;
        let message = self.url.post(body);
        if !self.url.is_https() {
            return talk(&mut stream, &message, deadline);
        }
        let no_tls = || SignError::Connect("no tls is configured for it".to_owned());
        let tls = self.tls.as_ref().ok_or_else(no_tls)?;
        let refused = |error: &dyn fmt::Display| SignError::Connect(error.to_string());
        let name =
            ServerName::try_from(self.url.host().to_owned()).map_err(|error| refused(&error))?;
        let session =
            ClientConnection::new(Arc::clone(tls), name).map_err(|error| refused(&error))?;
        talk(&mut StreamOwned::new(session, stream), &message, deadline)
    }

    /// The words of a service, fit to be shown: on one line, short, and without the token.
    fn said(&self, text: &str) -> String {
        let text = text.replace(self.holder.token(), "<token>");
        let short: String = text.trim().chars().take(SAID_CHARS_MAX).collect();
        short.escape_debug().to_string()
    }

    fn secure_request(&self, response: &Response) -> Result<Vec<u8>, SignError> {
        let reply = serde_json::from_slice::<SignReply>(&response.body);
        if response.status != 200 {
            let said = match reply {
                Ok(SignReply {
                    error: Some(error), ..
                }) => self.said(&error),
                _ => self.said(&String::from_utf8_lossy(&response.body)),
            };
            return Err(SignError::Status {
                code: response.status,
                said,
            });
        }
        let malformed = |why: &str| SignError::Malformed(why.to_owned());
        // The parser's words may repeat a value, and values of others are not to be trusted.
        let reply = reply.map_err(|error| SignError::Malformed(self.said(&error.to_string())))?;
        if let Some(error) = reply.error.filter(|error| !error.is_empty()) {
            return Err(SignError::Refused(self.said(&error)));
        }
        let secure = reply.secure_request.unwrap_or_default();
        if secure.is_empty() {
            return Err(malformed("it has neither secure_request nor error"));
        }
        let mut document = Vec::new();
        base64::decode(secure.as_bytes(), &mut document)
            .map_err(|_| malformed("secure_request is not standard base64"))?;
        Ok(document)
    }
}

impl RemoteSigner for HttpSigner {
    fn name(&self) -> &str {
        self.url.as_str()
    }

    fn sign(&self, request_document: &[u8]) -> Result<Vec<u8>, SignError> {
        self.holder
            .check_time(unix_now().as_secs())
            .map_err(|error| SignError::Token(error.to_string()))?;
        let request = SignRequest {
            token: self.holder.token(),
            request: &base64::encode_to_string(request_document),
            signature: &hex(&self.holder.sign(request_document)),
        };
        let body = serde_json::to_vec(&request)
            .map_err(|error| SignError::Malformed(error.to_string()))?;
        let response = self.exchange(&body)?;
        self.secure_request(&response)
    }
}

/// Leaves the token out.
impl fmt::Debug for HttpSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSigner")
            .field("url", &self.url.as_str())
            .field("tls", &self.tls.is_some())
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

fn talk(
    stream: &mut (impl Read + Write),
    message: &[u8],
    deadline: Deadline,
) -> Result<Response, SignError> {
    let sent = stream.write_all(message).and_then(|()| stream.flush());
    sent.map_err(|error| deadline.error(&error))?;
    http::read_response(stream, ANSWER_BYTES_MAX, deadline)
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
