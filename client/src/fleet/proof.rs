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
use crate::signer::SignerSettings;

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
            CallerSecurity::Token(signer)
            | CallerSecurity::Remote {
                own: Some(signer), ..
            } => Some(Arc::clone(signer) as Arc<dyn NonceSigner>),
            CallerSecurity::X509(_)
            | CallerSecurity::Remote { own: None, .. }
            | CallerSecurity::Insecure => None,
        }
    }
}

/// The proof of a holder of a token.
pub(super) fn read_token(
    files: &TokenFiles,
    tls: bool,
    read: impl Fn(&Path) -> Result<String, ConfigError>,
) -> Result<Proof, ConfigError> {
    let (signer, caller_id) = read_holder(&files.token, &files.seed, &read)?;
    Ok(Proof {
        security: CallerSecurity::Token(signer),
        caller_id: Some(caller_id),
        tls: tls.then(|| files.tls(read)).transpose()?,
    })
}

/// A service signs, and is shown the provider's own token.
pub(super) fn remote_of_token(
    signer: &SignerSettings,
    files: &TokenFiles,
    tls: bool,
    read: impl Fn(&Path) -> Result<String, ConfigError>,
) -> Result<Proof, ConfigError> {
    let (own, caller_id) = read_holder(&files.token, &files.seed, &read)?;
    Ok(Proof {
        security: CallerSecurity::Remote {
            service: Arc::new(signer.load(Arc::clone(&own), &read)?),
            own: Some(own),
        },
        caller_id: Some(caller_id),
        tls: tls.then(|| files.tls(read)).transpose()?,
    })
}

/// A service signs, with its certificate, and is shown a token. The caller's own certificate serves TLS only.
pub(super) fn remote_of_files(
    signer: &SignerSettings,
    files: &X509Files,
    tls: bool,
    read: impl Fn(&Path) -> Result<String, ConfigError>,
) -> Result<Proof, ConfigError> {
    let (token, seed) = signer.holder.clone().unwrap_or_default();
    let (holder, caller_id) = read_holder(&token, &seed, &read)?;
    Ok(Proof {
        security: CallerSecurity::Remote {
            service: Arc::new(signer.load(holder, &read)?),
            own: None,
        },
        caller_id: Some(caller_id),
        tls: tls.then(|| files.tls(read)).transpose()?,
    })
}

/// A client's token with its key, and who calls by it.
fn read_holder(
    token: &Path,
    seed: &Path,
    read: impl Fn(&Path) -> Result<String, ConfigError>,
) -> Result<(Arc<TokenSigner>, String), ConfigError> {
    let signer = TokenSigner::new(&read(token)?, &read(seed)?);
    let signer = signer.map_err(|error| ConfigError::Token {
        token: token.to_owned(),
        error,
    })?;
    let Claims::Client(claims) = signer.claims() else {
        return Err(ConfigError::NotAClient {
            token: token.to_owned(),
        });
    };
    let caller_id = claims.caller_id.clone();
    Ok((Arc::new(signer), caller_id))
}
