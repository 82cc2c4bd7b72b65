//! TLS towards clients, from PEM texts to what the shards use.

use std::sync::Arc;

use muster_broker_core::config::TlsOffer;
use muster_reactor::rustls::ServerConfig;
use muster_reactor::rustls::server::danger::ClientCertVerifier;
use muster_reactor::tls::{ClientAuth, TlsConfigError, TlsFiles, client_verifier, server_config};

/// TLS towards clients; `Default` is none.
#[derive(Debug, Clone, Default)]
pub struct TlsSetting {
    /// What is offered and asked for.
    pub offer: TlsOffer,
    pub(crate) config: Option<Arc<ServerConfig>>,
    /// Checks clients that resume an earlier session, which TLS itself does not do.
    pub(crate) resumed: Option<Arc<dyn ClientCertVerifier>>,
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
        })
    }

    /// Mutual TLS: every client shows a certificate of `files.ca`.
    ///
    /// # Errors
    /// Names the text that is unusable or missing.
    pub fn mutual(files: &TlsFiles<'_>) -> Result<Self, TlsConfigError> {
        let config = server_config(files, ClientAuth::Required)?;
        let resumed = client_verifier(files.ca.unwrap_or_default(), ClientAuth::Required)?;
        Ok(Self {
            offer: TlsOffer::Mutual,
            config: Some(config),
            resumed: Some(resumed),
        })
    }
}
