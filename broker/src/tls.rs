//! TLS towards clients, from files and PEM texts to what the shards use, and its replacement while they run.
//!
//! A shard works with a copy of its own and asks for a newer one once a turn, by a number: no lock on the way of a byte.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use muster_broker_core::config::TlsOffer;
use muster_reactor::rustls::server::danger::ClientCertVerifier;
use muster_reactor::rustls::{ClientConfig, ServerConfig};
use muster_reactor::tls::{
    ClientAuth, ServerVerification, TlsConfigError, TlsFiles, client_config_with_crl,
    client_verifier, crl_next_update, server_config,
};
use parking_lot::Mutex;

/// TLS towards clients; `Default` is none.
#[derive(Debug, Clone, Default)]
pub struct TlsSetting {
    /// What is offered and asked for.
    pub offer: TlsOffer,
    pub(crate) config: Option<Arc<ServerConfig>>,
    /// Checks clients that resume an earlier session, which TLS itself does not do.
    pub(crate) resumed: Option<Arc<dyn ClientCertVerifier>>,
    /// TLS between brokers, where there is a CA to check peers against.
    pub(crate) route: Option<RouteTls>,
    /// When the revocation list is due to be replaced, in unix seconds.
    pub(crate) crl_next_update: Option<u64>,
}

/// TLS between brokers: the broker's own certificate on both ends, and both check the other's.
#[derive(Debug, Clone)]
pub(crate) struct RouteTls {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    /// Checks peers that resume an earlier session; it wants a certificate even where clients need none.
    pub(crate) resumed: Arc<dyn ClientCertVerifier>,
}

impl RouteTls {
    /// What the files give; none without a CA.
    fn new(files: &TlsFiles<'_>) -> Result<Option<Self>, TlsConfigError> {
        let Some(ca) = files.ca else {
            return Ok(None);
        };
        let identity = Some((files.cert, files.key));
        let verify = ServerVerification::Full;
        Ok(Some(Self {
            server: server_config(files, ClientAuth::Required)?,
            client: client_config_with_crl(files.ca, files.crl, identity, verify)?,
            resumed: client_verifier(ca, files.crl, ClientAuth::Required)?,
        }))
    }
}

impl TlsSetting {
    /// TLS with the broker's own certificate.
    ///
    /// # Errors
    /// Names the text that is unusable.
    pub fn server(files: &TlsFiles<'_>) -> Result<Self, TlsConfigError> {
        let config = server_config(files, ClientAuth::None)?;
        Ok(Self {
            offer: TlsOffer::Server,
            config: Some(config),
            resumed: None,
            route: None,
            crl_next_update: None,
        })
    }

    /// Mutual TLS: every client shows a certificate of `files.ca` that is on no list of `files.crl`.
    ///
    /// # Errors
    /// Names the text that is unusable or missing.
    pub fn mutual(files: &TlsFiles<'_>) -> Result<Self, TlsConfigError> {
        Self::verifying(files, TlsOffer::Mutual, ClientAuth::Required)
    }

    /// As [`Self::mutual`], but a client may come without a certificate; what it may do then is for its login to decide.
    ///
    /// # Errors
    /// As [`Self::mutual`].
    pub fn optional(files: &TlsFiles<'_>) -> Result<Self, TlsConfigError> {
        Self::verifying(files, TlsOffer::Optional, ClientAuth::Optional)
    }

    fn verifying(
        files: &TlsFiles<'_>,
        offer: TlsOffer,
        auth: ClientAuth,
    ) -> Result<Self, TlsConfigError> {
        let config = server_config(files, auth)?;
        let ca = files.ca.unwrap_or_default();
        let resumed = client_verifier(ca, files.crl, auth)?;
        Ok(Self {
            offer,
            route: RouteTls::new(files)?,
            config: Some(config),
            resumed: Some(resumed),
            crl_next_update: files.crl.map(crl_next_update).transpose()?.flatten(),
        })
    }
}

impl TlsSetting {
    /// The same for routes alone, with clients in clear.
    #[must_use]
    pub fn routes_only(self) -> Self {
        Self {
            route: self.route,
            crl_next_update: self.crl_next_update,
            ..Self::default()
        }
    }
}

/// The files TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPaths {
    /// The broker's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities of clients.
    pub ca: Option<PathBuf>,
    /// Their revocation lists.
    pub crl: Option<PathBuf>,
    /// Whether clients are asked for certificates, and must show one. [`TlsOffer::Off`] stands for no certificate, too.
    pub offer: TlsOffer,
}

/// Why TLS cannot be made of files.
#[derive(Debug)]
pub enum TlsPathsError {
    /// A file cannot be read.
    File(PathBuf, io::Error),
    /// A text is unusable.
    Text(TlsConfigError),
}

impl TlsPaths {
    /// Reads the files and makes a setting of them.
    ///
    /// # Errors
    /// A file cannot be read or is unusable.
    pub fn load(
        &self,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<TlsSetting, TlsPathsError> {
        let read =
            |path: &Path| read(path).map_err(|error| TlsPathsError::File(path.to_owned(), error));
        let (cert, key) = (read(&self.cert)?, read(&self.key)?);
        let ca = self.ca.as_deref().map(read).transpose()?;
        let crl = self.crl.as_deref().map(read).transpose()?;
        let files = TlsFiles {
            cert: &cert,
            key: &key,
            ca: ca.as_deref(),
            crl: crl.as_deref(),
        };
        let setting = match self.offer {
            TlsOffer::Mutual => TlsSetting::mutual(&files),
            TlsOffer::Optional => TlsSetting::optional(&files),
            TlsOffer::Server | TlsOffer::Off => TlsSetting::server(&files),
        };
        setting.map_err(TlsPathsError::Text)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        [&self.cert, &self.key]
            .into_iter()
            .chain(&self.ca)
            .chain(&self.crl)
            .map(PathBuf::as_path)
    }
}

impl fmt::Display for TlsPathsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Text(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TlsPathsError {}

/// The setting in force, shared by the shards.
#[derive(Debug, Default)]
pub(crate) struct TlsSlot {
    setting: Mutex<TlsSetting>,
    /// Counts the replacements.
    version: AtomicU32,
}

impl TlsSlot {
    pub(crate) fn new(setting: TlsSetting) -> Self {
        Self {
            setting: Mutex::new(setting),
            version: AtomicU32::new(0),
        }
    }

    pub(crate) fn replace(&self, setting: TlsSetting) {
        *self.setting.lock() = setting;
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The setting and its number, if it is another than `seen`.
    pub(crate) fn newer(&self, seen: Option<u32>) -> Option<(TlsSetting, u32)> {
        let version = self.version.load(Ordering::Acquire);
        // The number may lag behind the setting, never run ahead of it: then it is merely taken twice.
        (seen != Some(version)).then(|| (self.setting.lock().clone(), version))
    }

    pub(crate) fn offer(&self) -> TlsOffer {
        self.setting.lock().offer
    }
}
