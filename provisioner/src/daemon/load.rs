//! From a checked configuration to what nodes go through: the key files are read here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_client::nats::Backoff;
use muster_protocol::security::tokens::{IssuerKey, TokenError};

use super::SystemEntropy;
use crate::config::ProvisionerConfig;
use crate::host::Flow;
use crate::server_token::ServerIssuer;

/// Why a key cannot be used. No key is in it.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    File {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// What is in it is of no use.
    Content {
        /// The configuration's key.
        key: &'static str,
        /// What is wrong.
        why: TokenError,
    },
}

/// Reads what the flow needs. `read` opens files.
///
/// # Errors
/// A file cannot be read, or holds no key.
pub fn load_flow(
    config: &ProvisionerConfig,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Flow, LoadError> {
    let read = |key: &'static str, path: &Path| {
        read(path).map_err(|error| LoadError::File {
            key,
            path: path.to_owned(),
            error,
        })
    };
    let jwt_key = match &config.jwt_verify_cert {
        Some(text) if config.features.jwt => {
            const KEY: &str = "jwt_verify_cert";
            let is_hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
            let text = if is_hex {
                text.clone()
            } else {
                read(KEY, Path::new(text))?
            };
            let key = IssuerKey::from_text(text.trim()).map_err(TokenError::PublicKey);
            Some(key.map_err(|why| LoadError::Content { key: KEY, why })?)
        }
        _ => None,
    };
    let issuer = match &config.jwt_signing_key {
        Some(path) if config.features.ed25519 => {
            const KEY: &str = "jwt_signing_key";
            let seed = read(KEY, path)?;
            let token = config.jwt_signing_token.as_deref();
            let token = token
                .map(|path| read("jwt_signing_token", path))
                .transpose()?;
            let issuer = ServerIssuer::new(&seed, token.as_deref(), config.server_token_validity);
            Some(issuer.map_err(|why| LoadError::Content { key: KEY, why })?)
        }
        _ => None,
    };
    Ok(Flow {
        features: config.features,
        token: config.token.clone(),
        deny: config.deny.clone(),
        jwt_key,
        issuer,
        upgrades: config.upgrades.clone(),
        entropy: Arc::new(SystemEntropy),
        backoff: Backoff::five_sec(),
    })
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { key, path, error } => {
                write!(f, "{key}: cannot read {}: {error}", path.display())
            }
            Self::Content { key, why } => write!(f, "{key}: {why}"),
        }
    }
}

impl std::error::Error for LoadError {}
