//! From a provider's files to keys and TLS. The files are read through a function of the caller's.

use std::path::Path;
use std::sync::Arc;

use muster_protocol::security::Signer;
use muster_protocol::security::tokens::{Claims, TokenSigner};
use muster_reactor::rustls::ClientConfig as TlsConfig;

use super::error::ConfigError;
use super::identity::CallerSecurity;
use crate::nats::NonceSigner;
use crate::provider::{TokenFiles, X509Files};

/// What a client proves itself with.
pub(super) struct Proof {
    pub(super) security: CallerSecurity,
    /// Who calls, where the token says it.
    pub(super) caller_id: Option<String>,
    pub(super) tls: Option<Arc<TlsConfig>>,
}

impl Proof {
    /// None at all.
    pub(super) const fn insecure() -> Self {
        Self {
            security: CallerSecurity::Insecure,
            caller_id: None,
            tls: None,
        }
    }

    pub(super) fn of_certificate(
        files: &X509Files,
        tls: bool,
        read: impl Fn(&Path) -> Result<String, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let (cert, key) = (read(&files.certificate)?, read(&files.key)?);
        let signer = Signer::from_pem(&cert, &key).map_err(|error| ConfigError::Signer {
            certificate: files.certificate.clone(),
            error,
        })?;
        Ok(Self {
            security: CallerSecurity::X509(Arc::new(signer)),
            caller_id: None,
            tls: tls.then(|| files.tls(read)).transpose()?,
        })
    }

    /// What answers a broker's nonce.
    pub(super) fn nonce_signer(&self) -> Option<Arc<dyn NonceSigner>> {
        match &self.security {
            CallerSecurity::Token(signer) => Some(Arc::clone(signer) as Arc<dyn NonceSigner>),
            CallerSecurity::X509(_) | CallerSecurity::Insecure => None,
        }
    }
}

/// The proof of a holder of a token.
pub(super) fn read_token(
    files: &TokenFiles,
    tls: bool,
    read: impl Fn(&Path) -> Result<String, ConfigError>,
) -> Result<Proof, ConfigError> {
    let signer = TokenSigner::new(&read(&files.token)?, &read(&files.seed)?);
    let signer = signer.map_err(|error| ConfigError::Token {
        token: files.token.clone(),
        error,
    })?;
    let Claims::Client(claims) = signer.claims() else {
        return Err(ConfigError::NotAClient {
            token: files.token.clone(),
        });
    };
    let caller_id = claims.caller_id.clone();
    let tls = tls.then(|| files.tls(read)).transpose()?;
    Ok(Proof {
        security: CallerSecurity::Token(Arc::new(signer)),
        caller_id: Some(caller_id),
        tls,
    })
}
